package transport_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// Who waits is let in by priority, then in the order of arrival.
func TestLimiterQueueOrder(t *testing.T) {
	tests := []struct {
		name       string
		priorities []int
		want       []int // indices into priorities
	}{
		{"first come, first served", []int{0, 0, 0, 0}, []int{0, 1, 2, 3}},
		{"higher priority first", []int{0, 1, 2, 3}, []int{3, 2, 1, 0}},
		{"order within a priority", []int{0, 5, 0, 5, -5, 0, 5}, []int{1, 3, 6, 0, 2, 5, 4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDoor(t, policy.Limit{InFlight: 1})
				inside := d.usual()
				var visits []*visit
				for _, p := range tt.priorities {
					visits = append(visits, d.come(priority(t.Context(), p)))
				}
				assert.Equal(t, transport.LimiterState{InFlight: 1, Queued: len(visits), Bound: 1}, d.State())
				var got []int
				for range visits {
					inside.leave()
					i := slices.IndexFunc(visits, func(v *visit) bool { return v.isInside() && !slices.Contains(got, slices.Index(visits, v)) })
					require.GreaterOrEqual(t, i, 0, "nobody was let in")
					got = append(got, i)
					inside = visits[i]
				}
				assert.Equal(t, tt.want, got)
				inside.leave()
				assert.Equal(t, transport.LimiterState{Bound: 1}, d.State())
			})
		})
	}
}

// In a full queue the youngest of the lowest priority makes room for a higher
// one, and for nobody else.
func TestLimiterQueueEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, policy.Limit{InFlight: 1, MaxQueue: 3})
		d.usual()
		older := d.come(priority(t.Context(), 1))
		younger := d.come(priority(t.Context(), 1))
		high := d.come(priority(t.Context(), 2))

		assert.Equal(t, "queue_full", d.come(priority(t.Context(), 1)).refusal().Reason, "of the same priority")
		assert.Equal(t, "queue_full", d.come(priority(t.Context(), 0)).refusal().Reason, "of a lower one")
		assert.False(t, d.come(priority(t.Context(), 2)).isOver(), "of a higher one")
		assert.Equal(t, "queue_full", younger.refusal().Reason)
		assert.False(t, older.isOver())
		assert.False(t, d.come(priority(t.Context(), 2)).isOver(), "of a higher one")
		assert.Equal(t, "queue_full", older.refusal().Reason)
		assert.Equal(t, "queue_full", d.come(priority(t.Context(), 2)).refusal().Reason, "among its like")
		assert.False(t, high.isOver())
		assert.Equal(t, 3, d.State().Queued)
	})
}

// Who was evicted is told when the rate would have had a token for him at the end
// of the queue.
func TestLimiterEvictedRetryAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, policy.Limit{PerSecond: 1, Burst: 1, InFlight: -1, MaxQueue: 2})
		d.usual()
		start := time.Now()
		d.usual()
		evicted := d.usual()
		d.come(priority(t.Context(), 1))
		assert.Equal(t, "queue_full", evicted.refusal().Reason)
		assert.WithinDuration(t, start.Add(2*time.Second), evicted.refusal().RetryAt, 1)
	})
}

func TestLimiterMaxWait(t *testing.T) {
	const maxWait = time.Second
	for _, hold := range []time.Duration{maxWait - 1, maxWait + 1} {
		t.Run(fmt.Sprint(hold), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDoor(t, policy.Limit{InFlight: 1, MaxWait: maxWait})
				inside, waits := d.usual(), d.usual()
				time.Sleep(hold)
				inside.leave()
				if hold < maxWait {
					require.True(t, waits.isInside())
					assert.Equal(t, hold, waits.took())
					waits.leave()
				} else {
					assert.Equal(t, "queue_timeout", waits.refusal().Reason)
					assert.Equal(t, maxWait, waits.took())
				}
				assert.Equal(t, transport.LimiterState{Bound: 1}, d.State())
			})
		})
	}
}

// A caller who gives up while he waits gets his own cause, at once, and takes no
// turn.
func TestLimiterCanceledInQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the user went away")
		d := newDoor(t, policy.Limit{InFlight: 1})
		inside, leaver, next := d.usual(), d.usual(), d.usual()
		time.Sleep(time.Second)
		leaver.cancel(gone)
		synctest.Wait()
		require.ErrorIs(t, leaver.err(), gone)
		assert.NotErrorIs(t, leaver.err(), transport.ErrLimited)
		assert.Equal(t, time.Second, leaver.took())
		assert.Equal(t, 1, d.State().Queued)
		inside.leave()
		assert.True(t, next.isInside())
		next.leave()
		assert.Equal(t, transport.LimiterState{Bound: 1}, d.State())
	})
}

// The turn of a caller who gives up as it comes is the next one's.
func TestLimiterTurnOfOneWhoLeft(t *testing.T) {
	for range 20 { // he may have gone before his turn came
		synctest.Test(t, func(t *testing.T) {
			d := newDoor(t, policy.Limit{InFlight: 1})
			inside, leaver, next := d.usual(), d.usual(), d.usual()
			leaver.cancel(context.Canceled)
			inside.leave() // most likely before he has run
			require.ErrorIs(t, leaver.err(), context.Canceled)
			require.True(t, next.isInside())
			next.leave()
			assert.Equal(t, transport.LimiterState{Bound: 1}, d.State())
		})
	}
}

// Who waits is let in when the bound rises, though nobody has left.
func TestLimiterRisesAtTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, policy.Limit{Adaptive: policy.Adaptive{Initial: 2}}, transporttest.After(time.Second, held))
		d.usual()
		d.usual()
		d.usual()
		assert.Equal(t, transport.LimiterState{InFlight: 2, Queued: 1, Bound: 2}, d.State())
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, transport.LimiterState{InFlight: 3, Bound: 3}, d.State())
	})
}

// A request that nobody waits for any more takes no turn and no token.
func TestLimiterCanceledBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, policy.Limit{PerSecond: 1, Burst: 1, InFlight: 1})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, d.come(ctx).err(), context.Canceled)
		assert.Zero(t, d.upstream.Calls())
		assert.True(t, d.usual().isInside(), "the token is there")
	})
}

// gateModel is a gate with a fixed bound that is too simple to be wrong.
type gateModel struct {
	cfg    policy.Limit
	inside []*modelVisit
	queue  []*modelVisit // in the order of arrival
}

// modelVisit is what should become of a call.
type modelVisit struct {
	priority int
	stays    bool      // else it leaves as soon as it is let in
	expires  time.Time // while it waits
	expiry   string    // the reason then
	isIn     bool
	outcome  string // why it is over; "" if it is not
	at       time.Time
}

func (m *gateModel) come(v *modelVisit, now time.Time) {
	m.queue = append(m.queue, v)
	m.dispatch(now)
	if len(m.queue) > m.cfg.MaxQueue {
		m.worst().end("queue_full", now)
		m.clean()
	}
}

// worst returns the youngest of the lowest priority.
func (m *gateModel) worst() *modelVisit {
	worst := m.queue[0]
	for _, v := range m.queue {
		if v.priority <= worst.priority {
			worst = v
		}
	}
	return worst
}

func (m *gateModel) dispatch(now time.Time) {
	for len(m.inside) < m.cfg.InFlight && len(m.queue) > 0 {
		best := m.queue[0]
		for _, v := range m.queue {
			if v.priority > best.priority {
				best = v
			}
		}
		m.queue = slices.DeleteFunc(m.queue, func(v *modelVisit) bool { return v == best })
		best.isIn, best.at = true, now
		if best.stays {
			m.inside = append(m.inside, best)
		}
	}
}

func (m *gateModel) leave(v *modelVisit, now time.Time) {
	m.inside = slices.DeleteFunc(m.inside, func(o *modelVisit) bool { return o == v })
	m.dispatch(now)
}

// pass lets time pass up to now.
func (m *gateModel) pass(now time.Time) {
	for _, v := range m.queue {
		if !v.expires.After(now) {
			v.end(v.expiry, v.expires)
		}
	}
	m.clean()
}

func (m *gateModel) clean() {
	m.queue = slices.DeleteFunc(m.queue, func(v *modelVisit) bool { return v.outcome != "" })
}

func (v *modelVisit) end(outcome string, at time.Time) { v.outcome, v.at = outcome, at }

// TestLimiterAgainstModel plays random traces of calls that come, go, give up, fail
// and panic on a limiter with a fixed bound and on the model. Who is inside, who
// waits, who was refused, why and when must be the same after each step.
func TestLimiterAgainstModel(t *testing.T) {
	t.Parallel()
	const traces, steps = 400, 60
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	seen := map[string]int{}
	for i := range uint64(traces) {
		synctest.Test(t, func(t *testing.T) {
			trace := newGateTrace(t, rand.New(rand.NewPCG(seed, i)))
			for step := range steps {
				did := trace.step()
				if err := trace.compare(); err != nil {
					t.Fatalf("seed %d, trace %d, step %d: %s: %v", seed, i, step, did, err)
				}
			}
			for _, v := range trace.model {
				seen[v.outcome]++
			}
			trace.finish()
		})
	}
	for _, outcome := range []string{"", "queue_full", "queue_timeout", "deadline", "canceled"} {
		if seen[outcome] < traces {
			t.Errorf("the traces had %d calls that ended in %q, too few to show much", seen[outcome], outcome)
		}
	}
}

// A gateTrace is one run of a limiter beside its model.
type gateTrace struct {
	t      *testing.T
	random *rand.Rand
	door   *door
	gate   *gateModel
	visits []*visit
	model  []*modelVisit
}

func newGateTrace(t *testing.T, random *rand.Rand) *gateTrace {
	cfg := policy.Limit{
		InFlight: 1 + random.IntN(3),
		MaxQueue: 1 + random.IntN(4),
		MaxWait:  time.Duration(1+random.IntN(3)) * time.Second,
	}
	tr := &gateTrace{t: t, random: random, gate: &gateModel{cfg: cfg}}
	tr.door = newDoor(t, cfg, func(req *http.Request) (*http.Response, error) { return stepOf(req)(req) })
	return tr
}

type stepKey struct{}

// stepOf returns what the upstream does with req.
func stepOf(req *http.Request) transporttest.Step {
	return req.Context().Value(stepKey{}).(transporttest.Step)
}

// step does one thing at random to both, and says what.
func (tr *gateTrace) step() string {
	now := time.Now()
	switch tr.random.IntN(10) {
	case 0, 1, 2:
		d := time.Duration(tr.random.Int64N(int64(2 * time.Second)))
		time.Sleep(d)
		synctest.Wait()
		tr.gate.pass(time.Now())
		return fmt.Sprint("waits ", d)
	case 3:
		if len(tr.gate.inside) == 0 {
			break
		}
		v := tr.gate.inside[tr.random.IntN(len(tr.gate.inside))]
		i := slices.Index(tr.model, v)
		tr.gate.leave(v, now)
		tr.visits[i].leave()
		return fmt.Sprintf("%d leaves", i)
	case 4:
		if len(tr.gate.queue) == 0 {
			break
		}
		v := tr.gate.queue[tr.random.IntN(len(tr.gate.queue))]
		i := slices.Index(tr.model, v)
		v.end("canceled", now)
		tr.gate.clean()
		tr.visits[i].cancel(context.Canceled)
		synctest.Wait()
		return fmt.Sprintf("%d gives up", i)
	}
	return tr.come(now)
}

// come makes a call.
func (tr *gateTrace) come(now time.Time) string {
	v := &modelVisit{priority: tr.random.IntN(3), expires: now.Add(tr.gate.cfg.MaxWait), expiry: "queue_timeout"}
	step := []transporttest.Step{held, held, held, transporttest.Fail(errReset), transporttest.Panic("boom"), transporttest.Reply(204, "")}[tr.random.IntN(6)]
	resp, _ := tryStep(step)
	v.stays = resp != nil && resp.Body != http.NoBody
	ctx := context.WithValue(priority(tr.t.Context(), v.priority), stepKey{}, step)
	if tr.random.IntN(3) == 0 {
		// Never at the very moment of the longest wait, when either may come first.
		deadline := time.Duration(1+tr.random.IntN(3))*time.Second - time.Duration(1+tr.random.IntN(1e6))
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, deadline)
		tr.t.Cleanup(cancel)
		if at := now.Add(deadline); at.Before(v.expires) {
			v.expires, v.expiry = at, "deadline"
		}
	}
	tr.model = append(tr.model, v)
	tr.gate.come(v, now)
	tr.visits = append(tr.visits, tr.door.come(ctx))
	return fmt.Sprintf("%d comes, priority %d, stays %v", len(tr.model)-1, v.priority, v.stays)
}

// tryStep returns what a step leads to.
func tryStep(step transporttest.Step) (resp *http.Response, err error) {
	defer func() { _ = recover() }()
	return step(&http.Request{})
}

// compare returns where the limiter and the model differ.
func (tr *gateTrace) compare() error {
	want := transport.LimiterState{InFlight: len(tr.gate.inside), Queued: len(tr.gate.queue), Bound: tr.gate.cfg.InFlight}
	if got := tr.door.State(); got != want {
		return fmt.Errorf("State() = %+v, want %+v", got, want)
	}
	for i, want := range tr.model {
		v := tr.visits[i]
		outcome := v.refusal().Reason
		if errors.Is(v.err(), context.Canceled) {
			outcome = "canceled"
		}
		isIn := v.isOver() && outcome == ""
		if outcome != want.outcome || isIn != want.isIn {
			return fmt.Errorf("call %d was let in: %v, refused: %q, want %v, %q", i, isIn, outcome, want.isIn, want.outcome)
		}
		if v.isOver() && !v.end.Load().at.Equal(want.at) {
			return fmt.Errorf("call %d was decided after %v, want %v", i, v.took(), want.at.Sub(v.began))
		}
	}
	return nil
}

// finish ends what is under way: then nothing is held.
func (tr *gateTrace) finish() {
	for _, v := range tr.visits {
		v.cancel(context.Canceled)
	}
	synctest.Wait()
	for _, v := range tr.visits {
		if v.isInside() {
			v.leave()
		}
	}
	assert.Equal(tr.t, transport.LimiterState{Bound: tr.gate.cfg.InFlight}, tr.door.State(), "in the end")
}
