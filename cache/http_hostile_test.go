package cache_test

import (
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

// A date of long ago makes an answer old, not new.
func TestHTTPDateOfTheZeroTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := saying("Etag: \"a\"\nDate: "+time.Time{}.Format(http.TimeFormat), func(*http.Request) string { return answer })
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		for range 3 {
			ask(t, rt, get(t))
			time.Sleep(10 * time.Second)
		}
		assert.EqualValues(t, 3, upstream.calls.Load())
		upstream.respond = failing
		_, err := rt.RoundTrip(get(t))
		require.ErrorIs(t, err, errDown, "it is far too old to stand in")
	})
}
