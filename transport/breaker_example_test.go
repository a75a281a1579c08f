package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// An operator takes a server out of use and lets it in again.
func ExampleBreaker_Isolate() {
	breaker := transport.NewBreaker(policy.Breaker{
		Name: "up.test",
		OnTransition: func(_ context.Context, tr policy.Transition) {
			fmt.Printf("%s: %v, %s: %s\n", tr.Name, tr.To, tr.Trigger, tr.Reason)
		},
	})
	client := transport.Wrap(&http.Client{Transport: transporttest.NewUpstream()}, breaker.Wrap)

	breaker.Isolate("moving house", time.Now().Add(time.Hour))
	_, err := client.Get("http://up.test/")
	fmt.Println(errors.Is(err, transport.ErrIsolated), errors.Is(err, transport.ErrOpen))
	if refusal, ok := errors.AsType[*policy.Refusal](err); ok {
		fmt.Println(refusal.Err, "- ask again in", time.Until(refusal.RetryAt).Round(time.Minute))
	}
	breaker.Release() // probes will tell how the server is

	breaker.Close("seen it with my own eyes")
	// Output:
	// up.test: isolated, manual: moving house
	// true true
	// transport: circuit breaker is isolated: moving house - ask again in 1h0m0s
	// up.test: half_open, manual: moving house
	// up.test: closed, manual: seen it with my own eyes
}

// Settings can be tried on real traffic before they refuse anybody.
func ExampleBreaker_Observe() {
	upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusInternalServerError, "oops"))
	breaker := transport.NewBreaker(policy.Breaker{
		MinCalls: 2,
		OnTransition: func(_ context.Context, tr policy.Transition) {
			if tr.To == policy.Open && tr.MetricsOnly {
				fmt.Printf("would open: %d of %d calls were faults\n", tr.Faults, tr.Calls)
			}
		},
	})
	breaker.Observe("trying new settings", time.Now().Add(24*time.Hour))
	client := transport.Wrap(&http.Client{Transport: upstream}, breaker.Wrap)
	for range 4 {
		resp, err := client.Get("http://up.test/")
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
	}
	fmt.Println(breaker.State(), upstream.Calls(), "requests")
	// Output:
	// would open: 2 of 2 calls were faults
	// open 4 requests
}

func ExampleBreaker_Snapshot() {
	upstream := transporttest.NewUpstream(
		transporttest.Reply(http.StatusInternalServerError, "oops"),
		transporttest.Reply(http.StatusOK, ""),
	)
	breaker := transport.NewBreaker(policy.Breaker{LastCalls: 20})
	client := transport.Wrap(&http.Client{Transport: upstream}, breaker.Wrap)
	for range 3 {
		resp, err := client.Get("http://up.test/")
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
	}
	s := breaker.Snapshot()
	fmt.Printf("%v: %d of the last %d calls were faults\n", s.State, s.Faults, s.Calls)
	// Output: closed: 1 of the last 3 calls were faults
}
