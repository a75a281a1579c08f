package telemetry_test

import (
	"net/http"
	"testing"

	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// An observed is a layer of this package, and how requests reach it.
type observed struct {
	layer transporttest.Layer
	opts  []transporttest.Option
}

// Who only looks on may do nothing that the rules forbid.
func observers() map[string]observed {
	call, attempt := telemetry.ObserveCall(telemetry.Config{}), telemetry.ObserveAttempt(telemetry.Config{})
	both := func(next http.RoundTripper) http.RoundTripper { return call(attempt(next)) }
	traced := []transporttest.Option{transporttest.Requests(func(req *http.Request) *http.Request {
		ctx, _ := telemetry.NewContext(req.Context())
		return req.WithContext(ctx)
	})}
	return map[string]observed{
		"ObserveCall":                      {call, nil},
		"ObserveCall, for a given trail":   {call, traced},
		"ObserveAttempt without a trail":   {attempt, nil},
		"ObserveAttempt":                   {attempt, traced},
		"ObserveCall above ObserveAttempt": {both, nil},
	}
}

func TestConformance(t *testing.T) {
	for name, o := range observers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			transporttest.Check(t, o.layer, o.opts...)
		})
	}
}

// With an SDK there are spans in the contexts, and bodies that end them.
func TestConformanceWhenRecorded(t *testing.T) {
	install(t)
	for name, o := range observers() {
		t.Run(name, func(t *testing.T) {
			transporttest.Check(t, o.layer, o.opts...)
		})
	}
}
