package transport_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// isolated makes a call that must be refused by hand, until the time given.
func (b *rig) isolated(reason string, until time.Time) {
	b.t.Helper()
	err := b.call(fine)
	refusal, ok := errors.AsType[*policy.Refusal](err)
	if !ok || !errors.Is(err, transport.ErrIsolated) || !errors.Is(err, transport.ErrOpen) {
		b.t.Fatalf("error = %v, want a refusal by hand", err)
	}
	assert.Equal(b.t, "breaker_isolated", refusal.Reason)
	assert.Equal(b.t, until, refusal.RetryAt)
	assert.ErrorContains(b.t, err, reason)
}

// announced checks that the transitions so far are those of want, which leaves
// out the times.
func (b *rig) announced(want ...policy.Transition) {
	b.t.Helper()
	got := slices.Clone(b.changes)
	for i := range got {
		got[i].At, got[i].Until = time.Time{}, time.Time{}
	}
	assert.Equal(b.t, want, got)
}

func TestBreakerIsolate(t *testing.T) {
	const reason = "moving house"
	isolation := policy.Transition{To: policy.Isolated, Trigger: policy.ByHand, Reason: reason}
	t.Run("until the time given", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, policy.Breaker{})
			until := time.Now().Add(time.Hour)
			b.Isolate(reason, until)
			b.want(policy.Isolated)
			time.Sleep(time.Hour - 1)
			b.isolated(reason, until)
			snapshot := b.Snapshot()
			assert.Equal(t, reason, snapshot.Reason)
			assert.Equal(t, until, snapshot.Until)
			time.Sleep(2 * time.Nanosecond)
			b.want(policy.HalfOpen)
			for range 3 {
				require.NoError(t, b.call(fine))
			}
			b.want(policy.Closed)
			b.announced(isolation,
				policy.Transition{From: policy.Isolated, To: policy.HalfOpen, Trigger: policy.ByExpiry, Reason: reason},
				policy.Transition{From: policy.HalfOpen, To: policy.Closed, Trigger: policy.ByProbe})
		})
	})
	t.Run("until released", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, policy.Breaker{})
			b.Isolate(reason, time.Time{})
			time.Sleep(1000 * time.Hour)
			b.isolated(reason, time.Time{})
			b.Release()
			b.want(policy.HalfOpen)
			b.Release() // nothing to release
			b.announced(isolation,
				policy.Transition{From: policy.Isolated, To: policy.HalfOpen, Trigger: policy.ByHand, Reason: reason})
		})
	})
	t.Run("a time that has passed isolates nobody", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, policy.Breaker{})
			b.Isolate(reason, time.Now())
			b.Observe(reason, time.Now())
			require.NoError(t, b.call(fine))
			assert.Empty(t, b.changes)
		})
	})
	t.Run("the last word counts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, policy.Breaker{})
			b.Isolate("first", time.Now().Add(time.Minute))
			b.Isolate("second", time.Now().Add(time.Hour))
			time.Sleep(time.Minute + 1)
			b.isolated("second", time.Now().Add(time.Hour-time.Minute-1))
		})
	})
	t.Run("without a reason", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, policy.Breaker{})
			b.Isolate("", time.Time{})
			assert.EqualError(t, b.call(fine), "transport: circuit breaker is isolated")
		})
	})
	t.Run("outcomes of calls from before count for nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, policy.Breaker{MinCalls: 1, Probes: 1})
			late := b.begin()
			b.Isolate(reason, time.Time{})
			b.Release()
			require.NoError(t, late.Body.Close())
			b.want(policy.HalfOpen)
		})
	})
	t.Run("half open forgets its probes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, policy.Breaker{MinCalls: 1, Probes: 2})
			b.open(5 * time.Second)
			require.NoError(t, b.call(fine))
			b.begin()
			b.Isolate(reason, time.Time{})
			b.Release()
			b.begin() // with a place for each again
			b.begin()
			b.want(policy.HalfOpen)
		})
	})
}

func TestBreakerClose(t *testing.T) {
	tests := map[string]func(*rig){
		"closed":    func(b *rig) { _ = b.call(fault) },
		"open":      func(b *rig) { _, _ = b.call(fault), b.call(fault) },
		"half open": func(b *rig) { b.open(5 * time.Second) },
		"isolated":  func(b *rig) { b.Isolate("moving house", time.Time{}) },
		"observed":  func(b *rig) { b.Observe("moving house", time.Time{}); _, _ = b.call(fault), b.call(fault) },
	}
	for name, bring := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRig(t, policy.Breaker{MinCalls: 2, Ratio: 1})
				bring(b)
				from := b.State()
				b.Close("all is well")
				b.want(policy.Closed)
				last := b.Snapshot().Last
				assert.Equal(t, from, last.From)
				assert.Equal(t, policy.ByHand, last.Trigger)
				assert.Equal(t, "all is well", last.Reason)
				assert.Zero(t, b.Snapshot().Calls)
				require.NoError(t, b.call(fault)) // the first of two again
				b.want(policy.Closed)
				require.NoError(t, b.call(fault))
				b.want(policy.Open)
				b.refused(time.Now().Add(5 * time.Second)) // the open time, too, starts again
			})
		})
	}
}

// A breaker that only observes goes through its states as any other, and lets
// every call through.
func TestBreakerMetricsOnly(t *testing.T) {
	for _, byHand := range []bool{false, true} {
		t.Run(map[bool]string{false: "by its settings", true: "by hand"}[byHand], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRig(t, policy.Breaker{MinCalls: 2, MetricsOnly: !byHand, Probes: 2})
				if byHand {
					b.Observe("trying it out", time.Time{})
					b.announced(policy.Transition{Trigger: policy.ByHand, Reason: "trying it out", MetricsOnly: true})
					b.changes = nil
				}
				for range 4 {
					require.NoError(t, b.call(fault)) // the last two while open
				}
				b.want(policy.Open)
				time.Sleep(5 * time.Second)
				first := b.begin()
				second := b.begin()
				third := b.begin() // more than it has probes
				require.NoError(t, third.Body.Close())
				b.want(policy.HalfOpen)
				require.NoError(t, first.Body.Close())
				require.NoError(t, second.Body.Close())
				b.want(policy.Closed)
				assert.True(t, b.Snapshot().MetricsOnly)
				b.announced(
					policy.Transition{To: policy.Open, Trigger: policy.ByThreshold, Reason: policy.TooManyFaults, MetricsOnly: true, Calls: 2, Faults: 2},
					policy.Transition{From: policy.Open, To: policy.HalfOpen, Trigger: policy.ByExpiry, MetricsOnly: true},
					policy.Transition{From: policy.HalfOpen, To: policy.Closed, Trigger: policy.ByProbe, MetricsOnly: true})
				b.Isolate("it is no use", time.Time{}) // counts all the same
				b.isolated("it is no use", time.Time{})
				assert.False(t, b.Snapshot().MetricsOnly)
			})
		})
	}
}

// When the observing ends the breaker is what it has become.
func TestBreakerObserveExpires(t *testing.T) {
	for name, release := range map[string]bool{"by itself": false, "by hand": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRig(t, policy.Breaker{MinCalls: 1, OpenFor: time.Minute})
				b.Observe("trying it out", time.Now().Add(10*time.Second))
				require.NoError(t, b.call(fault))
				opened := time.Now()
				time.Sleep(10*time.Second - 1)
				require.NoError(t, b.call(fine))
				assert.Equal(t, opened.Add(10*time.Second), b.Snapshot().MetricsUntil)
				want := policy.Transition{From: policy.Open, To: policy.Open, Trigger: policy.ByExpiry, Reason: "trying it out"}
				if release {
					b.Release()
					want.Trigger = policy.ByHand
				}
				time.Sleep(2 * time.Nanosecond)
				assert.False(t, b.Snapshot().MetricsOnly)
				b.refused(opened.Add(time.Minute))
				want.At = b.changes[2].At
				assert.Equal(t, want, b.changes[2])
			})
		})
	}
}

// The next request tells that observing is over before it is sent, also when the
// breaker is closed and has nothing to refuse.
func TestBreakerObserveExpiresWhileClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{})
		b.Observe("trying it out", time.Now().Add(time.Second))
		time.Sleep(time.Second)
		told := 0
		require.NoError(t, b.call(func(req *http.Request) (*http.Response, error) {
			told = len(b.changes)
			return fine(req)
		}))
		assert.Equal(t, 2, told)
	})
}

// What is done by hand is announced before the method returns, outside the lock.
func TestBreakerManualOnTransition(t *testing.T) {
	var b *transport.Breaker
	states := []policy.BreakerState{}
	b = transport.NewBreaker(policy.Breaker{OnTransition: func(ctx context.Context, tr policy.Transition) {
		assert.Equal(t, context.Background(), ctx)
		states = append(states, b.State())
		if tr.To == policy.Isolated {
			b.Release()
		}
	}})
	b.Isolate("moving house", time.Time{})
	assert.Equal(t, []policy.BreakerState{policy.Isolated, policy.HalfOpen}, states)
}

// Orders, calls and looks at once.
func TestBreakerManualConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breaker := transport.NewBreaker(policy.Breaker{MinCalls: 2, LastCalls: 5, OpenFor: time.Second, SlowCall: time.Second})
		rt := breaker.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
			return []transporttest.Step{fine, fault, transporttest.After(time.Second, fine)}[rand.IntN(3)](req)
		}))
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 200 {
					_, _, _ = get(t, rt)
					_ = breaker.Snapshot()
					time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
				}
			})
		}
		orders := []func(until time.Time){
			func(until time.Time) { breaker.Isolate("moving house", until) },
			func(until time.Time) { breaker.Observe("trying it out", until) },
			func(time.Time) { breaker.Release() },
			func(time.Time) { breaker.Close("all is well") },
		}
		for range 2 {
			all.Go(func() {
				for range 100 {
					orders[rand.IntN(len(orders))](time.Now().Add(time.Duration(rand.IntN(500)) * time.Millisecond))
					time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
				}
			})
		}
		all.Wait()
		breaker.Close("all is well")
		require.Equal(t, policy.Closed, breaker.State())
		_, _, err := get(t, breaker.Wrap(transport.Func(fine)))
		require.NoError(t, err)
	})
}

// TestBreakerByHandIsCounted: changes of state by hand are in the metric of those
// that calls bring about, with or without a call that would report them.
func TestBreakerByHandIsCounted(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	t.Cleanup(func() { otel.SetMeterProvider(metricnoop.NewMeterProvider()) })
	breaker := transport.NewBreaker(policy.Breaker{})
	breaker.Isolate("moving house", time.Time{})
	breaker.Release()
	breaker.Close("moved in")
	breaker.Isolate("moving again", time.Time{})

	var got metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &got))
	require.Len(t, got.ScopeMetrics, 1)
	require.Len(t, got.ScopeMetrics[0].Metrics, 1)
	metric := got.ScopeMetrics[0].Metrics[0]
	assert.Equal(t, "sparekey.client.breaker.transitions", metric.Name)
	counts := map[string]int64{}
	for _, point := range metric.Data.(metricdata.Sum[int64]).DataPoints { //nolint:forcetypeassert // or the test fails
		state, _ := point.Attributes.Value("sparekey.breaker.state")
		counts[state.AsString()] = point.Value
	}
	assert.Equal(t, map[string]int64{"isolated": 2, "half_open": 1, "closed": 1}, counts)
}

// TestBreakerByHandIsLogged: an operator finds in the log what another one did.
func TestBreakerByHandIsLogged(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	stack := policy.Stack{Logger: logger}.WithDefaults()
	stack.Breaker.Name = "eu"
	breaker := transport.NewBreaker(stack.Breaker)
	breaker.Isolate("moving house", time.Time{})
	breaker.Close("moved in")
	assert.Equal(t, `level=WARN msg="breaker isolated" event.name=sparekey.breaker.isolated breaker=eu from=closed trigger=manual reason="moving house"
level=WARN msg="breaker closed" event.name=sparekey.breaker.closed breaker=eu from=isolated trigger=manual reason="moved in"
`, log.String())
}
