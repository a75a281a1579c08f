package policy

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// A Failure is an error as a response tells it.
type Failure struct {
	// Status is the response's status code.
	Status int

	// Code names the failure in one word: the Reason of a [Refusal], else the
	// [Class].
	Code string

	// Message is for people: one line, at most 300 bytes.
	Message string

	// RequestID is the provider's, "" if no request reached it.
	RequestID string

	// Wait is how long it is until a new call makes sense. Zero means that nobody
	// knows.
	Wait time.Duration
}

// An ErrorBody writes the JSON document with which a provider reports an error. It
// must be safe for concurrent use. The ones here are [OpenAIError],
// [AnthropicError], [AzureError], [GeminiError] and [PlainError].
type ErrorBody func(Failure) []byte

// PlainError writes {"message", "code"}. Nyckel and Cohere report errors in a
// message like this, and what reads neither field keeps the status.
func PlainError(f Failure) []byte {
	return document(struct {
		Message string `json:"message"`
		Code    string `json:"code"`
	}{f.Message, f.Code})
}

// OpenAIError writes {"error": {"message", "type", "param", "code"}}, the form of
// OpenAI and of those that are compatible with it.
func OpenAIError(f Failure) []byte {
	type fields struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    string  `json:"code"`
	}
	return document(struct {
		Error fields `json:"error"`
	}{fields{f.Message, wordFor(f, "rate_limit_error", "service_unavailable_error", "timeout_error", "server_error"), nil, f.Code}})
}

// AnthropicError writes {"type": "error", "error": {"type", "message", "details":
// {"error_code"}}, "request_id"}.
func AnthropicError(f Failure) []byte {
	type details struct {
		ErrorCode string `json:"error_code"`
	}
	type fields struct {
		Type    string  `json:"type"`
		Message string  `json:"message"`
		Details details `json:"details"`
	}
	return document(struct {
		Type      string `json:"type"`
		Error     fields `json:"error"`
		RequestID string `json:"request_id,omitempty"`
	}{"error", fields{
		wordFor(f, "rate_limit_error", "overloaded_error", "timeout_error", "api_error"), f.Message, details{f.Code},
	}, f.RequestID})
}

// AzureError writes {"error": {"code", "message", "innererror": {"code"}}}. The
// outer code is the status, as Azure OpenAI has it; the inner one is the
// failure's.
func AzureError(f Failure) []byte {
	type inner struct {
		Code string `json:"code"`
	}
	type fields struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Inner   inner  `json:"innererror"`
	}
	return document(struct {
		Error fields `json:"error"`
	}{fields{strconv.Itoa(f.Status), f.Message, inner{f.Code}}})
}

// GeminiError writes {"error": {"code", "message", "status", "details"}}, with a
// google.rpc.ErrorInfo and, if the wait is known, a google.rpc.RetryInfo.
func GeminiError(f Failure) []byte {
	type detail struct {
		Type       string `json:"@type"`
		Reason     string `json:"reason,omitempty"`
		Domain     string `json:"domain,omitempty"`
		RetryDelay string `json:"retryDelay,omitempty"`
	}
	type fields struct {
		Code    int      `json:"code"`
		Message string   `json:"message"`
		Status  string   `json:"status"`
		Details []detail `json:"details"`
	}
	all := []detail{{Type: "type.googleapis.com/google.rpc.ErrorInfo", Reason: f.Code, Domain: "sparekey"}}
	if f.Wait > 0 {
		delay := strconv.FormatFloat(f.Wait.Seconds(), 'f', -1, 64) + "s"
		all = append(all, detail{Type: "type.googleapis.com/google.rpc.RetryInfo", RetryDelay: delay})
	}
	status := wordFor(f, "RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL")
	return document(struct {
		Error fields `json:"error"`
	}{fields{f.Status, f.Message, status, all}})
}

// wordFor returns the provider's word for a status.
func wordFor(f Failure, limited, unavailable, timedOut, other string) string {
	switch f.Status {
	case http.StatusTooManyRequests:
		return limited
	case http.StatusServiceUnavailable:
		return unavailable
	case http.StatusGatewayTimeout:
		return timedOut
	}
	return other
}

// document returns v as JSON. No value of the types here fails to marshal.
func document(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// statusOfClass returns the status of a response that stands for an error: a gateway's,
// since the service did not answer.
func statusOfClass(c Class) int {
	switch c {
	case TimedOut:
		return http.StatusGatewayTimeout
	case Refused:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadGateway
}

// status returns the status of a response that stands for a refusal: 429 for a
// rate that is used up, 503 for the rest.
func (r *Refusal) status() int {
	if r.Reason == "rate_limit" {
		return http.StatusTooManyRequests
	}
	return http.StatusServiceUnavailable
}

func refusalOf(err error) *Refusal {
	refusal, _ := errors.AsType[*Refusal](err)
	return refusal
}
