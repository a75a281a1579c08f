package cache_test

import (
	"net/http"
	"testing"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/transport/transporttest"
)

func TestHTTPConformance(t *testing.T) {
	layer := func(next http.RoundTripper) http.RoundTripper { return cache.HTTP(cache.HTTPConfig{})(next) }
	transporttest.Check(t, layer, transporttest.MayAnswer())
}
