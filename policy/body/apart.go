package body

import (
	"context"
	"io"
	"time"
)

// apart is work on a goroutine of its own, for what may block longer than anybody
// wants to wait.
type apart struct {
	done     chan struct{} // told once when the work begins, closed when it has ended
	panicked any           // what the work panicked with; set when done is closed
}

// setApart starts the work. It returns when that has begun.
func setApart(work func()) *apart {
	a := &apart{done: make(chan struct{}, 1)}
	go func() {
		defer close(a.done)
		defer func() { a.panicked = recover() }()
		a.done <- struct{}{}
		work()
	}()
	<-a.done
	return a
}

// wait waits for the end of the work, for up to limit and while ctx lasts, and
// reports whether it came. A panic is passed on: over there nobody could recover
// it.
func (a *apart) wait(ctx context.Context, limit time.Duration) bool {
	if !await(ctx, a.done, limit) {
		return false
	}
	if a.panicked != nil {
		panic(a.panicked)
	}
	return true
}

// await waits until done is closed, for up to limit and while ctx lasts. It
// reports whether that happened.
//
// A timer costs as much as the reading does of what is there already. So those who
// read first send that they begin: whoever receives it runs next where the reading
// goroutine leaves off, and mostly finds it done.
func await(ctx context.Context, done <-chan struct{}, limit time.Duration) bool {
	select {
	case <-done:
		return true
	default:
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// shut closes a body. One that is not whole yet may be read by somebody, whose read
// ends thereby, and some bodies read on to their end first: the caller goes on
// without them after limit.
func shut(rc io.Closer, whole bool, limit time.Duration) {
	if whole {
		_ = rc.Close()
		return
	}
	setApart(func() { _ = rc.Close() }).wait(context.Background(), limit)
}
