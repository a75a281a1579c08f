package policy

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// An Error is what a caller gets when a call failed for good. It says what is
// known of the failure; the original error is inside, for [errors.Is] and
// [errors.As], which also find an Error inside a *url.Error.
//
// Its text holds no header value, no query and no body, except for the
// provider's own message and request id.
type Error struct {
	// Function is the name of the function that was called, "" if it has none.
	Function string

	// Verdict is the last attempt's.
	Verdict Verdict

	// Status is the status code of the answer, zero if there is none.
	Status int

	// Attempts is how many attempts were made. Zero means that the call was
	// refused before the first.
	Attempts int

	// RetryAt is when a new call makes sense, as far as the server or a layer
	// said so. Zero means that nobody said.
	RetryAt time.Time

	// Err is the transport's error, or nil if the server answered.
	Err error
}

// Error returns one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("sparekey: ")
	if e.Function != "" {
		b.WriteString(e.Function + ": ")
	}
	b.WriteString(e.Verdict.Class.String())
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.Verdict.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Verdict.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %s", inLine(withoutSecrets(e.Err)))
	}
	if notes := e.notes(); notes != "" {
		fmt.Fprintf(&b, " (%s)", notes)
	}
	return b.String()
}

func (e *Error) notes() string {
	var notes []string
	if e.Attempts > 1 {
		notes = append(notes, fmt.Sprintf("%d attempts", e.Attempts))
	}
	if e.Verdict.RequestID != "" {
		notes = append(notes, "request "+e.Verdict.RequestID)
	}
	refusal, refused := errors.AsType[*Refusal](e.Err)
	if !e.RetryAt.IsZero() && (!refused || !refusal.RetryAt.Equal(e.RetryAt)) { // which says so itself
		notes = append(notes, retryAt(e.RetryAt))
	}
	return strings.Join(notes, ", ")
}

// retryAt says when to come back, to the millisecond and not too early.
func retryAt(t time.Time) string {
	if rest := t.Nanosecond() % int(time.Millisecond); rest != 0 {
		t = t.Add(time.Millisecond - time.Duration(rest))
	}
	return "retry at " + t.UTC().Format("2006-01-02T15:04:05.999Z07:00")
}

// inLine puts the lines of a text, such as those of joined errors, into one. What else
// cannot be printed is left out: some of it ends a line, too.
func inLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ReplaceAll(text, "\n", "; "))
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Is matches [context.DeadlineExceeded] if time ran out, whatever error the
// transport had for it.
func (e *Error) Is(target error) bool { return target == context.DeadlineExceeded && e.Timeout() }

// Timeout reports whether the call failed because time ran out, as
// [net.Error] does.
func (e *Error) Timeout() bool { return e.Verdict.Class == TimedOut || isTimeout(e.Err) }

// withoutSecrets returns the text of err with every *url.Error in it taken off, since
// theirs shows the query, and without what net/http quotes of an answer.
func withoutSecrets(err error) string {
	text := withoutQuote(err.Error())
	var inner []error
	switch e := err.(type) { //nolint:errorlint // each error on the way is looked at
	case *url.Error:
		return withoutSecrets(e.Err)
	case interface{ Unwrap() error }:
		inner = append(inner, e.Unwrap())
	case interface{ Unwrap() []error }:
		inner = e.Unwrap()
	}
	for _, err := range inner {
		if err != nil && err.Error() != "" {
			text = strings.ReplaceAll(text, err.Error(), withoutSecrets(err))
		}
	}
	return text
}

// A Refusal is the error of a layer that did not let a request through. The
// request was not sent, and nobody counts it as a failure of the server.
type Refusal struct {
	// Layer is the name of the layer: "breaker", "limiter", "throttle" or
	// "failover", or that of a layer of another module.
	Layer string

	// Reason is one of a closed set of words, fit for a metric's label:
	//
	//	breaker_open       the server is down
	//	breaker_isolated   somebody took the server out of use
	//	concurrency_limit  too many requests are in flight
	//	rate_limit         the rate is used up
	//	deadline           the caller's deadline is too early for the wait
	//	queue_full         too many wait already
	//	queue_timeout      it has waited for as long as it may
	//	throttled          the server turns too many requests away
	//	token              the endpoint's token could not be had
	//	body               the request could not be translated for the endpoint
	Reason string

	// RetryAt is when the layer would let a request through, zero if it cannot
	// tell.
	RetryAt time.Time

	// Err is the sentinel that [errors.Is] matches, for example
	// transport.ErrOpen. May be nil.
	Err error
}

// Error returns the sentinel's text, or the layer and the reason, and when to come
// back.
func (r *Refusal) Error() string {
	text := r.Layer + ": " + r.Reason
	if r.Err != nil {
		text = r.Err.Error()
	}
	if r.RetryAt.IsZero() {
		return text
	}
	return text + ", " + retryAt(r.RetryAt)
}

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// wait returns how long RetryAt is off, at least zero.
func (r *Refusal) wait() time.Duration {
	if r.RetryAt.IsZero() {
		return 0
	}
	return max(0, time.Until(r.RetryAt))
}

// A RequestBodyError is the error of a request whose own body could not be read to
// its end, as when the client hangs up whose upload is handed on. It says nothing of
// the server, whatever Err is: its class is [Unknown], and nobody may repeat it.
type RequestBodyError struct {
	Err error // what the body's Read returned
}

// Error returns the text of Err, and that it is of the request's body.
func (e *RequestBodyError) Error() string { return fmt.Sprint("the request's body: ", e.Err) }

// Unwrap returns Err.
func (e *RequestBodyError) Unwrap() error { return e.Err }

// A TimeoutError says which time limit ended a request. It matches
// [context.DeadlineExceeded], and Timeout reports true, so that callers who
// check for a timeout in the usual ways find it.
type TimeoutError struct {
	// Scope is what the limit is set on: "total" or "attempt" in the standard
	// stack.
	Scope string

	// Phase is the part of the exchange that took too long: "first byte",
	// "idle" or "exchange".
	Phase string

	// Limit is the time that was given.
	Limit time.Duration
}

// Error returns, for example, "sparekey: attempt timeout: first byte exceeded 10s".
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("sparekey: %s timeout: %s exceeded %v", e.Scope, e.Phase, e.Limit)
}

// Timeout returns true.
func (e *TimeoutError) Timeout() bool { return true }

// Temporary returns true. It is there for [net.Error].
func (e *TimeoutError) Temporary() bool { return true }

// Is matches [context.DeadlineExceeded].
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// ErrorOf returns the [Error] inside err, or nil.
func ErrorOf(err error) *Error {
	e, _ := errors.AsType[*Error](err)
	return e
}
