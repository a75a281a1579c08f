package telemetry_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/sparekey/sparekey/telemetry"
)

// BenchmarkObserve measures what both layers add to a call when no SDK is
// installed.
func BenchmarkObserve(b *testing.B) {
	bottom := roundTrip(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}, nil
	})
	for _, bm := range []struct {
		name string
		rt   http.RoundTripper
	}{
		{"bare", bottom},
		{"observed", telemetry.ObserveCall(routing)(telemetry.ObserveAttempt(routing)(bottom))},
	} {
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		req := newRequest(b, ctx)
		b.Run(bm.name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bm.rt.RoundTrip(req); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bm.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := bm.rt.RoundTrip(req); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
