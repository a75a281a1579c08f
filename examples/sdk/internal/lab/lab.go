// Package lab is what the programs beside it have in common: a server in trouble,
// an SDK that asks it in three ways, and the table of who asked how often.
package lab

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// A Provider is what differs from SDK to SDK.
type Provider struct {
	// Body is the form in which the SDK expects errors.
	Body policy.ErrorBody

	// Quota, Broken and Busy are answers of the provider: the quota is used up,
	// the service failed, it sheds load.
	Quota, Broken, Busy Answer

	// Ask makes one call with the SDK, as it comes, through client.
	Ask func(ctx context.Context, client *http.Client, baseURL string) error

	// Describe tells what is in an API error of the SDK, and "" of any other.
	Describe func(err error) string
}

// A Row is what came of some calls.
type Row struct {
	Trouble, Client string

	Calls     int   // of the program
	Transport int64 // requests that the SDK made of its HTTP client
	Upstream  int64 // requests that reached the server

	// Error is that of the last call: what Describe says, else its text.
	Error string
	Typed bool // it is an API error
}

// Burst is how many extra requests the stack's budget allows: there is nothing
// else in it while the server answers nothing well.
const Burst = 20

// Stack is what stands below the SDK.
func Stack() policy.Stack {
	return policy.Stack{Retry: policy.Retry{
		Backoff: policy.Backoff{Base: 50 * time.Millisecond},
		Budget:  policy.Budget{Burst: Burst, PerSecond: -1},
	}}
}

// layers returns the layers of each of the three clients.
func layers(p Provider) map[string]transport.Layer {
	telling := Stack()
	telling.Responses = &policy.Responses{Body: p.Body, Errors: true}
	return map[string]transport.Layer{
		Alone: nil, Stacked: transport.Standard(Stack()), Telling: transport.Standard(telling),
	}
}

// The clients: the SDK on a plain transport, on a stack, and on a stack that tells
// it of refusals in its own words.
const (
	Alone   = "SDK alone"
	Stacked = "on a stack"
	Telling = "on a stack with Responses"
)

// The troubles, and how many calls are made in each.
const (
	QuotaUsedUp = "quota is used up"
	BreakerOpen = "breaker is open"
	Storm       = "storm"

	stormCalls = 50
)

// Run puts each client into each trouble. The wire must lead to server.
func Run(ctx context.Context, p Provider, server *Server, wire http.RoundTripper, baseURL string) []Row {
	ctx = policy.WithCall(ctx, policy.Call{Function: "chat", Replayable: true}) // to ask twice does no harm
	var rows []Row
	for _, trouble := range []string{QuotaUsedUp, BreakerOpen, Storm} {
		all := layers(p)
		for _, name := range []string{Alone, Stacked, Telling} {
			counter := &counter{next: transport.Chain(wire, all[name])}
			row := Row{Trouble: trouble, Client: name, Calls: 1}
			switch trouble {
			case QuotaUsedUp:
				server.Answer(p.Quota)
			case BreakerOpen:
				server.Answer(p.Broken)
				open(ctx, counter, baseURL)
			case Storm:
				server.Answer(p.Busy)
				row.Calls = stormCalls
			}
			server.calls.Store(0)
			counter.calls.Store(0)
			err := together(row.Calls, func() error { return p.Ask(ctx, &http.Client{Transport: counter}, baseURL) })
			row.Transport, row.Upstream = counter.calls.Load(), server.calls.Load()
			row.Error = p.Describe(err)
			if row.Typed = row.Error != ""; !row.Typed && err != nil {
				row.Error = err.Error()
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// open asks a server that fails until a breaker on the way, if there is one, has
// had enough.
func open(ctx context.Context, rt http.RoundTripper, baseURL string) {
	client := &http.Client{Transport: rt}
	for range 10 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, baseURL, nil)
		if err != nil {
			panic(err) // the URL is ours
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
		}
	}
}

// together calls ask n times at once and returns the last error.
func together(n int, ask func() error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = ask() })
	}
	wg.Wait()
	return errs[n-1]
}

// counter counts what the SDK asks of its transport.
type counter struct {
	next  http.RoundTripper
	calls atomic.Int64
}

func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	c.calls.Add(1)
	return c.next.RoundTrip(req)
}

// Main runs the lab on a server of its own and prints the table.
func Main(p Provider) {
	server := new(Server)
	listening := httptest.NewServer(server)
	defer listening.Close()
	Print(os.Stdout, Run(context.Background(), p, server, http.DefaultTransport, listening.URL))
}
