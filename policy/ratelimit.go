package policy

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Quota is what an answer tells of one rate limit.
type Quota struct {
	// Name tells what is counted, in lower case: "requests", "tokens",
	// "input-tokens". It is empty where the server counts without saying what.
	Name string

	// Limit is how much there is when nothing is used. Zero means that it was not
	// said, or cannot be true.
	Limit float64

	// Remaining is how much is left, zero or more.
	Remaining float64

	// Reset is how long it takes until all of it is there again, zero or more. Some
	// servers give all of it back at that moment, others little by little until then.
	Reset time.Duration
}

// CountsRequests reports whether a request uses one of q, as far as is known.
func (q Quota) CountsRequests() bool { return q.Name == "" || q.Name == "requests" }

// Quotas returns what the header fields of an answer tell of rate limits, by name.
// It reads fields whose names say "ratelimit" and "remaining", with siblings that
// say "reset" and, if they are there, "limit": x-ratelimit-remaining-requests
// (OpenAI, Azure), anthropic-ratelimit-requests-remaining, x-ratelimit-remaining,
// ratelimit-remaining; and RateLimit with RateLimit-Policy as of the draft
// draft-ietf-httpapi-ratelimit-headers. Resets have the forms that [ResetHint]
// reads, and count as there from the response's own Date. What is unreadable or
// negative is not known, and a limit of which it is not known what remains, or
// when it resets, is left out. The time it takes is linear in the size of h,
// but for the order.
func Quotas(h http.Header, now time.Time) []Quota {
	var quotas []Quota
	for name, values := range h {
		if !strings.Contains(name, "Ratelimit") || len(values) == 0 {
			continue
		}
		if name == "Ratelimit" {
			quotas = appendDraft(quotas, h)
			continue
		}
		if q, ok := quotaOf(h, name, values[0], now); ok {
			quotas = append(quotas, q)
		}
	}
	slices.SortFunc(quotas, func(a, b Quota) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Remaining, b.Remaining), cmp.Compare(b.Reset, a.Reset))
	})
	return quotas
}

// quotaOf reads the quota of which the field called name tells what remains.
func quotaOf(h http.Header, name, left string, now time.Time) (Quota, bool) {
	const field = "-Remaining"
	before, after, found := strings.Cut(name, field)
	if !found || (after != "" && after[0] != '-') {
		return Quota{}, false
	}
	remaining, ok := parseNumber(strings.TrimSpace(left))
	if !ok {
		return Quota{}, false
	}
	reset, ok := parseReset(h.Get(before+"-Reset"+after), serverTime(h, now))
	if !ok {
		return Quota{}, false
	}
	_, counted, _ := strings.Cut(before+after, "Ratelimit")
	// "100, 100;w=60" has the policies behind the limit.
	limit, _, _ := strings.Cut(h.Get(before+"-Limit"+after), ",")
	return Quota{
		Name:      strings.ToLower(strings.Trim(counted, "-")),
		Limit:     limitOf(limit, remaining),
		Remaining: remaining,
		Reset:     reset,
	}, true
}

// limitOf reads a limit. One below what remains of it cannot be true.
func limitOf(value string, remaining float64) float64 {
	limit, ok := parseNumber(strings.TrimSpace(value))
	if !ok || limit < remaining {
		return 0
	}
	return limit
}

// appendDraft adds the quotas of a field like
//
//	RateLimit: "default";r=50;t=30
//	RateLimit-Policy: "default";q=100;w=60
func appendDraft(quotas []Quota, h http.Header) []Quota {
	type terms struct{ limit, unit string }
	policies := make(map[string]terms)
	for _, value := range h["Ratelimit-Policy"] {
		eachDraftItem(value, func(item draftItem) {
			policies[item.name] = terms{item.param("q"), strings.ToLower(strings.Trim(item.param("qu"), `"`))}
		})
	}
	for _, value := range h["Ratelimit"] {
		eachDraftItem(value, func(item draftItem) {
			remaining, ok := parseNumber(item.param("r"))
			reset, hasReset := parseDelay(item.param("t"), time.Second)
			if !ok || !hasReset {
				return
			}
			p := policies[item.name]
			quotas = append(quotas, Quota{
				Name:      p.unit,
				Limit:     limitOf(p.limit, remaining),
				Remaining: remaining,
				Reset:     reset,
			})
		})
	}
	return quotas
}

// A draftItem is a member of a list of strings with parameters (RFC 9651).
type draftItem struct{ name, params string }

// param returns the value of a parameter, empty if there is none.
func (i draftItem) param(key string) string {
	for params := i.params; params != ""; {
		var param string
		param, params = cutUnquoted(params, ';')
		if name, value, found := strings.Cut(strings.TrimSpace(param), "="); found && name == key {
			return value
		}
	}
	return ""
}

func eachDraftItem(value string, yield func(draftItem)) {
	for value != "" {
		var member string
		member, value = cutUnquoted(value, ',')
		name, params := cutUnquoted(member, ';')
		yield(draftItem{strings.TrimSpace(name), params})
	}
}

// cutUnquoted cuts s at the first sep outside of quotes.
func cutUnquoted(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++ // the next is escaped
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
