package transport

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// A Live is a stack whose settings can change while it is in use. Calls that are
// under way end by the settings with which they began, those that begin after
// [Live.Apply] has returned go by the new ones, and no call goes by a mixture.
//
// What was found out stays:
//
//   - the state of each breaker, what it has counted and until when it is open or
//     isolated. Only if it counts within another window, or another number of last
//     calls, it counts anew from then on
//   - the requests in flight and the queue of each limit, and what was learnt of the
//     rate. Of the tokens there are at most as many as the new burst
//   - the share that a throttle refuses, if its window is the same
//   - the answers in the cache: if there is less room, those that were asked for
//     again, then the newest
//   - the budget's tokens, how long requests take, for hedges, how the rungs of the
//     ladder compare with the service, if they have the same names, and the figures
//     and events of a [Snapshot]
//   - the health of the endpoints, by name. New ones begin well
//
// Numbers such as thresholds, times and bounds count from the next decision on. What
// a stack has no more is forgotten; a breaker or a limit that is Off is kept in mind
// as long as another of the layers around the same host is not. A stack's own
// [policy.Bucket] is never changed.
//
// A Live has nothing to close and is safe for concurrent use.
type Live struct {
	mu       sync.Mutex
	stack    policy.Stack         // as it was given; guarded by mu, as all below
	assembly *assembly            // of it
	around   []weak.Pointer[live] // the transports that are in use
}

// NewLive returns a Live with the settings of s, or the error that [Build] returns
// for it.
func NewLive(s policy.Stack) (*Live, error) {
	a, err := assemble(s, shared{})
	if err != nil {
		return nil, err
	}
	return &Live{stack: s, assembly: a}, nil
}

// Stack returns the settings that are in force, as they were given.
func (l *Live) Stack() policy.Stack {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stack
}

// Apply puts other settings in force, for all transports that were wrapped and all
// that will be. If s is not valid, all stays as it is, and Apply returns the error
// that [Build] does.
func (l *Live) Apply(s policy.Stack) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, err := assemble(s, l.assembly.shared)
	if err != nil {
		return err
	}
	a.forget(s)
	l.stack, l.assembly = s, a
	for _, rt := range l.wrappedLocked() {
		next := a.around(rt.next)
		inherit(next.servers, rt.chain.Load().servers)
		rt.chain.Store(next)
	}
	return nil
}

// forget lets go of what a stack, as it was given, has no more: were it back one day,
// it would go by what was true long ago.
func (a *assembly) forget(s policy.Stack) {
	if s.Hedge == nil || s.Hedge.Off {
		a.shared.hedge = nil
	}
	if s.Retry.Bucket != nil {
		a.shared.bucket = nil
	}
}

// Wrap is a [Layer]: the whole stack, as [Build] describes it. The transports that it
// wraps share what those of one stack do.
func (l *Live) Wrap(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	rt := &live{next: next}
	rt.chain.Store(l.assembly.around(next))
	l.wrappedLocked() // the list must not grow with those that have gone
	l.around = append(l.around, weak.Make(rt))
	return rt
}

// wrappedLocked returns the transports that somebody has, and forgets the others.
func (l *Live) wrappedLocked() []*live {
	var all []*live
	l.around = slices.DeleteFunc(l.around, func(p weak.Pointer[live]) bool {
		rt := p.Value()
		if rt != nil {
			all = append(all, rt)
		}
		return rt == nil
	})
	return all
}

// live is a stack around one transport.
type live struct {
	next  http.RoundTripper
	chain atomic.Pointer[chain]
}

func (l *live) RoundTrip(req *http.Request) (*http.Response, error) {
	return l.chain.Load().rt.RoundTrip(req)
}

// CloseIdleConnections forwards to the transport below.
func (l *live) CloseIdleConnections() { body.CloseIdle(l.next) }

// Unwrap returns the layers that are in force: see [Inspect].
func (l *live) Unwrap() http.RoundTripper { return l.chain.Load().rt }
