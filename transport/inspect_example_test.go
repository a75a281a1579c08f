package transport_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// A breaker belongs inside the retry, and an attempt must give up before the
// call does.
func ExampleLint() {
	rt := transport.Chain(http.DefaultTransport,
		transport.Timeout(policy.Timeout{Scope: "total", Total: 5 * time.Second}),
		transport.NewBreaker(policy.Breaker{}).Wrap,
		transport.Retry(policy.Retry{}),
		transport.Timeout(policy.Timeout{FirstByte: 8 * time.Second}),
	)
	fmt.Println(strings.ReplaceAll(transport.Lint(rt).Error(), ": ", ":\n\t"))
	// Output:
	// policy:
	// 	breaker around retry:
	// 	it sees calls in place of attempts:
	// 	it opens too late, and retries go on to a server that is down; put the breaker inside the retry
	// policy:
	// 	attempt timeout's FirstByte 8s must be below total timeout's Total 5s:
	// 	no attempt times out before the call does, so none that hangs is repeated; make the attempt's limit half of the call's or less
}

// The worst that the standard stack may come to, whatever the server does.
func ExampleExplain() {
	client := transport.Wrap(&http.Client{}, transport.Standard(policy.Default()))
	fmt.Print(transport.Explain(client.Transport))
	// Output:
	// layer            settings                                             calls  header     end        waiting  buffered
	// call                                                                  3      30s        30s        30s      1.3 MiB
	// total timeout    30s                                                  3      30s        30s        30s      1.3 MiB
	// retry            3 attempts, from 100ms, throttled 1s, server's ≤ 1m  3      unbounded  unbounded  2m18s    1.3 MiB
	// breaker          50 % of ≥ 10 in 30s, open 5s to 1m, per Authority    1      16.1s      unbounded  6s       4 KiB
	// limit            adapts from 200, queue 6s, per Authority             1      16.1s      unbounded  6s       4 KiB
	// attempt                                                               1      10.1s      unbounded  0s       4 KiB
	// streams          not held                                             1      10s        unbounded  0s       0 B
	// attempt timeout  first byte 10s, idle 30s                             1      10s        unbounded  0s       0 B
	// *http.Transport                                                       1      unbounded  unbounded  0s       0 B
	//
	// At worst 3 requests; header or error: 30s; end of the body: 30s; waiting: 30s; buffered: 1.3 MiB.
}
