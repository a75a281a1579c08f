package policy

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// Gemini is the [Classifier] for Gemini and Vertex AI. The error's status counts
// ("RESOURCE_EXHAUSTED"), then that of HTTP. A limit for the day that is used up,
// and one of zero, is [QuotaExceeded], even though the server names a wait. A wrong
// key comes as a 400, and is [Unauthenticated]. The wait is that of the RetryInfo in
// the body, unless a header field names one.
func Gemini(o Outcome) Verdict { return classify(o, ProviderGemini) }

func (e *envelope) gemini() Class {
	switch jsonText(e.inner.status) {
	case "RESOURCE_EXHAUSTED":
		if e.google.perDay || saysLimitZero(e.inner.message) {
			return QuotaExceeded
		}
		return RateLimited
	case "INVALID_ARGUMENT":
		if e.google.badKey || strings.HasPrefix(e.message, "API key ") {
			return Unauthenticated
		}
		return Invalid
	case "FAILED_PRECONDITION":
		if strings.Contains(e.message, "billing") && !strings.Contains(e.message, "location") {
			return QuotaExceeded
		}
		return Forbidden // the region, as a rule
	case "UNAUTHENTICATED":
		return Unauthenticated
	case "PERMISSION_DENIED":
		return Forbidden
	case "NOT_FOUND":
		return NotFound
	case "DEADLINE_EXCEEDED":
		return TimedOut
	case "CANCELLED":
		return Interrupted
	case "ABORTED":
		return Conflict
	case "INTERNAL":
		return Internal
	}
	return Unknown // UNAVAILABLE among others, which does not say that nothing was done
}

// saysLimitZero reports whether a message says "limit: 0", and no more than that.
// It comes late in long messages, so it is looked for in the whole.
func saysLimitZero(message []byte) bool {
	const zero = "limit: 0"
	for {
		at := bytes.Index(message, []byte(zero))
		if at < 0 {
			return false
		}
		message = message[at+len(zero):]
		if len(message) > 0 && message[0] != '.' && (message[0] < '0' || message[0] > '9') {
			return true
		}
	}
}

// googleDetails are what the details of an error of Google's say. Each is an object
// with members of its own, by which it is known.
type googleDetails struct {
	wait   time.Duration // RetryInfo's
	perDay bool          // QuotaFailure: a limit for the day is used up
	badKey bool          // ErrorInfo
}

func readGoogleDetails(details []byte) (g googleDetails) {
	arrayEnd(details, 0, 0, func(detail []byte) {
		if seconds, ok := strings.CutSuffix(wordOf(member(detail, "retryDelay")), "s"); ok { // google.protobuf.Duration
			wait, _ := parseDelay(seconds, time.Second)
			g.wait = max(g.wait, wait)
		}
		g.badKey = g.badKey || wordOf(member(detail, "reason")) == "API_KEY_INVALID"
		arrayEnd(member(detail, "violations"), 0, 0, func(violation []byte) {
			g.perDay = g.perDay || strings.Contains(wordOf(member(violation, "quotaId")), "PerDay")
		})
	})
	return g
}

// geminiFields are those of a part of a stream of Gemini's: each is an answer as
// generateContent has it. Which is the last nothing says but its finishReason: "If
// empty, the model has not stopped generating tokens". Where the prompt was blocked
// there are no candidates. See ai.google.dev/api/generate-content and, for Vertex AI,
// GenerateContentResponse in its REST reference. Models of 2024 gave each part a
// finishReason: of their streams a cut between two parts is not seen.
type geminiFields struct {
	Candidates     json.RawMessage `json:"candidates"`
	PromptFeedback json.RawMessage `json:"promptFeedback"`
	Usage          json.RawMessage `json:"usageMetadata"`
}

// gemini returns the kind of an event of Gemini's.
func (f *geminiFields) gemini() EventKind {
	var feedback struct {
		BlockReason string `json:"blockReason"`
	}
	switch {
	case isArray(f.Candidates) && string(f.Candidates) != "[]":
		return kindOfCandidates(f.Candidates)
	case isObject(f.PromptFeedback) && json.Unmarshal(f.PromptFeedback, &feedback) == nil && feedback.BlockReason != "":
		return EventEnd
	case isObject(f.Usage) || isObject(f.PromptFeedback):
		return EventStart
	}
	return EventUnknown
}

// kindOfCandidates tells whether candidates have come to their ends, all that there
// is something of here.
func kindOfCandidates(raw json.RawMessage) EventKind {
	var candidates []struct {
		Content struct {
			Parts []json.RawMessage `json:"parts"`
		} `json:"content"`
		FinishReason string `json:"finishReason"`
	}
	if json.Unmarshal(raw, &candidates) != nil {
		return EventOutput // in a way that is not known
	}
	kind := EventStart
	ended := 0
	for _, c := range candidates {
		if c.FinishReason != "" && c.FinishReason != "FINISH_REASON_UNSPECIFIED" {
			ended++
		} else if len(c.Content.Parts) > 0 {
			kind = EventOutput
		}
	}
	if ended == len(candidates) {
		return EventEnd
	}
	return kind
}
