package cache_test

import (
	"math"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
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
