package body

import (
	"context"
	"io"
	"time"
)

// A background is work on a goroutine of its own, for what may block longer than
// anybody wants to wait.
type background struct {
	done     chan struct{} // receives once when the work begins, is closed when it has ended
	panicked any           // what the work panicked with; set before done is closed
}

// startBackground starts the work. It returns once that has begun.
func startBackground(work func()) *background {
	b := &background{done: make(chan struct{}, 1)}
	go func() {
		defer close(b.done)
		defer func() { b.panicked = recover() }()
		b.done <- struct{}{}
		work()
	}()
	<-b.done
	return b
}

// wait waits for the end of the work, for up to limit and while ctx lasts, and
// reports whether it came. A panic of the work is passed on to the caller: on its own
// goroutine nobody could recover it.
func (b *background) wait(ctx context.Context, limit time.Duration) bool {
	if !await(ctx, b.done, limit) {
		return false
	}
	if b.panicked != nil {
		panic(b.panicked)
	}
	return true
}

// await waits until done is closed, for up to limit and while ctx lasts. It
// reports whether that happened.
//
// It looks before it makes a timer, which costs as much as reading a body that has
// come already. To make that first look pay, the reading goroutine sends one value on
// done as it begins: the scheduler runs its receiver next once that goroutine blocks
// or ends, by when it has mostly ended.
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

// closeWithin closes a body and waits for that for up to limit, unless the body was
// read to its end. The close of any other may block: some read on to their end first,
// some wait for a read that is under way.
func closeWithin(rc io.Closer, atEnd bool, limit time.Duration) {
	if atEnd {
		_ = rc.Close()
		return
	}
	startBackground(func() { _ = rc.Close() }).wait(context.Background(), limit)
}
