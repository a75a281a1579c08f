package transport_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// keyed is the key that a test chooses.
func keyed(req *http.Request) string { return req.Header.Get("Key") }

// getKeyed sends a GET with a key.
func getKeyed(t testing.TB, rt http.RoundTripper, key string) (status int, err error) {
	t.Helper()
	req := newRequest(t, t.Context(), http.MethodGet, "")
	req.Header.Set("Key", key)
	status, _, err = send(t, rt, req)
	return status, err
}

func TestAuthority(t *testing.T) {
	tests := []struct {
		address, want string
	}{
		{"http://up.test/path", "up.test:80"},
		{"https://up.test/path", "up.test:443"},
		{"http://up.test:80", "up.test:80"},
		{"https://up.test:8443", "up.test:8443"},
		{"https://up.test:", "up.test:443"},
		{"http://UP.Test", "up.test:80"},
		{"http://user:secret@up.test", "up.test:80"},
		{"http://[2001:DB8::1]/", "[2001:db8::1]:80"},
		{"https://[2001:db8::1]:8443/", "[2001:db8::1]:8443"},
	}
	for _, tt := range tests {
		u, err := url.Parse(tt.address)
		require.NoError(t, err)
		if got := transport.Authority(&http.Request{URL: u}); got != tt.want {
			t.Errorf("Authority(%s) = %q, want %q", tt.address, got, tt.want)
		}
	}
}

// One key's trouble is not another's.
func TestPerKeyIndependent(t *testing.T) {
	upstream := transport.Func(func(req *http.Request) (*http.Response, error) {
		if keyed(req) == "down" {
			return fault(req)
		}
		return fine(req)
	})
	rt := transport.PerKey(keyed, func(string) transport.Layer {
		return transport.NewBreaker(policy.Breaker{MinCalls: 2}).Wrap
	})(upstream)
	for range 2 {
		_, err := getKeyed(t, rt, "down")
		require.NoError(t, err)
	}
	for range 3 {
		if _, err := getKeyed(t, rt, "down"); !errors.Is(err, transport.ErrOpen) {
			t.Errorf("key down: error = %v, want transport.ErrOpen", err)
		}
		if status, err := getKeyed(t, rt, "up"); status != 200 || err != nil {
			t.Errorf("key up: got %d, %v, want 200", status, err)
		}
	}
}

// A key's layer is made once, for each transport.
func TestPerKeyMakesLayersOnce(t *testing.T) {
	made := map[string]int{}
	layer := transport.PerKey(keyed, func(key string) transport.Layer {
		made[key]++
		if key == "none" {
			return nil
		}
		return tagged(key)
	})
	upstream := transporttest.NewUpstream()
	first, second := layer(upstream), layer(upstream)
	for _, rt := range []http.RoundTripper{first, first, second} {
		for _, key := range []string{"a", "b", "none", "a"} {
			_, err := getKeyed(t, rt, key)
			require.NoError(t, err)
			want := key
			if key == "none" {
				want = ""
			}
			requests := upstream.Requests()
			if got := requests[len(requests)-1].Header.Get("Path"); got != want {
				t.Errorf("key %q: the request passed %q, want %q", key, got, want)
			}
		}
	}
	for _, key := range []string{"a", "b", "none"} {
		if made[key] != 2 {
			t.Errorf("the layer of %q was made %d times for two transports", key, made[key])
		}
	}
}

// Keys that come from outside must not fill the memory.
func TestPerKeyBounded(t *testing.T) {
	t.Parallel()
	const keys, bound = 100_000, 1024
	var live atomic.Int64
	rt := transport.PerKey(keyed, func(string) transport.Layer {
		return func(next http.RoundTripper) http.RoundTripper {
			live.Add(1)
			rt := &struct{ http.RoundTripper }{next}
			runtime.AddCleanup(rt, func(int64) { live.Add(-1) }, 0)
			return rt
		}
	})(transport.Func(fine))
	for i := range keys {
		_, err := getKeyed(t, rt, fmt.Sprint(i))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		runtime.GC()
		return live.Load() <= bound
	}, 10*time.Second, time.Millisecond, "layers of more than %d of %d keys are kept", bound, keys)
	runtime.KeepAlive(rt)
}

// The keys that were used last are the ones that stay.
func TestPerKeyForgetsLeastRecent(t *testing.T) {
	const bound = 1024
	made := map[string]int{}
	rt := transport.PerKey(keyed, func(key string) transport.Layer {
		made[key]++
		return tagged(key)
	})(transport.Func(fine))
	use := func(key string) {
		t.Helper()
		_, err := getKeyed(t, rt, key)
		require.NoError(t, err)
	}
	for i := range 2 * bound {
		use(fmt.Sprint(i))
		use("often")
	}
	if made["often"] != 1 {
		t.Errorf("the layer of a key in use was made %d times, want once", made["often"])
	}
	use("0")
	if made["0"] != 2 {
		t.Errorf("the layer of a key long unused was made %d times, want twice", made["0"])
	}
}

func TestPerKeyConcurrency(t *testing.T) {
	var made atomic.Int64
	rt := transport.PerKey(keyed, func(key string) transport.Layer {
		made.Add(1)
		return tagged(key)
	})(transport.Func(fine))
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for i := range 500 {
				if _, err := getKeyed(t, rt, fmt.Sprint(i%100)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	if got := made.Load(); got != 100 {
		t.Errorf("%d layers were made for 100 keys", got)
	}
}
