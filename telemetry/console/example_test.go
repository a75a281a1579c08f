package console_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/telemetry/console"
	"github.com/sparekey/sparekey/transport"
)

// The console goes where the program's other pages for operators are. Whoever is on
// the same machine may look, and here act, too.
func ExampleNew() {
	client := transport.Wrap(nil, transport.Standard(policy.Stack{Function: "search"}))
	watch := console.New(func() telemetry.Snapshot { return transport.Snapshot(client.Transport) }, console.Options{
		Authorize: console.Local,
		Actions:   transport.Operator{client.Transport},
	})
	defer watch.Close()
	mux := http.NewServeMux()
	mux.Handle("/debug/sparekey/", watch)

	ask := func(method, path, body string) {
		req := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
		req.RemoteAddr = "127.0.0.1:5000"
		req.Header.Set("Content-Type", "application/json")
		resp := httptest.NewRecorder()
		mux.ServeHTTP(resp, req)
		fmt.Println(method, path, resp.Code)
	}
	ask("GET", "/debug/sparekey/", "")
	ask("GET", "/debug/sparekey/snapshot.json", "")
	ask("POST", "/debug/sparekey/isolate", `{"function": "serach", "breaker": "api.test:443", "reason": "maintenance"}`)
	// Output:
	// GET /debug/sparekey/ 200
	// GET /debug/sparekey/snapshot.json 200
	// POST /debug/sparekey/isolate 404
}
