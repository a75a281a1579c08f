package outage

import (
	"context"
	"net/http"
	"testing"          //nolint:depguard // nothing is tested, but a bubble wants a test
	"testing/synctest" //nolint:depguard // the only clock that the timers of the layers go by
	"time"

	"github.com/sparekey/sparekey/transport/transporttest"
)

// A clock is how time passes in a run: in a bubble of package synctest, whose clock is
// the only one that the timers of the layers can be made to go by. It stands still while
// anybody has something to do. So what becomes of a call depends on the seed and not on
// how busy the machine is, and equal runs have equal figures.
type clock struct {
	// asks are what those outside want done inside, between two moments.
	asks chan func()

	over chan struct{} // closed when the run is
}

// step is how far time goes before those outside are attended to.
const step = 20 * time.Millisecond

// aftermath is how far time goes on when f has returned, which takes none outside: a
// cache may still renew answers behind the backs of callers who have left.
const aftermath = time.Hour

func newClock() *clock { return &clock{asks: make(chan func()), over: make(chan struct{})} }

// A serveFunc starts a server that lasts as long as the run, and returns the transport
// to it. Its connections are in memory: to wait for any other would stop the clock.
type serveFunc func(http.Handler) *http.Transport

// run calls f in virtual time and returns when it has. That time begins with the
// second that it is now, and passes no faster than time does unless fast is set. When
// ctx ends, the context that f is given ends too, at the next step.
func (c *clock) run(ctx context.Context, fast bool, f func(context.Context, serveFunc)) {
	begin := time.Now()
	elapsed := make(chan time.Duration)
	if fast {
		close(elapsed)
	} else {
		go c.tell(elapsed, begin)
	}
	go func() { // so that a bubble that fails takes this goroutine with it, not the program's
		defer close(c.over)
		synctest.Test(new(testing.T), func(t *testing.T) {
			time.Sleep(time.Until(begin.Round(0).Truncate(time.Second)))
			inner, cancel := context.WithCancel(context.Background()) // to wait for ctx here would stop the clock
			defer cancel()
			done := make(chan struct{})
			go func() {
				defer close(done)
				f(inner, func(h http.Handler) *http.Transport { return transporttest.NewServer(t, h).Transport() })
			}()
			c.pace(ctx, cancel, elapsed, done)
			time.Sleep(aftermath)
		})
	}()
	<-c.over
}

// tell tells again and again how much time has gone by outside.
func (c *clock) tell(elapsed chan<- time.Duration, begin time.Time) {
	ticker := time.NewTicker(step / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-c.over:
			return
		}
		select {
		case elapsed <- time.Since(begin):
		case <-c.over:
			return
		}
	}
}

// pace lets time pass step by step until done is closed. In between it waits until as
// much time has gone by outside, unless nobody tells, and does what is asked for.
func (c *clock) pace(ctx context.Context, cancel func(), elapsed <-chan time.Duration, done <-chan struct{}) {
	begin, ended := time.Now(), ctx.Done()
	for {
		select {
		case <-done:
			return
		case <-time.After(step):
		}
		for early := true; early; {
			select {
			case outside, told := <-elapsed:
				early = told && outside < time.Since(begin)
			case ask := <-c.asks:
				ask()
			case <-ended:
				cancel()
				ended = nil
			}
		}
	}
}

// within calls f inside, between two moments. It reports false if the run is over.
func (c *clock) within(f func()) bool {
	did := make(chan struct{})
	select {
	case c.asks <- func() { f(); close(did) }:
		<-did
		return true
	case <-c.over:
		return false
	}
}
