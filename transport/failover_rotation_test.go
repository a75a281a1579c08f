package transport_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// hosts sends n requests to the first region and returns who answered each.
func hosts(t *testing.T, rt http.RoundTripper, n int) string {
	t.Helper()
	var b strings.Builder
	for range n {
		_, text, err := send(t, rt, to(t, "GET", "http://a.test/v1/x", ""))
		require.NoError(t, err)
		b.WriteString(strings.TrimSuffix(text, ".test"))
	}
	return b.String()
}

func TestFailoverStrategies(t *testing.T) {
	weighted := regions()
	weighted[0].Weight, weighted[2].Weight = 3, 2
	far := regions()
	far[0].Region, far[1].Region, far[2].Region = "us", "eu", "eu"
	tests := []struct {
		name string
		cfg  policy.Failover
		want string
	}{
		{"ordered", policy.Failover{}, "aaaaaa"},
		{"round robin", policy.Failover{Strategy: policy.RoundRobin}, "abcabc"},
		{"weighted", policy.Failover{Strategy: policy.Weighted, Endpoints: weighted}, "acabcaacabca"},
		{"our region first", policy.Failover{Strategy: policy.RoundRobin, Endpoints: far, Region: "eu"}, "bcbcbc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, hosts(t, over(&sites{}, tt.cfg), len(tt.want)))
		})
	}
}

// Requests of one key stay where they are, keys are shared out by weight, and when
// an endpoint fails only its own keys move.
func TestFailoverSticky(t *testing.T) {
	const keys = 3000
	endpoints := regions()
	endpoints[1].Weight = 2
	s := &sites{}
	rt := over(s, policy.Failover{
		Strategy: policy.Sticky, Endpoints: endpoints, Key: func(req *http.Request) string { return req.URL.RawQuery },
		Budget: policy.Budget{Off: true}, Ejection: policy.Ejection{Off: true},
	})
	ask := func() (where []string) {
		for key := range keys {
			_, text, err := send(t, rt, to(t, "GET", fmt.Sprintf("http://a.test/v1/x?user-%d", key), ""))
			require.NoError(t, err)
			where = append(where, text)
		}
		return where
	}
	before := ask()
	require.Equal(t, before, ask())
	share := map[string]int{}
	for _, host := range before {
		share[host]++
	}
	for host, want := range map[string]int{"a.test": 750, "b.test": 1500, "c.test": 750} {
		assert.InDelta(t, want, share[host], 100, host)
	}
	s.status = map[string]int{"b.test": -1}
	for i, host := range ask() {
		if before[i] != "b.test" {
			assert.Equal(t, before[i], host)
		} else {
			assert.NotEqual(t, "b.test", host)
		}
	}
}

// Five faults in a row eject an endpoint, for twice as long each time in a row. It
// comes back with one request, and a second fault puts it out.
func TestFailoverEjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sites{status: map[string]int{"a.test": -1}}
		failover := transport.NewFailover(policy.Failover{
			Endpoints: regions(), Budget: policy.Budget{Off: true}, Ejection: policy.Ejection{SlowStart: -1},
		}, nil)
		rt := failover.Wrap(s)
		asked := func() (n int) {
			for _, line := range s.asked {
				if strings.Contains(line, "a.test") {
					n++
				}
			}
			return n
		}
		hosts(t, rt, 4)
		assert.Zero(t, failover.State()[0].Ejected)
		hosts(t, rt, 6)
		assert.Equal(t, 5, asked())
		for i, seconds := range []int{10, 20, 40, 80, 120, 120} {
			out := time.Duration(seconds) * time.Second
			require.Equal(t, time.Now().Add(out), failover.State()[0].Ejected)
			time.Sleep(out - 1)
			hosts(t, rt, 2)
			assert.Equal(t, 5+i, asked())
			time.Sleep(time.Nanosecond)
			hosts(t, rt, 2)
			assert.Equal(t, 6+i, asked())
		}
		s.status = nil
		time.Sleep(2 * time.Minute)
		assert.Equal(t, "aaa", hosts(t, rt, 3))
		s.status = map[string]int{"a.test": 500}
		hosts(t, rt, 5)
		assert.Equal(t, time.Now().Add(10*time.Second), failover.State()[0].Ejected, "what was well begins from the start")
		assert.EqualValues(t, 16, failover.State()[0].Faults)
		assert.EqualValues(t, 8, failover.State()[0].Billed)
	})
}

// What began before an endpoint went out says nothing once it is back, and until it
// has answered it gets one request at a time.
func TestFailoverReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failover := transport.NewFailover(policy.Failover{
			Endpoints: regions(), Ejection: policy.Ejection{Faults: 1, SlowStart: -1},
		}, nil)
		rt := failover.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
			name, after, _ := strings.Cut(req.URL.RawQuery, "-")
			if req.URL.Host == "a.test" {
				d, _ := time.ParseDuration(after)
				time.Sleep(d)
				if name == "fails" {
					return nil, errDial
				}
			}
			return replied(req, 200, req.URL.Host), nil
		}))
		ask := func(query string) string {
			_, text, err := send(t, rt, to(t, "GET", "http://a.test/v1/x?"+query, ""))
			require.NoError(t, err)
			return text
		}
		ejected := func() bool { return !failover.State()[0].Ejected.IsZero() }

		go ask("fails-12s")
		go ask("fails-1s")
		time.Sleep(2 * time.Second)
		require.True(t, ejected())
		time.Sleep(9500 * time.Millisecond)
		require.False(t, ejected())
		time.Sleep(time.Second) // the slower one has failed, too
		synctest.Wait()
		assert.False(t, ejected(), "by a request from before")

		go ask("answers-5s")
		time.Sleep(time.Second)
		assert.Equal(t, "b.test", ask("q"), "while the first is on trial")
		time.Sleep(5 * time.Second)
		assert.Equal(t, "a.test", ask("q"))
	})
}

// A request from before an endpoint went out does not end the trial of one from after.
func TestFailoverTrialGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failover := transport.NewFailover(policy.Failover{
			Endpoints: regions(), Ejection: policy.Ejection{Faults: 1, SlowStart: -1},
		}, nil)
		rt := failover.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
			if d, _ := time.ParseDuration(req.URL.RawQuery); req.URL.Host == "a.test" && d > 0 {
				time.Sleep(d)
				return nil, errDial
			}
			return replied(req, 200, req.URL.Host), nil
		}))
		ask := func(query string) string {
			_, text, err := send(t, rt, to(t, "GET", "http://a.test/v1/x?"+query, ""))
			require.NoError(t, err)
			return text
		}
		go ask("13s")
		go ask("1s")
		time.Sleep(12 * time.Second)
		go ask("5s")
		time.Sleep(2 * time.Second)
		assert.Equal(t, "b.test", ask(""))
		time.Sleep(10 * time.Second)
	})
}

// An endpoint that is out is not on trial any more: when too few are well, it is asked as
// often as the others.
func TestFailoverTrialEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := transport.NewFailover(policy.Failover{
			Endpoints: regions()[:2], Budget: policy.Budget{Off: true}, Ejection: policy.Ejection{Faults: 1, SlowStart: -1},
		}, nil).Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
			switch {
			case strings.Contains(req.URL.RawQuery, req.URL.Host):
				return nil, errDial
			case req.URL.RawQuery == "slowly":
				time.Sleep(time.Second)
			}
			return replied(req, 200, req.URL.Host), nil
		}))
		ask := func(failing string) string {
			_, text, _ := send(t, rt, to(t, "GET", "http://a.test/v1/x?"+failing, ""))
			return text
		}
		require.Equal(t, "b.test", ask("a.test"))
		time.Sleep(10 * time.Second)
		require.Equal(t, "b.test", ask("a.test"), "a is back, and out again")
		require.Empty(t, ask("a.test,b.test"))
		go ask("slowly")
		synctest.Wait()
		assert.Equal(t, "a.test", ask(""))
		time.Sleep(time.Second)
	})
}

// An endpoint that is back is asked by others, too, once it has begun to answer.
func TestFailoverReturnsWithAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := true
		failover := transport.NewFailover(policy.Failover{
			Endpoints: regions(), Ejection: policy.Ejection{Faults: 1, SlowStart: -1},
		}, nil)
		rt := failover.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
			if req.URL.Host == "a.test" && failing {
				return nil, errDial
			}
			return replied(req, 200, req.URL.Host), nil
		}))
		request := func() *http.Request { return to(t, "GET", "http://a.test/v1/x", "") }
		_, text, err := send(t, rt, request())
		require.NoError(t, err)
		require.Equal(t, "b.test", text)
		failing = false
		time.Sleep(11 * time.Second)

		stream, err := rt.RoundTrip(request())
		require.NoError(t, err)
		defer stream.Body.Close() // not before the next one
		_, text, err = send(t, rt, request())
		require.NoError(t, err)
		assert.Equal(t, "a.test", text)
	})
}

// No more than a share is out at a time.
func TestFailoverMaxShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			share float64
			want  int
		}{{0.1, 1}, {0.5, 1}, {0.7, 2}, {1, 2}} {
			s := &sites{status: map[string]int{"a.test": -1, "b.test": -1}}
			failover := transport.NewFailover(policy.Failover{
				Endpoints: regions(), Strategy: policy.RoundRobin, Budget: policy.Budget{Off: true}, Ejection: policy.Ejection{MaxShare: tt.share},
			}, nil)
			hosts(t, failover.Wrap(s), 30)
			out := 0
			for _, state := range failover.State() {
				if !state.Ejected.IsZero() {
					out++
				}
			}
			assert.Equal(t, tt.want, out, "share %v", tt.share)
		}
	})
}

// A server that says when to come back is left alone until then, at most a minute,
// while there are others.
func TestFailoverLetsRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := true
		rt := transport.NewFailover(policy.Failover{Endpoints: regions()}, nil).Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
			if req.URL.Host == "a.test" && busy {
				resp := replied(req, 429, "later")
				resp.Header.Set("Retry-After", "30")
				return resp, nil
			}
			return replied(req, 200, req.URL.Host), nil
		}))
		assert.Equal(t, "bb", hosts(t, rt, 2))
		busy = false
		time.Sleep(30*time.Second - 1)
		assert.Equal(t, "b", hosts(t, rt, 1))
		time.Sleep(time.Nanosecond)
		assert.Equal(t, "a", hosts(t, rt, 1))
	})
}

// An endpoint that comes back gets a tenth of its traffic at first.
func TestFailoverSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := 0.0
		s := &sites{status: map[string]int{"a.test": -1}}
		rt := over(s, policy.Failover{Random: func() float64 { return random }, Ejection: policy.Ejection{Faults: 1}})
		hosts(t, rt, 1)
		s.status = nil
		time.Sleep(10 * time.Second)
		for _, step := range []struct {
			after  time.Duration
			random float64
			want   string
		}{
			{0, 0.11, "b"}, {0, 0.09, "a"}, {5 * time.Second, 0.51, "b"}, {0, 0.49, "a"}, {5 * time.Second, almostOne, "a"}, {0, almostOne, "a"},
		} {
			time.Sleep(step.after)
			random = step.random
			assert.Equal(t, step.want, hosts(t, rt, 1), "%+v", step)
		}
	})
}

// Wrong credentials are the endpoint's fault if they are its own, and the caller's
// business if they are his.
func TestFailoverCredentialFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endpoints := regions()
		endpoints[1].Header = http.Header{"Api-Key": {"b"}}
		failover := transport.NewFailover(policy.Failover{Endpoints: endpoints, Budget: policy.Budget{Off: true}}, nil)
		hosts(t, failover.Wrap(&sites{status: map[string]int{"a.test": 401, "b.test": 401}}), 6)
		var out []bool
		for _, state := range failover.State() {
			out = append(out, !state.Ejected.IsZero())
		}
		assert.Equal(t, []bool{false, true, false}, out)
	})
}

// A body that breaks is a fault, too; a caller who leaves is nobody's.
func TestFailoverJudgesBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failover := transport.NewFailover(policy.Failover{Endpoints: regions(), Ejection: policy.Ejection{Faults: 1}}, nil)
		rt := failover.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
			resp := replied(req, 200, "")
			resp.ContentLength, resp.Body = 10, brokenBody{}
			return resp, nil
		}))
		_, _, err := send(t, rt, to(t, "GET", "http://a.test/v1/x", ""))
		require.ErrorIs(t, err, errReset)
		states := failover.State()
		assert.False(t, states[0].Ejected.IsZero())
		assert.True(t, slices.ContainsFunc(states, func(s transport.EndpointState) bool { return s.Ejected.IsZero() }))
		assert.Zero(t, states[0].InFlight)
	})
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errReset }
func (brokenBody) Close() error             { return nil }

// What may have been billed is what the servers processed, or may have: whatever
// fails, and whoever is asked.
func TestFailoverCountsWhatIsBilled(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 7))
		processed := map[string]int64{}
		failover := transport.NewFailover(policy.Failover{
			Endpoints: regions(), Strategy: policy.Strategy(seed % 4), Random: random.Float64, Budget: policy.Budget{Off: true},
		}, nil)
		rt := transport.Chain(transport.Func(func(req *http.Request) (*http.Response, error) {
			name := strings.TrimSuffix(req.URL.Host, ".test")
			switch status := []int{200, 400, 401, 429, 500, 503, -1, -2}[random.IntN(8)]; status {
			case -1:
				return nil, errDial
			case -2:
				processed[name]++
				return nil, errReset
			case 200, 500, 503:
				processed[name]++
				return replied(req, status, ""), nil
			default:
				return replied(req, status, ""), nil
			}
		}), transport.Retry(policy.Retry{Backoff: policy.Backoff{Base: -1}, Throttled: policy.Backoff{Base: -1}}), failover.Wrap)
		for range 20 {
			req := newRegional(t)
			if random.IntN(2) == 0 {
				req = req.WithContext(t.Context()) // one that is not to be repeated
			}
			_, _, _ = send(t, rt, req)
		}
		for _, state := range failover.State() {
			require.Equal(t, processed[state.Name], state.Billed, "seed %d, endpoint %s", seed, state.Name)
			require.Zero(t, state.InFlight)
		}
	}
}

// A probe brings an endpoint back before its time, if it is asked to, as often as
// it may, and with the endpoint's own credentials.
func TestFailoverProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sites{status: map[string]int{"b.test": -1}}
		endpoints := regions()[1:]
		endpoints[0].Header = http.Header{"Api-Key": {"b"}}
		failover := transport.NewFailover(policy.Failover{
			Endpoints: endpoints, Ejection: policy.Ejection{Faults: 1, For: 48 * time.Hour, SlowStart: -1},
			Probe: policy.Probe{Path: "/models", PerDay: 2},
		}, nil)
		rt := failover.Wrap(s)
		ask := func() string {
			_, text, err := send(t, rt, to(t, "GET", "http://b.test/api/v1/x", ""))
			require.NoError(t, err)
			return text
		}
		assert.Equal(t, "c.test", ask())
		s.asked = nil
		for range 3 {
			failover.Probe(t.Context(), s)
			failover.Probe(t.Context(), s) // not again so soon
			time.Sleep(10 * time.Second)
		}
		assert.Equal(t, []string{"GET http://b.test/api/v1/models", "GET http://b.test/api/v1/models"}, s.asked)
		assert.Equal(t, []string{"b"}, s.last.Header["Api-Key"])
		s.status = nil
		assert.Equal(t, "c.test", ask())
		time.Sleep(24 * time.Hour)
		failover.Probe(t.Context(), s)
		assert.Equal(t, "b.test", ask())
	})
}

// A caller who gives an endpoint less time than it needs learns nothing of it, and
// neither does the rotation. One who gives it enough does.
func TestFailoverHastyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const usual = 100 * time.Millisecond
		s := &sites{delay: map[string]time.Duration{"a.test": usual}}
		failover := transport.NewFailover(policy.Failover{Endpoints: regions()[:2]}, nil)
		rt := failover.Wrap(s)
		ask := func(within time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			_, _, err := send(t, rt, newRegional(t).WithContext(ctx))
			return err
		}
		for range 5 {
			require.NoError(t, ask(time.Second))
		}
		for range 5 {
			require.ErrorIs(t, ask(time.Millisecond), context.DeadlineExceeded)
		}
		hurried := failover.State()[0]
		assert.Zero(t, hurried.Faults)
		assert.Zero(t, hurried.InFlight)
		assert.Equal(t, usual, hurried.Latency.Round(usual/10))
		require.NoError(t, ask(time.Second))

		s.delay["a.test"] = time.Minute
		for range 5 {
			require.ErrorIs(t, ask(2*usual), context.DeadlineExceeded)
		}
		assert.Equal(t, time.Now().Add(10*time.Second), failover.State()[0].Ejected)
		require.NoError(t, ask(2*usual), "another one answers")
	})
}

// A caller whose deadline comes in the middle of a body that keeps coming learns
// nothing of the endpoint. One who has waited for more of it as long as for a header
// does.
func TestFailoverHastyReaders(t *testing.T) {
	const header = 200 * time.Millisecond
	tests := []struct {
		name     string
		step     transporttest.Step
		deadline time.Duration
		reads    bool
		faults   int64
	}{
		{"it keeps coming", transporttest.Drip(200, ".", header-1), time.Minute, true, 0},
		{"it has stood still for a moment", transporttest.Stall(200, "so far"), 2*header - 1, true, 0},
		{"it stands still", transporttest.Stall(200, "so far"), 2 * header, true, 5},
		{"it was never read", transporttest.Stall(200, "so far"), time.Minute, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := transporttest.NewUpstream(transporttest.After(header, tt.step))
				failover := transport.NewFailover(policy.Failover{Endpoints: regions()[:2]}, nil)
				rt := failover.Wrap(upstream)
				for range 5 {
					ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
					resp, err := rt.RoundTrip(newRegional(t).WithContext(ctx))
					require.NoError(t, err)
					if tt.reads {
						_, err = io.Copy(io.Discard, resp.Body)
						require.ErrorIs(t, err, context.DeadlineExceeded)
					}
					<-ctx.Done()
					require.NoError(t, resp.Body.Close())
					cancel()
				}
				state := failover.State()[0]
				assert.Equal(t, tt.faults, state.Faults)
				assert.Equal(t, tt.faults == 0, state.Ejected.IsZero())
				assert.Zero(t, state.InFlight)
			})
		})
	}
}

// An endpoint that says by itself, and quickly, that something took too long has told
// enough: no caller was in a hurry.
func TestFailoverQuickTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sites{status: map[string]int{}, delay: map[string]time.Duration{"a.test": time.Second}}
		failover := transport.NewFailover(policy.Failover{Endpoints: regions()[:2]}, nil)
		rt := failover.Wrap(s)
		ask := func() {
			status, _, err := send(t, rt, newRegional(t))
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, status)
		}
		ask()
		s.delay["a.test"], s.status["a.test"] = 0, http.StatusGatewayTimeout
		for range 3 {
			ask()
		}
		assert.Equal(t, int64(3), failover.State()[0].Faults)
	})
}

// Of two endpoints of which nothing is known yet, the one with less under way is asked.
func TestFailoverLeastLatencyFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failover := transport.NewFailover(policy.Failover{
			Endpoints: regions()[:2], Strategy: policy.LeastLatency, Random: func() float64 { return 0 },
		}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		rt := failover.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, context.Cause(req.Context())
		}))
		for range 6 {
			go func() { _, _ = rt.RoundTrip(newRegional(t).WithContext(ctx)) }()
			synctest.Wait()
		}
		for _, s := range failover.State() {
			assert.Equal(t, 3, s.InFlight, s.Name)
		}
		cancel()
		synctest.Wait()
	})
}
