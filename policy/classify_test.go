package policy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sparekey/sparekey/policy"
)

// noon is a time for tests that need one.
var noon = time.Date(2026, time.March, 14, 12, 0, 0, 0, time.UTC)

// header builds a header from pairs of name and value.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestClassifyStatus(t *testing.T) {
	const no, maybe, yes = policy.NotExecuted, policy.MaybeExecuted, policy.Executed
	tests := []struct {
		status   int
		class    policy.Class
		again    policy.Again
		executed policy.Execution
	}{
		{101, policy.OK, policy.Nobody, yes},
		{200, policy.OK, policy.Nobody, yes},
		{204, policy.OK, policy.Nobody, yes},
		{302, policy.OK, policy.Nobody, yes},
		{304, policy.OK, policy.Nobody, yes},
		{399, policy.OK, policy.Nobody, yes},
		{400, policy.Invalid, policy.Nobody, no},
		{401, policy.Unauthenticated, policy.Elsewhere, no},
		{402, policy.QuotaExceeded, policy.Elsewhere, no},
		{403, policy.Forbidden, policy.Elsewhere, no},
		{404, policy.NotFound, policy.Elsewhere, no},
		{405, policy.Invalid, policy.Nobody, no},
		{407, policy.Invalid, policy.Nobody, no},
		{408, policy.TimedOut, policy.Anywhere, no},
		{409, policy.Conflict, policy.Nobody, maybe},
		{410, policy.NotFound, policy.Elsewhere, no},
		{413, policy.Invalid, policy.Nobody, no},
		{415, policy.Invalid, policy.Nobody, no},
		{422, policy.Invalid, policy.Nobody, no},
		{425, policy.Overloaded, policy.Anywhere, no},
		{429, policy.RateLimited, policy.Anywhere, no},
		{451, policy.Forbidden, policy.Elsewhere, no},
		{499, policy.Invalid, policy.Nobody, no},
		{500, policy.Internal, policy.Anywhere, maybe},
		{501, policy.Invalid, policy.Nobody, no},
		{502, policy.Internal, policy.Anywhere, maybe},
		{503, policy.Overloaded, policy.Anywhere, maybe},
		{504, policy.TimedOut, policy.Anywhere, maybe},
		{505, policy.Invalid, policy.Nobody, no},
		{520, policy.Internal, policy.Anywhere, maybe},
		{529, policy.Overloaded, policy.Anywhere, maybe},
		{599, policy.Internal, policy.Anywhere, maybe},
		{600, policy.Unknown, policy.Nobody, maybe},
		{999, policy.Unknown, policy.Nobody, maybe},
	}
	for _, tt := range tests {
		want := policy.Verdict{Class: tt.class, Again: tt.again, Executed: tt.executed}
		if got := policy.Classify(policy.Outcome{Status: tt.status}); got != want {
			t.Errorf("Classify(%d) = %+v, want %+v", tt.status, got, want)
		}
	}
}

func TestClassifyAnswer(t *testing.T) {
	const (
		azureLimit  = `{"error":{"code":"429","message":"Requests have exceeded the call rate limit of your tier. Please retry after 20 seconds. Go to https://aka.ms/oai/quotaincrease to raise the limit."}}`
		openaiLimit = `{"error":{"message":"Rate limit reached for requests. Visit https://platform.openai.com/account/billing to raise it.","type":"requests","param":null,"code":"rate_limit_exceeded"}}`
		openaiQuota = `{"error":{"message":"You exceeded your current quota.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`
		page        = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n<body>upgrade your plan</body></html>"
	)
	tests := []struct {
		name   string
		status int
		header http.Header
		body   string
		want   policy.Verdict
	}{
		// Nyckel's own table.
		{
			"bad request", 400, nil, `{"message":"Unknown label"}`,
			policy.Verdict{Class: policy.Invalid, Executed: policy.NotExecuted, Message: "Unknown label"},
		},
		{
			"null message", 400, nil, `{"message":null}`,
			policy.Verdict{Class: policy.Invalid, Executed: policy.NotExecuted},
		},
		{
			"expired token", 401, nil, `{"message":"Token expired"}`,
			policy.Verdict{Class: policy.Unauthenticated, Again: policy.Elsewhere, Executed: policy.NotExecuted, Message: "Token expired"},
		},
		{
			"free quota used up", 402, nil, `{"message":"Monthly free quota exceeded"}`,
			policy.Verdict{Class: policy.QuotaExceeded, Again: policy.Elsewhere, Executed: policy.NotExecuted, Message: "Monthly free quota exceeded"},
		},
		{
			"not yours", 403, nil, `{"message":"Forbidden"}`,
			policy.Verdict{Class: policy.Forbidden, Again: policy.Elsewhere, Executed: policy.NotExecuted, Message: "Forbidden"},
		},
		{
			"no such function", 404, nil, `{"error":"No function with this id"}`,
			policy.Verdict{Class: policy.NotFound, Again: policy.Elsewhere, Executed: policy.NotExecuted, Message: "No function with this id"},
		},
		{
			"duplicate sample", 409, nil, `{"message":"Duplicate","existingSampleId":"sample_1"}`,
			policy.Verdict{Class: policy.Conflict, Message: "Duplicate"},
		},
		{
			"too many at once", 429, nil, `{"message":"Too many concurrent requests"}`,
			policy.Verdict{Class: policy.RateLimited, Again: policy.Anywhere, Executed: policy.NotExecuted, Message: "Too many concurrent requests"},
		},
		{
			"page from a proxy", 502, header("Content-Type", "text/html"), page,
			policy.Verdict{
				Class: policy.Internal, Again: policy.Anywhere,
				Message: "502 Bad Gateway",
			},
		},
		{
			"empty body", 500, nil, "",
			policy.Verdict{Class: policy.Internal, Again: policy.Anywhere},
		},

		// Quota or rate.
		{
			"quota by code", 429, nil, openaiQuota,
			policy.Verdict{Class: policy.QuotaExceeded, Again: policy.Elsewhere, Executed: policy.NotExecuted, Code: "insufficient_quota", Message: "You exceeded your current quota."},
		},
		{
			"quota by type", 429, nil, `{"error":{"message":"No.","type":"insufficient_quota"}}`,
			policy.Verdict{Class: policy.QuotaExceeded, Again: policy.Elsewhere, Executed: policy.NotExecuted, Code: "insufficient_quota", Message: "No."},
		},
		{
			"quota by words", 429, nil, `{"message":"Please Upgrade your PLAN"}`,
			policy.Verdict{Class: policy.QuotaExceeded, Again: policy.Elsewhere, Executed: policy.NotExecuted, Message: "Please Upgrade your PLAN"},
		},
		{
			"quota behind a 403", 403, nil, `{"message":"Your credit balance is too low"}`,
			policy.Verdict{Class: policy.QuotaExceeded, Again: policy.Elsewhere, Executed: policy.NotExecuted, Message: "Your credit balance is too low"},
		},
		{
			"quota keeps the wait", 429, header("Retry-After", "30"), openaiQuota,
			policy.Verdict{Class: policy.QuotaExceeded, Again: policy.Elsewhere, Executed: policy.NotExecuted, Wait: 30 * time.Second, Code: "insufficient_quota", Message: "You exceeded your current quota."},
		},
		{
			"a link to the quota page is no quota", 429, nil, azureLimit,
			policy.Verdict{
				Class: policy.RateLimited, Again: policy.Anywhere, Executed: policy.NotExecuted, Code: "429",
				Message: "Requests have exceeded the call rate limit of your tier. Please retry after 20 seconds. Go to https://aka.ms/oai/quotaincrease to raise the limit.",
			},
		},
		{
			"a link to the billing page is no quota", 429, nil, openaiLimit,
			policy.Verdict{
				Class: policy.RateLimited, Again: policy.Anywhere, Executed: policy.NotExecuted, Code: "rate_limit_exceeded",
				Message: "Rate limit reached for requests. Visit https://platform.openai.com/account/billing to raise it.",
			},
		},
		{
			"a page about plans is no quota", 429, nil, "<html>Upgrade your plan</html>",
			policy.Verdict{Class: policy.RateLimited, Again: policy.Anywhere, Executed: policy.NotExecuted, Message: "<html>Upgrade your plan</html>"},
		},
		{
			"quota in a 500 is a failure all the same", 500, nil, `{"message":"quota service unavailable"}`,
			policy.Verdict{Class: policy.Internal, Again: policy.Anywhere, Message: "quota service unavailable"},
		},
		{
			"digits in the text say nothing", 500, nil, `{"message":"upstream said 429"}`,
			policy.Verdict{Class: policy.Internal, Again: policy.Anywhere, Message: "upstream said 429"},
		},

		// The server's word on when and whether to come back.
		{
			"503 with a wait was not processed", 503, header("Retry-After", "7"), "",
			policy.Verdict{Class: policy.Overloaded, Again: policy.Anywhere, Executed: policy.NotExecuted, Wait: 7 * time.Second},
		},
		{
			"503 with a wait of zero, too", 503, header("Retry-After", "0"), "",
			policy.Verdict{Class: policy.Overloaded, Again: policy.Anywhere, Executed: policy.NotExecuted},
		},
		{
			"503 with an unreadable wait may have been", 503, header("Retry-After", "soon"), "",
			policy.Verdict{Class: policy.Overloaded, Again: policy.Anywhere},
		},
		{
			"500 with a wait may have been", 500, header("Retry-After", "7"), "",
			policy.Verdict{Class: policy.Internal, Again: policy.Anywhere, Wait: 7 * time.Second},
		},
		{
			"date related to Now", 503, header("Retry-After", "Sat, 14 Mar 2026 12:00:09 GMT"), "",
			policy.Verdict{Class: policy.Overloaded, Again: policy.Anywhere, Executed: policy.NotExecuted, Wait: 9 * time.Second},
		},
		{
			"retry forbidden", 503, header("X-Should-Retry", "false"), "",
			policy.Verdict{Class: policy.Overloaded, Again: policy.Nobody},
		},
		{
			"retry encouraged", 409, header("X-Should-Retry", "true"), "",
			policy.Verdict{Class: policy.Conflict, Again: policy.Anywhere},
		},
		{
			"no word on retries", 503, header("X-Should-Retry", "maybe"), "",
			policy.Verdict{Class: policy.Overloaded, Again: policy.Anywhere},
		},

		// Request ids.
		{
			"request id", 500, header("X-Request-Id", "req_1", "Request-Id", "req_2"), "",
			policy.Verdict{Class: policy.Internal, Again: policy.Anywhere, RequestID: "req_1"},
		},
		{
			"request id by its other name", 500, header("Request-Id", "req_2"), "",
			policy.Verdict{Class: policy.Internal, Again: policy.Anywhere, RequestID: "req_2"},
		},
		{
			"request id on one line", 500, header("X-Request-Id", "req\t1\x1b[31m"), "",
			policy.Verdict{Class: policy.Internal, Again: policy.Anywhere, RequestID: "req 1 [31m"},
		},

		// Envelopes.
		{
			"message before error", 400, nil, `{"message":"outer","error":{"message":"inner","code":"bad"}}`,
			policy.Verdict{Class: policy.Invalid, Executed: policy.NotExecuted, Code: "bad", Message: "outer"},
		},
		{
			"number as code", 400, nil, `{"code":1007,"message":"No"}`,
			policy.Verdict{Class: policy.Invalid, Executed: policy.NotExecuted, Code: "1007", Message: "No"},
		},
		{
			"inner code before outer", 400, nil, `{"code":"outer","error":{"code":"inner","type":"kind"}}`,
			policy.Verdict{Class: policy.Invalid, Executed: policy.NotExecuted, Code: "inner"},
		},
		{
			"OAuth", 401, nil, `{"error":"invalid_client","error_description":"Client authentication failed"}`,
			policy.Verdict{Class: policy.Unauthenticated, Again: policy.Elsewhere, Executed: policy.NotExecuted, Code: "invalid_client", Message: "Client authentication failed"},
		},
		{
			"description alone", 400, nil, `{"error_description":"No grant"}`,
			policy.Verdict{Class: policy.Invalid, Executed: policy.NotExecuted, Message: "No grant"},
		},
		{
			"upper case keys", 400, nil, `{"Message":"No"}`,
			policy.Verdict{Class: policy.Invalid, Executed: policy.NotExecuted, Message: "No"},
		},
		{
			"fields of other types", 400, nil, `{"message":["a"],"error":true,"code":{}}`,
			policy.Verdict{Class: policy.Invalid, Executed: policy.NotExecuted},
		},
		{
			"an array", 400, nil, `["a"]`,
			policy.Verdict{Class: policy.Invalid, Executed: policy.NotExecuted, Message: `["a"]`},
		},
		{
			"plain text of many lines", 400, nil, "\r\n first\n\n second \x00\u2028third\u202e\n",
			policy.Verdict{Class: policy.Invalid, Executed: policy.NotExecuted, Message: "first second third"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outcome := policy.Outcome{Status: tt.status, Header: tt.header, Body: []byte(tt.body), Now: noon}
			if got := policy.Classify(outcome); got != tt.want {
				t.Errorf("Classify =\n%+v, want\n%+v", got, tt.want)
			}
		})
	}
}

// TestClassifyCutBody: of a body that is longer than what a classifier sees, what
// came whole counts, and of a message its beginning.
func TestClassifyCutBody(t *testing.T) {
	long := strings.Repeat("x", 2*policy.PeekBytes)
	limits := strings.Replace(geminiPerDay, `"violations": [`, `"violations": [`+strings.Repeat(`{"quotaId": "GenerateRequestsPerDay"}, `, 200), 1)
	tests := []struct {
		name string
		body string
		want policy.Verdict
	}{
		{"in the message", `{"message":"` + long + `","code":"insufficient_quota"}`, policy.Verdict{
			Class: policy.RateLimited, Again: policy.Anywhere, Executed: policy.NotExecuted, Message: long[:300],
		}},
		{"after the code", `{"error":{"code":"insufficient_quota","message":"` + long + `"}}`, policy.Verdict{
			Class: policy.QuotaExceeded, Again: policy.Elsewhere, Executed: policy.NotExecuted, Code: "insufficient_quota", Message: long[:300],
		}},
		{"in the list of limits", limits, policy.Verdict{
			Class: policy.QuotaExceeded, Again: policy.Elsewhere, Executed: policy.NotExecuted, Code: "RESOURCE_EXHAUSTED",
			Message: "You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
		}},
		{"in a page", "<html>" + long, policy.Verdict{
			Class: policy.RateLimited, Again: policy.Anywhere, Executed: policy.NotExecuted, Message: "<html>" + long[:294],
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, o := range []policy.Outcome{
				{Status: 429, Body: []byte(tt.body[:policy.PeekBytes])},
				{Status: 429, Body: []byte(tt.body[:policy.PeekBytes-100])},
			} {
				if got := policy.Classify(o); got != tt.want {
					t.Errorf("Classify = %+v (%q), want %+v", got, got.Message, tt.want)
				}
			}
		})
	}
}

func TestClassifyMessageBound(t *testing.T) {
	tests := []struct {
		name string
		text string
		want string
	}{
		{"at the bound", strings.Repeat("a", 300), strings.Repeat("a", 300)},
		{"over it", strings.Repeat("a", 301), strings.Repeat("a", 300)},
		{"rune across it", strings.Repeat("a", 299) + "é", strings.Repeat("a", 299)},
		{"rune up to it", strings.Repeat("a", 298) + "éa", strings.Repeat("a", 298) + "é"},
		{"space at it", strings.Repeat("a", 299) + " b", strings.Repeat("a", 299)},
		{"white space does not count", strings.Repeat("a", 299) + " \n\t b", strings.Repeat("a", 299)},
		{"bytes that are no text", strings.Repeat("a\xff", 300), strings.Repeat("a\uFFFD", 75)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := policy.Classify(policy.Outcome{Status: 400, Body: []byte(tt.text)}).Message; got != tt.want {
				t.Errorf("Message = %q (%d bytes), want %q", got, len(got), tt.want)
			}
		})
	}
}

func TestClassifyErrorBesideStatus(t *testing.T) {
	tests := []struct {
		name   string
		status int
		want   policy.Verdict
	}{
		{"an answer cut short", 200, policy.Verdict{Class: policy.Truncated, Again: policy.Anywhere, Executed: policy.Executed}},
		{"an error cut short is the error", 429, policy.Verdict{Class: policy.RateLimited, Again: policy.Anywhere, Executed: policy.NotExecuted}},
		{"no answer at all", 0, policy.Verdict{Class: policy.Interrupted, Again: policy.Anywhere}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := policy.Classify(policy.Outcome{Status: tt.status, Err: io.ErrUnexpectedEOF}); got != tt.want {
				t.Errorf("Classify = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func FuzzClassify(f *testing.F) {
	f.Add(429, "Retry-After", "120", []byte(`{"error":{"code":"insufficient_quota","message":"x"}}`))
	f.Add(503, "X-Should-Retry", "false", []byte("<html>\xff</html>"))
	f.Add(401, "X-Request-Id", strings.Repeat("é", 200), []byte(`{"error":"a","error_description":"b"}`))
	f.Add(400, "Request-Id", "\r\nX: y", []byte(strings.Repeat("a\xff", 400)))
	f.Fuzz(func(t *testing.T, status int, name, value string, body []byte) {
		v := policy.Classify(policy.Outcome{Status: status, Header: header(name, value), Body: body, Now: noon})
		checkWords(t, v)
		if v.Class == policy.Unknown && v.Again != policy.Nobody && header(name, value).Get("X-Should-Retry") != "true" {
			t.Errorf("verdict = %+v: what is unknown must not be asked for again", v)
		}
	})
}

// checkWords checks that what a verdict has from a server may go into a log, and
// that its wait is one.
func checkWords(t *testing.T, v policy.Verdict) {
	t.Helper()
	for _, text := range []string{v.Code, v.Message, v.RequestID} {
		if len(text) > 300 {
			t.Errorf("%q has %d bytes, want at most 300", text, len(text))
		}
		if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is not one line of printable text", text)
		}
	}
	if v.Wait < 0 {
		t.Errorf("Wait = %v, want none below zero", v.Wait)
	}
}
