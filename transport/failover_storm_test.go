package transport_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// Whatever befalls endpoints, and in whatever order: no more than may be are out, for
// no longer than may be; nothing stays under way; and once all are well again, all
// are back.
func TestFailoverStorm(t *testing.T) {
	t.Parallel()
	for seed := range 20 * seeds() {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storm(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func storm(t *testing.T, random *rand.Rand) {
	cfg := policy.Failover{Strategy: policy.Strategy(random.IntN(5)), Budget: policy.Budget{Off: random.IntN(2) == 0}}
	cfg.Key = func(req *http.Request) string { return req.Header.Get("User") }
	cfg.Ejection = policy.Ejection{Faults: 1 + random.IntN(4), MaxShare: 0.3 + 0.7*random.Float64(), PanicBelow: random.Float64() - 0.3}
	cfg.Region = []string{"", "eu"}[random.IntN(2)]
	n := 2 + random.IntN(5)
	for i := range n {
		cfg.Endpoints = append(cfg.Endpoints, policy.Endpoint{
			Name: fmt.Sprint(i), URL: fmt.Sprintf("http://%d.test", i), Weight: float64(1 + random.IntN(3)),
			Region: []string{"eu", "us"}[random.IntN(2)],
		})
	}
	var mu sync.Mutex // of random and weather
	weather := make(map[string]int)
	cfg.Random = func() float64 { mu.Lock(); defer mu.Unlock(); return random.Float64() }
	failover := transport.NewFailover(cfg, nil)
	rt := failover.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
		mu.Lock()
		kind, wait := weather[req.URL.Host], time.Duration(40+random.IntN(20))*time.Millisecond
		mu.Unlock()
		switch kind {
		case 1:
			return nil, errDial
		case 2:
			wait *= 10
		case 3:
			wait = time.Second
		case 4:
			resp := replied(req, 429, "")
			resp.Header.Set("Retry-After", "7")
			return resp, nil
		}
		time.Sleep(wait)
		if kind == 3 {
			return nil, errReset
		}
		return replied(req, 200, "fine"), nil
	}))
	var calls sync.WaitGroup
	good := 0
	call := func(i int) {
		req := to(t, "GET", "http://0.test/x", "")
		req.Header.Set("User", fmt.Sprint(i%20))
		calls.Go(func() {
			resp, err := rt.RoundTrip(req)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil && resp.StatusCode == 200 {
				good++
			}
		})
		time.Sleep(20 * time.Millisecond)
	}
	most := max(1, int(cfg.Ejection.MaxShare*float64(n)))
	for i := range 3000 {
		if i%100 == 0 {
			mu.Lock()
			weather[fmt.Sprintf("%d.test", random.IntN(n))] = random.IntN(5)
			mu.Unlock()
		}
		call(i)
		out := 0
		for _, s := range failover.State() {
			if !s.Ejected.IsZero() && !s.Slow {
				out++
			}
			require.LessOrEqual(t, time.Until(s.Ejected), 2*time.Minute)
			require.GreaterOrEqual(t, s.InFlight, 0)
		}
		require.LessOrEqual(t, out, most)
	}
	mu.Lock()
	clear(weather)
	mu.Unlock()
	time.Sleep(2 * time.Minute)
	for i := range 2000 {
		call(i)
	}
	calls.Wait()
	good = 0
	for i := range 200 {
		call(i)
	}
	calls.Wait()
	assert.Equal(t, 200, good)
	for _, s := range failover.State() {
		assert.Zero(t, s.Ejected, s.Name)
		assert.Zero(t, s.InFlight, s.Name)
	}
}

// An endpoint whose time outside ends while a request for it is being prepared is
// proven by that request.
func TestFailoverReturnsDuringKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := policy.Failover{
			Strategy: policy.Sticky, Key: func(req *http.Request) string {
				if req.Header.Get("Late") != "" {
					time.Sleep(2 * time.Second)
				}
				return req.Header.Get("User")
			},
			Ejection: policy.Ejection{Faults: 1},
		}
		p := newPageant(t, cfg, 0, 0)
		ask := func(user, late string) string {
			req := to(t, "GET", "http://a.test/x", "")
			req.Header.Set("User", user)
			req.Header.Set("Late", late)
			_, text, err := send(t, p.rt, req)
			require.NoError(t, err)
			return text
		}
		users := map[string]string{} // of each endpoint
		for i := range 20 {
			user := fmt.Sprint(i)
			users[ask(user, "")] = user
		}
		p.takes["a"] = -1
		require.Equal(t, "b", ask(users["a"], ""))
		p.takes["a"] = 0
		time.Sleep(9 * time.Second)
		done := make(chan string)
		go func() { done <- ask(users["a"], "late") }()
		time.Sleep(1500 * time.Millisecond)
		require.Equal(t, "b", ask(users["b"], ""), "a is back and was not asked yet")
		require.Equal(t, "a", <-done)
		assert.Equal(t, "a", ask(users["a"], ""))
	})
}

// A func of the user's that panics, or ends its goroutine, leaves nothing under way
// and nothing open, and the next call is like any other.
func TestFailoverSurvivesFuncs(t *testing.T) {
	type breaks func()
	spots := map[string]func(cfg *policy.Failover, fail breaks){
		"token": func(cfg *policy.Failover, fail breaks) {
			cfg.Endpoints[1].Token = func(context.Context) (string, error) { fail(); return "x", nil }
		},
		"path": func(cfg *policy.Failover, fail breaks) {
			cfg.Endpoints[1].Path = func(s string) string { fail(); return s }
		},
		"request body":  func(cfg *policy.Failover, fail breaks) { cfg.Endpoints[1].RequestBody = through(fail) },
		"response body": func(cfg *policy.Failover, fail breaks) { cfg.Endpoints[1].ResponseBody = through(fail) },
		"classify": func(cfg *policy.Failover, fail breaks) {
			cfg.Endpoints[1].Classify = func(o policy.Outcome) policy.Verdict { fail(); return policy.Classify(o) }
		},
		"secret": func(cfg *policy.Failover, fail breaks) {
			cfg.IsSecret = func(name string) bool {
				if name == "X-Own" {
					fail()
				}
				return policy.IsSecret(name)
			}
		},
		"random": func(cfg *policy.Failover, fail breaks) {
			cfg.Strategy, cfg.Random = policy.LeastLatency, func() float64 { fail(); return 0 }
		},
		"key": func(cfg *policy.Failover, fail breaks) {
			cfg.Strategy, cfg.Key = policy.Sticky, func(*http.Request) string { fail(); return "" }
		},
	}
	for spot, set := range spots {
		for how, end := range map[string]breaks{"panics": func() { panic("boom") }, "exits": runtime.Goexit} {
			t.Run(spot+" "+how, func(t *testing.T) {
				broken := true
				cfg := policy.Failover{Endpoints: regions()[:2], Budget: policy.Budget{Off: true}}
				set(&cfg, func() {
					if broken {
						end()
					}
				})
				failover := transport.NewFailover(cfg, nil)
				var answers []*closing
				rt := failover.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
					_ = req.Body.Close()
					if req.URL.Host == "a.test" {
						return nil, errDial
					}
					resp := replied(req, 200, "fine")
					answers = append(answers, &closing{ReadCloser: resp.Body})
					resp.Body = answers[len(answers)-1]
					return resp, nil
				}))
				ask := func() (text string) {
					req := newRegional(t)
					req.Header.Set("X-Own", "1")
					sent := &closing{ReadCloser: io.NopCloser(strings.NewReader("body"))}
					req.Body, req.GetBody = sent, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("body")), nil }
					done := make(chan struct{})
					go func() {
						defer close(done)
						defer func() { _ = recover() }()
						if resp, err := rt.RoundTrip(req); err == nil {
							data, _ := io.ReadAll(resp.Body)
							_ = resp.Body.Close()
							text = string(data)
						}
					}()
					<-done
					assert.True(t, sent.closed, "the request's body")
					return text
				}
				assert.Empty(t, ask())
				for _, a := range answers {
					assert.True(t, a.closed, "an answer's body")
				}
				for _, s := range failover.State() {
					assert.Zero(t, s.InFlight, s.Name)
				}
				broken = false
				assert.Equal(t, "fine", ask())
			})
		}
	}
}

// So does one that is asked once there is an answer: that one is closed, as nobody gets it.
func TestFailoverClosesTheAnswerBeforeAPanic(t *testing.T) {
	asked := 0
	for name, cfg := range map[string]policy.Failover{
		"in GetBody": {},
		"in Random": {Strategy: policy.LeastLatency, Random: func() float64 {
			if asked++; asked > 2 { // two for the first endpoint
				panic("boom")
			}
			return 0
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Endpoints = regions()
			var bodies transporttest.Bodies
			rt := transport.Chain(transporttest.NewUpstream(transporttest.Reply(http.StatusServiceUnavailable, "why")),
				transport.NewFailover(cfg, nil).Wrap, bodies.Wrap)
			req := newRegional(t)
			req.Body = io.NopCloser(io.LimitReader(strings.NewReader("hello"), 5)) // not known to be in memory
			req.GetBody = func() (io.ReadCloser, error) { panic("boom") }
			assert.Equal(t, "boom", mustPanic(t, func() { _, _ = rt.RoundTrip(req) }))
			bodies.Check(t)
		})
	}
}

func through(fail func()) func([]byte) ([]byte, error) {
	return func(data []byte) ([]byte, error) { fail(); return data, nil }
}

// closing is a body that knows whether it was closed.
type closing struct {
	io.ReadCloser
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return c.ReadCloser.Close()
}
