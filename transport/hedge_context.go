package transport

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// errLost is why a request that lost to another of its call is cancelled. To those who judge
// it is a cancellation.
var errLost = fmt.Errorf("transport: another request of the call was answered first: %w", context.Canceled)

// A hedgeContext is the context of one of the requests of a call that go side by side.
// It ends with the caller's, but no longer follows that once the request has lost: the
// caller may cancel his as soon as he has his answer, and the loser's connection need
// not be closed for that.
type hedgeContext struct {
	context.Context // its own
	caller          context.Context
	cancel          context.CancelCauseFunc
	unfollow        func() bool
	late            atomic.Bool  // it ended because the caller's time is up
	lost            atomic.Bool  // it no longer follows the caller's
	queued          atomic.Int64 // how often it waits in a limiter's queue
}

type hedgeKey struct{}

// Value returns the context for its key.
func (c *hedgeContext) Value(key any) any {
	if key == (hedgeKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// newHedgeContext returns a context with the values of ctx, which is derived from caller.
func newHedgeContext(caller, ctx context.Context) *hedgeContext {
	c := &hedgeContext{caller: caller}
	c.Context, c.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	c.unfollow = context.AfterFunc(caller, c.follow)
	return c
}

// follow ends the context as the caller's has ended.
func (c *hedgeContext) follow() {
	c.late.Store(errors.Is(c.caller.Err(), context.DeadlineExceeded))
	c.cancel(context.Cause(c.caller))
}

// end frees what the context holds.
func (c *hedgeContext) end(cause error) {
	c.unfollow()
	c.cancel(cause)
}

// Deadline returns the caller's, which is nothing to a request that has lost.
func (c *hedgeContext) Deadline() (deadline time.Time, ok bool) {
	if c.lost.Load() {
		return time.Time{}, false
	}
	return c.caller.Deadline()
}

// Err is [context.DeadlineExceeded] if the caller's time was up, which the context inside,
// ended by its cancel func, would not say.
func (c *hedgeContext) Err() error {
	err := c.Context.Err()
	if err != nil && c.late.Load() {
		return context.DeadlineExceeded
	}
	return err
}
