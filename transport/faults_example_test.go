package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// What retries make of a bad network can be seen before there is one. The same
// seed brings the same faults in every run.
func ExampleNewFaults() {
	faults := transport.NewFaults(policy.Faults{
		Seed: 1,
		Mix: []policy.Fault{
			{Kind: policy.FaultRefused, Rate: 0.1},
			{Kind: policy.FaultStatus, Rate: 0.2, Status: http.StatusBadGateway},
			{Kind: policy.FaultTruncate, Rate: 0.1, Bytes: 2},
		},
		OnFault: func(_ context.Context, fault policy.Fault) { fmt.Println("  fault:", fault.Kind) },
	})
	upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusOK, "hello"))
	client := transport.Wrap(&http.Client{Transport: upstream},
		transport.Retry(policy.Retry{Backoff: policy.Backoff{Base: time.Millisecond}}),
		faults.Wrap) // innermost

	for range 8 {
		resp, err := client.Get("http://up.test/greet")
		if err != nil {
			fmt.Println(err)
			continue
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%s: %q %v\n", resp.Status, text, err)
	}
	// Output:
	//   fault: truncate
	// 200 OK: "hello" <nil>
	//   fault: refused
	// 200 OK: "hello" <nil>
	//   fault: status
	// 200 OK: "hello" <nil>
	// 200 OK: "hello" <nil>
	//   fault: status
	//   fault: status
	//   fault: status
	// 502 Bad Gateway (injected): "" <nil>
	// 200 OK: "hello" <nil>
	// 200 OK: "hello" <nil>
	//   fault: status
	// 200 OK: "hello" <nil>
}

// A test scripts what happens to one call: here its first attempt is refused, its
// second is cut short, and the third passes.
func ExampleWithFaults() {
	upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusOK, "hello"))
	client := transport.Wrap(&http.Client{Transport: upstream},
		transport.Retry(policy.Retry{Backoff: policy.Backoff{Base: time.Millisecond}}),
		transport.NewFaults(policy.Faults{}).Wrap)

	ctx := transport.WithFaults(context.Background(),
		policy.Fault{Kind: policy.FaultRefused},
		policy.Fault{Kind: policy.FaultTruncate, Bytes: 2},
		policy.Fault{})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://up.test/greet", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	fmt.Println(string(text), err, "- the server saw", upstream.Calls(), "requests")
	// Output: hello <nil> - the server saw 2 requests
}

// Faults can be switched while the program runs.
func ExampleFaults_Set() {
	faults := transport.NewFaults(policy.Faults{Off: true})
	client := transport.Wrap(&http.Client{Transport: transporttest.NewUpstream()}, faults.Wrap)
	greet := func() {
		resp, err := client.Get("http://up.test/greet")
		if err != nil {
			fmt.Println(err, errors.Is(err, transport.ErrInjected), errors.Is(err, syscall.ECONNREFUSED))
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	greet()
	if err := faults.Set(policy.Faults{Mix: []policy.Fault{{Kind: policy.FaultRefused, Rate: 1}}}); err != nil {
		fmt.Println(err)
	}
	greet()
	if err := faults.Set(policy.Faults{Mix: []policy.Fault{{Kind: policy.FaultStatus, Rate: 1, Status: 429}}}); err != nil {
		fmt.Println(err)
	}
	greet()
	fmt.Println(faults.Set(policy.Faults{Mix: []policy.Fault{{Kind: policy.FaultStatus, Rate: 7, Status: 42}}}))
	greet()
	// Output:
	// 200 OK
	// Get "http://up.test/greet": transport: injected: dial tcp: connect: connection refused true true
	// 429 Too Many Requests (injected)
	// policy: Faults.Mix[0].Rate is 7, want 0 to 1
	// policy: Faults.Mix[0].Status is 42, want 200 to 599
	// policy: the rates of Faults.Mix sum up to 7, want at most 1
	// 429 Too Many Requests (injected)
}
