package transport_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// TestAttemptsBehindTheFirstCaller: what is sent for those who joined a call is counted
// for what it is when the first caller has left before all of it.
func TestAttemptsBehindTheFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sdk := installSDK(t)
		var sent atomic.Int32
		upstream := transport.Func(func(req *http.Request) (*http.Response, error) {
			status := []int{200, 503, 503, 200}[sent.Add(1)-1]
			time.Sleep(time.Second)
			return says(status)(req)
		})
		rt := transport.Chain(upstream, transport.Standard(policy.Stack{
			Function: "f", Cache: &policy.Cache{TTL: time.Hour},
			Limit: policy.Limit{InFlight: 1, MaxQueue: 10}, Retry: policy.Retry{Attempts: 3},
		}))
		ask := func(ctx context.Context, body string) {
			ctx = policy.WithCall(ctx, policy.Call{Replayable: true})
			go func() { _, _, _ = send(t, rt, to(t, "POST", "http://a.test/v1/x", body).WithContext(ctx)) }()
			synctest.Wait()
		}
		ask(t.Context(), "what keeps the next in the queue")
		ctx, leave := context.WithCancel(t.Context())
		ask(ctx, "the same")
		ask(t.Context(), "the same")
		leave()
		time.Sleep(time.Minute)
		kinds := map[string]int{}
		for _, span := range sdk.spans.GetSpans() {
			if span.Name != "POST" {
				continue
			}
			kind, resent := "first", ""
			for _, a := range span.Attributes {
				switch a.Key {
				case "sparekey.attempt.kind":
					kind = a.Value.AsString()
				case "http.request.resend_count":
					resent = " " + a.Value.String()
				}
			}
			kinds[kind+resent]++
		}
		assert.Equal(t, map[string]int{"first": 2, "retry 1": 1, "retry 2": 1}, kinds)
	})
}
