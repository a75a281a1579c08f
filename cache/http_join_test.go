package cache_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/cache"
)

// Who asks when an answer has begun joins it if he may have it from memory, too. Else
// the origin is asked for him.
func TestHTTPJoinsWhatIsFresh(t *testing.T) {
	tests := map[string]struct {
		header, request string
		after           time.Duration
		calls           int64
	}{
		"fresh":                                  {"Cache-Control: max-age=10", "", 5 * time.Second, 1},
		"fresh no longer":                        {"Cache-Control: max-age=10", "", 15 * time.Second, 2},
		"fresh no longer since it was asked for": {"Cache-Control: max-age=10", "", 10*time.Second + 1, 2},
		"fresh until then":                       {"Cache-Control: max-age=10", "", 10*time.Second - 1, 1},
		"fresh no longer when it came":           {"Cache-Control: max-age=10\nAge: 7", "", 5 * time.Second, 2},
		"never fresh":                            {"Cache-Control: no-cache, max-age=10", "", time.Second, 2},
		"fresh, but for a field":                 {"Cache-Control: max-age=10, no-cache=a\nA: b", "", 5 * time.Second, 2},
		"of which nothing is said":               {"A: b", "", time.Second, 2},
		"of which nothing is known yet":          {"A: b", "", time.Second / 2, 1},
		"which has to be newer":                  {"Cache-Control: max-age=10", "Cache-Control: max-age=3", 5 * time.Second, 2},
		"where the caller wants it live":         {"Cache-Control: max-age=10", "Cache-Control: no-cache", 2 * time.Second, 2},
		"where both want the same":               {"Cache-Control: max-age=10", "Cache-Control: no-cache", time.Second / 2, 1},
		"which has to stay for some time":        {"Cache-Control: max-age=10", "Cache-Control: min-fresh=7", 5 * time.Second, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := saying(tt.header, func(*http.Request) string { return "" })
				respond := upstream.respond
				upstream.respond = func(req *http.Request) (*http.Response, error) {
					time.Sleep(time.Second - 1)
					resp, err := respond(req)
					resp.ContentLength, resp.TransferEncoding = -1, []string{"chunked"}
					more, write := io.Pipe()
					resp.Body = more
					go func() {
						_, _ = io.WriteString(write, "begin")
						time.Sleep(time.Minute)
						_ = write.Close()
					}()
					return resp, err
				}
				rt := cache.HTTP(cache.HTTPConfig{})(upstream)
				go func() { ask(t, rt, get(t, tt.request)) }()
				time.Sleep(tt.after)
				_, text := ask(t, rt, get(t, tt.request))
				assert.Equal(t, "begin", text)
				assert.Equal(t, tt.calls, upstream.calls.Load(), "calls")
				time.Sleep(time.Minute)
			})
		})
	}
}

// Where one HTTP cache is below another, each stores what its own bound allows.
func TestHTTPMaxEntryBytesAboveAnother(t *testing.T) {
	for _, size := range []int64{100, 101, 300 << 10} {
		t.Run(strconv.FormatInt(size, 10), func(t *testing.T) {
			upstream := saying("Cache-Control: max-age=60", func(*http.Request) string { return strings.Repeat("x", int(size)) })
			respond := upstream.respond
			upstream.respond = func(req *http.Request) (*http.Response, error) {
				resp, err := respond(req)
				resp.ContentLength, resp.TransferEncoding = -1, []string{"chunked"}
				return resp, err
			}
			small, large := cache.NewStore(cache.StoreConfig{}), cache.NewStore(cache.StoreConfig{})
			below := cache.HTTP(cache.HTTPConfig{})(upstream)
			ask(t, cache.HTTP(cache.HTTPConfig{Store: small, MaxEntryBytes: 100})(below), get(t))
			assert.Equal(t, size <= 100, small.Stats().Entries == 1)

			below = cache.HTTP(cache.HTTPConfig{})(upstream)
			ask(t, cache.HTTP(cache.HTTPConfig{Store: large})(below), get(t))
			assert.Equal(t, 1, large.Stats().Entries)
		})
	}
}
