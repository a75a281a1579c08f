package transport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// hits returns a call on a transport that answers at once, and the same one on the
// whole stack around it, which has the answer.
func hits(tb testing.TB) (bare, hit func()) {
	tb.Helper()
	const answer = `{"labelName":"refund","labelId":"label_1","confidence":0.93}`
	upstream := transporttest.Reply(http.StatusOK, answer, "Content-Type", "application/json")
	rt := transport.Chain(transport.Func(upstream), transport.Standard(policy.Stack{
		Function: "fn", Cache: &policy.Cache{}, Hedge: &policy.Hedge{}, Throttle: &policy.Throttle{},
		Fallback: &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}},
	}))
	call := func(rt http.RoundTripper) *telemetry.Trail {
		req, err := http.NewRequestWithContext(replayable(tb.Context()), http.MethodPost, "http://a.test/v1/x", strings.NewReader(`{"data":"hello"}`))
		require.NoError(tb, err)
		resp, err := rt.RoundTrip(req)
		require.NoError(tb, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(tb, err)
		require.NoError(tb, resp.Body.Close())
		return telemetry.TrailOf(resp)
	}
	call(rt)
	require.Equal(tb, telemetry.Cache, call(rt).Answer().Source)
	return func() { call(transport.Func(upstream)) }, func() { call(rt) }
}

// TestHitAllocations: the whole stack adds few allocations to a call whose answer it
// has.
func TestHitAllocations(t *testing.T) {
	bare, hit := hits(t)
	added := testing.AllocsPerRun(1000, hit) - testing.AllocsPerRun(1000, bare)
	assert.LessOrEqual(t, added, float64(hitAllocations))
}

// BenchmarkHit is what the whole stack takes to answer from its cache: 2 µs beyond
// bare are what it may.
func BenchmarkHit(b *testing.B) {
	bare, hit := hits(b)
	for _, bm := range []struct {
		name string
		call func()
	}{{"bare", bare}, {"hit", hit}} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bm.call()
			}
		})
	}
}
