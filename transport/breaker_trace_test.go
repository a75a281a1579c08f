package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// TestBreakerAgainstModel plays random traces of calls, waits and orders on a
// breaker and on the model. They must agree on each refusal, each transition and
// all that a snapshot shows. A trace depends on nothing but the seed and its
// number.
func TestBreakerAgainstModel(t *testing.T) {
	const shards = 8
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for shard := range uint64(shards) {
		t.Run(strconv.FormatUint(shard, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				seen := map[policy.Trigger]int{}
				for i := shard; i < traces; i += shards {
					for _, change := range playTrace(t, seed, i) {
						seen[change.Trigger]++
					}
				}
				for _, trigger := range []policy.Trigger{policy.ByThreshold, policy.ByProbe, policy.ByLease, policy.ByHand, policy.ByExpiry} {
					if seen[trigger] < traces/shards/20 {
						t.Errorf("%d transitions by %s, too few to show much", seen[trigger], trigger)
					}
				}
			})
		})
	}
}

func playTrace(t *testing.T, seed, number uint64) []policy.Transition {
	const steps = 40
	tr := newTrace(t, rand.New(rand.NewPCG(seed, number)))
	defer tr.finish()
	for step := range steps {
		if err := tr.step(); err != nil {
			t.Fatalf("seed %d, trace %d (%+v), step %d: %v", seed, number, tr.model.cfg, step, err)
		}
	}
	return tr.model.changes
}

// A trace is one run of a breaker beside its model.
type trace struct {
	random  *rand.Rand
	model   *model
	breaker *transport.Breaker
	rt      http.RoundTripper
	changes []policy.Transition

	ctx   context.Context
	req   *http.Request
	next  transporttest.Step
	calls []*tracedCall // under way
}

type tracedCall struct {
	model *modelCall
	slow  bool
	resp  *http.Response
	body  *endless
}

func newTrace(t *testing.T, random *rand.Rand) *trace {
	tr := &trace{random: random, ctx: t.Context(), req: newRequest(t, t.Context(), http.MethodGet, "")}
	cfg := tr.settings()
	tr.model = &model{cfg: cfg, random: pick(random, 0, 0.25, 0.5)}
	cfg.Random = fixed(tr.model.random)
	cfg.OnTransition = func(_ context.Context, change policy.Transition) { tr.changes = append(tr.changes, change) }
	tr.breaker = transport.NewBreaker(cfg)
	tr.rt = tr.breaker.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) { return tr.next(req) }))
	return tr
}

func (tr *trace) settings() policy.Breaker {
	cfg := policy.Breaker{
		Ratio:       pick(tr.random, 0.1, 0.33, 0.5, 0.75, 1),
		MinCalls:    1 + tr.random.IntN(6),
		Window:      pick(tr.random, 10*time.Second, 30*time.Second),
		OpenFor:     pick(tr.random, time.Second, 5*time.Second),
		MaxOpenFor:  pick(tr.random, 5*time.Second, 60*time.Second),
		Jitter:      pick(tr.random, -1, 0.5),
		Probes:      1 + tr.random.IntN(4),
		ProbeLease:  pick(tr.random, 2*time.Second, 15*time.Second),
		Patience:    pick(tr.random, -1, 500*time.Millisecond, time.Second),
		MetricsOnly: tr.random.IntN(6) == 0,
	}
	if tr.random.IntN(3) == 0 {
		cfg.LastCalls = cfg.MinCalls + tr.random.IntN(6)
	}
	if tr.random.IntN(2) == 0 {
		cfg.SlowCall, cfg.SlowRatio = time.Second, pick(tr.random, 0.33, 0.5, 1)
	}
	return cfg
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// step does one thing at random to both, and returns where they differ.
func (tr *trace) step() error {
	did, err := tr.act()
	if err != nil {
		return fmt.Errorf("%s: %w", did, err)
	}
	if got, want := tr.breaker.Snapshot(), tr.model.snapshot(time.Now()); got != want {
		return fmt.Errorf("%s: Snapshot() = %+v, want %+v", did, got, want)
	}
	if !slices.Equal(tr.changes, tr.model.changes) {
		return fmt.Errorf("%s: transitions = %+v, want %+v", did, tr.changes, tr.model.changes)
	}
	return nil
}

func (tr *trace) act() (did string, err error) {
	switch n := tr.random.IntN(20); {
	case n < 4:
		return tr.wait(), nil
	case n < 11 && len(tr.calls) > 0:
		return tr.end(tr.random.IntN(len(tr.calls)), outcome(tr.random.IntN(int(declines)))), nil
	case n < 12 && len(tr.calls) > 0:
		return tr.read(tr.calls[tr.random.IntN(len(tr.calls))]), nil
	case n < 14:
		return "begins", tr.begin()
	case n < 15:
		return tr.order(), nil
	}
	o, wait := outcome(tr.random.IntN(int(outcomes))), time.Duration(0)
	if o == fails && tr.random.IntN(3) == 0 {
		wait = time.Duration(1+tr.random.IntN(20)) * time.Second
	}
	return fmt.Sprint("calls with ", o, ", wait ", wait), tr.call(o, wait)
}

func (tr *trace) wait() string {
	d := time.Duration(tr.random.Int64N(int64(4 * time.Second)))
	if tr.random.IntN(10) == 0 {
		d *= 10
	}
	if next := time.Until(tr.model.next()); next > 0 && tr.random.IntN(3) == 0 {
		d = next + time.Duration(tr.random.IntN(3)-1) // a nanosecond either side
	}
	time.Sleep(d)
	return fmt.Sprint("waits ", d)
}

// order gives an order by hand.
func (tr *trace) order() string {
	now, until, reason := time.Now(), time.Time{}, strconv.Itoa(len(tr.changes))
	if d := pick(tr.random, 0, 1, time.Second, 10*time.Second, -time.Second); d != 0 {
		until = now.Add(d)
	}
	switch tr.random.IntN(4) {
	case 0:
		tr.breaker.Isolate(reason, until)
		tr.model.isolate(reason, until, now)
		return fmt.Sprint("isolates until ", until)
	case 1:
		tr.breaker.Observe(reason, until)
		tr.model.observe(reason, until, now)
		return fmt.Sprint("observes until ", until)
	case 2:
		tr.breaker.Close(reason)
		tr.model.closes(reason, now)
		return "closes"
	}
	tr.breaker.Release()
	tr.model.release(now)
	return "releases"
}

// pace returns how long the header takes, and whether that is slow.
func (tr *trace) pace() (takes time.Duration, slow bool) {
	if tr.model.cfg.SlowCall > 0 && tr.random.IntN(2) == 0 {
		takes = tr.model.cfg.SlowCall + time.Duration(tr.random.IntN(3)-1)
	}
	return takes, takes >= time.Second
}

// begin makes a call whose body is under way.
func (tr *trace) begin() error {
	req, body := tr.req, &endless{}
	if tr.random.IntN(4) == 0 {
		ctx, cancel := context.WithTimeout(tr.ctx, time.Duration(tr.random.Int64N(int64(5*time.Second)))+time.Second+1)
		body.ctx, body.cancel = ctx, cancel
		req = req.WithContext(ctx)
	}
	takes, slow := tr.pace()
	tr.next = func(req *http.Request) (*http.Response, error) {
		time.Sleep(takes)
		return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Body: body, Request: req}, nil
	}
	call, refusal, until := tr.model.begin(time.Now())
	resp, err := tr.rt.RoundTrip(req)
	if call != nil && err == nil {
		tr.calls = append(tr.calls, &tracedCall{model: call, slow: slow, resp: resp, body: body})
	} else {
		body.free()
	}
	return differs(call, refusal, until, err)
}

// call makes a call that ends at once.
func (tr *trace) call(o outcome, wait time.Duration) error {
	var want error
	req := tr.req
	takes, slow := tr.pace()
	switch o {
	case succeeds:
		tr.next = transporttest.Reply(204, "")
	case fails:
		tr.next = transporttest.Reply(500, "", "Retry-After", fmt.Sprint(wait.Seconds()))
	case declines:
		tr.next = transporttest.Reply(404, "")
	case gives:
		tr.next, want = transporttest.Fail(context.Canceled), context.Canceled
	case hurries:
		patience := tr.model.cfg.Patience
		takes = max(1, patience+time.Duration(tr.random.IntN(3)-1))
		slow = tr.model.cfg.SlowCall > 0 && takes >= tr.model.cfg.SlowCall
		if patience > 0 && takes >= patience {
			o = fails
		}
		ctx, cancel := context.WithTimeout(tr.ctx, takes)
		defer cancel()
		req = req.WithContext(ctx)
		tr.next, want = transporttest.Fail(context.DeadlineExceeded), context.DeadlineExceeded
	}
	answer := tr.next
	tr.next = func(req *http.Request) (*http.Response, error) {
		if want != nil && req.Context() != tr.ctx {
			<-req.Context().Done()
		} else {
			time.Sleep(takes)
		}
		return answer(req)
	}
	call, refusal, until := tr.model.begin(time.Now())
	_, err := tr.rt.RoundTrip(req)
	if call != nil {
		tr.model.end(call, o, slow, wait, time.Now())
		if errors.Is(err, want) {
			err = nil
		}
	}
	return differs(call, refusal, until, err)
}

// read reads of a body that goes on.
func (tr *trace) read(c *tracedCall) string {
	c.body.err = nil
	tr.model.goesOn(c.model, c.slow, time.Now())
	_, _ = c.resp.Body.Read(make([]byte, 1)) // nothing comes, and no end
	return "reads of a body"
}

// end ends the body of a call that is under way.
func (tr *trace) end(i int, o outcome) string {
	c := tr.calls[i]
	tr.calls = slices.Delete(tr.calls, i, i+1)
	defer c.body.free()
	if o == hurries && c.body.ctx == nil {
		o = gives
	}
	c.body.err = map[outcome]error{
		succeeds: io.EOF, fails: io.ErrUnexpectedEOF, gives: context.Canceled, hurries: context.DeadlineExceeded,
	}[o]
	if o == succeeds && tr.random.IntN(2) == 0 {
		_ = c.resp.Body.Close() // a body that is not read to its end is no failure
		tr.model.end(c.model, o, c.slow, 0, time.Now())
		return "closes a body"
	}
	began, did := time.Now(), fmt.Sprint("ends a body with ", o)
	tr.model.goesOn(c.model, c.slow, began)
	_, _ = io.Copy(io.Discard, c.resp.Body)
	late := c.body.ctx != nil && c.body.ctx.Err() != nil // the caller's deadline is over
	if patience := tr.model.cfg.Patience; o == hurries && patience > 0 && time.Since(began) >= patience {
		o = fails
	} else if o == fails && late {
		o = gives // nobody can tell a break from a deadline that is over
	}
	tr.model.end(c.model, o, c.slow, 0, time.Now())
	return did
}

// finish ends what is under way.
func (tr *trace) finish() {
	for _, c := range tr.calls {
		_ = c.resp.Body.Close()
		c.body.free()
	}
}

// differs compares what became of a call with what the model says.
func differs(call *modelCall, reason string, until time.Time, err error) error {
	refusal, refused := errors.AsType[*policy.Refusal](err)
	switch {
	case call != nil && err != nil:
		return fmt.Errorf("error = %w, want the call let through", err)
	case call == nil && !refused:
		return fmt.Errorf("got %s, want a refusal until %v", fmt.Sprint(err), until)
	case call == nil && (!refusal.RetryAt.Equal(until) || refusal.Reason != reason):
		return fmt.Errorf("refused as %s until %v, want %s until %v", refusal.Reason, refusal.RetryAt, reason, until)
	}
	return nil
}

// endless is a body that gives nothing until it is told how to end. One with a
// context ends in the deadline's own error no sooner than the deadline.
type endless struct {
	err    error
	ctx    context.Context // or nil
	cancel context.CancelFunc
}

func (b *endless) Read([]byte) (int, error) {
	if b.err == context.DeadlineExceeded { //nolint:errorlint // the very same
		<-b.ctx.Done()
	}
	return 0, b.err
}

func (b *endless) Close() error { return nil }

// free frees what the context holds.
func (b *endless) free() {
	if b.cancel != nil {
		b.cancel()
	}
}
