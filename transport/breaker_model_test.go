package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// What a call can come to, as a breaker sees it.
type outcome int

const (
	succeeds outcome = iota
	fails
	declines // the server is up, and says no
	gives    // the caller gives up
	outcomes
)

// model is a breaker that is too simple to be wrong: it keeps every call for ever
// and works out the rest.
type model struct {
	cfg   policy.Breaker
	state policy.BreakerState
	calls []*modelCall
	opens int // in a row
	until time.Time

	changes []policy.Transition
}

// modelCall is a call that was let through.
type modelCall struct {
	epoch   int // number of changes before it
	expires time.Time
	probe   bool
	over    bool
	counted bool // and was fault or not
	fault   bool
	at      time.Time // when it was counted
}

// live returns the probes that are under way.
func (m *model) live() []*modelCall {
	var live []*modelCall
	for _, c := range m.calls {
		if c.probe && !c.over && c.epoch == len(m.changes) {
			live = append(live, c)
		}
	}
	return live
}

// begin lets a call through, or says until when not.
func (m *model) begin(now time.Time) (*modelCall, time.Time) {
	if m.state == policy.Open && now.Before(m.until) {
		return nil, m.until
	}
	if m.state == policy.Open {
		m.change(policy.HalfOpen, now, 0)
	}
	if m.expire(now); m.state == policy.Open {
		return nil, m.until
	}
	live := m.live()
	if m.state == policy.HalfOpen && len(live) >= m.cfg.Probes {
		return nil, live[0].expires
	}
	c := &modelCall{epoch: len(m.changes), probe: m.state == policy.HalfOpen, expires: now.Add(m.cfg.ProbeLease)}
	m.calls = append(m.calls, c)
	return c, time.Time{}
}

// expire opens the breaker if a probe has had its time.
func (m *model) expire(now time.Time) {
	for _, c := range m.live() {
		if !now.Before(c.expires) {
			m.change(policy.Open, now, 0)
			return
		}
	}
}

// end counts the outcome of a call.
func (m *model) end(c *modelCall, o outcome, wait time.Duration, now time.Time) {
	if c.epoch != len(m.changes) {
		return
	}
	if m.expire(now); c.epoch != len(m.changes) {
		return
	}
	c.over, c.at = true, now
	c.fault = o == fails
	c.counted = o == succeeds || o == fails || o == declines && c.probe
	if !c.counted {
		return
	}
	if !c.fault {
		wait = 0
	}
	if c.probe {
		m.judgeProbes(c, now, wait)
	} else {
		m.judgeWindow(now, wait)
	}
}

func (m *model) judgeProbes(last *modelCall, now time.Time, wait time.Duration) {
	good := 0
	for _, c := range m.calls {
		if c.counted && c.epoch == last.epoch && !c.fault {
			good++
		}
	}
	switch {
	case last.fault:
		m.change(policy.Open, now, wait)
	case good >= m.cfg.Probes:
		m.change(policy.Closed, now, 0)
	}
}

func (m *model) judgeWindow(now time.Time, wait time.Duration) {
	tenth := int64(m.cfg.Window / 10)
	all, faults := 0, 0
	for _, c := range m.calls {
		if c.counted && c.epoch == len(m.changes) && now.UnixNano()/tenth-c.at.UnixNano()/tenth < 10 {
			all++
			if c.fault {
				faults++
			}
		}
	}
	percent := math.Round(100 * float64(faults) / float64(all))
	if all >= m.cfg.MinCalls && percent >= math.Round(100*m.cfg.Ratio) {
		m.change(policy.Open, now, wait)
	}
}

func (m *model) change(to policy.BreakerState, now time.Time, wait time.Duration) {
	tr := policy.Transition{From: m.state, To: to, At: now}
	switch to {
	case policy.Open:
		open := float64(m.cfg.OpenFor) * math.Pow(2, float64(m.opens))
		open = min(max(open, float64(wait)), float64(m.cfg.MaxOpenFor))
		m.opens++
		m.until = now.Add(time.Duration(open))
		tr.Until = m.until
	case policy.Closed:
		m.opens = 0
	}
	m.state = to
	m.changes = append(m.changes, tr)
}

// next is when something happens by itself, zero if never.
func (m *model) next() time.Time {
	if live := m.live(); len(live) > 0 {
		return live[0].expires
	}
	return m.until
}

// stateAt is what State should say.
func (m *model) stateAt(now time.Time) policy.BreakerState {
	if m.state == policy.Open && !now.Before(m.until) {
		return policy.HalfOpen
	}
	return m.state
}

// TestBreakerAgainstModel plays random traces of calls and waits on a breaker
// and on the model. They must agree on each refusal and on each transition.
func TestBreakerAgainstModel(t *testing.T) {
	t.Parallel()
	const traces, steps = 10_000, 40
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		seen := map[policy.BreakerState]int{}
		for i := range uint64(traces) {
			trace := newTrace(t, rand.New(rand.NewPCG(seed, i)))
			for step := range steps {
				if err := trace.step(); err != nil {
					t.Fatalf("seed %d, trace %d (%+v), step %d: %v", seed, i, trace.model.cfg, step, err)
				}
			}
			for _, tr := range trace.model.changes {
				seen[tr.To]++
			}
			trace.finish()
		}
		for _, state := range []policy.BreakerState{policy.Closed, policy.Open, policy.HalfOpen} {
			if seen[state] < traces/10 {
				t.Errorf("the traces came %d times to %v, too seldom to show much", seen[state], state)
			}
		}
	})
}

// A trace is one run of a breaker beside its model.
type trace struct {
	random  *rand.Rand
	model   *model
	breaker *transport.Breaker
	rt      http.RoundTripper
	changes []policy.Transition

	req   *http.Request
	next  transporttest.Step
	calls []*tracedCall // under way
}

type tracedCall struct {
	model *modelCall
	resp  *http.Response
	body  *endless
}

func newTrace(t *testing.T, random *rand.Rand) *trace {
	pick := func(d ...time.Duration) time.Duration { return d[random.IntN(len(d))] }
	tr := &trace{random: random, req: newRequest(t, t.Context(), http.MethodGet, "")}
	cfg := policy.Breaker{
		Ratio:      []float64{0.1, 0.33, 0.5, 0.75, 1}[random.IntN(5)],
		MinCalls:   1 + random.IntN(6),
		Window:     pick(10*time.Second, 30*time.Second),
		OpenFor:    pick(time.Second, 5*time.Second),
		MaxOpenFor: pick(5*time.Second, 60*time.Second),
		Probes:     1 + random.IntN(4),
		ProbeLease: pick(2*time.Second, 15*time.Second),
	}
	tr.model = &model{cfg: cfg}
	cfg.OnTransition = func(_ context.Context, change policy.Transition) { tr.changes = append(tr.changes, change) }
	tr.breaker = transport.NewBreaker(cfg)
	tr.rt = tr.breaker.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) { return tr.next(req) }))
	return tr
}

// step does one thing at random to both, and returns where they differ.
func (tr *trace) step() error {
	did := ""
	switch n := tr.random.IntN(10); {
	case n < 2:
		d := time.Duration(tr.random.Int64N(int64(4 * time.Second)))
		if tr.random.IntN(10) == 0 {
			d *= 10
		}
		if next := time.Until(tr.model.next()); next > 0 && tr.random.IntN(3) == 0 {
			d = next + time.Duration(tr.random.IntN(3)-1) // a nanosecond either side
		}
		did = fmt.Sprint("waits ", d)
		time.Sleep(d)
	case n < 6 && len(tr.calls) > 0:
		i := tr.random.IntN(len(tr.calls))
		o := []outcome{succeeds, fails, gives}[tr.random.IntN(3)]
		did = fmt.Sprint("ends a body with ", o)
		tr.end(i, o)
	case n < 8:
		did = "begins"
		if err := tr.begin(); err != nil {
			return err
		}
	default:
		o, wait := outcome(tr.random.IntN(int(outcomes))), time.Duration(0)
		if o == fails && tr.random.IntN(3) == 0 {
			wait = time.Duration(1+tr.random.IntN(20)) * time.Second
		}
		did = fmt.Sprint("calls with ", o, ", wait ", wait)
		if err := tr.call(o, wait); err != nil {
			return err
		}
	}
	if got, want := tr.breaker.State(), tr.model.stateAt(time.Now()); got != want {
		return fmt.Errorf("%s: State() = %v, want %v", did, got, want)
	}
	if !slices.Equal(tr.changes, tr.model.changes) {
		return fmt.Errorf("%s: transitions = %v, want %v", did, tr.changes, tr.model.changes)
	}
	return nil
}

// begin makes a call whose body is under way.
func (tr *trace) begin() error {
	body := &endless{}
	tr.next = func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Body: body, Request: req}, nil
	}
	call, until := tr.model.begin(time.Now())
	resp, err := tr.rt.RoundTrip(tr.req)
	if call != nil && err == nil {
		tr.calls = append(tr.calls, &tracedCall{model: call, resp: resp, body: body})
	}
	return differs(call, until, err)
}

// call makes a call that ends at once.
func (tr *trace) call(o outcome, wait time.Duration) error {
	var want error
	switch o {
	case succeeds:
		tr.next = transporttest.Reply(204, "")
	case fails:
		tr.next = transporttest.Reply(500, "", "Retry-After", fmt.Sprint(wait.Seconds()))
	case declines:
		tr.next = transporttest.Reply(404, "")
	case gives:
		tr.next, want = transporttest.Fail(context.Canceled), context.Canceled
	}
	call, until := tr.model.begin(time.Now())
	_, err := tr.rt.RoundTrip(tr.req)
	if call != nil {
		tr.model.end(call, o, wait, time.Now())
		if errors.Is(err, want) {
			err = nil
		}
	}
	return differs(call, until, err)
}

// end ends the body of a call that is under way.
func (tr *trace) end(i int, o outcome) {
	c := tr.calls[i]
	tr.calls = slices.Delete(tr.calls, i, i+1)
	tr.model.end(c.model, o, 0, time.Now())
	c.body.err = map[outcome]error{succeeds: io.EOF, fails: io.ErrUnexpectedEOF, gives: context.Canceled}[o]
	if o == succeeds && tr.random.IntN(2) == 0 {
		_ = c.resp.Body.Close() // a body that is not read to its end is no failure
		return
	}
	_, _ = io.Copy(io.Discard, c.resp.Body)
}

// finish ends what is under way.
func (tr *trace) finish() {
	for _, c := range tr.calls {
		_ = c.resp.Body.Close()
	}
}

// differs compares what became of a call with what the model says.
func differs(call *modelCall, until time.Time, err error) error {
	refusal, refused := errors.AsType[*policy.Refusal](err)
	switch {
	case call != nil && err != nil:
		return fmt.Errorf("error = %w, want the call let through", err)
	case call == nil && !refused:
		return fmt.Errorf("got %s, want a refusal until %v", fmt.Sprint(err), until)
	case call == nil && !refusal.RetryAt.Equal(until):
		return fmt.Errorf("refused until %v, want %v", refusal.RetryAt, until)
	}
	return nil
}

// endless is a body that gives nothing until it is told how to end.
type endless struct{ err error }

func (b *endless) Read([]byte) (int, error) { return 0, b.err }
func (b *endless) Close() error             { return nil }
