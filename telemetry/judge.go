package telemetry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// peekTime bounds the wait for the beginning of an error body.
const peekTime = 100 * time.Millisecond

// Judge returns the verdict on the outcome of an attempt: resp or err, exactly
// one of which is set. The first layer that asks decides, by classify or by
// [policy.Classify] if that is nil; the trail in the request's context keeps the
// verdict, and every other layer that sees the same outcome gets it. An error
// body is peeked at and stays readable from its start. A good answer whose body was
// found broken by [body.Buffer] is judged by that, whatever was said before. A
// [*policy.Refusal] that is the error itself is decided on as it is, even if time
// ran out or the caller left meanwhile: what was refused was not sent.
func Judge(req *http.Request, resp *http.Response, err error, classify policy.Classifier) policy.Verdict {
	if err == nil && resp.StatusCode < http.StatusBadRequest {
		if broken := body.Broken(resp); broken != nil {
			return JudgeBody(req.Context(), policy.Verdict{Class: policy.OK}, broken)
		}
	}
	t := FromContext(req.Context())
	if v, ok := t.judgementOf(resp, err); ok && (err == nil || req.Context().Err() == nil) {
		return v // once the context has ended the same error may mean something else
	}
	v := decide(req, resp, err, classify)
	if t != nil {
		t.keep(judgement{resp: resp, err: err, verdict: v})
	}
	return v
}

func decide(req *http.Request, resp *http.Response, err error, classify policy.Classifier) policy.Verdict {
	if classify == nil {
		classify = policy.Classify
	}
	if err != nil {
		byError := func(err error) policy.Verdict { return classify(policy.Outcome{Err: err, Now: time.Now()}) }
		if _, ok := err.(*policy.Refusal); ok { //nolint:errorlint // one further in is part of another error
			return byError(err)
		}
		return decideError(req.Context(), err, byError)
	}
	decided := false
	defer func() {
		if !decided { // a panic in classify: nobody gets the response
			_ = resp.Body.Close()
		}
	}()
	outcome := policy.Outcome{Status: resp.StatusCode, Header: resp.Header}
	if resp.StatusCode >= http.StatusBadRequest {
		outcome.Now = time.Now()
		outcome.Body = body.Peek(req.Context(), resp, policy.PeekBytes, peekTime)
	}
	v := classify(outcome)
	decided = true
	return v
}

// JudgeBody returns the verdict on an attempt whose verdict at the header was v
// and whose body ended with err, as a [body.Watcher] is told. A break turns an
// answer into a failure; an error status stays what it is, and an error event in a
// stream is what its verdict says.
func JudgeBody(ctx context.Context, v policy.Verdict, err error) policy.Verdict {
	if err == io.EOF || err == body.ErrAbandoned || v.Class != policy.OK { //nolint:errorlint // they come as they are
		return v
	}
	if event, ok := err.(*policy.StreamError); ok { //nolint:errorlint // it comes as it is
		return event.Verdict
	}
	v = decideError(ctx, err, policy.ClassifyBody)
	v.Executed = policy.Executed
	return v
}

// decideError tells who ended an exchange that ended in err before it asks
// classify: the caller, his deadline, one of our own limits, or the other side.
func decideError(ctx context.Context, err error, classify func(error) policy.Verdict) policy.Verdict {
	if CallerLeft(ctx) {
		return policy.Verdict{Class: policy.Canceled}
	}
	if limit, ok := errors.AsType[*policy.TimeoutError](context.Cause(ctx)); ok {
		return classify(limit)
	}
	v := classify(err)
	switch v.Class {
	case policy.Canceled, policy.Interrupted, policy.Unknown:
		if timeIsUp(ctx) {
			// http.Client.Timeout cancels beside the context, and a deadline may have
			// a cause of its own: neither error says that it was time.
			return policy.Verdict{Class: policy.TimedOut, Again: policy.Anywhere}
		}
		if v.Class == policy.Canceled { // but not by the caller, whom another attempt may serve
			v.Again = policy.Anywhere
		}
	}
	return v
}

// CallerLeft reports whether the caller has given up on a request, of his own
// accord and not for want of time.
func CallerLeft(ctx context.Context) bool {
	if ctx.Err() != context.Canceled || timeIsUp(ctx) {
		return false
	}
	_, limit := errors.AsType[*policy.TimeoutError](context.Cause(ctx))
	return !limit
}

// timeIsUp reports whether the deadline of ctx has passed.
func timeIsUp(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}

// WantsSpare reports whether an outcome with verdict v leaves the caller without
// an answer for a reason that a spare one makes up for: the service cannot
// answer now, and the caller has not left.
func WantsSpare(req *http.Request, err error, v policy.Verdict) bool {
	if CallerLeft(req.Context()) {
		return false
	}
	return v.Class.IsOutage() || err != nil && (v.Class == policy.Unknown || v.Class == policy.Canceled)
}

// A judgement is an outcome and its verdict.
type judgement struct {
	resp    *http.Response
	err     error
	verdict policy.Verdict
}

// maxJudged is how many verdicts a trail remembers.
const maxJudged = 8

func (t *Trail) judgementOf(resp *http.Response, err error) (policy.Verdict, bool) {
	if t == nil {
		return policy.Verdict{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.judged) - 1; i >= 0; i-- {
		if j := &t.judged[i]; j.resp == resp && sameError(j.err, err) {
			return j.verdict, true
		}
	}
	return policy.Verdict{}, false
}

func (t *Trail) keep(j judgement) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	if len(t.judged) == maxJudged {
		t.judged = append(t.judged[:0], t.judged[1:]...)
	}
	t.judged = append(t.judged, j)
}

// sameError compares two errors that may be of a type that cannot be compared.
func sameError(a, b error) bool {
	if a == nil {
		return b == nil
	}
	return reflect.ValueOf(a).Comparable() && a == b //nolint:errorlint // the very same error
}
