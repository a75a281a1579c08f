package telemetry

import (
	"context"
	"time"
)

// A Branch is one of several requests that a call has under way at the same time, as
// hedges are. What is said of its answer reaches the trail once the branch is chosen.
// All methods work on a nil Branch, which is that of a call without a trail.
type Branch struct {
	trail  *Trail
	hedge  bool
	answer Answer // guarded by the trail's lock, as below
	chosen bool
}

type branchKey struct{}

// NewBranch returns a context for one of several requests of the call in ctx, and the
// branch that it makes; hedge says whether the request is a hedge. Without a trail in
// ctx they are ctx and nil.
func NewBranch(ctx context.Context, hedge bool) (context.Context, *Branch) {
	trail := FromContext(ctx)
	if trail == nil {
		return ctx, nil
	}
	b := &Branch{trail: trail, hedge: hedge}
	return context.WithValue(ctx, branchKey{}, b), b
}

// Chosen says that the caller gets this branch's answer. The others wait no longer.
func (b *Branch) Chosen(ctx context.Context) {
	if b == nil {
		return
	}
	b.trail.mu.Lock()
	b.chosen = true
	b.trail.stopWaitsLocked(time.Now())
	answer := b.answer
	b.trail.mu.Unlock()
	if answer.Source != "" {
		b.trail.Answered(ctx, answer)
	}
}

// branchOf returns the branch of t in ctx, or nil.
func (t *Trail) branchOf(ctx context.Context) *Branch {
	b, _ := ctx.Value(branchKey{}).(*Branch)
	if b == nil || b.trail != t {
		return nil
	}
	return b
}

func (b *Branch) isHedge() bool { return b != nil && b.hedge }

// keep keeps a until the branch is chosen. It reports false if there is no branch or it
// was chosen already: then a is for the trail.
func (b *Branch) keep(a Answer) bool {
	if b == nil {
		return false
	}
	b.trail.mu.Lock()
	defer b.trail.mu.Unlock()
	if b.chosen {
		return false
	}
	b.answer = a
	return true
}
