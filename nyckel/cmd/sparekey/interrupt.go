package main

import "context"

// orEnd returns what f returns, or why ctx ended if that comes first: f may wait for
// somebody who types, or for a pipe, and goes on for nobody then.
func orEnd[T any](ctx context.Context, f func() (T, error)) (T, error) {
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
		var none T
		return none, context.Cause(ctx)
	}
}

// atOnce returns a command that ends when ctx does, whatever it is about.
func atOnce(run func(*program, context.Context, []string) error) func(*program, context.Context, []string) error {
	return func(p *program, ctx context.Context, args []string) error {
		_, err := orEnd(ctx, func() (struct{}, error) { return struct{}{}, run(p, ctx, args) })
		return err
	}
}
