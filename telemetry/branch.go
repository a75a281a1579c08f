package telemetry

import (
	"context"
	"time"
)

// A Branch is one of the requests that a call has under way beside each other, as
// hedges are. Where its answer came from counts once it is chosen. All methods
// work on a nil Branch, which is of a call without a trail.
type Branch struct {
	trail  *Trail
	hedge  bool
	answer Answer // guarded by the trail's lock, as below
	chosen bool
}

type branchKey struct{}

// NewBranch returns a context for one request of several of the call in ctx, and
// the branch that goes by it. It says whether the request is a hedge.
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

// keep keeps a for when the branch is chosen, and reports whether it may be.
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
