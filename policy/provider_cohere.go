package policy

import (
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
