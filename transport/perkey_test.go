package transport_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
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
	const keys, bound = manyKeys, 1024
	var live atomic.Int64
	rt := transport.PerKey(keyed, func(string) transport.Layer {
		return func(next http.RoundTripper) http.RoundTripper {
			live.Add(1)
			rt := &struct{ http.RoundTripper }{next}
			runtime.AddCleanup(rt, func(int64) { live.Add(-1) }, 0)
			return rt
		}
	})(transport.Func(fine))
	req := newRequest(t, t.Context(), http.MethodGet, "")
	for i := range keys {
		req.Header.Set("Key", strconv.Itoa(i))
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	require.Eventually(t, func() bool {
		runtime.GC()
		return live.Load() <= bound
	}, 10*time.Second, time.Millisecond, "layers of more than %d of %d keys are kept", bound, keys)
	runtime.KeepAlive(rt)
}

// A pressed is a PerKey transport that has to let go of keys. It counts how often
// it made each key's layer.
type pressed struct {
	t    *testing.T
	rt   http.RoundTripper
	made map[string]int
	seen int // keys of flood
}

func newPressed(t *testing.T, next http.RoundTripper) *pressed {
	p := &pressed{t: t, made: map[string]int{}}
	p.rt = transport.PerKey(keyed, func(key string) transport.Layer {
		p.made[key]++
		return tagged(key)
	})(next)
	return p
}

func (p *pressed) use(key string) {
	p.t.Helper()
	_, err := getKeyed(p.t, p.rt, key)
	require.NoError(p.t, err)
}

// flood uses n keys once each that were never seen before.
func (p *pressed) flood(n int) {
	p.t.Helper()
	for range n {
		p.seen++
		p.use(fmt.Sprint("flood ", p.seen))
	}
}

// The keys that were used last are the ones that stay.
func TestPerKeyForgetsLeastRecent(t *testing.T) {
	const bound = 1024
	p := newPressed(t, transport.Func(fine))
	p.use("old")
	p.flood(bound - 1)
	p.use("flood 1") // the oldest but one
	p.flood(1)
	p.use("flood 1")
	assert.Equal(t, 1, p.made["flood 1"], "a key that was used again")
	p.use("old")
	assert.Equal(t, 2, p.made["old"], "a key that was not used for longest")
}

// A flood of new keys sweeps away others like them, but not those in steady use,
// however seldom that is.
func TestPerKeySurvivesFlood(t *testing.T) {
	const steady = 768 // three quarters of all
	p := newPressed(t, transport.Func(fine))
	for range 2 {
		for i := range steady {
			p.use(fmt.Sprint(i))
		}
	}
	p.flood(100_000)
	for i := range steady {
		p.use(fmt.Sprint(i))
		assert.Equal(t, 1, p.made[fmt.Sprint(i)], "the layer of key %d was made again", i)
	}
	for i := range 2 * steady { // but others take their place
		p.use(fmt.Sprint("other ", i/2))
	}
	p.flood(2000)
	p.use("0")
	assert.Equal(t, 2, p.made["0"])
}

// A key with a request under way stays, whatever the pressure, and goes when its
// time has come.
func TestPerKeyInUse(t *testing.T) {
	const bound = 1024
	for _, busy := range []int{1, bound, 2 * bound} {
		t.Run(fmt.Sprint(busy), func(t *testing.T) {
			p := newPressed(t, transport.Func(func(req *http.Request) (*http.Response, error) {
				if strings.HasPrefix(keyed(req), "busy") {
					return held(req)
				}
				return fine(req)
			}))
			var bodies []io.Closer
			for i := range busy {
				req := newRequest(t, t.Context(), http.MethodGet, "")
				req.Header.Set("Key", fmt.Sprint("busy ", i))
				resp, err := p.rt.RoundTrip(req)
				require.NoError(t, err)
				bodies = append(bodies, resp.Body)
			}
			use := func() { // without a body that is held
				for i := range busy {
					req := newRequest(t, t.Context(), http.MethodGet, "")
					req.Header.Set("Key", fmt.Sprint("busy ", i))
					resp, err := p.rt.RoundTrip(req)
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
				}
			}
			p.flood(10 * bound)
			use()
			for i := range busy {
				require.Equal(t, 1, p.made[fmt.Sprint("busy ", i)], "a key in use was forgotten")
			}
			for _, body := range bodies {
				require.NoError(t, body.Close())
			}
			for i := range 2 * bound {
				p.use(fmt.Sprint("other ", i))
				p.use(fmt.Sprint("other ", i))
			}
			use()
			for i := range busy {
				require.Equal(t, 2, p.made[fmt.Sprint("busy ", i)], "a key out of use was kept")
			}
		})
	}
}

// What a key's request holds is free after an error and after a panic, too.
func TestPerKeyFreesKeys(t *testing.T) {
	const bound = 1024
	steps := map[string]transporttest.Step{
		"error": transporttest.Fail(errReset), "panic": transporttest.Panic("boom"), "no body": transporttest.Reply(204, ""),
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			p := newPressed(t, transport.Func(func(req *http.Request) (*http.Response, error) {
				if keyed(req) == "first" {
					return step(req)
				}
				return fine(req)
			}))
			first := func() {
				defer func() { _ = recover() }()
				_, _ = getKeyed(t, p.rt, "first")
			}
			first()
			p.flood(bound)
			first()
			assert.Equal(t, 2, p.made["first"])
		})
	}
}

// A panic in a func of the user's costs neither the request's body nor the layer
// its use.
func TestPerKeyPanics(t *testing.T) {
	made := 0
	rt := transport.PerKey(keyed, func(string) transport.Layer {
		if made++; made == 1 {
			panic("boom")
		}
		return nil
	})(transport.Func(fine))
	var bodies transporttest.Bodies
	mustPanic(t, func() { _, _ = bodies.Wrap(rt).RoundTrip(newRequest(t, t.Context(), http.MethodPost, "hello")) })
	bodies.Check(t)
	_, err := getKeyed(t, rt, "")
	require.NoError(t, err)
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
