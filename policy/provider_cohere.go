package policy

import (
	"encoding/json"
	"net/http"
	"strings"
)

// Cohere is the [Classifier] for Cohere, whose errors have a message only. A 429
// for the calls of a month is [QuotaExceeded]; a 498, for words on a list of what
// must not be said, is [Filtered]; a 499 is [Interrupted].
func Cohere(o Outcome) Verdict { return classify(o, ProviderCohere) }

func (e *envelope) cohere(status int) Class {
	const (
		statusDenied    = 498
		statusCancelled = 499
	)
	switch {
	case status == http.StatusTooManyRequests && strings.Contains(e.message, "calls / month"):
		return QuotaExceeded
	case status == statusDenied:
		return Filtered
	case status == statusCancelled:
		return Interrupted
	}
	return Unknown
}

// cohereFields are those of an event of Cohere's chat. In version 2 it has a type, and
// what it brings is its delta; in version 1 it has an event_type and no delta, and is
// an event at all if the request accepts an event stream. The last one says why it is:
// ERROR, TIMEOUT and ERROR_TOXIC are failures, the other reasons are not. See
// docs.cohere.com/v2/docs/streaming, docs.cohere.com/v1/docs/streaming, and for the
// reasons the types of Cohere's own SDKs.
type cohereFields struct {
	EventType    json.RawMessage `json:"event_type"`
	FinishReason json.RawMessage `json:"finish_reason"`
	Delta        json.RawMessage `json:"delta"`
}

// cohere returns the kind of an event of Cohere's, which has a name in version 2, and
// the verdict if it is an error.
func (f *cohereFields) cohere(name string) (EventKind, Verdict) {
	var delta struct {
		Message      json.RawMessage `json:"message"`
		FinishReason json.RawMessage `json:"finish_reason"`
		Error        json.RawMessage `json:"error"`
	}
	if isObject(f.Delta) {
		_ = json.Unmarshal(f.Delta, &delta) // it is valid
	}
	kind := EventUnknown
	switch name {
	case "message-start":
		kind = EventStart
	case "content-delta", "tool-plan-delta", "tool-call-delta":
		kind = EventOutput
	case "message-end":
		return cohereEnd(jsonText(delta.FinishReason), jsonText(delta.Error))
	}
	if kind != EventUnknown && isObject(delta.Message) {
		return kind, Verdict{}
	}
	switch jsonText(f.EventType) {
	case "stream-start", "search-queries-generation", "search-results":
		return EventStart, Verdict{}
	case "text-generation", "citation-generation", "tool-calls-chunk", "tool-calls-generation":
		return EventOutput, Verdict{}
	case "stream-end":
		return cohereEnd(jsonText(f.FinishReason), "")
	}
	return EventUnknown, Verdict{}
}

// cohereFailure returns the verdict on the data of a last event that tells of an
// error, and reports whether it is one.
func cohereFailure(data []byte) (Verdict, bool) {
	var f eventFields
	if json.Unmarshal(data, &f) != nil {
		return Verdict{}, false
	}
	kind, v := f.cohere(jsonText(f.Type))
	return v, kind == EventError
}

// cohereEnd returns what the last event of a stream comes to that says why it ends,
// and maybe what went wrong.
func cohereEnd(reason, message string) (EventKind, Verdict) {
	var v Verdict
	switch strings.ToUpper(reason) {
	case "ERROR":
		v = meaning(Internal)
	case "TIMEOUT":
		v = meaning(TimedOut)
	case "ERROR_TOXIC":
		v = meaning(Filtered)
	default:
		if message == "" {
			return EventEnd, Verdict{}
		}
		v = meaning(Internal)
	}
	v.Code, v.Message = oneLine(reason), oneLine(message)
	return EventError, v
}
