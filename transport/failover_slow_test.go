package transport_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// A pageant has endpoints a, b and so on that answer after as long as is said for
// each, or refuse connections if that is negative.
type pageant struct {
	t        *testing.T
	failover *transport.Failover
	rt       http.RoundTripper
	takes    map[string]time.Duration
}

func newPageant(t *testing.T, cfg policy.Failover, takes ...time.Duration) *pageant {
	p := &pageant{t: t, takes: map[string]time.Duration{}}
	for i, d := range takes {
		name := string(rune('a' + i))
		cfg.Endpoints = append(cfg.Endpoints, policy.Endpoint{Name: name, URL: "http://" + name + ".test"})
		p.takes[name] = d
	}
	cfg.Budget = policy.Budget{Off: true}
	cfg.Ejection.SlowStart = -1
	p.failover = transport.NewFailover(cfg, nil)
	p.rt = p.failover.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
		name := strings.TrimSuffix(req.URL.Host, ".test")
		if p.takes[name] < 0 {
			return nil, errDial
		}
		time.Sleep(p.takes[name])
		return replied(req, 200, name), nil
	}))
	return p
}

// ask sends n requests, one after the other, and returns who answered.
func (p *pageant) ask(n int) string {
	p.t.Helper()
	var b strings.Builder
	for range n {
		_, text, err := send(p.t, p.rt, to(p.t, "GET", "http://a.test/x", ""))
		require.NoError(p.t, err)
		b.WriteString(text)
	}
	return b.String()
}

// slow returns the names of those that are out because they are slow.
func (p *pageant) slow() (names string) {
	for _, s := range p.failover.State() {
		if s.Slow {
			names += s.Name
		}
	}
	return names
}

// Five answers in a row, each more than five times as long as is usual of the
// quickest other one, put an endpoint out; it comes back like after faults.
func TestFailoverSlow(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		p := newPageant(t, policy.Failover{Strategy: policy.RoundRobin}, 20*ms, 100*ms)
		assert.Equal(t, "abababababab", p.ask(12), "exactly five times is not more")
		p.takes["b"] = 100*ms + 1
		assert.Equal(t, "abababab", p.ask(8))
		p.takes["b"] = 20 * ms
		assert.Equal(t, "ab", p.ask(2), "no more in a row")
		p.takes["b"] = 100*ms + 1
		assert.Equal(t, "ababababab", p.ask(10))
		assert.Equal(t, "b", p.slow())
		assert.Equal(t, time.Now().Add(10*time.Second), p.failover.State()[1].Ejected)
		assert.Equal(t, "aaaa", p.ask(4))

		time.Sleep(10 * time.Second)
		assert.Contains(t, p.ask(2), "b", "on trial")
		assert.Equal(t, "b", p.slow(), "for twice as long")
		time.Sleep(19 * time.Second)
		assert.Equal(t, "aaaa", p.ask(4))
		p.takes["b"] = 20 * ms
		time.Sleep(time.Second)
		assert.Equal(t, 5, strings.Count(p.ask(10), "b"))
		assert.Empty(t, p.slow())
	})
}

// Who is out for being slow is better than nobody, and stays out as long as he is
// slow; one that fails is out like any other.
func TestFailoverSlowIsBetterThanNone(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		p := newPageant(t, policy.Failover{Strategy: policy.RoundRobin}, 500*ms, 20*ms, 500*ms)
		p.ask(18) // nobody is compared with until he has answered
		require.Equal(t, "ac", p.slow())
		require.Equal(t, "bb", p.ask(2))
		p.takes["b"] = -1
		for _, by := range p.ask(4) {
			assert.Contains(t, "ac", string(by))
		}
		p.takes["b"], p.takes["a"] = 20*ms, -1
		p.ask(1)
		time.Sleep(time.Minute)
		p.ask(20)
		assert.Equal(t, "c", p.slow())
		assert.False(t, p.failover.State()[0].Ejected.IsZero())
	})
}

// What takes long by its nature stays where it is: in an order of preference it
// does, elsewhere it must be said, and a few milliseconds are nothing.
func TestFailoverSlowByNature(t *testing.T) {
	const ms = time.Millisecond
	off := policy.Ejection{SlowerThan: -1}
	for _, tt := range []struct {
		name  string
		cfg   policy.Failover
		takes [2]time.Duration
		slow  string
	}{
		{"in order", policy.Failover{}, [...]time.Duration{2000 * ms, 20 * ms}, ""},
		{"in turn", policy.Failover{Strategy: policy.RoundRobin}, [...]time.Duration{2000 * ms, 20 * ms}, "a"},
		{"in turn, said to be so", policy.Failover{Strategy: policy.RoundRobin, Ejection: off}, [...]time.Duration{2000 * ms, 20 * ms}, ""},
		{"in turn, nobody goes out", policy.Failover{Strategy: policy.RoundRobin, Ejection: policy.Ejection{Off: true}}, [...]time.Duration{2000 * ms, 20 * ms}, ""},
		{"least latency", policy.Failover{Strategy: policy.LeastLatency}, [...]time.Duration{2000 * ms, 20 * ms}, ""},
		{"10 ms", policy.Failover{Strategy: policy.RoundRobin}, [...]time.Duration{10 * ms, ms}, ""},
		{"more than 10 ms", policy.Failover{Strategy: policy.RoundRobin}, [...]time.Duration{10*ms + 1, ms}, "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPageant(t, tt.cfg, tt.takes[:]...)
				p.ask(10)
				p.takes["a"] = -1
				p.ask(1) // the second one becomes known in any case
				p.takes["a"] = tt.takes[0]
				p.ask(20)
				assert.Equal(t, tt.slow, p.slow())
			})
		})
	}
}

// In an order of preference the first is out when it becomes slow, and back when it
// turns out that the others are as slow: it is the requests, then.
func TestFailoverSlowFirst(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		p := newPageant(t, policy.Failover{}, 20*ms, 20*ms)
		p.ask(10)
		p.takes["a"] = 500 * ms
		assert.Equal(t, "aaaaabb", p.ask(7))
		time.Sleep(10 * time.Second)
		assert.Equal(t, "abb", p.ask(3), "it is still slow")
		p.takes["b"] = 500 * ms
		p.ask(80) // so that this becomes usual
		assert.Equal(t, "aaaaaaaaaa", p.ask(10))
		assert.Empty(t, p.slow())
	})
}

// The one that steps in for a quick one is measured by that until it has shown what
// is usual of it.
func TestFailoverSlowStandIn(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		p := newPageant(t, policy.Failover{}, 20*ms, 500*ms, 20*ms)
		p.ask(10)
		p.takes["a"] = -1
		assert.Equal(t, "bbbbbccc", p.ask(8))
		assert.Equal(t, "b", p.slow())
	})
}

// Answers that are missed as long as would be slow put an endpoint out, before the
// first has timed out.
func TestFailoverMisses(t *testing.T) {
	const ms = time.Millisecond
	for strategy := policy.Ordered; strategy <= policy.Weighted; strategy++ {
		t.Run(fmt.Sprint(strategy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPageant(t, policy.Failover{Strategy: strategy}, 20*ms, 20*ms)
				p.ask(20)
				p.takes["a"] = time.Hour
				for range 10 {
					go func() { _, _, _ = send(t, p.rt, to(t, "GET", "http://a.test/x", "")) }()
					synctest.Wait()
				}
				time.Sleep(100 * ms)
				before := p.failover.State()[0].Asked
				p.takes["b"] = 0
				time.Sleep(time.Nanosecond)
				assert.Equal(t, "bbb", p.ask(3))
				assert.Equal(t, before, p.failover.State()[0].Asked)
				assert.Equal(t, "a", p.slow())
				time.Sleep(time.Hour)
			})
		})
	}
}

// Requests that never end do not keep an endpoint out that answers others.
func TestFailoverReturnsBesideStuckOnes(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		p := newPageant(t, policy.Failover{}, 20*ms, 20*ms)
		p.ask(20)
		p.takes["a"] = time.Hour
		for range 10 {
			go func() { _, _, _ = send(t, p.rt, to(t, "GET", "http://a.test/x", "")) }()
			synctest.Wait()
		}
		time.Sleep(time.Second)
		assert.Equal(t, "bb", p.ask(2))
		p.takes["a"] = 20 * ms
		time.Sleep(10 * time.Second)
		for range 10 {
			assert.Equal(t, "aa", p.ask(2))
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Hour)
		assert.Zero(t, p.failover.State()[0].InFlight)
	})
}

// Endpoints that are all alike stay where they are when some questions take a hundred
// times as long as others, or from some time on all do: hardly ever is one out.
func TestFailoverHardQuestions(t *testing.T) {
	const questions, share = 2000, 0.01
	for _, tt := range []struct {
		name string
		hard func(n int, random float64) bool
	}{
		{"one in ten", func(_ int, random float64) bool { return random < 0.1 }},
		{"three in ten", func(_ int, random float64) bool { return random < 0.3 }},
		{"half of them", func(_ int, random float64) bool { return random < 0.5 }},
		{"from then on", func(n int, _ float64) bool { return n >= 500 }},
	} {
		for _, strategy := range []policy.Strategy{policy.Ordered, policy.RoundRobin, policy.Weighted, policy.Sticky} {
			t.Run(fmt.Sprint(tt.name, ", ", strategy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					random, asked, out := rand.New(rand.NewPCG(1, 1)), 0, 0
					key := func(*http.Request) string { return fmt.Sprint(asked % 50) }
					p := newPageant(t, policy.Failover{Strategy: strategy, Key: key}, 0, 0, 0)
					for asked = range questions {
						takes := 50 * time.Millisecond
						if tt.hard(asked, random.Float64()) {
							takes *= 100
						}
						p.takes["a"], p.takes["b"], p.takes["c"] = takes, takes, takes
						p.ask(1)
						if p.slow() != "" {
							out++
						}
					}
					assert.LessOrEqual(t, float64(out), share*questions)
				})
			})
		}
	}
}

// An endpoint that is back on trial and goes out again while the answer to that one
// request is waited for is back on trial again when its time is up.
func TestFailoverSlowOnTrial(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		p := newPageant(t, policy.Failover{Strategy: policy.RoundRobin, Ejection: policy.Ejection{Faults: 1, SlowStart: -1}}, 20*ms, 20*ms)
		p.ask(2)
		p.takes["b"] = -1
		p.ask(2)
		require.False(t, p.failover.State()[1].Ejected.IsZero())
		time.Sleep(10 * time.Second)
		p.takes["b"] = time.Hour
		for range 2 { // one of them goes to b
			go func() { _, _, _ = send(t, p.rt, newRegional(t)) }()
			synctest.Wait()
		}
		require.Equal(t, 1, p.failover.State()[1].InFlight)
		assert.Equal(t, "aaaaaaaaaa", p.ask(10))
		require.Equal(t, "b", p.slow())
		p.takes["b"] = 20 * ms
		time.Sleep(20 * time.Second)
		assert.Equal(t, 1, strings.Count(p.ask(2), "b"))
		time.Sleep(time.Hour) // for the late answer
	})
}
