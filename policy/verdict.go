package policy

import (
	"net/http"
	"time"
)

// Again says who may be asked again after an attempt.
type Again uint8

const (
	// Nobody: asking again gives the same outcome anywhere.
	Nobody Again = iota
	// Elsewhere: another endpoint or other credentials may do better, the same
	// ones will not.
	Elsewhere
	// Anywhere: the same endpoint may do better, too.
	Anywhere
)

// String returns "nobody", "elsewhere" or "anywhere".
func (a Again) String() string {
	switch a {
	case Elsewhere:
		return "elsewhere"
	case Anywhere:
		return "anywhere"
	}
	return "nobody"
}

// Execution says whether the server processed a request, and so may have
// changed something or billed it.
type Execution uint8

const (
	// MaybeExecuted: nobody can tell.
	MaybeExecuted Execution = iota
	// NotExecuted: surely not. Such a request may be repeated whatever its method.
	NotExecuted
	// Executed: surely.
	Executed
)

// String returns "maybe", "no" or "yes".
func (e Execution) String() string {
	switch e {
	case NotExecuted:
		return "no"
	case Executed:
		return "yes"
	}
	return "maybe"
}

// A Verdict is what the outcome of one attempt means. It is decided once, by a
// [Classifier], and used by every layer.
type Verdict struct {
	// Class says what happened.
	Class Class

	// Again says who may be asked again. A server that forbids retries
	// (x-should-retry: false) makes it Nobody; one that invites them (true) makes it
	// Anywhere, unless its body says that a quota is used up.
	Again Again

	// Executed says whether the request may have been processed.
	Executed Execution

	// Wait is how long the server asked to wait before the next request. Zero
	// means that it did not say, or said "now".
	Wait time.Duration

	// Code and Message are the provider's own, from its error body. Message is
	// at most 300 bytes, on one line.
	Code, Message string

	// RequestID is the provider's id of the request, if it sent one.
	RequestID string
}

// String returns what we say of the outcome, for example "overloaded, anywhere,
// maybe". The provider's own words are left out, since they may repeat what was
// asked.
func (v Verdict) String() string {
	text := v.Class.String() + ", " + v.Again.String() + ", " + v.Executed.String()
	if v.Wait > 0 {
		text += ", wait " + v.Wait.String()
	}
	return text
}

// An Outcome is what one attempt came to: a response or an error.
type Outcome struct {
	// Status is the status code, zero if no response came.
	Status int

	// Header is the response's. A classifier only reads it.
	Header http.Header

	// Body is the beginning of the body of a response with a status of 400 or
	// more, as sent; at most [PeekBytes].
	Body []byte

	// Err is the transport's error, or the error that ended the body.
	Err error

	// Now is the time from which a wait that the server gave as a date counts, if the
	// response has no Date of its own. It must be set where that can be.
	Now time.Time
}

// PeekBytes is how much of an error body a [Classifier] gets to see: 4 KiB.
const PeekBytes = 4 << 10

// A Classifier decides what an outcome means. It must be safe for concurrent
// use and must not keep or change what it is given.
type Classifier func(Outcome) Verdict
