package cache_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/cache"
)

// BenchmarkHTTP measures a GET whose answer has 1 KiB, with its request and the
// reading of its answer: "bare" is that alone.
func BenchmarkHTTP(b *testing.B) {
	upstream := transportFunc(func(*http.Request) (*http.Response, error) {
		resp := response(http.StatusOK, strings.Repeat("x", 1<<10))
		resp.Header.Set("Cache-Control", "max-age=3600")
		resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		resp.Header.Set("Etag", `"a"`)
		return resp, nil
	})
	call := func(b *testing.B, rt http.RoundTripper, header ...string) {
		req := get(b, header...)
		resp, err := rt.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	for _, bm := range []struct {
		name, header string
		bare         bool
	}{
		{"bare", "", true},
		{"hit", "", false},
		{"hit with credentials", "Authorization: a", false},
		{"miss", "Cache-Control: no-cache", false},
		{"bypass", "Cache-Control: no-store", false},
	} {
		b.Run(bm.name, func(b *testing.B) {
			rt := http.RoundTripper(upstream)
			if !bm.bare {
				rt = cache.HTTP(cache.HTTPConfig{})(upstream)
			}
			b.ReportAllocs()
			for b.Loop() {
				call(b, rt, bm.header)
			}
		})
	}
	b.Run("hit in parallel", func(b *testing.B) {
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				call(b, rt)
			}
		})
	})
}
