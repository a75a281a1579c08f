package policy

import "strings"

// Anthropic is the [Classifier] for Anthropic. The error's type counts, then the
// status. A spend limit that is reached comes as a 429 of the type of rate limits,
// and credit that is used up as a 400 of the type of wrong requests: both are
// [QuotaExceeded]. A conflict may be asked again.
func Anthropic(o Outcome) Verdict { return classify(o, ProviderAnthropic) }

func (e *envelope) anthropic() Class {
	if c := e.named(anthropicName); c != Unknown {
		return c
	}
	if jsonText(e.inner.kind) == "invalid_request_error" &&
		(strings.HasPrefix(e.message, "You have reached your specified ") || strings.Contains(e.message, "credit balance")) {
		return QuotaExceeded
	}
	return Unknown
}

func anthropicName(name string) Class {
	switch name {
	case "enforced_spend_limit_reached", "billing_error":
		return QuotaExceeded
	case "rate_limit_error":
		return RateLimited
	case "overloaded_error":
		return Overloaded
	case "authentication_error":
		return Unauthenticated
	case "permission_error":
		return Forbidden
	case "not_found_error":
		return NotFound
	case "conflict_error":
		return Conflict
	case "request_too_large":
		return Invalid
	case "timeout_error":
		return TimedOut
	}
	return Unknown
}
