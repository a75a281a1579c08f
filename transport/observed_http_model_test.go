package transport_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// cacheable makes answers that an HTTP cache keeps for a while, and longer if need be.
func cacheable(next http.RoundTripper) http.RoundTripper {
	return transport.Func(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err == nil && resp.StatusCode == http.StatusOK {
			resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
			resp.Header.Set("Cache-Control", "max-age=2, stale-while-revalidate=1, stale-if-error=20")
		}
		return resp, err
	})
}

// telling checks that what the answer's header says of it is what the trail says.
func telling(t *testing.T) transport.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		return transport.Func(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil {
				said, _, _ := strings.Cut(resp.Header.Get(telemetry.HeaderName), ";")
				if answer := telemetry.TrailOf(resp).Answer(); said != "" || answer.Degraded() {
					assert.Equal(t, string(answer.Source), said)
				}
			}
			return resp, err
		})
	}
}

// TestHTTPCacheMetricsAgainstTheTruth is TestMetricsAgainstTheTruth with an HTTP cache in
// the place of that of predictions.
func TestHTTPCacheMetricsAgainstTheTruth(t *testing.T) {
	const seeds, calls = 8, 100
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(seed), 9))
				sdk := installSDK(t)
				truth := &ledger{counts: map[string]int{}, ids: map[string]bool{}}
				service := &moody{truth, rand.New(rand.NewPCG(uint64(seed), 10))}
				cfg := telemetry.Config{Function: "f", Endpoint: "a"}
				var keeps cache.HTTPConfig
				if seed&1 != 0 {
					keeps.SoftTimeout = 400 * time.Millisecond
				}
				rt := transport.Chain(service, telling(t),
					telemetry.ObserveCall(cfg), cache.HTTP(keeps), transport.Retry(policy.Retry{Attempts: 3}),
					transport.Timeout(policy.Timeout{FirstByte: 2 * time.Second, Idle: 2 * time.Second}), telemetry.ObserveAttempt(cfg), cacheable)
				for i := range calls {
					ctx, trail := telemetry.NewContext(t.Context())
					cancel := context.CancelFunc(func() {})
					switch random.IntN(8) {
					case 0:
						ctx, cancel = context.WithCancel(ctx)
						time.AfterFunc(time.Duration(random.IntN(3000))*time.Millisecond+333*time.Microsecond, cancel)
					case 1:
						ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(3000))*time.Millisecond+777*time.Microsecond)
					}
					req := to(t, "GET", fmt.Sprint("http://a.test/v1/", random.IntN(12)), "").WithContext(ctx)
					req.Header.Set("X-Id", fmt.Sprint(i))
					abandons := random.IntN(10) == 0
					go func() {
						truth.call(rt, req, trail, abandons)
						time.AfterFunc(time.Minute, cancel)
					}()
					time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()

				got := measuredLedger(t, sdk)
				for _, thing := range []string{"call", "attempt", "fallback"} {
					assert.Equal(t, truth.of(thing), got.of(thing), thing)
				}
				assert.Zero(t, got.counts["active "])
				seen := transport.Snapshot(rt).Functions[0]
				activity := map[string]int{}
				for outcome, n := range seen.Calls {
					activity["activity "+outcome] = int(n)
				}
				assert.Equal(t, truth.of("activity"), activity)
				assert.Equal(t, int(seen.Cache.Hits), got.counts["lookup hit"])
				assert.Equal(t, int(seen.Cache.Misses), got.counts["lookup miss"])
				assert.NotZero(t, got.counts["lookup stale"])
			})
		})
	}
}
