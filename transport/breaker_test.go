package transport_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

var (
	fine  = transporttest.Reply(200, "fine")
	fault = transporttest.Reply(500, "oops")
	held  = transporttest.Stall(200, "so far") // an answer that is under way
)

// A rig is a breaker with what it is tested with. Its upstream does what step
// says at the time.
type rig struct {
	*transport.Breaker
	t       *testing.T
	rt      http.RoundTripper
	step    transporttest.Step
	calls   int // that reached the upstream
	changes []policy.Transition
}

func newRig(t *testing.T, cfg policy.Breaker) *rig {
	b := &rig{t: t, step: fine}
	if cfg.Random == nil {
		cfg.Random = fixed(0) // no jitter
	}
	cfg.OnTransition = func(_ context.Context, tr policy.Transition) { b.changes = append(b.changes, tr) }
	b.Breaker = transport.NewBreaker(cfg)
	b.rt = b.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
		b.calls++
		return b.step(req)
	}))
	return b
}

// call makes a call that ends as step says, and returns its error.
func (b *rig) call(step transporttest.Step) error {
	b.t.Helper()
	b.step = step
	_, _, err := get(b.t, b.rt)
	return err
}

// begin makes a call whose body is under way.
func (b *rig) begin() *http.Response {
	b.t.Helper()
	b.step = held
	resp, err := b.rt.RoundTrip(newRequest(b.t, b.t.Context(), http.MethodGet, ""))
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// refused makes a call that must be refused, until the time given.
func (b *rig) refused(until time.Time) {
	b.t.Helper()
	before := b.calls
	err := b.call(fine)
	refusal, ok := errors.AsType[*policy.Refusal](err)
	if !ok || !errors.Is(err, transport.ErrOpen) {
		b.t.Fatalf("error = %v, want a refusal", err)
	}
	if !refusal.RetryAt.Equal(until) {
		b.t.Errorf("RetryAt is in %v, want in %v", time.Until(refusal.RetryAt), time.Until(until))
	}
	if b.calls != before {
		b.t.Error("a call that was refused reached the upstream")
	}
}

// open makes the breaker open and half open, ready for its first probe.
func (b *rig) open(openFor time.Duration) {
	b.t.Helper()
	for b.State() == policy.Closed {
		_ = b.call(fault)
	}
	b.want(policy.Open)
	time.Sleep(openFor)
	b.want(policy.HalfOpen)
}

func (b *rig) want(state policy.BreakerState) {
	b.t.Helper()
	if got := b.State(); got != state {
		b.t.Fatalf("State() = %v, want %v", got, state)
	}
}

func TestBreakerTransitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const openFor = 5 * time.Second
		b := newRig(t, policy.Breaker{Name: "up", MinCalls: 4, OpenFor: openFor})
		start := time.Now()
		for range 3 {
			_ = b.call(fault)
			b.want(policy.Closed)
		}
		_ = b.call(fault)
		b.want(policy.Open)
		b.refused(start.Add(openFor))

		time.Sleep(openFor - 1)
		b.want(policy.Open)
		b.refused(start.Add(openFor))
		time.Sleep(2 * time.Nanosecond)
		b.want(policy.HalfOpen)

		for range 2 {
			require.NoError(t, b.call(fine))
			b.want(policy.HalfOpen)
		}
		require.NoError(t, b.call(fine))
		b.want(policy.Closed)

		half := start.Add(openFor + 1)
		want := []policy.Transition{
			{
				Name: "up", From: policy.Closed, To: policy.Open, At: start, Until: start.Add(openFor),
				Trigger: policy.ByThreshold, Reason: policy.TooManyFaults, Calls: 4, Faults: 4,
			},
			{Name: "up", From: policy.Open, To: policy.HalfOpen, At: half, Trigger: policy.ByExpiry},
			{Name: "up", From: policy.HalfOpen, To: policy.Closed, At: half, Trigger: policy.ByProbe},
		}
		if !slices.Equal(b.changes, want) {
			t.Errorf("transitions = %v, want %v", b.changes, want)
		}
	})
}

// The share of faults counts once there are enough calls, be the last a fault or
// not.
func TestBreakerRatio(t *testing.T) {
	tests := []struct {
		name  string
		ratio float64
		calls string // f a fault, . none
		want  policy.BreakerState
	}{
		{"too few calls", 0, "fffffffff", policy.Closed},
		{"enough calls", 0, "ffffffffff", policy.Open},
		{"half of the calls", 0, ".....fffff", policy.Open},
		{"half of the calls, the last one good", 0, "fffff.....", policy.Open},
		{"less than half", 0, "......fffff", policy.Closed},
		{"a tenth", 0.1, ".........f", policy.Open},
		{"every call", 1, "ffffffffff", policy.Open},
		{"all but one", 1, ".fffffffff", policy.Closed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRig(t, policy.Breaker{Ratio: tt.ratio})
				for _, c := range tt.calls {
					step := fine
					if c == 'f' {
						step = fault
					}
					require.NoError(t, b.call(step))
				}
				b.want(tt.want)
			})
		})
	}
}

// Calls leave the window by tenths of it.
func TestBreakerWindow(t *testing.T) {
	const window = 10 * time.Second
	for after, want := range map[time.Duration]policy.BreakerState{
		window - 1: policy.Open,
		window + 1: policy.Closed,
	} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRig(t, policy.Breaker{MinCalls: 4, Window: window})
				for range 3 {
					_ = b.call(fault)
				}
				time.Sleep(after)
				_ = b.call(fault)
				b.want(want)
			})
		})
	}
}

// Only outages count. A server that says no is up, and a caller who gives up is
// nobody's failure.
func TestBreakerCounts(t *testing.T) {
	const (
		good = iota
		neutral
		bad
	)
	chunks := func(c ...transporttest.Chunk) transporttest.Step { return transporttest.Stream(200, c) }
	tests := []struct {
		name string
		step transporttest.Step
		want int
	}{
		{"200", fine, good},
		{"204", transporttest.Reply(204, ""), good},
		{"302", transporttest.Reply(302, ""), good},
		{"400", transporttest.Reply(400, "no"), neutral},
		{"401", transporttest.Reply(401, "no"), neutral},
		{"404", transporttest.Reply(404, "no"), neutral},
		{"409", transporttest.Reply(409, "no"), neutral},
		{"429", transporttest.Reply(429, "slow down"), neutral},
		{"429 without a body", transporttest.Reply(429, ""), neutral},
		{"501", transporttest.Reply(501, "no"), neutral},
		{"503", transporttest.Reply(503, "busy"), neutral},
		{"529", transporttest.Reply(529, "busy"), neutral},
		{"500", fault, bad},
		{"500 without a body", transporttest.Reply(500, ""), bad},
		{"502", transporttest.Reply(502, "oops"), bad},
		{"504", transporttest.Reply(504, "late"), bad},
		{"no connection", transporttest.Fail(errDial), bad},
		{"connection reset", transporttest.Fail(errReset), bad},
		{"connection closed", transporttest.Fail(io.EOF), bad},
		{"timeout of an attempt", transporttest.Fail(&policy.TimeoutError{}), bad},
		{"an error that nobody knows", transporttest.Fail(errors.New("boom")), neutral},
		{"a refusal from below", transporttest.Fail(&policy.Refusal{Layer: "x", Err: transport.ErrOpen}), neutral},
		{"a body that is cut short", transporttest.Cut(200, "hel"), bad},
		{"a body that is reset", chunks(transporttest.Chunk{Data: "hel", Err: errReset}), bad},
		{"a body that stalls", chunks(transporttest.Chunk{Data: "hel", Err: &policy.TimeoutError{}}), bad},
		{"a 503 that is cut short", transporttest.Cut(503, "bus"), bad},
		{"a caller who gives up", transporttest.Hang(), neutral},
		{"a caller who gives up in the body", held, neutral},
		{"a panic", transporttest.Panic("boom"), neutral},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRig(t, policy.Breaker{MinCalls: 2, Ratio: 1})
				func() {
					defer func() { _ = recover() }()
					b.step = tt.step
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(time.Second, cancel)
					_, _, _ = send(t, b.rt, newRequest(t, ctx, http.MethodGet, ""))
				}()
				// One fault makes two in two calls if the call was one. Another makes two
				// in two calls if it did not count.
				got := good
				for _, count := range []int{bad, neutral} {
					_ = b.call(fault)
					if b.State() == policy.Open {
						got = count
						break
					}
				}
				if got != tt.want {
					t.Errorf("counts as %d, want %d (0 good, 1 not at all, 2 a fault)", got, tt.want)
				}
			})
		})
	}
}

// A body counts when it ends, not before.
func TestBreakerCountsAtEndOfBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{MinCalls: 1, Ratio: 1})
		start := time.Now()
		b.step = transporttest.Stream(200, []transporttest.Chunk{{Data: "hel"}, {After: time.Minute, Err: io.ErrUnexpectedEOF}})
		resp, err := b.rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		b.want(policy.Closed)
		_, err = io.ReadAll(resp.Body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		b.want(policy.Open)
		if took := b.changes[0].At.Sub(start); took != time.Minute {
			t.Errorf("opened after %v, want 1m", took)
		}
	})
}

// Outcomes of calls that began before the last change of state count for nothing.
func TestBreakerLateOutcomes(t *testing.T) {
	const openFor = 5 * time.Second
	cfg := policy.Breaker{MinCalls: 2, Ratio: 0.5, OpenFor: openFor, Probes: 2}
	broken := func(t *testing.T, b *rig) *http.Response {
		b.step = transporttest.Stream(200, []transporttest.Chunk{{Data: "hel"}, {Err: errReset}})
		resp, err := b.rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		return resp
	}
	t.Run("successes do not close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, cfg)
			late := []*http.Response{b.begin(), b.begin(), b.begin()}
			b.open(openFor)
			require.NoError(t, b.call(fine))
			for _, resp := range late {
				require.NoError(t, resp.Body.Close())
			}
			b.want(policy.HalfOpen)
			require.NoError(t, b.call(fine))
			b.want(policy.Closed)
		})
	})
	t.Run("faults do not open again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, cfg)
			late := []*http.Response{broken(t, b), broken(t, b), broken(t, b)}
			b.open(openFor)
			require.NoError(t, b.call(fine))
			for _, resp := range late[:2] {
				_, err := io.ReadAll(resp.Body)
				require.ErrorIs(t, err, errReset)
				b.want(policy.HalfOpen)
			}
			require.NoError(t, b.call(fine))
			b.want(policy.Closed)
			_, err := io.ReadAll(late[2].Body)
			require.ErrorIs(t, err, errReset)
			require.NoError(t, b.call(fine)) // with the late fault it would be one of two
			b.want(policy.Closed)
		})
	})
	t.Run("a probe of an earlier half open is none of this one's", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, cfg)
			b.open(openFor)
			late := b.begin()
			require.NoError(t, b.call(fault)) // the other probe
			b.want(policy.Open)
			time.Sleep(2 * openFor)
			first, second := b.begin(), b.begin()
			b.refused(time.Now().Add(15 * time.Second))
			require.NoError(t, late.Body.Close()) // frees no place and is no success
			b.refused(time.Now().Add(15 * time.Second))
			require.NoError(t, first.Body.Close())
			b.want(policy.HalfOpen)
			require.NoError(t, second.Body.Close())
			b.want(policy.Closed)
		})
	})
}

func TestBreakerHalfOpen(t *testing.T) {
	const openFor, lease, probes = 5 * time.Second, 15 * time.Second, 3
	cfg := policy.Breaker{MinCalls: 2, OpenFor: openFor, Probes: probes, ProbeLease: lease}
	newHalfOpen := func(t *testing.T) *rig {
		b := newRig(t, cfg)
		b.open(openFor)
		return b
	}
	t.Run("lets as many through as it has probes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newHalfOpen(t)
			for range probes {
				b.begin()
			}
			for range 10 {
				b.refused(time.Now().Add(lease))
			}
		})
	})
	t.Run("a probe that ends makes room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newHalfOpen(t)
			first := b.begin()
			for range probes - 1 {
				b.begin()
			}
			require.NoError(t, first.Body.Close())
			b.begin()
			b.refused(time.Now().Add(lease))
		})
	})
	t.Run("a fault opens it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newHalfOpen(t)
			for range probes - 1 {
				require.NoError(t, b.call(fine))
			}
			require.NoError(t, b.call(fault))
			b.want(policy.Open)
		})
	})
	t.Run("a server that says no is up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newHalfOpen(t)
			for _, status := range []int{404, 429, 503} {
				require.NoError(t, b.call(transporttest.Reply(status, "no")))
			}
			b.want(policy.Closed)
		})
	})
	t.Run("callers who give up decide nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newHalfOpen(t)
			for range 10 * probes {
				require.ErrorIs(t, b.call(transporttest.Fail(context.Canceled)), context.Canceled)
			}
			b.want(policy.HalfOpen)
		})
	})
	t.Run("a panic below makes room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newHalfOpen(t)
			for range 10 * probes {
				mustPanic(t, func() { _ = b.call(transporttest.Panic("boom")) })
			}
			b.want(policy.HalfOpen)
			require.NoError(t, b.call(fine))
		})
	})
	t.Run("a probe that hangs keeps its place until its lease ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newHalfOpen(t)
			start := time.Now()
			for range probes {
				b.begin()
			}
			time.Sleep(lease - 1)
			b.refused(start.Add(lease))
			b.want(policy.HalfOpen)
			time.Sleep(2 * time.Nanosecond)
			b.refused(time.Now().Add(2 * openFor)) // the hung probe counts as a fault
			b.want(policy.Open)
		})
	})
	t.Run("a probe that ends after its lease is a fault", func(t *testing.T) {
		for after, want := range map[time.Duration]policy.BreakerState{
			lease - 1: policy.Closed,
			lease + 1: policy.Open,
		} {
			synctest.Test(t, func(t *testing.T) {
				b := newHalfOpen(t)
				for range probes - 1 {
					require.NoError(t, b.call(fine))
				}
				last := b.begin()
				time.Sleep(after)
				require.NoError(t, last.Body.Close())
				b.want(want)
			})
		}
	})
}

// A stream that goes on is no probe that hangs, however long it is: a server whose every
// answer takes longer than a lease would never be let back else.
func TestBreakerProbesThatStream(t *testing.T) {
	const openFor, lease, pause = 5 * time.Second, 15 * time.Second, 2 * time.Second
	// read reads n parts of the body of a probe, which come after a pause each.
	read := func(t *testing.T, b *rig, n int) *http.Response {
		b.step = transporttest.Drip(200, ".", pause)
		resp, err := b.rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		t.Cleanup(func() { _ = resp.Body.Close() })
		for range n {
			_, err := resp.Body.Read(make([]byte, 1))
			require.NoError(t, err)
		}
		return resp
	}
	t.Run("closes while they go on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, policy.Breaker{MinCalls: 2, OpenFor: openFor, Probes: 1, ProbeLease: lease})
			b.open(openFor)
			start := time.Now()
			read(t, b, int(lease/pause)+2)
			b.want(policy.Closed)
			assert.Equal(t, start.Add(lease+pause/2), b.Snapshot().Last.At, "the first read after a lease")
		})
	})
	t.Run("opens when one falls silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, policy.Breaker{MinCalls: 2, OpenFor: openFor, Probes: 1, ProbeLease: lease})
			b.open(openFor)
			read(t, b, 3)
			silent := time.Now().Add(-pause) // since when its reader waited last
			b.refused(silent.Add(lease))
			b.want(policy.HalfOpen)
			time.Sleep(lease)
			b.refused(time.Now().Add(2 * openFor))
			b.want(policy.Open)
		})
	})
	t.Run("counts each once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newRig(t, policy.Breaker{MinCalls: 2, OpenFor: openFor, Probes: 2, ProbeLease: lease})
			b.open(openFor)
			require.NoError(t, read(t, b, 2*int(lease/pause)).Body.Close())
			b.want(policy.HalfOpen)
			require.NoError(t, b.call(fine))
			b.want(policy.Closed)
		})
	})
}

// Each time that the probes fail the next ones come later.
func TestBreakerOpenTimeGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{MinCalls: 1, OpenFor: 5 * time.Second, MaxOpenFor: 30 * time.Second, Probes: 1})
		for _, seconds := range []int{5, 10, 20, 30, 30} {
			open := time.Duration(seconds) * time.Second
			require.NoError(t, b.call(fault))
			b.refused(time.Now().Add(open))
			time.Sleep(open - 1)
			b.want(policy.Open)
			time.Sleep(2 * time.Nanosecond)
			b.want(policy.HalfOpen)
		}
		require.NoError(t, b.call(fine))
		b.want(policy.Closed)
		time.Sleep(time.Hour)
		require.NoError(t, b.call(fault))
		b.refused(time.Now().Add(5 * time.Second)) // from the start again
	})
}

// A server that says when to come back is taken at its word, within bounds.
func TestBreakerRetryAfter(t *testing.T) {
	tests := []struct {
		name, retryAfter string
		want             time.Duration
	}{
		{"none", "", 5 * time.Second},
		{"shorter than the open time", "1", 5 * time.Second},
		{"longer", "20", 20 * time.Second},
		{"longer than the greatest", "86400", 60 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newRig(t, policy.Breaker{MinCalls: 1})
				require.NoError(t, b.call(transporttest.Reply(500, "oops", "Retry-After", tt.retryAfter)))
				b.refused(time.Now().Add(tt.want))
				if got := b.changes[0].Until; !got.Equal(time.Now().Add(tt.want)) {
					t.Errorf("Until is in %v, want in %v", time.Until(got), tt.want)
				}
			})
		})
	}
}

// So does the server that a probe asked, though the open time has grown meanwhile.
func TestBreakerRetryAfterOfProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{MinCalls: 1})
		require.NoError(t, b.call(fault))
		time.Sleep(5 * time.Second)
		require.NoError(t, b.call(transporttest.Reply(500, "oops", "Retry-After", "20")))
		b.refused(time.Now().Add(20 * time.Second))
	})
}

func TestBreakerRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{MinCalls: 1})
		require.NoError(t, b.call(fault))
		until := time.Now().Add(5 * time.Second)

		var bodies transporttest.Bodies
		ctx, trail := traced(t)
		req := newRequest(t, ctx, http.MethodPost, "hello")
		resp, err := (&http.Client{Transport: bodies.Wrap(b.rt)}).Do(req)
		if resp != nil || !errors.Is(err, transport.ErrOpen) {
			t.Fatalf("got %v, %v, want transport.ErrOpen", resp, err)
		}
		refusal, ok := errors.AsType[*policy.Refusal](err)
		if !ok || refusal.Layer != "breaker" || refusal.Reason != "breaker_open" || !refusal.RetryAt.Equal(until) {
			t.Errorf("refusal = %+v, want the breaker's until %v", refusal, until)
		}
		if bodies.Requests.Opened() != 1 {
			t.Error("no body was sent")
		}
		bodies.Check(t)
		want := []telemetry.Refused{{At: time.Now(), Layer: "breaker", Reason: "breaker_open", RetryAt: until}}
		if got := trail.Refusals(); !slices.Equal(got, want) || !trail.RetryAt().Equal(until) {
			t.Errorf("the trail has %v and RetryAt %v, want %v", got, trail.RetryAt(), want)
		}
	})
}

// OnTransition may do what it likes, with the breaker, too.
func TestBreakerOnTransition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var (
			breaker *transport.Breaker
			rt      http.RoundTripper
			states  []policy.BreakerState
			values  []any
		)
		upstream := transporttest.NewUpstream(fault, fine)
		breaker = transport.NewBreaker(policy.Breaker{
			MinCalls: 1, Probes: 2, Jitter: -1,
			OnTransition: func(ctx context.Context, tr policy.Transition) {
				states = append(states, breaker.State())
				values = append(values, ctx.Value(key{}))
				_, _, err := get(t, rt)
				if wantErr := tr.To == policy.Open; (err != nil) != wantErr {
					t.Errorf("a call from inside, once %v: error = %v", tr.To, err)
				}
			},
		})
		rt = breaker.Wrap(upstream)
		for i := range 2 {
			_, _, err := send(t, rt, newRequest(t, context.WithValue(t.Context(), key{}, i), http.MethodGet, ""))
			require.NoError(t, err)
			time.Sleep(5 * time.Second)
		}
		// The second call makes it half open; it and the one from inside are the probes.
		if want := []policy.BreakerState{policy.Open, policy.HalfOpen, policy.Closed}; !slices.Equal(states, want) {
			t.Errorf("states inside = %v, want %v", states, want)
		}
		if want := []any{0, 1, 1}; !slices.Equal(values, want) {
			t.Errorf("values of the contexts = %v, want those of the calls, %v", values, want)
		}
	})
}

// State tells the passing of time; only a call makes the breaker act on it.
func TestBreakerStateAfterOpenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newRig(t, policy.Breaker{MinCalls: 1})
		b.open(5 * time.Second)
		time.Sleep(time.Hour)
		b.want(policy.HalfOpen)
		if len(b.changes) != 1 {
			t.Errorf("transitions = %v, want only the opening", b.changes)
		}
	})
}

func TestBreakerSharedByTransports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breaker := transport.NewBreaker(policy.Breaker{MinCalls: 2})
		first := breaker.Wrap(transporttest.NewUpstream(fault))
		second := breaker.Wrap(transporttest.NewUpstream(fault))
		for _, rt := range []http.RoundTripper{first, second} {
			_, _, err := get(t, rt)
			require.NoError(t, err)
		}
		for _, rt := range []http.RoundTripper{first, second} {
			if _, _, err := get(t, rt); !errors.Is(err, transport.ErrOpen) {
				t.Errorf("error = %v, want transport.ErrOpen", err)
			}
		}
	})
}

// Callers at once: the states still follow one another as they must.
func TestBreakerConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type edge struct{ from, to policy.BreakerState }
		var (
			mu      sync.Mutex
			edges   = map[edge]int{}
			breaker *transport.Breaker
		)
		breaker = transport.NewBreaker(policy.Breaker{
			MinCalls: 5, Ratio: 0.3, OpenFor: time.Second, ProbeLease: time.Second,
			OnTransition: func(_ context.Context, tr policy.Transition) {
				_ = breaker.State()
				mu.Lock()
				defer mu.Unlock()
				edges[edge{tr.From, tr.To}]++
			},
		})
		steps := []transporttest.Step{
			fine, fine, fault, transporttest.Cut(200, "hel"), transporttest.Fail(errDial),
			transporttest.After(2*time.Second, fine), transporttest.Reply(429, "slow down"),
		}
		rt := breaker.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
			return steps[rand.IntN(len(steps))](req)
		}))
		var callers sync.WaitGroup
		for range 16 {
			callers.Go(func() {
				for range 200 {
					_, _, _ = get(t, rt)
					time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
				}
			})
		}
		callers.Wait()

		opened := edges[edge{policy.Closed, policy.Open}] + edges[edge{policy.HalfOpen, policy.Open}]
		halved := edges[edge{policy.Open, policy.HalfOpen}]
		closed := edges[edge{policy.HalfOpen, policy.Closed}]
		if len(edges) > 4 || opened == 0 || opened-halved < 0 || opened-halved > 1 || halved < closed {
			t.Errorf("transitions = %v, do not make a path", edges)
		}
	})
}

// TestBreakerCancelInBody: a caller who leaves in the middle of a body is no
// fault, whatever cause he gives.
func TestBreakerCancelInBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Stall(http.StatusOK, "begin"))
		b := transport.NewBreaker(policy.Breaker{MinCalls: 1})
		ctx, cancel := context.WithCancelCause(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://up.test/", http.NoBody)
		require.NoError(t, err)
		resp, err := b.Wrap(upstream).RoundTrip(req)
		require.NoError(t, err)
		time.AfterFunc(time.Second, func() { cancel(errors.New("the user went away")) })
		_, err = io.ReadAll(resp.Body)
		require.Error(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, policy.Closed, b.State())
	})
}

// TestBreakerPanicInOnTransition: a hook that panics takes no probe with it.
func TestBreakerPanicInOnTransition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(
			transporttest.Reply(http.StatusInternalServerError, ""),
			transporttest.Reply(http.StatusOK, ""))
		b := transport.NewBreaker(policy.Breaker{
			MinCalls: 1, Probes: 1, OpenFor: time.Second, Jitter: -1,
			OnTransition: func(_ context.Context, tr policy.Transition) {
				if tr.To == policy.HalfOpen {
					panic("hook")
				}
			},
		})
		var bodies transporttest.Bodies
		rt := bodies.Wrap(b.Wrap(upstream))
		get := func() (*http.Response, error) {
			return rt.RoundTrip(newRequest(t, t.Context(), http.MethodPut, "hello"))
		}
		resp, err := get()
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, policy.Open, b.State())
		time.Sleep(time.Second)
		assert.Panics(t, func() { _, _ = get() })
		resp, err = get()
		require.NoError(t, err, "the probe's place is free again")
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, policy.Closed, b.State())
		bodies.Check(t)
	})
}

// TestBreakerPanicAtBodyEnd: a hook that panics when the body ends keeps nothing
// of what the layers around hold.
func TestBreakerPanicAtBodyEnd(t *testing.T) {
	b := transport.NewBreaker(policy.Breaker{
		MinCalls:     1,
		OnTransition: func(context.Context, policy.Transition) { panic("hook") },
	})
	around := transport.NewLimiter(policy.Limit{InFlight: 1})
	cut := transporttest.Stream(200, []transporttest.Chunk{{Data: "hel", Err: errReset}})
	rt := transport.Chain(transporttest.NewUpstream(cut), around.Wrap, b.Wrap)
	mustPanic(t, func() { _, _, _ = get(t, rt) })
	assert.Equal(t, 0, around.State().InFlight)
	assert.Equal(t, policy.Open, b.State())
}

// TestBreakerPanicAtHeader: nobody gets the response that a hook panics at, so it
// is closed.
func TestBreakerPanicAtHeader(t *testing.T) {
	b := transport.NewBreaker(policy.Breaker{
		MinCalls:     1,
		OnTransition: func(context.Context, policy.Transition) { panic("hook") },
	})
	below := transport.NewLimiter(policy.Limit{InFlight: 1})
	rt := transport.Chain(transporttest.NewUpstream(fault), b.Wrap, below.Wrap)
	mustPanic(t, func() { _, _, _ = get(t, rt) })
	assert.Equal(t, 0, below.State().InFlight)
}

// TestBreakerPanicInClassify: a classifier that panics keeps neither the probe's
// place nor what the layers below hold until the body ends.
func TestBreakerPanicInClassify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		panics := false
		b := newRig(t, policy.Breaker{
			MinCalls: 1, Probes: 1, OpenFor: time.Second,
			Classify: func(o policy.Outcome) policy.Verdict {
				if panics {
					panic("classifier")
				}
				return policy.Classify(o)
			},
		})
		below := transport.NewLimiter(policy.Limit{InFlight: 1})
		b.rt = b.Wrap(below.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) { return b.step(req) })))
		b.open(time.Second)
		panics = true
		mustPanic(t, func() { _ = b.call(fine) })
		panics = false
		assert.Equal(t, 0, below.State().InFlight)
		require.NoError(t, b.call(fine))
		b.want(policy.Closed)
	})
}
