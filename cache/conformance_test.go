package cache_test

import (
	"net/http"
	"testing"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A cache is a transport like any other, to those requests that it answers from
// memory and to those that are none of its business.
func TestConformance(t *testing.T) {
	layer := func(next http.RoundTripper) http.RoundTripper {
		return cache.Predictions(cache.PredictionsConfig{})(next)
	}
	asked := transporttest.Requests(func(req *http.Request) *http.Request {
		return req.WithContext(policy.WithCall(req.Context(), policy.Call{Function: "f", Replayable: true}))
	})
	t.Run("requests that it passes by", func(t *testing.T) {
		t.Parallel()
		transporttest.Check(t, layer)
	})
	t.Run("requests that it answers", func(t *testing.T) {
		t.Parallel()
		transporttest.Check(t, layer, transporttest.MayAnswer(), asked)
	})
}
