package telemetry

import (
	"context"
	"log/slog"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// The methods and functions below are called by layers, as things happen.

// Answered says where the answer came from. The outermost layer that says so
// has the last word.
func (t *Trail) Answered(ctx context.Context, a Answer) {
	if t == nil || t.branchOf(ctx).keep(a) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended && !t.settled {
		t.answer = a
	}
}

// Waits says that the next attempt comes after a wait, which begins now, because the
// last one ended in class. What was said of an answer that it brought is over.
func (t *Trail) Waits(ctx context.Context, wait time.Duration, class policy.Class) {
	if t == nil {
		return
	}
	t.mu.Lock()
	if b := t.branchOf(ctx); !t.ended {
		t.makeTroubleLocked().waitsLocked(b, wait)
		t.unansweredLocked(b)
	}
	failure := t.failureLocked(class)
	t.mu.Unlock()
	t.recorder.Load().retrying(ctx, wait, failure)
}

// unansweredLocked says that there is no answer, after all.
func (t *Trail) unansweredLocked(b *Branch) {
	if b != nil && !b.chosen {
		b.answer = Answer{}
		return
	}
	if !t.settled {
		t.answer = Answer{}
	}
}

// keepFailureLocked notes the error.type of an attempt; "" is no failure, and leaves
// what was noted before.
func (t *Trail) keepFailureLocked(failure string) {
	if failure != "" {
		t.makeTroubleLocked().failure = failure
	}
}

// failureLocked returns the error.type of an outcome of class that is retried: the reason
// of the last refusal if it is one, else that of the last attempt that failed.
func (t *Trail) failureLocked(class policy.Class) string {
	switch met := t.troubleLocked(); {
	case class == policy.Refused && met.reason != "":
		return met.reason
	case class != policy.Refused && met.failure != "":
		return met.failure
	}
	return classText(class)
}

// Stopped says why the retry layer hands on a failure that could be repeated, which is
// one of [NoBudget] to [NoneLeft], and when a new call makes sense, zero if that is not
// known.
func (t *Trail) Stopped(reason string, retryAt time.Time) {
	if t == nil {
		return
	}
	t.mu.Lock()
	if t.ended {
		t.mu.Unlock()
		return
	}
	met := t.makeTroubleLocked()
	if len(met.notes) < maxKept {
		met.notes = append(met.notes, Note{Layer: layerOfRetry, Reason: reason})
	}
	if !retryAt.IsZero() {
		met.retryAt = retryAt
	}
	function := t.function
	t.mu.Unlock()
	t.recorder.Load().retrySkipped(context.Background(), function, reason)
}

// boundedSkip returns the reason for which a retry was not made, as the value of an
// attribute, which must be from a bounded set.
func boundedSkip(reason string) string {
	switch reason {
	case NoBudget, NoTime, NoPatience, NoReplay, NotSafe, NoneLeft:
		return reason
	}
	return otherError
}

// Refused says that a layer refused the call.
func (t *Trail) Refused(ctx context.Context, r *policy.Refusal) {
	if t == nil {
		return
	}
	t.mu.Lock()
	if !t.ended {
		met := t.makeTroubleLocked()
		if len(met.refusals) < maxKept {
			met.refusals = append(met.refusals, Refused{At: time.Now(), Layer: r.Layer, Reason: r.Reason, RetryAt: r.RetryAt})
		}
		if !r.RetryAt.IsZero() {
			met.retryAt = r.RetryAt
		}
		met.reason = boundedReason(r.Reason)
	}
	function := t.function
	t.mu.Unlock()
	t.recorder.Load().refused(ctx, function, r)
}

// Queued says how long a request waited for a limit before it was let through.
func (t *Trail) Queued(ctx context.Context, wait time.Duration) {
	if t != nil {
		t.recorder.Load().queued(ctx, t.Function(), wait)
	}
}

// What a hedge comes to.
const (
	HedgeWon    = "won"
	HedgeLost   = "lost"   // another request of the call was answered first, or the caller left
	HedgeFailed = "failed" // before there was an answer
)

// Hedged says what a request came to that was sent beside an earlier one: [HedgeWon],
// [HedgeLost] or [HedgeFailed].
func (t *Trail) Hedged(ctx context.Context, outcome string) {
	if t != nil {
		t.recorder.Load().hedged(ctx, t.Function(), outcome)
	}
}

// LookedUp says what a cache lookup came to: "hit", "stale", "miss", "joined" or
// "bypass"; with "refresh" that an answer is fetched behind the caller, and with
// "uncaptured" that the service does not hear of what was asked.
func (t *Trail) LookedUp(ctx context.Context, result string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	if !t.ended && t.looked == "" {
		t.looked = result
	}
	function := t.function
	t.mu.Unlock()
	t.recorder.Load().lookedUp(ctx, function, result)
}

// What the comparison of a rung's answer with the live one comes to.
const (
	Agreed   = "agreed"
	Differed = "differed"
	NoAnswer = "none" // the rung had none
)

// Compared says what the comparison of a rung's answer with the live one came
// to: [Agreed], [Differed] or [NoAnswer].
func (t *Trail) Compared(ctx context.Context, rung, result string) {
	if t != nil {
		t.recorder.Load().compared(ctx, t.Function(), rung, result)
	}
}

// RungFailed says that a rung broke down where it should have answered. The text
// of err must hold nothing of the request.
func (t *Trail) RungFailed(ctx context.Context, rung string, err error) {
	if t != nil {
		t.recorder.Load().rungFailed(ctx, t.Function(), rung, err)
	}
}

// Changed says that the call changed the state of a breaker.
func (t *Trail) Changed(ctx context.Context, tr policy.Transition) {
	if t != nil {
		t.recorder.Load().changed(ctx, t.Function(), tr)
	}
}

// Changed records a change of a breaker's state that no call brought about, as when
// it is isolated by hand: it counts it and logs it the way a trail does. A nil
// logger gets no record.
func Changed(ctx context.Context, logger *slog.Logger, tr policy.Transition) {
	newRecorder(Config{Logger: logger}).changed(ctx, "", tr)
}
