package transport_test

import (
	"testing"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// BenchmarkLimiter is a call that need not wait. "bare" is the same call on the
// transport alone.
func BenchmarkLimiter(b *testing.B) {
	const rate = 1e9 // never used up
	b.Run("bare", func(b *testing.B) { benchmark(b, answering{}) })
	for _, bb := range []struct {
		name string
		cfg  policy.Limit
	}{
		{"fixed", policy.Limit{InFlight: 100}},
		{"adaptive", policy.Limit{}},
		{"rate", policy.Limit{PerSecond: rate, InFlight: -1}},
		{"rate and fixed", policy.Limit{PerSecond: rate, InFlight: 100}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			benchmark(b, transport.NewLimiter(bb.cfg).Wrap(answering{}))
		})
	}
}

// BenchmarkLimiterRefusal is a call that is refused, since another is in flight.
func BenchmarkLimiterRefusal(b *testing.B) {
	limiter := transport.NewLimiter(policy.Limit{Name: "up.test", InFlight: 1, MaxQueue: -1})
	rt := limiter.Wrap(transport.Func(held))
	resp, err := rt.RoundTrip(newRequest(b, b.Context(), "GET", ""))
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	benchmark(b, rt)
}
