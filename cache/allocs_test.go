package cache_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
)

// A hit is a response, its header, which takes two, and a text that says how old it
// is. A prediction has its request's body read from a copy, which takes two more.
func TestHitAllocations(t *testing.T) {
	upstream := transportFunc(func(req *http.Request) (*http.Response, error) {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		resp := response(http.StatusOK, `{"labelName":"billing"}`)
		resp.Header.Set("Cache-Control", "max-age=60")
		return resp, nil
	})
	for _, tt := range []struct {
		name  string
		layer cache.Layer
		req   *http.Request
		want  float64
	}{
		{"HTTP", cache.HTTP(cache.HTTPConfig{}), get(t), 3},
		{"HTTP, with credentials", cache.HTTP(cache.HTTPConfig{}), get(t, "Authorization: a", "Accept: b"), 3},
		{"predictions", cache.Predictions(cache.PredictionsConfig{}), newCall(t, `{"b":1,"a":2}`, policy.Call{Function: "f"}), 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.req.Method == http.MethodGet {
				tt.req.URL.RawQuery = "a=b"
			}
			rt := tt.layer(upstream)
			hit := func() {
				resp, err := rt.RoundTrip(tt.req)
				if assert.NoError(t, err) {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			}
			hit() // is stored
			least := testing.AllocsPerRun(1, hit)
			for range 20 { // under the race detector pools lose what is put in
				least = min(least, testing.AllocsPerRun(1, hit))
			}
			assert.Equal(t, tt.want, least)
		})
	}
}
