package cache_test

import (
	"math"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// Settings without a real bound are bounds, too.
func TestGreatestSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := saying("Cache-Control: max-age=60", func(*http.Request) string { return answer })
		rt := cache.HTTP(cache.HTTPConfig{MaxEntryBytes: math.MaxInt64, MaxStale: math.MaxInt64})(upstream)
		for range 2 {
			ask(t, rt, get(t))
		}
		assert.EqualValues(t, 1, upstream.calls.Load())

		upstream = &service{respond: answering(answer)}
		memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{
			MaxBytes: math.MaxInt64, MaxEntryBytes: math.MaxInt64, MaxEntries: math.MaxInt, TTL: math.MaxInt64,
			StaleIfError: math.MaxInt64, StaleWhileRevalidate: math.MaxInt64, Similar: &policy.Similar{},
		}})
		for range 100 {
			ask(t, memo.Wrap(upstream), newCall(t, `{"data":"x"}`, policy.Call{}))
		}
		assert.EqualValues(t, 1, upstream.calls.Load())
	})
}

// What is reported are the bounds that count, which are those of the store.
func TestBoundsOfAGivenStore(t *testing.T) {
	store := cache.NewStore(cache.StoreConfig{MaxBytes: 1 << 30, MaxEntries: 7, IdentityShare: 0.5})
	own := policy.Cache{MaxBytes: 1 << 20, MaxEntries: 3}
	for _, rt := range []http.RoundTripper{
		cache.Predictions(cache.PredictionsConfig{Cache: own, Store: store})(http.DefaultTransport),
		cache.HTTP(cache.HTTPConfig{Store: store})(http.DefaultTransport),
	} {
		settings := rt.(interface{ Part() policy.Part }).Part().Settings.(policy.Cache)
		assert.EqualValues(t, 1<<30, settings.MaxBytes)
		assert.Equal(t, 7, settings.MaxEntries)
		assert.Equal(t, 0.5, settings.IdentityShare)
		var f telemetry.FunctionSnapshot
		rt.(telemetry.Reporter).Report(&f)
		assert.EqualValues(t, 1<<30, f.Cache.MaxBytes)
		assert.Equal(t, 7, f.Cache.MaxEntries)
	}
}

// Of two caches, one above the other, the outer one is reported.
func TestReportOfTwoCaches(t *testing.T) {
	outer := cache.HTTP(cache.HTTPConfig{Store: cache.NewStore(cache.StoreConfig{MaxEntries: 7})})
	inner := cache.Predictions(cache.PredictionsConfig{})
	rt := transport.Chain(http.DefaultTransport, outer, inner)
	assert.Equal(t, 7, transport.Snapshot(rt).Functions[0].Cache.MaxEntries)
}
