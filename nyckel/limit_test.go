package nyckel_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// All functions of an account share its limit, and the service has to refuse
// nothing.
func TestLimitIsTheAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, nyckelsim.Config{Latency: 100 * time.Millisecond})
		client := a.client(t, nyckel.WithFunction("mails", nyckel.Function{ID: "mail"}))
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 101 {
			wg.Go(func() {
				_, err := client.Invoke(t.Context(), []string{"tickets", "mails"}[i%2], nyckel.Text("where is my parcel"))
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		assert.Equal(t, 4*time.Second+100*time.Millisecond, time.Since(start).Round(time.Millisecond), "101 at 25 per second")
		assert.Zero(t, a.Stats().ByStatus[http.StatusTooManyRequests])
	})
}

// Repeated requests count like any other.
func TestLimitCountsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []time.Time
		s := newService(func(req *http.Request) (*http.Response, error) {
			sent = append(sent, time.Now())
			return answer(http.StatusInternalServerError, "")(req)
		})
		client := s.client(t, policy.Stack{Retry: policy.Retry{Random: func() float64 { return 0 }}},
			nyckel.WithLimit(policy.Limit{PerSecond: 1}))
		_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("x"))
		require.Error(t, err)
		require.Len(t, sent, 3)
		assert.GreaterOrEqual(t, sent[2].Sub(sent[0]), 2*time.Second)
	})
}

func TestLimitInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(transporttest.Hang())
		client := s.client(t, once, nyckel.WithLimit(policy.Limit{InFlight: 2, PerSecond: -1, MaxWait: time.Second}))
		start := time.Now()
		for range 2 {
			go client.Invoke(t.Context(), "tickets", nyckel.Text("x"))
		}
		synctest.Wait()
		_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("x"))
		assert.ErrorIs(t, err, transport.ErrLimited)
		assert.Equal(t, policy.Refused, policy.ErrorOf(err).Verdict.Class)
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, 2, s.calls.Calls())
	})
}

// Nobody waits for longer than half of what an attempt may take in the least patient of
// the stacks, be it a function's own.
func TestLimitWaitsForHalfAnAttempt(t *testing.T) {
	hasty := policy.Stack{Attempt: policy.Timeout{FirstByte: 2 * time.Second}, Retry: policy.Retry{Off: true}}
	for name, stacks := range map[string][2]policy.Stack{"the client's": {hasty, once}, "a function's": {once, hasty}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				own := stacks[1]
				client, err := nyckel.New(nyckel.WithBaseURL("https://api.test"), nyckel.WithTokenSource(fixed("t")),
					nyckel.WithHTTPClient(&http.Client{Transport: s}), nyckel.WithStack(stacks[0]), nyckel.WithLimit(policy.Limit{PerSecond: 1}),
					nyckel.WithFunction("tickets", nyckel.Function{ID: "1"}), nyckel.WithFunction("mails", nyckel.Function{ID: "2", Stack: &own}))
				require.NoError(t, err)
				var answered atomic.Int64
				var wg sync.WaitGroup
				for range 4 { // they would be sent after 0, 1, 2 and 3 s
					wg.Go(func() {
						if _, err := client.Invoke(t.Context(), "tickets", nyckel.Text("x")); err == nil {
							answered.Add(1)
						} else {
							assert.ErrorIs(t, err, transport.ErrLimited)
						}
					})
					synctest.Wait()
				}
				wg.Wait()
				assert.EqualValues(t, 2, answered.Load(), "of which one has waited, for a second")
			})
		})
	}
}

// Time in the queue is not held against the service: what cannot be sent within an
// attempt's time is refused, and no breaker opens.
func TestLimitIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, nyckelsim.Config{Latency: 100 * time.Millisecond})
		client := a.client(t, nyckel.WithStack(policy.Stack{Attempt: policy.Timeout{FirstByte: time.Second}}))
		var wg sync.WaitGroup
		var mu sync.Mutex
		refused := 0
		for range 200 {
			wg.Go(func() {
				_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("where is my parcel"))
				if err != nil {
					assert.ErrorIs(t, err, transport.ErrLimited)
					mu.Lock()
					refused++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		assert.Positive(t, refused)
		assert.Equal(t, 200-refused, a.Stats().Invokes)
		_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("where is my parcel"))
		assert.NoError(t, err)
	})
}

// Who is in a hurry goes first.
func TestLimitPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, nyckelsim.Config{})
		client := a.client(t, nyckel.WithLimit(policy.Limit{PerSecond: 1}))
		invoke := func(priority int) time.Duration {
			start := time.Now()
			ctx := policy.WithCall(t.Context(), policy.Call{Priority: priority})
			_, err := client.Invoke(ctx, "tickets", nyckel.Text("where is my parcel"))
			assert.NoError(t, err)
			return time.Since(start)
		}
		invoke(0)
		for range 3 {
			go invoke(0)
		}
		synctest.Wait()
		assert.Equal(t, time.Second, invoke(1).Round(time.Millisecond))
		time.Sleep(5 * time.Second)
	})
}

func TestLimitErrors(t *testing.T) {
	_, err := nyckel.New(nyckel.WithCredentials(clientID, clientSecret), nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
		nyckel.WithLimit(policy.Limit{Burst: -1}))
	assert.EqualError(t, err, "nyckel: WithLimit: policy: Limit.Burst is -1, want at least 0")
}
