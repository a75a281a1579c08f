package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// get returns a request for the thing, with "Name: value" lines in its header.
func get(t testing.TB, header ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, thing, nil)
	require.NoError(t, err)
	lines(req.Header, strings.Join(header, "\n"))
	return req
}

// saying returns a service whose answers have the header lines, and as body what
// text says.
func saying(header string, text func(req *http.Request) string) *service {
	return &service{respond: func(req *http.Request) (*http.Response, error) {
		resp := response(http.StatusOK, text(req))
		lines(resp.Header, header)
		return resp, nil
	}}
}

func authorization(req *http.Request) string {
	return req.Header.Get("Authorization") + req.Header.Get("Cookie")
}

func TestHTTPIdentity(t *testing.T) {
	byTenant := func(req *http.Request) (string, bool) {
		tenant := req.Header.Get("Tenant")
		return strings.TrimPrefix(tenant, "nobody"), tenant != "unknown"
	}
	tests := []struct {
		name          string
		identity      func(*http.Request) (string, bool)
		cc            string
		first, second string // lines of a header
		calls         int64
	}{
		{"the same token", nil, "max-age=60", "Authorization: a", "Authorization: a", 1},
		{"another token", nil, "max-age=60", "Authorization: a", "Authorization: b", 2},
		{"another token, though private", nil, "private, max-age=60", "Authorization: a", "Authorization: b", 2},
		{"another token and public", nil, "public, max-age=60", "Authorization: a", "Authorization: b", 1},
		{"another token and public, with a cookie", nil, "public, max-age=60\nSet-Cookie: a=b", "Authorization: a", "Authorization: b", 2},
		{"a token after none and public, with a cookie", nil, "public, max-age=60\nSet-Cookie: a=b", "", "Authorization: b", 2},
		{"another token, public and private at once", nil, "public, private, max-age=60", "Authorization: a", "Authorization: b", 2},
		{"another token, public and private in a field", nil, "public, private=\"A\", max-age=60", "Authorization: a", "Authorization: b", 2},
		{"a token after none", nil, "max-age=60", "", "Authorization: b", 2},
		{"none after a token", nil, "max-age=60", "Authorization: b", "", 2},
		{"none after a token and public", nil, "public, max-age=60", "Authorization: b", "", 1},
		{"another cookie", nil, "max-age=60", "Cookie: a", "Cookie: b", 2},
		{"another key", nil, "max-age=60", "X-Api-Key: a", "X-Api-Key: b", 2},
		{"another key of a service's own", nil, "max-age=60", "Ocp-Apim-Subscription-Key: a", "Ocp-Apim-Subscription-Key: b", 2},
		{"another token of a service's own", nil, "max-age=60", "Private-Token: a", "Private-Token: b", 2},
		{"a token of a service's own after none", nil, "max-age=60", "", "X-Access-Token: b", 2},
		{"another page that led here", nil, "max-age=60", "Referer: a", "Referer: b", 1},
		{"a cookie like a token", nil, "max-age=60", "Cookie: a", "Authorization: a", 2},
		{"another token of one tenant", byTenant, "max-age=60", "Tenant: a\nAuthorization: a", "Tenant: a\nAuthorization: b", 1},
		{"one token of two tenants", byTenant, "max-age=60", "Tenant: a\nAuthorization: a", "Tenant: b\nAuthorization: a", 2},
		{"nobody in particular", byTenant, "max-age=60", "Tenant: nobody", "", 1},
		{"an unknown tenant", byTenant, "max-age=60", "Tenant: unknown", "Tenant: unknown", 2},
		{"an unknown tenant and public", byTenant, "public, max-age=60", "", "Tenant: unknown", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			upstream := saying("Cache-Control: "+tt.cc, authorization)
			rt := cache.HTTP(cache.HTTPConfig{Identity: tt.identity})(upstream)
			ask(t, rt, get(t, tt.first))
			ask(t, rt, get(t, tt.second))
			assert.Equal(t, tt.calls, upstream.calls.Load())
		})
	}
	t.Run("the user of the URL", func(t *testing.T) {
		upstream := saying("Cache-Control: max-age=60", authorization)
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		for _, who := range []*url.Userinfo{nil, url.User("a"), url.User("a"), url.UserPassword("a", "b")} {
			req := get(t)
			req.URL.User = who
			ask(t, rt, req)
		}
		assert.Equal(t, int64(3), upstream.calls.Load())
	})
	t.Run("as the call says", func(t *testing.T) {
		upstream := saying("Cache-Control: max-age=60", authorization)
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		for _, who := range []string{"acme", "acme", "globex"} {
			req := get(t, "Authorization: the same")
			ask(t, rt, req.WithContext(policy.WithCall(req.Context(), policy.Call{Identity: who})))
		}
		assert.Equal(t, int64(2), upstream.calls.Load())
	})
}

// Whoever changes something, what others got of it is out of date, too.
func TestHTTPInvalidatesForAll(t *testing.T) {
	upstream := saying("Cache-Control: max-age=60", authorization)
	rt := cache.HTTP(cache.HTTPConfig{})(upstream)
	ask(t, rt, get(t, "Authorization: a"))
	ask(t, rt, get(t))
	post := get(t, "Authorization: b")
	post.Method = http.MethodPost
	ask(t, rt, post)
	ask(t, rt, get(t, "Authorization: a"))
	ask(t, rt, get(t))
	assert.Equal(t, int64(5), upstream.calls.Load())
}

// An answer to a request that came before a change is neither stored after it nor
// given to those who ask after it.
func TestHTTPChangeWhileAnswerIsRead(t *testing.T) {
	changes := map[string]func(rt http.RoundTripper, store *cache.Store){
		"POST": func(rt http.RoundTripper, _ *cache.Store) {
			post := get(t)
			post.Method = http.MethodPost
			ask(t, rt, post)
		},
		"purge": func(_ http.RoundTripper, store *cache.Store) { store.Purge() },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				more, write := io.Pipe()
				upstream := saying("Cache-Control: max-age=60", authorization)
				respond := upstream.respond
				upstream.respond = func(req *http.Request) (*http.Response, error) {
					resp, err := respond(req)
					if upstream.calls.Load() == 1 {
						resp.Body, resp.ContentLength = more, 3
					}
					return resp, err
				}
				store := cache.NewStore(cache.StoreConfig{})
				rt := cache.HTTP(cache.HTTPConfig{Store: store})(upstream)
				resp, err := rt.RoundTrip(get(t, "Authorization: a"))
				require.NoError(t, err)
				synctest.Wait()
				change(rt, store)

				_, text := ask(t, rt, get(t, "Authorization: a"))
				assert.Equal(t, "a", text, "what is asked for after the change")
				_, err = io.WriteString(write, "old")
				require.NoError(t, err)
				_ = write.Close()
				old, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				assert.Equal(t, "old", string(old))
				_, text = ask(t, rt, get(t, "Authorization: a"))
				assert.Equal(t, "a", text, "what is stored after the change")
			})
		})
	}
}

// An answer that was public and is confirmed as one that is not, is for nobody else
// from then on.
func TestHTTPConfirmedAsPrivate(t *testing.T) {
	for _, now := range []string{"Cache-Control: private, max-age=60", "Cache-Control: public, max-age=60\nSet-Cookie: a=b"} {
		synctest.Test(t, func(t *testing.T) {
			says := "Cache-Control: public, max-age=1"
			upstream := &service{}
			upstream.respond = func(req *http.Request) (*http.Response, error) {
				if authorization(req) == "b" {
					return nil, errDown
				}
				status, text := http.StatusOK, authorization(req)
				if req.Header.Get("If-None-Match") != "" {
					status, text = http.StatusNotModified, ""
				}
				resp := response(status, text)
				resp.Header.Set("Etag", `"a"`)
				lines(resp.Header, says)
				return resp, nil
			}
			rt := cache.HTTP(cache.HTTPConfig{})(upstream)
			ask(t, rt, get(t, "Authorization: a"))
			time.Sleep(2 * time.Second)
			says = now
			ask(t, rt, get(t, "Authorization: a"))
			require.Equal(t, int64(2), upstream.calls.Load())
			_, err := rt.RoundTrip(get(t, "Authorization: b"))
			assert.ErrorIs(t, err, errDown, "the other one gets nothing, not even stale")
			ask(t, rt, get(t, "Authorization: a"))
			assert.Equal(t, int64(3), upstream.calls.Load(), "his own")
		})
	}
}

// The answer to a POST is not kept if another change came while it was under way,
// whichever the origin made first.
func TestHTTPPostedBesideAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := saying("Cache-Control: max-age=60\nContent-Location: "+thing, authorization)
		respond := upstream.respond
		upstream.respond = func(req *http.Request) (*http.Response, error) {
			if req.Header.Get("Slow") != "" {
				time.Sleep(time.Second)
			}
			return respond(req)
		}
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		post := func(header string) {
			req := get(t, header)
			req.Method = http.MethodPost
			ask(t, rt, req)
		}
		time.AfterFunc(time.Second/2, func() { post("Fast: 1") })
		post("Slow: 1")
		ask(t, rt, get(t))
		assert.Equal(t, int64(3), upstream.calls.Load(), "GET asks")
	})
}

// What is for one connection is not stored.
func TestHTTPStoredHeader(t *testing.T) {
	rt := cache.HTTP(cache.HTTPConfig{})(saying("Cache-Control: max-age=60, no-cache=\"D\"\n"+
		"Connection: a, b\nA: 1\nB: 2\nC: 3\nD: 4\nKeep-Alive: x\nTe: x\nUpgrade: x\nProxy-Authenticate: x\nSet-Cookie: x=y\nDate: {now}", authorization))
	ask(t, rt, get(t))
	resp, _ := ask(t, rt, get(t))
	want := http.Header{}
	for _, name := range []string{"Age", "C", "Cache-Control", "Cache-Status", "Content-Length", "Content-Type", "Date", "Set-Cookie", "Sparekey-Answer"} {
		want[name] = resp.Header[name]
		assert.NotEmpty(t, resp.Header[name], name)
	}
	assert.Equal(t, want, resp.Header)
}

// A 304 updates a stored header, except for what tells how the body is coded. One
// that is about another answer updates nothing.
func TestHTTPConfirmation(t *testing.T) {
	said := "Etag: \"a\"\nCache-Control: no-cache\nContent-Encoding: br\nContent-Type: text/a\nA: 1\nB: 1"
	status := http.StatusOK
	upstream := &service{}
	upstream.respond = func(req *http.Request) (*http.Response, error) {
		resp := response(status, "text")
		if req.Header.Get("If-None-Match") == "" {
			resp = response(http.StatusOK, "new text")
		}
		resp.Header = http.Header{}
		lines(resp.Header, said)
		return resp, nil
	}
	rt := cache.HTTP(cache.HTTPConfig{})(upstream)
	_, text := ask(t, rt, get(t))
	assert.Equal(t, "new text", text)

	status = http.StatusNotModified
	said = "Etag: \"a\"\nContent-Length: 5\nContent-Encoding: gzip\nContent-Type: text/b\nA: 2\nConnection: B\nB: 2"
	resp, text := ask(t, rt, get(t))
	assert.Equal(t, "new text", text)
	assert.Equal(t, []string{"8", "br", "text/a", "2", "1"}, []string{
		resp.Header.Get("Content-Length"), resp.Header.Get("Content-Encoding"),
		resp.Header.Get("Content-Type"), resp.Header.Get("A"), resp.Header.Get("B"),
	})
	assert.Equal(t, int64(2), upstream.calls.Load())

	said = "Etag: \"b\"\nCache-Control: no-cache"
	resp, _ = ask(t, rt, get(t))
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, `"b"`, resp.Header.Get("Etag"))
	assert.Equal(t, int64(4), upstream.calls.Load(), "asked once more, without a condition")
}

// A 304 that does not say of when it is makes an answer fresh again like any other.
func TestHTTPConfirmationWithoutDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := &service{respond: func(req *http.Request) (*http.Response, error) {
			resp := response(http.StatusOK, "text")
			lines(resp.Header, "Etag: \"a\"\nCache-Control: max-age=10")
			if req.Header.Get("If-None-Match") == "" {
				resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
			} else {
				resp.StatusCode, resp.Body = http.StatusNotModified, http.NoBody
			}
			return resp, nil
		}}
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		for range 3 {
			ask(t, rt, get(t))
			time.Sleep(5 * time.Second)
			resp, text := ask(t, rt, get(t))
			assert.Equal(t, "text", text)
			assert.Equal(t, "sparekey; hit; ttl=5", resp.Header.Get("Cache-Status"))
			time.Sleep(5 * time.Second)
		}
		assert.Equal(t, int64(3), upstream.calls.Load())
	})
}

func TestHTTPHerd(t *testing.T) {
	herd := func(t *testing.T, cc string, callers int, who func(i int) string) int64 {
		upstream := saying(cc, authorization)
		respond := upstream.respond
		upstream.respond = func(req *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return respond(req)
		}
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		var wg sync.WaitGroup
		start := time.Now()
		for i := range callers {
			wg.Go(func() {
				_, text := ask(t, rt, get(t, "Authorization: "+who(i)))
				assert.Equal(t, who(i), text)
			})
		}
		wg.Wait()
		assert.LessOrEqual(t, time.Since(start), 2*time.Second)
		return upstream.calls.Load()
	}
	one := func(int) string { return "one" }
	tests := []struct {
		name, cc string
		who      func(int) string
		calls    int64
	}{
		{"of one identity", "Cache-Control: max-age=60", one, 1},
		{"that is not stored", "A: b", one, 1},
		{"of ten identities", "Cache-Control: max-age=60", func(i int) string { return fmt.Sprint(i % 10) }, 10},
		{"which is not for all", "Cache-Control: no-store", one, 50},
		{"which differs by what is not compared", "Vary: User-Agent", one, 50},
		{"which gives each a cookie", "Set-Cookie: a=b", one, 50},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				assert.Equal(t, tt.calls, herd(t, tt.cc, 50, tt.who))
			})
		})
	}
}

// Who looked in vain before an answer was stored, and asks after that, gets it.
func TestHTTPLooksAgain(t *testing.T) {
	for range 300 {
		upstream := saying("Cache-Control: max-age=60", authorization)
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { ask(t, rt, get(t, "Authorization: a")) })
		}
		wg.Wait()
		require.Equal(t, int64(1), upstream.calls.Load())
	}
}

// The first caller gives up: the others get their answer.
func TestHTTPLeaderLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := saying("Cache-Control: max-age=60", authorization)
		respond := upstream.respond
		upstream.respond = func(req *http.Request) (*http.Response, error) {
			select {
			case <-time.After(time.Second):
				return respond(req)
			case <-req.Context().Done():
				return nil, context.Cause(req.Context())
			}
		}
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := rt.RoundTrip(get(t, "Authorization: a").WithContext(ctx))
			assert.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() {
				_, text := ask(t, rt, get(t, "Authorization: a"))
				assert.Equal(t, "a", text)
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		assert.Equal(t, int64(1), upstream.calls.Load())
	})
}

// What callers and layers below do to what they get does not reach others.
func TestHTTPKeepsItsOwn(t *testing.T) {
	t.Run("a caller changes his answer", func(t *testing.T) {
		rt := cache.HTTP(cache.HTTPConfig{})(saying("Cache-Control: max-age=60\nA: b\nA: c", authorization))
		for range 3 {
			resp, _ := ask(t, rt, get(t))
			assert.Equal(t, []string{"b", "c"}, resp.Header["A"])
			resp.Header["A"][0] = "changed"
			resp.Header["A"] = append(resp.Header["A"][:1], "more")
			resp.Header.Set("B", "new")
		}
	})
	t.Run("a layer below adds credentials to the caller's request", func(t *testing.T) {
		upstream := saying("Cache-Control: max-age=60\nVary: Authorization", authorization)
		rt := cache.HTTP(cache.HTTPConfig{})(transportFunc(func(req *http.Request) (*http.Response, error) {
			req.Header.Set("Authorization", "added")
			return upstream.RoundTrip(req)
		}))
		for range 2 {
			req := get(t)
			ask(t, rt, req)
			assert.Empty(t, req.Header, "the caller's request")
		}
		assert.Equal(t, int64(1), upstream.calls.Load())
	})
	t.Run("a layer below adds to what is posted", func(t *testing.T) {
		upstream := saying("Cache-Control: max-age=60\nVary: Foo\nContent-Location: "+thing, authorization)
		rt := cache.HTTP(cache.HTTPConfig{})(transportFunc(func(req *http.Request) (*http.Response, error) {
			req.Header.Set("Foo", "added")
			return upstream.RoundTrip(req)
		}))
		req := get(t)
		req.Method = http.MethodPost
		ask(t, rt, req)
		ask(t, rt, get(t))
		assert.Equal(t, int64(1), upstream.calls.Load())
	})
	t.Run("the origin forges what a cache says", func(t *testing.T) {
		rt := cache.HTTP(cache.HTTPConfig{})(saying("Cache-Control: max-age=60\nX-From-Cache: 1\nAge: 5\nSparekey-Answer: cache", authorization))
		for range 2 {
			resp, _ := ask(t, rt, get(t))
			assert.Contains(t, resp.Header.Get("Cache-Status"), "fwd=uri-miss")
		}
	})
}

// Request.Host may name another host than the URL.
func TestHTTPHostField(t *testing.T) {
	upstream := saying("Cache-Control: max-age=60", func(req *http.Request) string { return req.Host })
	rt := cache.HTTP(cache.HTTPConfig{})(upstream)
	for _, host := range []string{"a.test", "b.test"} {
		req := get(t)
		req.Host = host
		_, text := ask(t, rt, req)
		assert.Equal(t, host, text)
	}
}

// net/http takes a gzip coding off for who did not ask for one.
func TestHTTPUncompressed(t *testing.T) {
	upstream := &service{respond: func(req *http.Request) (*http.Response, error) {
		if req.Header.Get("Accept-Encoding") != "" {
			resp := response(http.StatusOK, "coded")
			lines(resp.Header, "Cache-Control: max-age=60\nContent-Encoding: gzip")
			return resp, nil
		}
		resp := response(http.StatusOK, "plain")
		resp.ContentLength, resp.Uncompressed = -1, true
		lines(resp.Header, "Cache-Control: max-age=60")
		return resp, nil
	}}
	rt := cache.HTTP(cache.HTTPConfig{})(upstream)
	for range 2 {
		resp, text := ask(t, rt, get(t))
		assert.Equal(t, "plain", text)
		assert.True(t, resp.Uncompressed)
		_, text = ask(t, rt, get(t, "Accept-Encoding: gzip"))
		assert.Equal(t, "coded", text)
	}
	assert.Equal(t, int64(2), upstream.calls.Load())
}

func TestHTTPBounds(t *testing.T) {
	const kib = 1 << 10
	t.Run("many answers", func(t *testing.T) {
		store := cache.NewStore(cache.StoreConfig{MaxBytes: 4096 * kib, MaxEntryBytes: 256 * kib})
		rt := cache.HTTP(cache.HTTPConfig{Store: store})(saying("Cache-Control: max-age=60", func(*http.Request) string { return strings.Repeat("x", 64*kib) }))
		for i := range 200 {
			req := get(t)
			req.URL.Path = fmt.Sprint("/", i)
			ask(t, rt, req)
		}
		assert.LessOrEqual(t, store.Stats().Bytes, int64(4096*kib))
		assert.Positive(t, store.Stats().Entries)
		assert.Zero(t, store.Stats().InFlight)
	})
	for _, announced := range []bool{true, false} {
		t.Run(fmt.Sprintf("a large answer, announced %v", announced), func(t *testing.T) {
			store := cache.NewStore(cache.StoreConfig{})
			upstream := saying("Cache-Control: max-age=60", func(*http.Request) string { return strings.Repeat("x", 65*kib) })
			respond := upstream.respond
			upstream.respond = func(req *http.Request) (*http.Response, error) {
				resp, err := respond(req)
				if !announced {
					resp.ContentLength = -1
					resp.TransferEncoding = []string{"chunked"}
				}
				return resp, err
			}
			rt := cache.HTTP(cache.HTTPConfig{Store: store, MaxEntryBytes: 64 * kib})(upstream)
			resp, text := ask(t, rt, get(t))
			assert.Len(t, text, 65*kib)
			assert.Equal(t, !announced, strings.HasSuffix(resp.Header.Get("Cache-Status"), "; stored"))
			assert.Zero(t, store.Stats().Entries)
			assert.Zero(t, store.Stats().InFlight)
		})
	}
	t.Run("variants", func(t *testing.T) {
		store := cache.NewStore(cache.StoreConfig{})
		rt := cache.HTTP(cache.HTTPConfig{Store: store})(saying("Cache-Control: max-age=60\nVary: Foo", func(req *http.Request) string { return req.Header.Get("Foo") }))
		for i := range 100 {
			ask(t, rt, get(t, fmt.Sprint("Foo: ", i)))
		}
		before := store.Stats().Bytes
		ask(t, rt, get(t, "Foo: 1000"))
		assert.InDelta(t, before, store.Stats().Bytes, 100)
		_, text := ask(t, rt, get(t, "Foo: 99"))
		assert.Equal(t, "99", text)
	})
}

// An answer that is too heavy for the store pushes out what it makes out of date, and
// nothing else of its target: neither other variants nor what others have for themselves.
func TestHTTPTooHeavyForTheStore(t *testing.T) {
	text := map[string]string{"fr": "petit", "de": "klein"}
	upstream := saying("Cache-Control: max-age=60\nVary: Accept-Language", func(req *http.Request) string { return text[req.Header.Get("Accept-Language")] })
	rt := cache.HTTP(cache.HTTPConfig{Store: cache.NewStore(cache.StoreConfig{MaxEntryBytes: 8 << 10})})(upstream)
	french, german, own := "Accept-Language: fr", "Accept-Language: de", "Authorization: a\nAccept-Language: fr"
	for _, header := range []string{french, german, own} {
		ask(t, rt, get(t, header))
	}
	text["de"] = strings.Repeat("x", 10<<10)
	ask(t, rt, get(t, german, "Cache-Control: no-cache"))
	require.Equal(t, int64(4), upstream.calls.Load())

	ask(t, rt, get(t, french))
	ask(t, rt, get(t, own))
	assert.Equal(t, int64(4), upstream.calls.Load(), "the others stay")
	ask(t, rt, get(t, german))
	assert.Equal(t, int64(5), upstream.calls.Load(), "what it has made out of date is gone")
}

// What a request that is not sent leaves: a closed body, and a miss in the figures.
func TestHTTPOnlyIfCached(t *testing.T) {
	store := cache.NewStore(cache.StoreConfig{})
	rt := cache.HTTP(cache.HTTPConfig{Store: store})(&service{respond: failing})
	req := get(t, "Cache-Control: only-if-cached")
	var closed atomic.Int64
	req.Body = &countedBody{ReadCloser: io.NopCloser(strings.NewReader("x")), closed: &closed}
	resp, _ := ask(t, rt, req)
	assert.Equal(t, http.StatusGatewayTimeout, resp.StatusCode)
	assert.Equal(t, int64(1), closed.Load(), "request bodies closed")
	_, _, misses, bypasses := lookups(store)
	assert.Equal(t, uint64(1), misses)
	assert.Zero(t, bypasses)
}

// The responses that nobody is given are closed: a confirmation, and an error that another
// answer stands in for.
func TestHTTPClosesWhatItDoesNotGive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := http.StatusOK
		long := strings.Repeat("x", 512<<10) // is not read ahead to its end
		upstream := &service{respond: func(*http.Request) (*http.Response, error) {
			resp := response(status, long)
			lines(resp.Header, "Cache-Control: max-age=1, stale-if-error=60\nEtag: \"a\"")
			return resp, nil
		}}
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		for _, status = range []int{http.StatusOK, http.StatusNotModified, http.StatusServiceUnavailable} {
			resp, text := ask(t, rt, get(t))
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			assert.Len(t, text, len(long))
			upstream.requireAllClosed(t)
			time.Sleep(time.Second)
		}
		assert.Equal(t, int64(3), upstream.calls.Load())
	})
}

// Who joined another's request is told so, and counted as one who did.
func TestHTTPJoinedSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cache.NewStore(cache.StoreConfig{})
		upstream := saying("Cache-Control: max-age=60", func(*http.Request) string {
			time.Sleep(time.Second)
			return "text"
		})
		rt := cache.HTTP(cache.HTTPConfig{Store: store})(upstream)
		var wg sync.WaitGroup
		wg.Go(func() {
			resp, _ := ask(t, rt, get(t))
			assert.Equal(t, "sparekey; "+first, resp.Header.Get("Cache-Status"))
		})
		synctest.Wait()
		resp, _ := ask(t, rt, get(t))
		assert.Equal(t, "sparekey; "+first+"; collapsed", resp.Header.Get("Cache-Status"))
		wg.Wait()
		stats := store.Stats()
		assert.Equal(t, uint64(1), stats.Joined)
		assert.Equal(t, uint64(1), stats.Misses)
	})
}

// Requests at a time are one only if they agree in all that could make their answers
// differ, and if the answer is one for several.
func TestHTTPJoinsEqualRequests(t *testing.T) {
	const lasting = "Cache-Control: max-age=60\n"
	for _, tt := range []struct {
		name          string
		first, second string // lines of the requests' headers
		answer        string // lines of the answer's
		calls         int64
	}{
		{"equal", "Foo: 1", "Foo: 1", lasting, 1},
		{"equal, and what is varied by", "Foo: 1", "Foo: 1", lasting + "Vary: foo", 1},
		{"another field", "Foo: 1", "Foo: 2", lasting, 2},
		{"another Cache-Control", "Cache-Control: a", "Cache-Control: b", lasting, 2},
		{"another Pragma", "Pragma: a", "Pragma: b", lasting, 2},
		{"another program", "User-Agent: a", "User-Agent: b", lasting, 1},
		{"another program, and varied by", "User-Agent: a", "User-Agent: b", lasting + "Vary: user-agent", 2},
		{"varied by anything", "", "", lasting + "Vary: *", 2},
		{"an event stream", "", "", lasting + "Content-Type: text/event-stream", 2},
		{"a cookie", "", "", "Set-Cookie: a=b", 2},
		{"not to be stored", "", "", "Cache-Control: no-store", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := saying(tt.answer, func(*http.Request) string {
					time.Sleep(time.Second)
					return "text"
				})
				rt := cache.HTTP(cache.HTTPConfig{})(upstream)
				var wg sync.WaitGroup
				wg.Go(func() { ask(t, rt, get(t, tt.first)) })
				synctest.Wait()
				ask(t, rt, get(t, tt.second))
				wg.Wait()
				assert.Equal(t, tt.calls, upstream.calls.Load())
			})
		})
	}
}

// Requests of other targets and methods at a time are others, whatever else they have in common.
func TestHTTPJoinsNoOtherTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := saying("Cache-Control: max-age=60", func(req *http.Request) string {
			time.Sleep(time.Second)
			return req.Method + " " + req.URL.Path
		})
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		var wg sync.WaitGroup
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			for _, path := range []string{"/a", "/b"} {
				wg.Go(func() {
					req := get(t)
					req.Method, req.URL.Path = method, path
					_, text := ask(t, rt, req)
					assert.Equal(t, method+" "+path, text)
				})
			}
		}
		wg.Wait()
		assert.Equal(t, int64(4), upstream.calls.Load())
	})
}

// A body that says that there is none keeps a request from nothing.
func TestHTTPRequestWithNoBody(t *testing.T) {
	upstream := saying("Cache-Control: max-age=60", func(*http.Request) string { return "text" })
	rt := cache.HTTP(cache.HTTPConfig{})(upstream)
	for range 2 {
		req := get(t)
		req.Body = http.NoBody
		ask(t, rt, req)
	}
	assert.Equal(t, int64(1), upstream.calls.Load())
}

// A part says which it is.
func TestHTTPPart(t *testing.T) {
	upstream := saying("Cache-Control: max-age=60", func(*http.Request) string { return "0123456789" })
	rt := cache.HTTP(cache.HTTPConfig{})(upstream)
	ask(t, rt, get(t))
	resp, text := ask(t, rt, get(t, "Range: bytes=2-4"))
	assert.Equal(t, "234", text)
	assert.Equal(t, int64(3), resp.ContentLength)
	assert.Equal(t, []string{"3"}, resp.Header["Content-Length"])
	assert.Equal(t, []string{"bytes 2-4/10"}, resp.Header["Content-Range"])
	assert.Equal(t, int64(1), upstream.calls.Load())
}

// An answer changes nothing of another origin, though the request is without a Host.
func TestHTTPChangesNothingOfOthers(t *testing.T) {
	for target, calls := range map[string]int64{
		"https://evil.test/":         2,
		"http://api.test/v1/other":   2,
		"https://api.test/v1/other":  3,
		"https://api.test:8443/v1/o": 2,
	} {
		t.Run(target, func(t *testing.T) {
			upstream := saying("Cache-Control: max-age=60\nLocation: "+thing, func(*http.Request) string { return "text" })
			rt := cache.HTTP(cache.HTTPConfig{})(upstream)
			ask(t, rt, get(t))
			where, err := url.Parse(target)
			require.NoError(t, err)
			ask(t, rt, &http.Request{Method: http.MethodPost, URL: where})
			ask(t, rt, get(t))
			assert.Equal(t, calls, upstream.calls.Load())
		})
	}
}

// The case of a scheme, which a URL that was not parsed may have, tells no origin from
// another.
func TestHTTPChangesWhateverTheCaseOfTheScheme(t *testing.T) {
	for reference, calls := range map[string]int64{
		"//api.test/thing":      3,
		"//api.test:80/thing":   3,
		"http://api.test/thing": 3,
		"//api.test:443/thing":  2,
	} {
		t.Run(reference, func(t *testing.T) {
			upstream := saying("Cache-Control: max-age=60\nLocation: "+reference, func(*http.Request) string { return "text" })
			rt := cache.HTTP(cache.HTTPConfig{})(upstream)
			read := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: "api.test", Path: "/thing"}}
			ask(t, rt, read)
			ask(t, rt, &http.Request{Method: http.MethodPost, URL: &url.URL{Scheme: "HTTP", Host: "api.test:80", Path: "/other"}})
			ask(t, rt, read)
			assert.Equal(t, calls, upstream.calls.Load())
		})
	}
}

func TestHTTPTelemetry(t *testing.T) {
	store := cache.NewStore(cache.StoreConfig{})
	o := &origin{}
	rt := cache.HTTP(cache.HTTPConfig{Store: store, Name: "ours"})(o)
	trailOf := func(s step) *telemetry.Trail {
		o.step = &s
		ctx, trail := telemetry.NewContext(t.Context())
		req := get(t)
		lines(req.Header, s.request)
		resp, err := rt.RoundTrip(req.WithContext(ctx))
		require.NoError(t, err)
		_, _ = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		assert.True(t, strings.HasPrefix(resp.Header.Get("Cache-Status"), "ours; "))
		assert.Equal(t, trail.Answer().Source != "", resp.Header.Get(telemetry.HeaderName) != "")
		return trail
	}
	stale := "200\nCache-Control: max-age=1, stale-if-error=60\nDate: {now-30}"
	assert.Empty(t, trailOf(step{answer: stale}).Answer().Source)
	answer := trailOf(step{answer: "503"}).Answer()
	assert.Equal(t, telemetry.Stale, answer.Source)
	assert.Equal(t, policy.Overloaded, answer.Cause)
	assert.Empty(t, trailOf(step{answer: tagged}).Answer().Source)
	assert.Equal(t, telemetry.Cache, trailOf(step{}).Answer().Source)
	trailOf(step{request: "Cache-Control: no-store", answer: tagged})
	hits, staleHits, misses, bypasses := lookups(store)
	assert.Equal(t, []uint64{1, 1, 2, 1}, []uint64{hits, staleHits, misses, bypasses})
}

func TestHTTPInvalidSettings(t *testing.T) {
	for want, cfg := range map[string]cache.HTTPConfig{
		"cache: HTTPConfig.MaxEntryBytes is -1, want at least 0":    {MaxEntryBytes: -1},
		"cache: HTTPConfig.SoftTimeout is -1ns, want at least 0":    {SoftTimeout: -1},
		"cache: HTTPConfig.MaxRefreshes is -1, want at least 0":     {MaxRefreshes: -1},
		"cache: HTTPConfig.RefreshBackoff is -1ns, want at least 0": {RefreshBackoff: -1},
		`cache: HTTPConfig.Name is "a b", want a token`:             {Name: "a b"},
		`cache: HTTPConfig.Name is "1a", want a token`:              {Name: "1a"},
	} {
		assert.PanicsWithValue(t, want, func() { cache.HTTP(cfg) })
	}
}

// A caller whose time is over gets what there is; one who leaves gets nothing.
func TestHTTPCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := false
		upstream := &service{respond: func(req *http.Request) (*http.Response, error) {
			if hangs {
				<-req.Context().Done()
				return nil, context.Cause(req.Context())
			}
			resp := response(http.StatusOK, answer)
			lines(resp.Header, "Cache-Control: max-age=1")
			return resp, nil
		}}
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		ask(t, rt, get(t))
		time.Sleep(2 * time.Second)
		hangs = true

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, text := ask(t, rt, get(t).WithContext(ctx))
		assert.Equal(t, answer, text)

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := rt.RoundTrip(get(t).WithContext(ctx))
		assert.True(t, errors.Is(err, context.Canceled))
	})
}

// Only GET has ranges.
func TestHTTPHeadHasNoRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := saying("Cache-Control: max-age=60", func(*http.Request) string { return answer })
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		ask(t, rt, get(t))
		req := get(t, "Range: bytes=0-3")
		req.Method = http.MethodHead
		resp, text := ask(t, rt, req)
		assert.Empty(t, text)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.EqualValues(t, len(answer), resp.ContentLength)
	})
}

// What is sent as it is written is another target than a path that reads the same.
func TestHTTPOpaqueTargets(t *testing.T) {
	asked := 0
	rt := cache.HTTP(cache.HTTPConfig{})(transportFunc(func(req *http.Request) (*http.Response, error) {
		asked++
		resp := response(http.StatusOK, req.URL.RequestURI())
		resp.Header.Set("Cache-Control", "max-age=60")
		return resp, nil
	}))
	for i, u := range []*url.URL{
		{Scheme: "http", Host: "api.test", Path: "//other.test/a"},
		{Scheme: "http", Host: "api.test", Opaque: "//other.test/a"},
	} {
		for range 2 {
			req := get(t)
			req.URL = u
			resp, err := rt.RoundTrip(req)
			require.NoError(t, err)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, u.RequestURI(), string(text))
			assert.Equal(t, i+1, asked)
		}
	}
}

// A request may have no header at all.
func TestHTTPWithoutHeader(t *testing.T) {
	o := &origin{step: &step{answer: tagged}}
	synctest.Test(t, func(t *testing.T) {
		rt := cache.HTTP(cache.HTTPConfig{SoftTimeout: time.Second})(o)
		for range 2 {
			req := get(t)
			req.Header = nil
			resp, _ := ask(t, rt, req)
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			time.Sleep(11 * time.Second)
		}
	})
}

// Layers that make answers by hand may spell names in their own way.
func TestHTTPVaryInAnotherSpelling(t *testing.T) {
	upstream := &service{respond: func(req *http.Request) (*http.Response, error) {
		resp := response(http.StatusOK, req.Header.Get("Foo"))
		resp.Header["cache-control"] = []string{"max-age=10"}
		resp.Header["vary"] = []string{"foo"}
		return resp, nil
	}}
	rt := cache.HTTP(cache.HTTPConfig{})(upstream)
	for range 2 {
		for _, foo := range []string{"1", "2"} {
			_, text := ask(t, rt, get(t, "Foo: "+foo))
			assert.Equal(t, foo, text)
		}
	}
	assert.EqualValues(t, 2, upstream.calls.Load())
}

// Fields that are good for one use each reach who asked the origin, and nobody else.
func TestHTTPConfirmationWithFieldsOfItsOwn(t *testing.T) {
	cc, cookie := "Cache-Control: no-cache=\"set-cookie, content-length\", max-age=10", "1"
	upstream := &service{respond: func(req *http.Request) (*http.Response, error) {
		resp := response(http.StatusOK, "text")
		if req.Header.Get("If-None-Match") != "" {
			resp = response(http.StatusNotModified, "")
			resp.Body = http.NoBody
			resp.Header.Set("Content-Length", "0")
		}
		lines(resp.Header, "Etag: \"a\"\nSet-Cookie: a="+cookie+"\n"+cc)
		return resp, nil
	}}
	synctest.Test(t, func(t *testing.T) {
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		step := func(want string) {
			t.Helper()
			resp, text := ask(t, rt, get(t))
			assert.Equal(t, "text", text)
			assert.Equal(t, want, resp.Header.Get("Set-Cookie"))
			assert.Equal(t, "4", resp.Header.Get("Content-Length"))
		}
		upstream.respond = func(respond func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
			return func(req *http.Request) (*http.Response, error) {
				resp, err := respond(req)
				if resp.StatusCode == http.StatusOK {
					resp.Header.Set("Content-Length", "4")
				}
				return resp, err
			}
		}(upstream.respond)
		step("a=1")
		step("")
		for _, says := range []string{cc, ""} {
			time.Sleep(10 * time.Second)
			cc, cookie = says, "2"
			step("a=2")
			step("")
		}
	})
}

// Of the variants that there is no room for those go that were stored first, where
// the bound is the share of an identity, too.
func TestHTTPVariantsBeyondTheirShare(t *testing.T) {
	const kib = 1 << 10
	text := strings.Repeat("x", 50*kib)
	store := cache.NewStore(cache.StoreConfig{MaxBytes: 1024 * kib, MaxEntryBytes: 1024 * kib, IdentityShare: 0.3})
	one := func(*http.Request) (string, bool) { return "tenant", true }
	upstream := saying("Cache-Control: max-age=60\nVary: Foo", func(*http.Request) string { return text })
	rt := cache.HTTP(cache.HTTPConfig{Store: store, Identity: one})(upstream)
	for i := range 12 {
		ask(t, rt, get(t, fmt.Sprint("Foo: ", i)))
		for j := max(i-3, 0); j <= i; j++ {
			resp, _ := ask(t, rt, get(t, fmt.Sprint("Foo: ", j), "Cache-Control: only-if-cached"))
			assert.Equal(t, http.StatusOK, resp.StatusCode, "variant %d of %d", j, i)
		}
	}
}

// A 304 that stands in for a live one says so to who asked, and not to those after him.
func TestHTTPConfirmationThatStandsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := saying("Etag: \"a\"\nCache-Control: max-age=10", func(*http.Request) string { return "text" })
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		ask(t, rt, get(t))
		for _, source := range []string{"stale", ""} {
			time.Sleep(10 * time.Second)
			upstream.respond = func(*http.Request) (*http.Response, error) {
				resp := response(http.StatusNotModified, "")
				resp.Header = http.Header{"Age": {"5"}}
				if source != "" {
					resp.Header.Set(telemetry.HeaderName, source)
				}
				return resp, nil
			}
			resp, text := ask(t, rt, get(t))
			assert.Equal(t, "text", text)
			assert.Equal(t, source, resp.Header.Get(telemetry.HeaderName))
		}
	})
}

// An answer without a body is stored though nobody reads that.
func TestHTTPWithoutBody(t *testing.T) {
	for status, length := range map[int]string{http.StatusMovedPermanently: "0", http.StatusNoContent: ""} {
		t.Run(http.StatusText(status), func(t *testing.T) { testWithoutBody(t, status, length) })
	}
}

func testWithoutBody(t *testing.T, status int, length string) {
	t.Helper()
	upstream := &service{respond: func(*http.Request) (*http.Response, error) {
		resp := response(status, "")
		resp.Header.Set("Cache-Control", "max-age=60")
		resp.Header.Set("Location", "/v1/other")
		return resp, nil
	}}
	rt := cache.HTTP(cache.HTTPConfig{})(transportFunc(func(req *http.Request) (*http.Response, error) {
		resp, err := upstream.RoundTrip(req)
		resp.Body = http.NoBody
		return resp, err
	}))
	_, err := rt.RoundTrip(get(t))
	require.NoError(t, err)
	resp, err := rt.RoundTrip(get(t))
	require.NoError(t, err)
	assert.Equal(t, "/v1/other", resp.Header.Get("Location"))
	assert.Equal(t, length, resp.Header.Get("Content-Length"))
	assert.Equal(t, int64(1), upstream.calls.Load())
}

// The body of a GET may change its answer, and trailers cannot be given again.
func TestHTTPHandsOnBodiesAndTrailers(t *testing.T) {
	upstream := saying("Cache-Control: max-age=60", authorization)
	respond := upstream.respond
	upstream.respond = func(req *http.Request) (*http.Response, error) {
		resp, err := respond(req)
		if req.URL.RawQuery == "trailer" {
			resp.Trailer, resp.ContentLength, resp.TransferEncoding = http.Header{"A": nil}, -1, []string{"chunked"}
		}
		return resp, err
	}
	rt := cache.HTTP(cache.HTTPConfig{})(upstream)
	ask(t, rt, get(t))
	for i, change := range []func(req *http.Request){
		func(req *http.Request) { req.Body = io.NopCloser(strings.NewReader("x")) },
		func(req *http.Request) { req.URL.RawQuery = "trailer" },
		func(req *http.Request) { req.URL.RawQuery = "trailer" },
	} {
		req := get(t)
		change(req)
		ask(t, rt, req)
		assert.EqualValues(t, i+2, upstream.calls.Load())
	}
}

// A 304 has nothing of the body.
func TestHTTPNotModified(t *testing.T) {
	upstream := saying("Cache-Control: max-age=60\nEtag: \"a\"\nContent-Language: de\nA: b", authorization)
	respond := upstream.respond
	upstream.respond = func(req *http.Request) (*http.Response, error) {
		resp, err := respond(req)
		resp.Uncompressed = true
		return resp, err
	}
	rt := cache.HTTP(cache.HTTPConfig{})(upstream)
	ask(t, rt, get(t))
	resp, text := ask(t, rt, get(t, "If-None-Match: *"))
	assert.Empty(t, text)
	assert.Equal(t, http.StatusNotModified, resp.StatusCode)
	assert.Zero(t, resp.ContentLength)
	assert.False(t, resp.Uncompressed)
	assert.Equal(t, "b", resp.Header.Get("A"))
	for _, name := range []string{"Content-Length", "Content-Type", "Content-Language"} {
		assert.Empty(t, resp.Header[name], name)
	}
}

// An answer that does not say when it was made is of the time when it came.
func TestHTTPDatesWhatHasNoDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := saying("Cache-Control: max-age=10\nEtag: \"a\"", func(*http.Request) string { return "text" })
		rt := cache.HTTP(cache.HTTPConfig{})(upstream)
		date := func() (date string, code int) {
			resp, _ := ask(t, rt, get(t))
			return resp.Header.Get("Date"), resp.StatusCode
		}
		now := func() string { return time.Now().UTC().Format(http.TimeFormat) }
		first := now()
		ask(t, rt, get(t))
		time.Sleep(5 * time.Second)
		given, _ := date()
		assert.Equal(t, first, given)
		notSince := get(t)
		notSince.Header.Set("If-Modified-Since", first)
		resp, _ := ask(t, rt, notSince)
		assert.Equal(t, http.StatusNotModified, resp.StatusCode)

		time.Sleep(5 * time.Second)
		upstream.respond = func(*http.Request) (*http.Response, error) {
			resp := response(http.StatusNotModified, "")
			resp.Header = http.Header{}
			return resp, nil
		}
		confirmed := now()
		for range 2 {
			given, code := date()
			assert.Equal(t, confirmed, given)
			assert.Equal(t, http.StatusOK, code)
			time.Sleep(5 * time.Second)
		}
	})
}

// What goes through one transport changes what all have in the store that they share.
func TestHTTPInvalidatesForAllTransports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := saying("Cache-Control: max-age=60", func(*http.Request) string { time.Sleep(2 * time.Second); return "before" })
		quick := saying("Cache-Control: max-age=60", func(*http.Request) string { return "after" })
		one := cache.HTTP(cache.HTTPConfig{})
		store := cache.NewStore(cache.StoreConfig{})
		first, second := cache.HTTP(cache.HTTPConfig{Store: store}), cache.HTTP(cache.HTTPConfig{Store: store})
		for _, layers := range [][2]cache.Layer{{one, one}, {first, second}} {
			reader, writer := layers[0](slow), layers[1](quick)
			go func() { ask(t, reader, get(t)) }()
			time.Sleep(time.Second)
			post := get(t)
			post.Method = http.MethodPost
			ask(t, writer, post)
			time.Sleep(2 * time.Second)
			_, text := ask(t, writer, get(t))
			assert.Equal(t, "after", text)
		}
	})
}

// Nor does it matter how they spell where a change has its place.
func TestHTTPInvalidatesInAnotherSpelling(t *testing.T) {
	upstream := saying("Cache-Control: max-age=60", func(*http.Request) string { return "" })
	respond := upstream.respond
	upstream.respond = func(req *http.Request) (*http.Response, error) {
		resp, err := respond(req)
		resp.Header["content-location"] = []string{"/v1/thing"}
		return resp, err
	}
	rt := cache.HTTP(cache.HTTPConfig{})(upstream)
	post := func(path string) {
		req := get(t)
		req.Method, req.URL.Path = http.MethodPost, path
		ask(t, rt, req)
	}
	ask(t, rt, get(t))
	post("/v1/things")
	ask(t, rt, get(t))
	assert.Equal(t, int64(3), upstream.calls.Load(), "it was forgotten")
	post("/v1/thing")
	ask(t, rt, get(t))
	assert.Equal(t, int64(4), upstream.calls.Load(), "what POST said is kept")
}
