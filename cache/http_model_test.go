package cache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
)

// The ways in which a service can tell who asks. The caller's name is in the
// context for the one whose credentials a layer below adds.
var introductions = map[string]func(req *http.Request, who string) *http.Request{
	"Authorization": func(req *http.Request, who string) *http.Request {
		req.Header.Set("Authorization", who)
		return req
	},
	"Cookie": func(req *http.Request, who string) *http.Request {
		req.Header.Set("Cookie", who)
		return req
	},
	"Identity": func(req *http.Request, who string) *http.Request {
		req.Header.Set("Tenant", who)
		return req
	},
	"a layer below": func(req *http.Request, who string) *http.Request {
		return req.WithContext(policy.WithCall(req.Context(), policy.Call{Identity: who}))
	},
}

// TestHTTPIdentitiesModel has eight callers ask, change, leave and fail at random,
// at the same time: nobody ever gets what was for somebody else.
func TestHTTPIdentitiesModel(t *testing.T) {
	headers := []string{"max-age=5", "private, max-age=5, stale-while-revalidate=5", "no-cache", "max-age=1, stale-if-error=5", "no-store"}
	for name, introduce := range introductions {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(50) {
				synctest.Test(t, func(t *testing.T) {
					random := rand.New(rand.NewPCG(seed, 0))
					upstream := &service{respond: func(req *http.Request) (*http.Response, error) {
						who := req.Header.Get("Authorization") + req.Header.Get("Cookie") + req.Header.Get("Tenant") + policy.CallOf(req.Context()).Identity
						select {
						case <-time.After(time.Duration(rand.IntN(3)) * time.Second):
						case <-req.Context().Done():
							return nil, context.Cause(req.Context())
						}
						if rand.IntN(5) == 0 {
							return nil, errDown
						}
						resp := response(http.StatusOK, who+" "+strings.Repeat("x", 100))
						lines(resp.Header, "Cache-Control: "+headers[rand.IntN(len(headers))]+"\nEtag: \""+who+"\"\nVary: Foo")
						return resp, nil
					}}
					cfg := cache.HTTPConfig{}
					if name == "Identity" {
						cfg.Identity = func(req *http.Request) (string, bool) { return req.Header.Get("Tenant"), true }
					}
					rt := cache.HTTP(cfg)(upstream)
					var wg sync.WaitGroup
					for range 60 {
						who := fmt.Sprint("caller", random.IntN(8))
						req := introduce(get(t, fmt.Sprint("Foo: ", random.IntN(2))), who)
						if random.IntN(10) == 0 {
							req.Method = http.MethodPost
						}
						ctx, cancel := context.WithTimeout(req.Context(), time.Duration(1+random.IntN(4))*time.Second)
						wg.Go(func() {
							defer cancel()
							resp, err := rt.RoundTrip(req.WithContext(ctx))
							if err != nil {
								return
							}
							defer resp.Body.Close()
							text := make([]byte, len(who)+1)
							if _, err := resp.Body.Read(text); err == nil {
								assert.Equal(t, who+" ", string(text))
							}
						})
						time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
					}
					wg.Wait()
					(&http.Client{Transport: rt}).CloseIdleConnections()
				})
			}
		})
	}
}

// The origin confirms and replaces in turns, while many read: each body is one that
// it sent, with the entity tag that it sent with it.
func TestHTTPConfirmedAndReplaced(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	upstream := &service{respond: func(req *http.Request) (*http.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		tag := fmt.Sprintf("%q", fmt.Sprint(asked/3))
		resp := response(http.StatusOK, tag+strings.Repeat(tag, 100))
		if req.Header.Get("If-None-Match") == tag {
			resp = response(http.StatusNotModified, "")
			resp.Body = http.NoBody
		}
		lines(resp.Header, "Cache-Control: max-age=0\nEtag: "+tag)
		return resp, nil
	}}
	rt := cache.HTTP(cache.HTTPConfig{})(upstream)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				resp, text := ask(t, rt, get(t))
				tag := resp.Header.Get("Etag")
				assert.Equal(t, tag+strings.Repeat(tag, 100), text)
			}
		})
	}
	wg.Wait()
}
