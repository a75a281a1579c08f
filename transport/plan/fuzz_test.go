package plan_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/plan"
)

// FuzzParse must not panic, nor show a secret, and what it takes must be what
// stacks can be built of.
func FuzzParse(f *testing.F) {
	whole, err := os.ReadFile("testdata/whole.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(whole))
	f.Add("version: 1\nfunctions: {a: {id: '${file:secret}', classify: '${file:secret}'}}")
	f.Add("version: 1\ndefaults: &d {retry: {classes: {ok: {}}}}\nfunctions: {a: *d, b: {retry: null}}")
	f.Add("version: 1\nendpoints: {a: {header: {x: [y], z: ~}}}\naccounts: {m: {limit: {per_second: 1e300}}}")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := plan.Parse("f.yaml", []byte(text), environment)
		if err != nil {
			require.Nil(t, p)
			if !strings.Contains(text, "hunter2") {
				require.NotContains(t, err.Error()+excerpts(err), "hunter2")
			}
			return
		}
		for _, name := range append(p.Functions(), "") {
			function, _ := p.Function(name)
			_, err := transport.Build(function.Stack)
			require.NoError(t, err)
		}
	})
}
