package transport

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// errLost is why a request that lost to another of its call is cancelled.
var errLost = errors.New("transport: another request of the call was answered first")

// A strand is the context of one of the requests of a call that go side by side.
// It ends with the caller's, until the request has lost: the caller may end his as
// soon as he has what he wanted, and the connection need not go with it.
type strand struct {
	context.Context // its own
	caller          context.Context
	cancel          context.CancelCauseFunc
	unfollow        func() bool
	late            atomic.Bool // it ended because the caller's time is up
}

// newStrand returns a strand with the values of ctx, which comes from caller.
func newStrand(caller, ctx context.Context) *strand {
	s := &strand{caller: caller}
	s.Context, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	s.unfollow = context.AfterFunc(caller, s.follow)
	return s
}

// follow ends the strand as the caller's context did.
func (s *strand) follow() {
	s.late.Store(errors.Is(s.caller.Err(), context.DeadlineExceeded))
	s.cancel(context.Cause(s.caller))
}

// end frees what the strand holds.
func (s *strand) end(cause error) {
	s.unfollow()
	s.cancel(cause)
}

// Deadline returns the caller's.
func (s *strand) Deadline() (deadline time.Time, ok bool) { return s.caller.Deadline() }

// Err tells a caller who left from one whose time is up.
func (s *strand) Err() error {
	err := s.Context.Err()
	if err != nil && s.late.Load() {
		return context.DeadlineExceeded
	}
	return err
}
