package policy

import "context"

type movingDeadlineKey struct{}

// WithMovingDeadline returns a context for a call that several wait for: its
// deadline, that of the one with the most time, is put off when another one joins.
// It is for layers that merge calls. A layer that sees it must not take a deadline
// for one that stays.
func WithMovingDeadline(ctx context.Context) context.Context {
	return context.WithValue(ctx, movingDeadlineKey{}, true)
}

// DeadlineMoves reports whether the deadline of ctx may be put off:
// [WithMovingDeadline] says so.
func DeadlineMoves(ctx context.Context) bool {
	return ctx.Value(movingDeadlineKey{}) != nil
}
