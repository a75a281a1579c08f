package policy_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

// The verdicts on answers, without the provider's own words.
var (
	rateLimited     = policy.Verdict{Class: policy.RateLimited, Again: policy.Anywhere, Executed: policy.NotExecuted}
	quotaExceeded   = policy.Verdict{Class: policy.QuotaExceeded, Again: policy.Elsewhere, Executed: policy.NotExecuted}
	unauthenticated = policy.Verdict{Class: policy.Unauthenticated, Again: policy.Elsewhere, Executed: policy.NotExecuted}
	forbidden       = policy.Verdict{Class: policy.Forbidden, Again: policy.Elsewhere, Executed: policy.NotExecuted}
	notFound        = policy.Verdict{Class: policy.NotFound, Again: policy.Elsewhere, Executed: policy.NotExecuted}
	invalid         = policy.Verdict{Class: policy.Invalid, Executed: policy.NotExecuted}
	filtered        = policy.Verdict{Class: policy.Filtered}
	conflict        = policy.Verdict{Class: policy.Conflict}
	conflictAgain   = policy.Verdict{Class: policy.Conflict, Again: policy.Anywhere}
	internal        = policy.Verdict{Class: policy.Internal, Again: policy.Anywhere}
	overloaded      = policy.Verdict{Class: policy.Overloaded, Again: policy.Anywhere}
	shed            = policy.Verdict{Class: policy.Overloaded, Again: policy.Anywhere, Executed: policy.NotExecuted}
	tooSlow         = policy.Verdict{Class: policy.TimedOut, Again: policy.Anywhere}
)

// in returns v with a wait.
func in(wait time.Duration, v policy.Verdict) policy.Verdict {
	v.Wait = wait
	return v
}

// vetoed returns v for a server that forbids retries.
func vetoed(v policy.Verdict) policy.Verdict {
	v.Again = policy.Nobody
	return v
}

// openai returns an error body of OpenAI's.
func openai(kind, code, message string) string {
	quoted := "null"
	if code != "" {
		quoted = `"` + code + `"`
	}
	return `{"error":{"message":"` + message + `","type":"` + kind + `","param":null,"code":` + quoted + `}}`
}

// anthropic returns an error body of Anthropic's.
func anthropic(kind, message string) string {
	return `{"type":"error","error":{"type":"` + kind + `","message":"` + message + `"},"request_id":"req_1"}`
}

// gemini returns an error body of Gemini's.
func gemini(status, message, details string) string {
	return `{"error":{"code":429,"message":"` + message + `","status":"` + status + `","details":[` + details + `]}}`
}

type providerCase struct {
	name   string
	status int
	header http.Header
	body   string
	want   policy.Verdict
	code   string
}

var providerCases = map[policy.Provider][]providerCase{
	policy.ProviderNyckel: {
		{"wrong data", 400, nil, `{"message":"Unknown label"}`, invalid, ""},
		{"expired token", 401, nil, `{"message":"Token expired"}`, unauthenticated, ""},
		{"no token", 401, nil, "", unauthenticated, ""},
		{"free quota used up", 402, nil, `{"message":"Quota exceeded"}`, quotaExceeded, ""},
		{"not yours", 403, nil, `{"message":"Forbidden"}`, forbidden, ""},
		{"not in the plan", 403, nil, `{"message":"Please upgrade your plan"}`, quotaExceeded, ""},
		{"no such function", 404, nil, `{"error":"No function with this id"}`, notFound, ""},
		{"duplicate sample", 409, nil, `{"message":"Duplicate","existingSampleId":"s"}`, conflict, ""},
		{"too many at once", 429, nil, nyckelRate, rateLimited, ""},
		{"too many, with a wait", 429, header("Retry-After", "3"), nyckelRate, in(3*time.Second, rateLimited), ""},
		{"page of an error", 500, nil, "<html><title>Error</title></html>", internal, ""},
		{"bad gateway", 502, nil, "", internal, ""},
		{"unavailable", 503, nil, `{"message":null}`, overloaded, ""},
		{"slow gateway", 504, nil, "", tooSlow, ""},
		{"codes of others say nothing", 500, nil, openai("x", "insufficient_quota", "m"), internal, "insufficient_quota"},
	},
	policy.ProviderOpenAI: {
		{"wrong request", 400, nil, openai("invalid_request_error", "", "No"), invalid, "invalid_request_error"},
		{"context too long", 400, nil, openai("invalid_request_error", "context_length_exceeded", "m"), invalid, "context_length_exceeded"},
		{"content policy", 400, nil, openai("invalid_request_error", "content_policy_violation", "m"), filtered, "content_policy_violation"},
		{"content filter", 400, nil, openai("invalid_request_error", "content_filter", "m"), filtered, "content_filter"},
		{"moderation of an image", 400, nil, openai("image_generation_user_error", "moderation_blocked", "m"), filtered, "moderation_blocked"},
		{"wrong key", 401, nil, openai("invalid_request_error", "invalid_api_key", "m"), unauthenticated, "invalid_api_key"},
		{"no member", 401, nil, openai("invalid_request_error", "", "You must be a member of an organization"), unauthenticated, "invalid_request_error"},
		{"country", 403, nil, openai("request_forbidden", "unsupported_country_region_territory", "m"), forbidden, "unsupported_country_region_territory"},
		{"no such model", 404, nil, openai("invalid_request_error", "model_not_found", "m"), notFound, "model_not_found"},
		{"model not for this key", 403, nil, openai("invalid_request_error", "model_not_found", "m"), notFound, "model_not_found"},
		{"conflict", 409, nil, openai("invalid_request_error", "lock_timeout", "m"), conflictAgain, "lock_timeout"},
		{"requests", 429, nil, openai("requests", "rate_limit_exceeded", "m"), rateLimited, "rate_limit_exceeded"},
		{"tokens", 429, header("Retry-After-Ms", "250"), openai("tokens", "rate_limit_exceeded", "m"), in(250*time.Millisecond, rateLimited), "rate_limit_exceeded"},
		{"by type alone", 429, nil, openai("rate_limit_error", "", "m"), rateLimited, "rate_limit_error"},
		{"a reset in place of a wait", 429, openaiLimits, openaiRate, in(20*time.Second, rateLimited), "rate_limit_exceeded"},
		{"a rate limit that speaks of quota", 429, nil, openai("requests", "rate_limit_exceeded", "Ask for more quota"), rateLimited, "rate_limit_exceeded"},
		{"larger than the limit", 429, nil, openai("tokens", "rate_limit_exceeded", "Request too large for gpt-4o"), invalid, "rate_limit_exceeded"},
		{"ramp", 429, header("Retry-After", "9"), openai("x", "slow_down", "m"), in(9*time.Second, rateLimited), "slow_down"},
		{"ramp, as it was", 503, nil, openai("x", "slow_down", "m"), rateLimited, "slow_down"},
		{"quota", 429, nil, openai("insufficient_quota", "insufficient_quota", "m"), quotaExceeded, "insufficient_quota"},
		{"quota by type", 429, nil, openai("insufficient_quota", "", "m"), quotaExceeded, "insufficient_quota"},
		{"quota by type, another code", 429, nil, openai("insufficient_quota", "rate_limit_exceeded", "m"), quotaExceeded, "rate_limit_exceeded"},
		{"credit", 429, nil, openai("x", "credit_balance_exhausted", "m"), quotaExceeded, "credit_balance_exhausted"},
		{"limit of the organization", 429, nil, openai("x", "organization_spend_limit_exceeded", "m"), quotaExceeded, "organization_spend_limit_exceeded"},
		{"limit of the project", 429, nil, openai("x", "project_spend_limit_exceeded", "m"), quotaExceeded, "project_spend_limit_exceeded"},
		{"usage of the organization", 429, nil, openai("x", "organization_usage_limit_exceeded", "m"), quotaExceeded, "organization_usage_limit_exceeded"},
		{"quota, and a word that it pays", 429, header("X-Should-Retry", "true"), openai("insufficient_quota", "", "m"), quotaExceeded, "insufficient_quota"},
		{"failure", 500, nil, openai("server_error", "", "m"), internal, "server_error"},
		{"failure that quotes a quota", 500, nil, openai("server_error", "", "quota"), internal, "server_error"},
		{"overload", 503, nil, openai("service_unavailable_error", "server_is_overloaded", "m"), shed, "server_is_overloaded"},
		{"overload by type", 503, nil, openai("service_unavailable_error", "", "m"), overloaded, "service_unavailable_error"},
		{"veto", 500, header("X-Should-Retry", "false"), openai("server_error", "", "m"), vetoed(internal), "server_error"},
		{"veto of a rate limit", 429, header("X-Should-Retry", "false"), openaiRate, vetoed(rateLimited), "rate_limit_exceeded"},
	},
	policy.ProviderAnthropic: {
		{"wrong request", 400, nil, anthropic("invalid_request_error", "max_tokens: required"), invalid, "invalid_request_error"},
		{"usage limit", 400, nil, anthropic("invalid_request_error", "You have reached your specified API usage limits."), quotaExceeded, "invalid_request_error"},
		{"usage limit of a workspace", 400, nil, anthropic("invalid_request_error", "You have reached your specified workspace API usage limits."), quotaExceeded, "invalid_request_error"},
		{"credit", 400, nil, anthropic("invalid_request_error", "Your credit balance is too low"), quotaExceeded, "invalid_request_error"},
		{"wrong key", 401, nil, anthropic("authentication_error", "m"), unauthenticated, "authentication_error"},
		{"billing", 402, nil, anthropic("billing_error", "m"), quotaExceeded, "billing_error"},
		{"not allowed", 403, nil, anthropic("permission_error", "m"), forbidden, "permission_error"},
		{"no such model", 404, nil, anthropic("not_found_error", "m"), notFound, "not_found_error"},
		{"conflict", 409, nil, anthropic("conflict_error", "m"), conflictAgain, "conflict_error"},
		{"too large", 413, nil, anthropic("request_too_large", "m"), invalid, "request_too_large"},
		{"too large, says what is in front", 413, nil, "<html><title>413</title></html>", invalid, ""},
		{"rate limit", 429, header("Retry-After", "12"), anthropic("rate_limit_error", "m"), in(12*time.Second, rateLimited), "rate_limit_error"},
		{
			"tokens that remain: none", 429, header("Anthropic-Ratelimit-Tokens-Remaining", "0", "Anthropic-Ratelimit-Tokens-Reset", "2026-03-14T12:00:30Z"),
			anthropic("rate_limit_error", "m"), in(30*time.Second, rateLimited), "rate_limit_error",
		},
		{"unified reset", 429, header("Anthropic-Ratelimit-Unified-Reset", "1773489660"), anthropic("rate_limit_error", "m"), in(time.Minute, rateLimited), "rate_limit_error"},
		{
			"spend limit", 429, nil, `{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}`,
			quotaExceeded, "enforced_spend_limit_reached",
		},
		{
			"spend limit, and a word that it pays", 429, header("X-Should-Retry", "true"), `{"type":"error","error":{"type":"rate_limit_error","details":{"error_code":"enforced_spend_limit_reached"}}}`,
			quotaExceeded, "enforced_spend_limit_reached",
		},
		{"failure", 500, nil, anthropic("api_error", "m"), internal, "api_error"},
		{"slow", 504, nil, anthropic("timeout_error", "m"), tooSlow, "timeout_error"},
		{"overload", 529, nil, anthropicBusy, shed, "overloaded_error"},
		{"overload, without a body", 529, nil, "", overloaded, ""},
	},
	policy.ProviderAzureOpenAI: {
		{"filter", 400, nil, `{"error":{"message":"m","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, filtered, "content_filter"},
		{"filter by the inner code", 400, nil, `{"error":{"message":"m","code":"BadRequest","innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, filtered, "BadRequest"},
		{"wrong key", 401, nil, `{"error":{"code":"401","message":"Access denied due to invalid subscription key"}}`, unauthenticated, "401"},
		{"network rule", 403, nil, `{"error":{"code":"403","message":"Access denied due to Virtual Network/Firewall rules."}}`, forbidden, "403"},
		{"blocked for now", 403, nil, `{"error":{"code":"x","message":"Your resource has been temporarily blocked, see billing"}}`, forbidden, "x"},
		{"no such deployment", 404, nil, `{"error":{"code":"DeploymentNotFound","message":"m"}}`, notFound, "DeploymentNotFound"},
		{"model that is gone", 410, nil, `{"error":{"code":"ServiceModelDeprecating","message":"m"}}`, notFound, "ServiceModelDeprecating"},
		{"model that is gone, a wrong request", 400, nil, `{"error":{"code":"ServiceModelDeprecating","message":"m"}}`, notFound, "ServiceModelDeprecating"},
		{"rate", 429, header("Retry-After-Ms", "1500", "Retry-After", "60", "X-Ms-Retry-After-Ms", "9"), `{"error":{"code":"429","message":"m"}}`, in(1500*time.Millisecond, rateLimited), "429"},
		{"rate, its other field", 429, header("X-Ms-Retry-After-Ms", "9"), `{"error":{"code":"RateLimitReached","message":"m"}}`, in(9*time.Millisecond, rateLimited), "RateLimitReached"},
		{"rate that speaks of quota", 429, nil, `{"error":{"code":"429","message":"Exceeded token rate limit. Request a quota increase."}}`, rateLimited, "429"},
		{"high demand", 429, nil, `{"error":{"code":"429","message":"The system is currently experiencing high demand"}}`, rateLimited, "429"},
		{"reset in seconds", 429, header("X-Ratelimit-Remaining-Tokens", "0", "X-Ratelimit-Reset-Tokens", "7"), "", in(7*time.Second, rateLimited), ""},
		{"the server does not know", 429, header("X-Ratelimit-Limit-Tokens", "-1", "X-Ratelimit-Remaining-Tokens", "-1", "X-Ratelimit-Reset-Tokens", "0"), "", rateLimited, ""},
		{"quota", 429, nil, `{"error":{"code":"insufficient_quota","message":"m"}}`, quotaExceeded, "insufficient_quota"},
		{"failure", 500, nil, `{"error":{"code":"InternalServerError","message":"m"}}`, internal, "InternalServerError"},
		{"overload", 503, nil, "", overloaded, ""},
	},
	policy.ProviderGemini: {
		{"rate", 429, nil, geminiPerMinute, in(12770*time.Millisecond, rateLimited), "RESOURCE_EXHAUSTED"},
		{"limit of the day", 429, nil, geminiPerDay, in(37020*time.Second, quotaExceeded), "RESOURCE_EXHAUSTED"},
		{"limit of zero", 429, nil, gemini("RESOURCE_EXHAUSTED", strings.Repeat("x", 400)+", limit: 0, model: m", ""), quotaExceeded, "RESOURCE_EXHAUSTED"},
		{"limit of more than zero", 429, nil, gemini("RESOURCE_EXHAUSTED", "limit: 05, limit: 0.5, quota", ""), rateLimited, "RESOURCE_EXHAUSTED"},
		{"Vertex", 429, nil, gemini("RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.", ""), rateLimited, "RESOURCE_EXHAUSTED"},
		{"header before body", 429, header("Retry-After", "2"), geminiPerMinute, in(2*time.Second, rateLimited), "RESOURCE_EXHAUSTED"},
		{"a wait below zero", 429, nil, gemini("RESOURCE_EXHAUSTED", "m", `{"retryDelay":"-5s"}`), rateLimited, "RESOURCE_EXHAUSTED"},
		{"a wait beyond all bounds", 429, nil, gemini("RESOURCE_EXHAUSTED", "m", `{"retryDelay":"315576000000s"}`), in(math.MaxInt64, rateLimited), "RESOURCE_EXHAUSTED"},
		{"a wait without a unit", 429, nil, gemini("RESOURCE_EXHAUSTED", "m", `{"retryDelay":"5"}`), rateLimited, "RESOURCE_EXHAUSTED"},
		{"stream of JSON", 429, nil, "[" + geminiPerMinute + "\n]", in(12770*time.Millisecond, rateLimited), "RESOURCE_EXHAUSTED"},
		{"wrong key", 400, nil, gemini("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", ""), unauthenticated, "INVALID_ARGUMENT"},
		{"wrong key by its reason", 400, nil, gemini("INVALID_ARGUMENT", "m", `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}`), unauthenticated, "INVALID_ARGUMENT"},
		{"wrong request", 400, nil, gemini("INVALID_ARGUMENT", "m", ""), invalid, "INVALID_ARGUMENT"},
		{"region", 400, nil, gemini("FAILED_PRECONDITION", "User location is not supported without a billing account", ""), forbidden, "FAILED_PRECONDITION"},
		{"billing", 400, nil, gemini("FAILED_PRECONDITION", "Please enable billing", ""), quotaExceeded, "FAILED_PRECONDITION"},
		{"payment", 402, nil, "", quotaExceeded, ""},
		{"not allowed", 403, nil, gemini("PERMISSION_DENIED", "m", ""), forbidden, "PERMISSION_DENIED"},
		{"no key", 401, nil, gemini("UNAUTHENTICATED", "m", ""), unauthenticated, "UNAUTHENTICATED"},
		{"no such model", 404, nil, gemini("NOT_FOUND", "m", ""), notFound, "NOT_FOUND"},
		{"conflict", 409, nil, gemini("ABORTED", "m", ""), conflictAgain, "ABORTED"},
		{"cancelled", 499, nil, gemini("CANCELLED", "m", ""), interrupted, "CANCELLED"},
		{"failure", 500, nil, gemini("INTERNAL", "m", ""), internal, "INTERNAL"},
		{"overload", 503, nil, gemini("UNAVAILABLE", "The model is overloaded", ""), overloaded, "UNAVAILABLE"},
		{"slow", 504, nil, gemini("DEADLINE_EXCEEDED", "m", ""), tooSlow, "DEADLINE_EXCEEDED"},
	},
	policy.ProviderCohere: {
		{"context too long", 400, nil, `{"message":"too many tokens: total number of tokens in the prompt cannot exceed 4081"}`, invalid, ""},
		{"wrong key", 401, nil, `{"message":"invalid api token"}`, unauthenticated, ""},
		{"payment", 402, nil, `{"message":"Please add or update your payment method"}`, quotaExceeded, ""},
		{"no such model", 404, nil, `{"message":"m"}`, notFound, ""},
		{"rate", 429, nil, `{"message":"You are using a Trial key, which is limited to 40 API calls / minute."}`, rateLimited, ""},
		{"month", 429, nil, `{"message":"You are using a Trial key, which is limited to 1000 API calls / month."}`, quotaExceeded, ""},
		{"words that must not be said", 498, nil, `{"message":"blocked: the text holds a deny-listed token"}`, filtered, ""},
		{"cancelled", 499, nil, `{"message":"request cancelled"}`, interrupted, ""},
		{"failure", 500, nil, `{"message":"internal server error"}`, internal, ""},
		{"unavailable", 503, nil, `{"message":"m"}`, overloaded, ""},
		{"slow", 504, nil, `{"message":"m"}`, tooSlow, ""},
	},
	policy.ProviderGeneric: {
		{"OpenAI", 429, nil, openai("insufficient_quota", "", "m"), quotaExceeded, "insufficient_quota"},
		{"OpenAI, too large", 429, nil, openai("tokens", "rate_limit_exceeded", "Request too large for gpt-4o"), invalid, "rate_limit_exceeded"},
		{"Anthropic", 529, nil, anthropicBusy, shed, "overloaded_error"},
		{"Anthropic, credit", 400, nil, anthropic("invalid_request_error", "Your credit balance is too low"), quotaExceeded, "invalid_request_error"},
		{"Azure", 404, nil, `{"error":{"code":"DeploymentNotFound"}}`, notFound, "DeploymentNotFound"},
		{"Gemini", 429, nil, geminiPerMinute, in(12770*time.Millisecond, rateLimited), "RESOURCE_EXHAUSTED"},
		{"Gemini, limit of the day", 429, nil, geminiPerDay, in(37020*time.Second, quotaExceeded), "RESOURCE_EXHAUSTED"},
		{"quota by status, and a word that it pays", 402, header("X-Should-Retry", "true"), "", policy.Verdict{Class: policy.QuotaExceeded, Again: policy.Anywhere, Executed: policy.NotExecuted}, ""},
		{"a conflict that nobody explains", 409, nil, `{"message":"m"}`, conflict, ""},

		{"Hugging Face, loading", 503, nil, `{"error":"Model gpt2 is currently loading","estimated_time":20.5}`, in(20500*time.Millisecond, shed), ""},
		{"Hugging Face, list", 400, nil, `{"error":["Error in inputs","b"]}`, invalid, ""},
		{"OpenRouter, credit", 402, nil, `{"error":{"code":402,"message":"Insufficient credits"}}`, quotaExceeded, "402"},
		{"OpenRouter, key limit", 403, nil, `{"error":{"code":403,"message":"Key limit exceeded (total limit)."}}`, quotaExceeded, "403"},
		{"OpenRouter, moderation", 403, nil, `{"error":{"code":403,"message":"Moderated"}}`, forbidden, "403"},
		{"OpenRouter, no endpoint", 404, nil, `{"error":{"code":404,"message":"No endpoints found"}}`, notFound, "404"},
		{"OpenRouter, overload", 503, nil, `{"error":{"code":"provider_overloaded","message":"m"}}`, shed, "provider_overloaded"},
		{"OpenRouter, nobody free", 503, nil, `{"error":{"code":503,"message":"There is no available model provider that meets your routing requirements"}}`, overloaded, "503"},

		{"Bedrock, expired", 403, header("X-Amzn-Errortype", "ExpiredTokenException:http://internal.amazon.com/"), `{"message":"m"}`, unauthenticated, "ExpiredTokenException"},
		{"Bedrock, unknown client", 403, nil, `{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"m"}`, unauthenticated, "UnrecognizedClientException"},
		{"Bedrock, not allowed", 403, header("X-Amzn-Errortype", "AccessDeniedException"), `{"message":"m"}`, forbidden, "AccessDeniedException"},
		{"Bedrock, rate", 429, header("X-Amzn-Errortype", "ThrottlingException"), `{"message":"m"}`, rateLimited, "ThrottlingException"},
		{"Bedrock, rate as a wrong request", 400, header("X-Amzn-Errortype", "ThrottlingException"), `{"message":"m"}`, rateLimited, "ThrottlingException"},
		{"Bedrock, quota", 400, header("X-Amzn-Errortype", "ServiceQuotaExceededException"), `{"message":"m"}`, quotaExceeded, "ServiceQuotaExceededException"},
		{"Bedrock, model not ready", 429, header("X-Amzn-Errortype", "ModelNotReadyException"), `{"message":"m"}`, shed, "ModelNotReadyException"},
		{"Bedrock, slow model", 408, header("X-Amzn-Errortype", "ModelTimeoutException"), `{"message":"m"}`, tooSlow, "ModelTimeoutException"},
		{"Bedrock, model failed", 424, header("X-Amzn-Errortype", "ModelErrorException"), `{"message":"m"}`, internal, "ModelErrorException"},
		{"Bedrock, no such model", 400, header("X-Amzn-Errortype", "ValidationException"), `{"message":"The provided model identifier is invalid."}`, notFound, "ValidationException"},
		{"Bedrock, wrong request", 400, header("X-Amzn-Errortype", "ValidationException"), `{"message":"m"}`, invalid, "ValidationException"},
	},
}

func TestClassifyProviders(t *testing.T) {
	cases := 0
	for p, tests := range providerCases {
		for _, tt := range tests {
			cases++
			t.Run(string(p)+" "+tt.name, func(t *testing.T) {
				got := policy.ClassifierFor(p)(policy.Outcome{Status: tt.status, Header: tt.header, Body: []byte(tt.body), Now: noon})
				assert.Equal(t, tt.code, got.Code)
				got.Code, got.Message, got.RequestID = "", "", ""
				assert.Equal(t, tt.want, got)
			})
		}
	}
	assert.Greater(t, cases, 80)
}

func TestClassifyProviderWords(t *testing.T) {
	tests := []struct {
		name               string
		body               string
		message, requestID string
	}{
		{"id in the body", anthropicBusy, "Overloaded", "req_011"},
		{"list of messages", `{"error":["Error in inputs","b"]}`, "Error in inputs", ""},
		{"title of a page", "<!DOCTYPE html>\n<title>502\nBad Gateway</title>", "502 Bad Gateway", ""},
		{"title of a page that shouts", "<HTML><HEAD><TITLE>Service Unavailable</TITLE></HEAD>", "Service Unavailable", ""},
		{"title that does not end", "<p><title>502</titl", "<p><title>502</titl", ""},
		{"byte order mark", "\ufeff" + anthropicBusy, "Overloaded", "req_011"},
		{"problem", `{"type":"about:blank","title":"Bad Request","detail":"No data","status":400}`, "No data", ""},
		{"problem in short", `{"title":"Bad Request","detail":null}`, "Bad Request", ""},
		{"page with an empty title", "<title> </title>", "<title> </title>", ""},
		{"array that holds no object", `[1]`, "[1]", ""},
		{"array that holds nothing", `[ ]`, "[ ]", ""},
		{"array that was cut", `[`, "[", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := policy.Classify(policy.Outcome{Status: 502, Body: []byte(tt.body)})
			assert.Equal(t, tt.message, v.Message)
			assert.Equal(t, tt.requestID, v.RequestID)
		})
	}
}

// TestClassifierForErrors: what is no answer is the same for every provider.
func TestClassifierForErrors(t *testing.T) {
	for p := range providerCases {
		classify := policy.ClassifierFor(p)
		assert.Equal(t, refused, classify(policy.Outcome{Err: &policy.Refusal{}}), p)
		assert.Equal(t, policy.OK, classify(policy.Outcome{Status: 200}).Class, p)
	}
	assert.Equal(t, notFound, policy.ClassifierFor("unheard-of")(policy.Outcome{Status: 404}))
}

func TestFirstOf(t *testing.T) {
	teapot := policy.Verdict{Class: policy.Filtered, Code: "teapot"}
	own := func(o policy.Outcome) policy.Verdict {
		if o.Status == http.StatusTeapot {
			return teapot
		}
		return policy.Verdict{}
	}
	last := func(policy.Outcome) policy.Verdict { return policy.Verdict{Message: "last"} }
	classify := policy.FirstOf(own, policy.OpenAI)
	assert.Equal(t, teapot, classify(policy.Outcome{Status: http.StatusTeapot}), "the first knows")
	assert.Equal(t, notFound, classify(policy.Outcome{Status: http.StatusNotFound}), "the second knows")
	assert.Equal(t, "last", policy.FirstOf(own, last)(policy.Outcome{Status: 200}).Message, "nobody knows")
	assert.Zero(t, policy.FirstOf()(policy.Outcome{Status: 404}), "nobody is asked")

	list := []policy.Classifier{own}
	classify = policy.FirstOf(list...)
	list[0] = last
	assert.Equal(t, teapot, classify(policy.Outcome{Status: http.StatusTeapot}), "the list is its own")
}

func TestClassifyEvent(t *testing.T) {
	maybe := func(v policy.Verdict) policy.Verdict {
		v.Executed = policy.MaybeExecuted
		return v
	}
	ok := policy.Verdict{Class: policy.OK, Executed: policy.Executed}
	tests := []struct {
		name string
		p    policy.Provider
		data string
		want policy.Verdict
	}{
		{"text", policy.ProviderOpenAI, `{"choices":[{"delta":{"content":"an \"error\" it is"}}]}`, ok},
		{"text that has the word", policy.ProviderOpenAI, `{"choices":[{"delta":{"content":"error"}}],"type":"error_free"}`, ok},
		{"the end", policy.ProviderOpenAI, `[DONE]`, ok},
		{"nothing", policy.ProviderOpenAI, ``, ok},
		{"no error", policy.ProviderOpenAI, `{"type":"response.completed","response":{"error":null}}`, ok},
		{"null as the error", policy.ProviderOpenAI, `{"error":null}`, ok},
		{"no text as the error", policy.ProviderGeneric, `{"choices":[],"error":""}`, ok},
		{"nothing in the error", policy.ProviderGeneric, `{"choices":[],"error":{}}`, ok},
		{"false as the error", policy.ProviderGeneric, `{"choices":[],"error":false}`, ok},
		{"error further in", policy.ProviderGeneric, `{"data":{"error":{"code":"invalid_api_key"}}}`, ok},

		{"OpenAI, failure", policy.ProviderOpenAI, openai("server_error", "", "m"), maybe(internal)},
		{"OpenAI, rate", policy.ProviderOpenAI, openai("requests", "", "m"), maybe(rateLimited)},
		{"OpenAI, quota", policy.ProviderOpenAI, openai("insufficient_quota", "", "m"), maybe(quotaExceeded)},
		{"OpenAI, overload", policy.ProviderOpenAI, openai("service_unavailable_error", "", "m"), maybe(overloaded)},
		{"OpenAI, wrong request", policy.ProviderOpenAI, openai("invalid_request_error", "", "m"), maybe(invalid)},
		{"OpenAI, Responses API", policy.ProviderOpenAI, `{"type":"error","code":"rate_limit_exceeded","message":"m","param":null}`, maybe(rateLimited)},
		{"OpenAI, response that failed", policy.ProviderOpenAI, `{"type":"response.failed","response":{"id":"r","error":{"code":"server_error","message":"m"}}}`, maybe(internal)},
		{"OpenAI, response that failed in silence", policy.ProviderOpenAI, `{"type":"response.failed","error":1}`, maybe(policy.Verdict{})},
		{"Anthropic, overload", policy.ProviderAnthropic, anthropicBusy, maybe(overloaded)},
		{"Anthropic, failure", policy.ProviderAnthropic, anthropic("api_error", "m"), maybe(internal)},
		{"Anthropic, rate", policy.ProviderAnthropic, anthropic("rate_limit_error", "m"), maybe(rateLimited)},
		{"Azure", policy.ProviderAzureOpenAI, `{"error":{"code":"429","message":"quota"}}`, maybe(rateLimited)},
		{"Gemini", policy.ProviderGemini, geminiPerMinute, in(12770*time.Millisecond, maybe(rateLimited))},
		{"Gemini, overload", policy.ProviderGemini, `{"error":{"code":503,"status":"UNAVAILABLE"}}`, maybe(overloaded)},
		{"Cohere", policy.ProviderCohere, `{"type":"message-end","delta":{"finish_reason":"ERROR","error":"m"}}`, maybe(internal)},
		{"Cohere, in time", policy.ProviderCohere, `{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}`, ok},
		{"Cohere, version 1", policy.ProviderCohere, `{"event_type":"stream-end","finish_reason":"ERROR"}`, maybe(internal)},
		{"Cohere, anybody's", policy.ProviderGeneric, `{"type":"message-end","delta":{"finish_reason":"ERROR"}}`, maybe(internal)},
		{"Cohere, not by others", policy.ProviderOpenAI, `{"type":"message-end","delta":{"finish_reason":"ERROR"}}`, ok},
		{"text that ends", policy.ProviderCohere, `{"text":"the-end"`, ok},
		{"OpenRouter", policy.ProviderGeneric, `{"error":{"code":502,"message":"m"},"choices":[]}`, maybe(internal)},
		{"generic", policy.ProviderGeneric, anthropicBusy, maybe(overloaded)},
		{"nothing known", policy.ProviderGeneric, `{"error":"boom"}`, maybe(policy.Verdict{})},
		{"code that is no error", policy.ProviderGeneric, `{"error":{"code":200}}`, maybe(policy.Verdict{})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := policy.ClassifyEvent(tt.p, []byte(tt.data))
			got.Code, got.Message, got.RequestID = "", "", ""
			assert.Equal(t, tt.want, got)
		})
	}
	v := policy.ClassifyEvent(policy.ProviderAnthropic, []byte(anthropicBusy))
	assert.Equal(t, [...]string{"overloaded_error", "Overloaded", "req_011"}, [...]string{v.Code, v.Message, v.RequestID})
}

// FuzzProviders asks all of them about any answer and any event.
func FuzzProviders(f *testing.F) {
	for _, tests := range providerCases {
		for _, tt := range tests {
			f.Add(tt.status, "Retry-After", "1.5", []byte(tt.body))
		}
	}
	f.Add(400, "X-Amzn-Errortype", "#:", []byte(`{"__type":"a#b:c"}`))
	f.Add(503, "X-Should-Retry", "false", []byte(`{"estimated_time":1e99,"error":[]}`))
	f.Add(429, "Content-Encoding", "gzip", gzipped(f, openaiRate))
	f.Fuzz(func(t *testing.T, status int, name, value string, body []byte) {
		before := string(body)
		o := policy.Outcome{Status: status, Header: header(name, value), Body: body, Now: noon}
		for p := range providerCases {
			v := policy.ClassifierFor(p)(o)
			checkWords(t, v)
			if again := o.Header.Get("X-Should-Retry"); again == "false" && v.Again != policy.Nobody ||
				again == "" && v.Class == policy.Unknown && v.Again != policy.Nobody {
				t.Errorf("%s: %+v: must not be asked again", p, v)
			}
			event := policy.ClassifyEvent(p, body)
			checkWords(t, event)
			if event.Class != policy.OK && event.Executed != policy.MaybeExecuted {
				t.Errorf("%s: %+v: an event never tells for certain", p, event)
			}
		}
		assert.Equal(t, before, string(body), "it only reads")
	})
}
