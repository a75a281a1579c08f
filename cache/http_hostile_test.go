package cache_test

import (
	"math"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/cache"
)

// The greatest length that net/http takes is one that nobody sends.
func TestHTTPGreatestLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := &service{respond: func(*http.Request) (*http.Response, error) {
			resp := response(http.StatusOK, answer)
			resp.ContentLength = math.MaxInt64
			return resp, nil
		}}
		_, text := ask(t, cache.HTTP(cache.HTTPConfig{})(upstream), get(t))
		assert.Equal(t, answer, text)
	})
}
