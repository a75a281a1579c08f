package policy

import (
	"net/http"
	"strings"
	"time"
)

// generic reads what is known of any provider, as far as a name or a shape is
// nobody else's.
func (e *envelope) generic(status int) Class {
	if c := e.openAI(0); c != Unknown {
		return c
	}
	if c := e.anthropic(); c != Unknown {
		return c
	}
	switch {
	case len(e.outer.estimatedTime) > 0 && status == http.StatusServiceUnavailable:
		return Overloaded // Hugging Face: the model is being loaded
	case status == http.StatusForbidden && strings.HasPrefix(e.message, "Key limit exceeded"):
		return QuotaExceeded // OpenRouter
	}
	return e.amazon()
}

// amazon reads the errors of Amazon Bedrock, which never answers with a 401, and
// with a 400 to more than wrong requests.
func (e *envelope) amazon() Class {
	switch e.exception {
	case "ThrottlingException":
		return RateLimited
	case "ServiceQuotaExceededException":
		return QuotaExceeded
	case "ExpiredTokenException", "UnrecognizedClientException":
		return Unauthenticated
	case "ModelNotReadyException":
		return Overloaded
	case "ModelTimeoutException":
		return TimedOut
	case "ModelErrorException":
		return Internal
	case "ValidationException":
		if strings.Contains(e.message, "model identifier") {
			return NotFound
		}
	}
	return Unknown
}

// exceptionName returns the name of an error of Amazon's: the header field has it
// before a colon, the body after a number sign.
func exceptionName(h http.Header, kind []byte) string {
	name, _, _ := strings.Cut(firstOf(valueOf(h, "X-Amzn-Errortype"), wordOf(kind)), ":")
	return name[strings.LastIndexByte(name, '#')+1:]
}

// wait returns how long an error body asks to wait: Google's RetryInfo, or the
// seconds until Hugging Face has loaded a model.
func (e *envelope) wait() time.Duration {
	if e.google.wait > 0 {
		return e.google.wait
	}
	wait, _ := parseDelay(jsonText(e.outer.estimatedTime), time.Second)
	return wait
}
