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

func TestQuotas(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	const date = "Sat, 14 Mar 2026 11:00:00 GMT" // an hour behind
	one := func(name string, limit, remaining float64, reset time.Duration) []policy.Quota {
		return []policy.Quota{{Name: name, Limit: limit, Remaining: remaining, Reset: reset}}
	}
	tests := []struct {
		name   string
		fields []string
		want   []policy.Quota
	}{
		{"nothing", nil, nil},
		{"others", []string{"Retry-After", "3", "Content-Type", "text/plain"}, nil},
		{"OpenAI", []string{
			"x-ratelimit-limit-requests", "60", "x-ratelimit-limit-tokens", "150000",
			"x-ratelimit-remaining-requests", "59", "x-ratelimit-remaining-tokens", "149984",
			"x-ratelimit-reset-requests", "1s", "x-ratelimit-reset-tokens", "6m0s",
		}, []policy.Quota{
			{Name: "requests", Limit: 60, Remaining: 59, Reset: time.Second},
			{Name: "tokens", Limit: 150000, Remaining: 149984, Reset: 6 * time.Minute},
		}},
		{"Azure", []string{
			"x-ratelimit-limit-requests", "10", "x-ratelimit-remaining-requests", "0",
			"x-ratelimit-reset-requests", "7",
		}, one("requests", 10, 0, 7*time.Second)},
		{"none is used", []string{
			"x-ratelimit-limit-requests", "10", "x-ratelimit-remaining-requests", "10",
			"x-ratelimit-reset-requests", "7",
		}, one("requests", 10, 10, 7*time.Second)},
		{"Azure does not know", []string{
			"x-ratelimit-limit-requests", "-1", "x-ratelimit-remaining-requests", "-1",
			"x-ratelimit-reset-requests", "0",
		}, nil},
		{"Anthropic", []string{
			"anthropic-ratelimit-requests-limit", "50", "anthropic-ratelimit-requests-remaining", "49",
			"anthropic-ratelimit-requests-reset", "2026-03-14T12:00:02Z",
			"anthropic-ratelimit-input-tokens-limit", "40000", "anthropic-ratelimit-input-tokens-remaining", "39000",
			"anthropic-ratelimit-input-tokens-reset", "2026-03-14T12:01:00Z",
		}, []policy.Quota{
			{Name: "input-tokens", Limit: 40000, Remaining: 39000, Reset: time.Minute},
			{Name: "requests", Limit: 50, Remaining: 49, Reset: 2 * time.Second},
		}},
		{"clocks that differ", []string{
			"Date", date, "anthropic-ratelimit-requests-remaining", "3",
			"anthropic-ratelimit-requests-reset", "2026-03-14T11:00:05Z",
		}, one("requests", 0, 3, 5*time.Second)},
		{"a reset in the past", []string{
			"anthropic-ratelimit-requests-remaining", "3",
			"anthropic-ratelimit-requests-reset", "2026-03-14T11:00:05Z",
		}, one("requests", 0, 3, 0)},
		{"a time since 1970", []string{
			"x-ratelimit-limit", "5000", "x-ratelimit-remaining", "12",
			"x-ratelimit-reset", "1773489660",
		}, one("", 5000, 12, time.Minute)},
		{
			"older drafts",
			[]string{"RateLimit-Limit", "100, 100;w=60", "RateLimit-Remaining", "50", "RateLimit-Reset", "30"},
			one("", 100, 50, 30*time.Second),
		},
		{
			"the draft",
			[]string{"RateLimit", `"default";r=50;t=30`, "RateLimit-Policy", `"default";q=100;w=60`},
			one("", 100, 50, 30*time.Second),
		},
		{"the draft, two", []string{
			"RateLimit", `"a,b;r=1";r=50;t=30, "x\"" ; t=2;r=0`,
			"RateLimit-Policy", `"a,b;r=1";q=100;w=60,"x\"";qu="tokens";q=7`,
		}, []policy.Quota{
			{Limit: 100, Remaining: 50, Reset: 30 * time.Second},
			{Name: "tokens", Limit: 7, Remaining: 0, Reset: 2 * time.Second},
		}},
		{"the draft with a text of its own", []string{"RateLimit", `"default";why=";r=0;t=9;";r=50;t=30`}, one("", 0, 50, 30*time.Second)},
		{"the draft without a reset", []string{"RateLimit", `"default";r=50`}, nil},
		{"the draft, never closed", []string{"RateLimit", `"default;r=50;t=30`}, nil},
		{"no reset", []string{"x-ratelimit-remaining-requests", "3"}, nil},
		{"a reset that cannot be read", []string{"x-ratelimit-remaining", "3", "x-ratelimit-reset", "soon"}, nil},
		{"a negative reset", []string{"x-ratelimit-remaining", "3", "x-ratelimit-reset", "-1"}, nil},
		{"no number", []string{"x-ratelimit-remaining", "few", "x-ratelimit-reset", "1"}, nil},
		{
			"more left than there is",
			[]string{"x-ratelimit-limit", "3", "x-ratelimit-remaining", "4", "x-ratelimit-reset", "1"},
			one("", 0, 4, time.Second),
		},
		{"another word", []string{"x-ratelimit-remainingish", "3", "x-ratelimit-resetish", "1"}, nil},
		{
			"beyond all range",
			[]string{"x-ratelimit-remaining", "0", "x-ratelimit-reset", strings.Repeat("9", 400)},
			one("", 0, 0, math.MaxInt64-time.Duration(now.UnixNano())),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			for i := 0; i < len(tt.fields); i += 2 {
				h.Add(tt.fields[i], tt.fields[i+1])
			}
			assert.Equal(t, tt.want, policy.Quotas(h, now))
		})
	}
}

// A field without a value, as a layer may leave one, says nothing.
func TestQuotasOfEmptyFields(t *testing.T) {
	assert.Empty(t, policy.Quotas(http.Header{"Ratelimit": {}, "X-Ratelimit-Remaining": {}, "X-Ratelimit-Reset": {"1"}}, time.Now()))
}

func FuzzQuotas(f *testing.F) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	f.Add("60", "59", "6m0s", `"default";r=50;t=30`, `"default";q=100`, "")
	f.Add("-1", "-1", "0", `"a\";b";r=1;t=2,`, `"a\";b";qu="tokens";q=1e9`, "Sat, 14 Mar 2026 11:00:00 GMT")
	f.Add("1", "9e999", "2026-03-14T11:00:05Z", `";;,`, `\`, "x")
	f.Fuzz(func(t *testing.T, limit, remaining, reset, draft, policies, date string) {
		h := http.Header{
			"Date": {date}, "Ratelimit": {draft}, "Ratelimit-Policy": {policies},
			"X-Ratelimit-Limit-Requests": {limit}, "X-Ratelimit-Remaining-Requests": {remaining},
			"X-Ratelimit-Reset-Requests": {reset},
		}
		quotas := policy.Quotas(h, now)
		for _, q := range quotas {
			if !(q.Limit >= 0) || !(q.Remaining >= 0) || q.Reset < 0 || (q.Limit > 0 && q.Limit < q.Remaining) {
				t.Errorf("Quotas(%q) holds %+v", h, q)
			}
		}
		assert.Equal(t, quotas, policy.Quotas(h, now), "the order of fields counts")
	})
}
