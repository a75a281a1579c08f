package policy

import (
	"cmp"
	"time"
)

// Responses sets how a stack talks to an SDK above it. SDKs take an error of
// their transport for a lost connection and repeat the request, whatever the
// error says; of a response they look at the status and at x-should-retry. So what
// a stack refuses becomes a response, and every failure says that the stack has
// done what can be done: retries are made in one place. Its zero value is ready to
// use.
type Responses struct {
	// Body writes the body of a response in the form that the SDK reads. Nil
	// means [PlainError].
	Body ErrorBody

	// Errors makes responses of all errors, not of refusals alone: 504 if time ran
	// out, 502 for what else went wrong on the way. Without it the SDK repeats those.
	Errors bool

	// MaxWait is the most that Retry-After says, since some SDKs sleep for as long
	// as they are told and others ignore what is longer. Zero means 60 s, which
	// all of them follow; negative means no bound.
	MaxWait time.Duration

	// Classify decides what an error means. Nil means [Classify].
	Classify Classifier
}

// WithDefaults returns a copy of r with its zero fields filled.
func (r Responses) WithDefaults() Responses {
	r.MaxWait = cmp.Or(r.MaxWait, 60*time.Second)
	if r.Body == nil {
		r.Body = PlainError
	}
	return r
}

// wait bounds what Retry-After says.
func (r Responses) wait(d time.Duration) time.Duration {
	if r.MaxWait > 0 {
		d = min(d, r.MaxWait)
	}
	return max(0, d)
}

// Failure returns what the SDK is told of an error with verdict v, which makes
// sense to repeat at retryAt, or zero if nobody knows. It reports false for an
// error that stays one.
func (r Responses) Failure(err error, v Verdict, retryAt, now time.Time) (Failure, bool) {
	r = r.WithDefaults()
	f := Failure{
		Status:    statusOfClass(v.Class),
		Code:      v.Class.String(),
		Message:   oneLine(withoutSecrets(err)),
		RequestID: v.RequestID,
	}
	if refusal := refusalOf(err); refusal != nil {
		f.Status, f.Code = refusal.status(), refusal.Reason
		if !refusal.RetryAt.IsZero() {
			retryAt = refusal.RetryAt
		}
	} else if !r.Errors {
		return Failure{}, false
	}
	if !retryAt.IsZero() {
		f.Wait = r.wait(retryAt.Sub(now))
	}
	return f, true
}
