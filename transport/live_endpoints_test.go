package transport_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// asked returns how often each endpoint has been asked.
func (l *lively) asked() map[string]int {
	l.t.Helper()
	all := make(map[string]int)
	for _, e := range transport.Failovers(l.rt)[0].State() {
		all[e.Name] = int(e.Asked)
	}
	return all
}

func endpoint(name string, weight float64, region string) policy.Endpoint {
	return policy.Endpoint{Name: name, URL: "http://" + name + ".test", Weight: weight, Region: region}
}

// An endpoint that goes on as it is has another weight from the next call on.
func TestLiveEndpointWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(a, b float64) policy.Stack {
			return policy.Stack{Failover: &policy.Failover{
				Strategy:  policy.Weighted,
				Endpoints: []policy.Endpoint{endpoint("a", a, ""), endpoint("b", b, "")},
			}}
		}
		l := newLively(t, with(1, 1))
		l.ask(8, http.StatusOK)
		assert.Equal(t, map[string]int{"a": 4, "b": 4}, l.asked())
		l.apply(with(3, 1))
		l.ask(8, http.StatusOK)
		assert.Equal(t, map[string]int{"a": 4 + 6, "b": 4 + 2}, l.asked())
	})
}

// So it is with the region: what was far away may be near.
func TestLiveEndpointRegions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func(region string) policy.Stack {
			return policy.Stack{Failover: &policy.Failover{
				Region:    region,
				Endpoints: []policy.Endpoint{endpoint("us", 0, "us"), endpoint("eu", 0, "eu")},
			}}
		}
		l := newLively(t, in("us"))
		l.ask(3, http.StatusOK)
		assert.Equal(t, map[string]int{"us": 3, "eu": 0}, l.asked())
		l.apply(in("eu"))
		l.ask(3, http.StatusOK)
		assert.Equal(t, map[string]int{"us": 3, "eu": 3}, l.asked())
	})
}

// The budget of a failover has another bound at once, and is not filled up.
func TestLiveFailoverBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(burst float64) policy.Stack {
			return policy.Stack{Breaker: policy.Breaker{Off: true}, Failover: &policy.Failover{
				Endpoints: []policy.Endpoint{endpoint("a", 0, ""), endpoint("b", 0, "")},
				Budget:    policy.Budget{Burst: burst, PerSecond: -1}, Ejection: policy.Ejection{Off: true},
			}}
		}
		l := newLively(t, with(5))
		calls := func(n int) int {
			before := l.calls.Load()
			l.ask(n, down)
			return int(l.calls.Load() - before)
		}
		assert.Equal(t, 2, calls(1), "a token is spent")
		l.apply(with(2))
		assert.Equal(t, 4+2, calls(4), "two are left of four")
		l.apply(with(50))
		assert.Equal(t, 2, calls(2), "none are")
	})
}

// Who waits at a limit waits as long as it was to when it came, whatever is said
// meanwhile.
func TestLiveWaitsAsItBegan(t *testing.T) {
	for _, later := range []time.Duration{time.Second, time.Minute} {
		t.Run(later.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				with := func(wait time.Duration) policy.Stack {
					return policy.Stack{Limit: policy.Limit{InFlight: 1, MaxWait: wait}, Total: 2 * time.Hour, Attempt: policy.Timeout{FirstByte: time.Hour}}
				}
				l := newLively(t, with(10*time.Second))
				l.took = 30 * time.Second
				go func() { _, _, _ = get(t, l.rt) }()
				synctest.Wait()
				begin := time.Now()
				time.AfterFunc(3*time.Second, func() { l.apply(with(later)) })
				_, _, err := get(t, l.rt)
				assert.ErrorIs(t, err, transport.ErrLimited)
				assert.Equal(t, 10*time.Second, time.Since(begin))
				time.Sleep(time.Minute)
			})
		})
	}
}

// A limit may become one of another kind, and back.
func TestLiveLimitKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLively(t, policy.Stack{})
		l.ask(1, http.StatusOK)
		for _, tt := range []struct {
			limit     policy.Limit
			bound     int
			perSecond float64
		}{
			{policy.Limit{}, 200, 0},
			{policy.Limit{InFlight: 3}, 3, 0},
			{policy.Limit{InFlight: 3, PerSecond: 5}, 3, 5},
			{policy.Limit{InFlight: -1}, 0, 0},
			{policy.Limit{PerSecond: 7}, 200, 7},
			{policy.Limit{}, 200, 0},
		} {
			l.apply(policy.Stack{Limit: tt.limit})
			s := transport.Snapshot(l.rt).Functions[0].Limiters[0]
			assert.Equal(t, tt.bound, s.Bound, "%+v", tt.limit)
			assert.InDelta(t, tt.perSecond, s.PerSecond, 1e-9, "%+v", tt.limit)
		}
	})
}
