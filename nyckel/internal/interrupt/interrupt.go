// Package interrupt lets commands end at once, whatever they wait for.
package interrupt

import "context"

// OrEnd returns what f returns, or why ctx ended if that comes first: f may wait for
// somebody who types, for a pipe, or compute at length, and goes on for nobody then. If
// ctx has ended before, f is not called.
func OrEnd[T any](ctx context.Context, f func() (T, error)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := f()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}
