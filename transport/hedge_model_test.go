package transport_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A fate is what becomes of one request of a plan.
type fate struct {
	after  time.Duration
	status int           // of an answer, 0 for an error
	err    error         // if there is no answer
	drags  time.Duration // in the middle of the body
	bars   bool          // it says not to ask again now
}

func (f fate) String() string { return fmt.Sprintf("%d %v after %v", f.status, f.err, f.after) }

// settles reports whether it is the end of a call.
func (f fate) settles() bool { return f.status == 200 || f.status == 404 }

// A plan is a call and what becomes of its requests.
type plan struct {
	delay time.Duration
	max   int
	fates []fate
	leave time.Duration // when the caller leaves, 0 for never
	times bool          // because his time is up
}

func (p plan) String() string {
	return fmt.Sprintf("delay %v, at most %d, %v, caller leaves after %v, by deadline: %v", p.delay, p.max, p.fates, p.leave, p.times)
}

var errRefused = &policy.Refusal{Layer: "breaker", Err: transport.ErrOpen}

// newPlan returns a plan in which no two things happen at once.
func newPlan(random *rand.Rand) plan {
	upTo := func(n time.Duration) time.Duration { return 1 + time.Duration(random.Int64N(int64(n))) }
	p := plan{delay: upTo(100 * time.Millisecond), max: 1 + random.IntN(4)}
	for range p.max + 1 {
		f := choice(random, fate{status: 200}, fate{status: 200}, fate{status: 200, drags: time.Minute}, fate{status: 404},
			fate{status: 500}, fate{status: 500}, fate{status: 502}, fate{status: 503, bars: true}, fate{status: 429, bars: true},
			fate{err: errReset}, fate{err: errDial}, fate{err: errRefused, bars: true})
		f.after = upTo(300 * time.Millisecond)
		p.fates = append(p.fates, f)
	}
	if random.IntN(3) == 0 {
		p.leave, p.times = upTo(300*time.Millisecond), random.IntN(2) == 0
	}
	return p
}

// A result is what a call comes to.
type result struct {
	status int
	err    error
	took   time.Duration // to the header
	calls  int
}

// want returns what p should come to, in the plainest way.
func (p plan) want() result {
	var ends []time.Duration // of the requests that were started; 0 for one that is over
	pending, barred, timer := 0, false, time.Duration(0)
	var firstErr error
	kept := 0
	start := func(now time.Duration) {
		ends = append(ends, now+p.fates[len(ends)].after)
		pending++
		timer = now + p.delay
	}
	for start(0); ; {
		now, next := timer, -1
		for i, end := range ends {
			if end > 0 && (now == 0 || end < now) {
				now, next = end, i
			}
		}
		came := func(status int, err error) result { return result{status, err, now, len(ends)} }
		if p.leave > 0 && p.leave < now {
			now = p.leave
			switch {
			case !p.times:
				return came(0, context.Canceled)
			case kept > 0:
				return came(kept, nil)
			}
			return came(0, context.DeadlineExceeded)
		}
		mayHedge := len(ends) <= p.max
		if next < 0 {
			timer = 0
			if mayHedge && !barred {
				start(now)
			}
			continue
		}
		f := p.fates[next]
		ends[next] = 0
		pending--
		if f.settles() {
			return came(f.status, nil)
		}
		if barred = barred || f.bars; mayHedge && !barred {
			start(now)
		}
		if firstErr == nil {
			firstErr = f.err
		}
		if f.status > 0 {
			kept = f.status
		}
		switch {
		case pending > 0:
		case kept > 0:
			return came(kept, nil)
		default:
			return came(0, firstErr)
		}
	}
}

// once is a body that is to be closed once.
type once struct {
	io.ReadCloser
	closed *atomic.Int64
}

func (b *once) Close() error {
	b.closed.Add(1)
	return b.ReadCloser.Close()
}

// Ten thousand calls at random come to what the plainest reading of the rules says:
// to that answer or error, then, after so many requests. Each request costs a token,
// each body is closed once, and nothing is left behind.
func TestHedgeModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			for range 100 {
				if p := newPlan(random); !p.check(t) {
					t.Fatalf("seed %d: %v", seed, p)
				}
			}
		})
	}
}

// check makes the call and reports whether it comes to what it should.
func (p plan) check(t *testing.T) bool {
	const tokens = 20
	bucket := policy.NewBucket(policy.Budget{Burst: tokens, PerSecond: -1, Ratio: -1})
	h := transport.NewHedge(policy.Hedge{Delay: p.delay, Max: p.max, Ratio: 1, Bucket: bucket})
	payFor(h, 1)
	var mu sync.Mutex
	var opened, closed atomic.Int64
	calls := 0
	rt := h.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
		mu.Lock()
		f := p.fates[calls]
		calls++
		mu.Unlock()
		resp, err := transporttest.After(f.after, f.step())(req)
		if err == nil {
			opened.Add(1)
			resp.Body = &once{resp.Body, &closed}
		}
		return resp, err
	}))
	ctx, cancel := p.context(t.Context())
	defer cancel()
	req := newRequest(t, ctx, http.MethodPut, "question")
	took := elapsed()
	resp, err := rt.RoundTrip(req)
	got := result{err: err, took: took()}
	if err == nil {
		text, err := io.ReadAll(resp.Body)
		if got.status = resp.StatusCode; p.leave == 0 {
			assert.NoError(t, err)
			assert.Equal(t, "fine", string(text))
		}
		assert.NoError(t, resp.Body.Close())
	}
	time.Sleep(time.Second) // losers leave
	synctest.Wait()
	got.calls = calls
	want := p.want()
	ok := assert.True(t, sameError(got.err, want.err), "it came to %v, want %v", got.err, want.err)
	got.err, want.err = nil, nil
	return assert.Equal(t, want, got) && ok &&
		assert.Equal(t, tokens-(calls-1), bucket.Tokens(time.Now())) &&
		assert.Equal(t, opened.Load(), closed.Load())
}

// context returns the context of the call.
func (p plan) context(ctx context.Context) (context.Context, context.CancelFunc) {
	switch {
	case p.leave == 0:
		return ctx, func() {}
	case p.times:
		return context.WithTimeout(ctx, p.leave)
	}
	ctx, cancel := context.WithCancel(ctx)
	time.AfterFunc(p.leave, cancel)
	return ctx, cancel
}

// step plays what is fated.
func (f fate) step() transporttest.Step {
	switch {
	case f.err != nil:
		return transporttest.Fail(f.err)
	case f.drags > 0:
		return transporttest.Stream(f.status, []transporttest.Chunk{{Data: "fi"}, {After: f.drags, Data: "ne"}})
	}
	return transporttest.Stream(f.status, []transporttest.Chunk{{Data: "fine"}})
}

// A crowd of calls at random never has more hedges than the good answers before them
// paid for, whatever becomes of them.
func TestHedgeModelOfTheLeash(t *testing.T) {
	most := 0 // calls after which there were as many as there may be
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 4))
			const ratio = 0.25
			h := transport.NewHedge(policy.Hedge{Delay: 50 * time.Millisecond, Max: 3, Ratio: ratio})
			var mu sync.Mutex
			sent, good, calls := 0, 0, 0
			rt := h.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
				mu.Lock()
				sent++
				f := fate{after: choice(random, 30*time.Millisecond, 30*time.Millisecond, 30*time.Millisecond, 90*time.Millisecond), status: 200}
				if random.IntN(50) == 0 {
					f = newPlan(random).fates[0]
				}
				mu.Unlock()
				return transporttest.After(f.after, f.step())(req)
			}))
			var all sync.WaitGroup
			for range 500 {
				all.Go(func() {
					mu.Lock()
					calls++
					ctx, cancel := t.Context(), func() {}
					if random.IntN(50) == 0 {
						ctx, cancel = newPlan(random).context(ctx)
					}
					mu.Unlock()
					defer cancel()
					resp, err := rt.RoundTrip(newRequest(t, ctx, http.MethodGet, ""))
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						if resp.StatusCode == http.StatusOK {
							good++
						}
						assert.NoError(t, resp.Body.Close())
					}
					hedges, may := sent-calls, int(ratio*float64(good))
					assert.LessOrEqual(t, hedges, may)
					if hedges > 0 && hedges == may {
						most++
					}
				})
				mu.Lock()
				pause := time.Duration(random.Int64N(int64(20 * time.Millisecond)))
				mu.Unlock()
				time.Sleep(pause)
			}
			all.Wait()
			time.Sleep(time.Minute)
		})
	}
	assert.Positive(t, most)
}
