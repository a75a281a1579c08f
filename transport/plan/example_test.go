package plan_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/plan"
)

func ExampleLoad() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	name := filepath.Join(folder, "sparekey.yaml")
	if err := os.WriteFile(name, []byte("version: 1\nfunctions:\n  search:\n    total: 5s\n    retry: {attempts: 2}\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	p, err := plan.Load(name)
	if err != nil {
		fmt.Println(err)
		return
	}
	search, _ := p.Function("search")
	client := transport.Wrap(&http.Client{}, transport.Standard(search.Stack))
	fmt.Println(search.Total, search.Retry.Attempts, client != nil)
	// Output: 5s 2 true
}

func ExampleParse() {
	const text = `version: 1
functions:
  search:
    retry: {atempts: 2}
    total: 5
`
	_, err := plan.Parse("sparekey.yaml", []byte(text), nil)
	fmt.Println(err)
	// Output:
	// sparekey.yaml:4:13: functions.search.retry: has the unknown key "atempts"; did you mean attempts?
	// sparekey.yaml:5:12: functions.search.total: is 5, want a duration such as 500ms, 10s or 1m30s
}

func ExampleNew() {
	p, err := plan.New(plan.File{
		Version:  1,
		Defaults: policy.Stack{Total: 5 * time.Second},
		Functions: map[string]plan.Function{
			"search": {Stack: policy.Stack{Retry: policy.Retry{Attempts: 2}}},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Functions())
	// Output: [search]
}
