package nyckel

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport"
)

type stopwatchKey struct{}

// withStopwatch returns a context in which timed notes how long the service took to
// begin an answer, in nanoseconds; of several answers, that of the last.
func withStopwatch(ctx context.Context) (context.Context, *atomic.Int64) {
	elapsed := new(atomic.Int64)
	return context.WithValue(ctx, stopwatchKey{}, elapsed), elapsed
}

// timed is the layer that takes the time. It stands next to the wire, so that no
// wait of ours counts.
func timed(next http.RoundTripper) http.RoundTripper {
	return transport.Func(func(req *http.Request) (*http.Response, error) {
		start := time.Now()
		resp, err := body.Send(next, req)
		if elapsed, ok := req.Context().Value(stopwatchKey{}).(*atomic.Int64); ok && err == nil {
			elapsed.Store(int64(time.Since(start)))
		}
		return resp, err
	})
}
