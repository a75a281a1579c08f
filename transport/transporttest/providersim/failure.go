package providersim

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// A failure is a reason for an answer other than 200.
type failure string

const (
	unauthenticated failure = "unauthenticated"
	invalid         failure = "invalid"
	quotaExceeded   failure = "quota_exceeded"
	rateLimited     failure = "rate_limited"
	overloaded      failure = "overloaded"
	internal        failure = "internal"
)

// statusOverloaded is Anthropic's.
const statusOverloaded = 529

// An object is a JSON object.
type object = map[string]any

// A refusal is how a provider words a failure.
type refusal struct {
	status     int
	kind, code string // in the words of the envelope; "" is null
	message    string
	detail     string // Anthropic's details.error_code
	saysWhen   bool   // it comes with the time to come back
}

// openAI are the words of OpenAI, and but for the codes of Azure.
var openAI = map[failure]refusal{
	unauthenticated: {status: 401, kind: "invalid_request_error", code: "invalid_api_key", message: "Incorrect API key provided."},
	invalid:         {status: 400, kind: "invalid_request_error", message: "We could not parse the JSON body of your request."},
	quotaExceeded: {
		status: 429, kind: "insufficient_quota", code: "insufficient_quota",
		message: "You exceeded your current quota, please check your plan and billing details.",
	},
	rateLimited: {status: 429, kind: "requests", code: "rate_limit_exceeded", message: "Rate limit reached for requests.", saysWhen: true},
	overloaded: {
		status: 503, kind: "service_unavailable_error", code: "server_is_overloaded",
		message: "The server is overloaded.", saysWhen: true,
	},
	internal: {status: 500, kind: "server_error", message: "The server had an error while processing your request."},
}

var azure = map[failure]string{unauthenticated: "401", rateLimited: "429", quotaExceeded: "insufficient_quota", overloaded: "503", internal: "500"}

var anthropic = map[failure]refusal{
	unauthenticated: {status: 401, kind: "authentication_error", message: "invalid x-api-key"},
	invalid:         {status: 400, kind: "invalid_request_error", message: "The request body is not valid JSON."},
	quotaExceeded: {
		status: 429, kind: "rate_limit_error", detail: "enforced_spend_limit_reached",
		message: "You have reached your spend limit.",
	},
	rateLimited: {status: 429, kind: "rate_limit_error", message: "This request would exceed your rate limit.", saysWhen: true},
	overloaded:  {status: statusOverloaded, kind: "overloaded_error", message: "Overloaded"},
	internal:    {status: 500, kind: "api_error", message: "Internal server error"},
}

var nyckel = map[failure]refusal{
	unauthenticated: {status: 401, message: "Unauthorized."},
	invalid:         {status: 400, message: "The body is not valid JSON."},
	quotaExceeded:   {status: 402, message: "The monthly quota of your plan is used up."},
	rateLimited:     {status: 429, message: "Too many requests: the per-account rate limit."},
	overloaded:      {status: 503, message: "The service is unavailable.", saysWhen: true},
	internal:        {status: 500, message: "An internal error occurred."},
}

// refusal returns the words for the exchange's failure.
func (x *exchange) refusal() refusal {
	switch x.s.cfg.Dialect {
	case Anthropic:
		return anthropic[x.failure]
	case Nyckel:
		return nyckel[x.failure]
	case Azure:
		r := openAI[x.failure]
		r.code = azure[x.failure]
		return r
	}
	return openAI[x.failure]
}

// fail sends the failure.
func (x *exchange) fail() {
	r := x.refusal()
	if r.saysWhen {
		x.sayWhen()
	}
	x.send(r.status, x.envelope(r))
}

// envelope returns the error body.
func (x *exchange) envelope(r refusal) object {
	switch x.s.cfg.Dialect {
	case Nyckel:
		return object{"message": r.message}
	case Anthropic:
		inner := object{"type": r.kind, "message": r.message}
		if r.detail != "" {
			inner["details"] = object{"error_code": r.detail}
		}
		return object{"type": "error", "error": inner, "request_id": x.id("req_")}
	}
	inner := object{"message": r.message, "type": r.kind, "param": nil, "code": nil}
	if r.code != "" {
		inner["code"] = r.code
	}
	return object{"error": inner}
}

// sayWhen tells when to come back: when the bucket has room, else in a second.
func (x *exchange) sayWhen() {
	after := x.standing.retry
	if after == 0 {
		after = time.Second
	}
	h := x.w.Header()
	h.Set("Retry-After", wholeSeconds(after))
	if x.s.cfg.Dialect == OpenAI || x.s.cfg.Dialect == Azure {
		h.Set("Retry-After-Ms", strconv.FormatInt(after.Milliseconds(), 10))
	}
}

// fields sets what every answer says: its id and how the limit stands.
func (x *exchange) fields() {
	h := x.w.Header()
	name, reset := "X-Ratelimit-%s-Requests", ""
	switch x.s.cfg.Dialect {
	case Nyckel:
		return
	case Anthropic:
		h.Set("Request-Id", x.id("req_"))
		name, reset = "Anthropic-Ratelimit-Requests-%s", time.Now().Add(x.standing.reset).UTC().Format(time.RFC3339Nano)
	case Azure:
		h.Set("X-Request-Id", x.id("req_"))
		reset = wholeSeconds(x.standing.reset)
	default:
		h.Set("X-Request-Id", x.id("req_"))
		reset = x.standing.reset.String()
	}
	if x.standing.limited {
		set(h, name, "Limit", strconv.Itoa(x.standing.limit))
		set(h, name, "Remaining", strconv.Itoa(x.standing.remaining))
		set(h, name, "Reset", reset)
	}
}

func set(h http.Header, name, what, value string) {
	h.Set(fmt.Sprintf(name, what), value)
}

func (x *exchange) id(prefix string) string { return prefix + strconv.Itoa(x.number) }

func wholeSeconds(d time.Duration) string {
	return strconv.Itoa(int(math.Ceil(d.Seconds())))
}
