package policy_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/policy"
)

func TestWaitHint(t *testing.T) {
	const greatest = time.Duration(math.MaxInt64)
	tests := []struct {
		name   string
		header http.Header
		want   time.Duration
		wantOK bool
	}{
		{"nothing", nil, 0, false},
		{"empty", header("Retry-After", ""), 0, false},
		{"blank", header("Retry-After", "  "), 0, false},

		{"seconds", header("Retry-After", "2"), 2 * time.Second, true},
		{"white space around", header("Retry-After", " 2\t"), 2 * time.Second, true},
		{"zero", header("Retry-After", "0"), 0, true},
		{"leading zeros", header("Retry-After", "007"), 7 * time.Second, true},
		{"a day", header("Retry-After", "86400"), 24 * time.Hour, true},
		{"fraction", header("Retry-After", "1.5"), 1500 * time.Millisecond, true},
		{"fraction without its zero", header("Retry-After", ".5"), 500 * time.Millisecond, true},
		{"point without a fraction", header("Retry-After", "2."), 2 * time.Second, true},
		{"fraction that binary has not", header("Retry-After", "1.001"), 1001 * time.Millisecond, true},
		{"less than a nanosecond", header("Retry-After", "0.0000000004"), 0, true},

		{"just in range", header("Retry-After", "9223372036"), 9223372036 * time.Second, true},
		{"just out of range", header("Retry-After", "9223372037"), greatest, true},
		{"far out of range", header("Retry-After", strings.Repeat("9", 30)), greatest, true},
		{"out of a float's range", header("Retry-After", strings.Repeat("9", 400)), greatest, true},

		{"negative", header("Retry-After", "-5"), 0, false},
		{"negative zero", header("Retry-After", "-0"), 0, false},
		{"plus", header("Retry-After", "+5"), 0, false},
		{"infinite", header("Retry-After", "Inf"), 0, false},
		{"not a number", header("Retry-After", "NaN"), 0, false},
		{"exponent", header("Retry-After", "1e9"), 0, false},
		{"hexadecimal", header("Retry-After", "0x10"), 0, false},
		{"underscore", header("Retry-After", "1_000"), 0, false},
		{"two points", header("Retry-After", "1.2.3"), 0, false},
		{"a point", header("Retry-After", "."), 0, false},
		{"unit", header("Retry-After", "5s"), 0, false},
		{"list", header("Retry-After", "5, 10"), 0, false},
		{"words", header("Retry-After", "soon"), 0, false},
		{"twice", http.Header{"Retry-After": {"2", "5", "3"}}, 5 * time.Second, true},
		{"twice, one of them unreadable", http.Header{"Retry-After": {"soon", "Sat, 14 Mar 2026 12:01:00 GMT", "-1"}}, time.Minute, true},
		{"milliseconds twice", http.Header{"Retry-After-Ms": {"2", "5"}, "Retry-After": {"9"}}, 5 * time.Millisecond, true},

		{"date", header("Retry-After", "Sat, 14 Mar 2026 12:01:00 GMT"), time.Minute, true},
		{"date in the form of RFC 850", header("Retry-After", "Saturday, 14-Mar-26 12:01:00 GMT"), time.Minute, true},
		{"date in the form of asctime", header("Retry-After", "Sat Mar 14 12:01:00 2026"), time.Minute, true},
		{"this very second", header("Retry-After", "Sat, 14 Mar 2026 12:00:00 GMT"), 0, true},
		{"past date", header("Retry-After", "Sat, 14 Mar 2026 11:59:59 GMT"), 0, true},
		{"date far off", header("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"), greatest, true},
		{"no date of HTTP's", header("Retry-After", "2026-03-14T12:01:00Z"), 0, false},
		{"clock of the server ahead", header("Retry-After", "Sat, 14 Mar 2026 13:01:00 GMT", "Date", "Sat, 14 Mar 2026 13:00:00 GMT"), time.Minute, true},
		{"clock of the server behind", header("Retry-After", "Sat, 14 Mar 2026 11:01:00 GMT", "Date", "Sat, 14 Mar 2026 11:00:00 GMT"), time.Minute, true},
		{"unreadable Date", header("Retry-After", "Sat, 14 Mar 2026 12:01:00 GMT", "Date", "today"), time.Minute, true},
		{"Date does not touch seconds", header("Retry-After", "2", "Date", "Sat, 14 Mar 2026 13:00:00 GMT"), 2 * time.Second, true},

		{"milliseconds", header("Retry-After-Ms", "250"), 250 * time.Millisecond, true},
		{"fraction of them", header("Retry-After-Ms", "0.5"), 500 * time.Microsecond, true},
		{"none of them", header("Retry-After-Ms", "0", "Retry-After", "2"), 0, true},
		{"by their other name", header("X-Ms-Retry-After-Ms", "250"), 250 * time.Millisecond, true},
		{"before seconds", header("Retry-After", "2", "Retry-After-Ms", "1250"), 1250 * time.Millisecond, true},
		{"before their other name", header("X-Ms-Retry-After-Ms", "3", "Retry-After-Ms", "2"), 2 * time.Millisecond, true},
		{"the other name before seconds", header("X-Ms-Retry-After-Ms", "3", "Retry-After", "2"), 3 * time.Millisecond, true},
		{"unreadable ones give way", header("Retry-After-Ms", "-1", "X-Ms-Retry-After-Ms", "soon", "Retry-After", "2"), 2 * time.Second, true},
		{"too many of them", header("Retry-After-Ms", strings.Repeat("9", 400)), greatest, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := policy.WaitHint(tt.header, noon)
			if got != tt.want || ok != tt.wantOK {
				t.Errorf("WaitHint(%v) = %v, %v, want %v, %v", tt.header, got, ok, tt.want, tt.wantOK)
			}
		})
	}
}

func FuzzWaitHint(f *testing.F) {
	for _, value := range []string{
		"2", "1.5", "-5", "1e9", "Inf", "9223372037", "Sat, 14 Mar 2026 12:01:00 GMT",
		"Saturday, 14-Mar-26 12:01:00 GMT", "Sat Mar 14 12:01:00 2026", strings.Repeat("9", 400),
	} {
		f.Add(value, "", "")
		f.Add("", value, "")
		f.Add(value, "soon", value)
	}
	f.Fuzz(func(t *testing.T, after, milliseconds, date string) {
		h := http.Header{"Retry-After": {after}, "Retry-After-Ms": {milliseconds}, "Date": {date}}
		wait, ok := policy.WaitHint(h, noon)
		if wait < 0 || !ok && wait != 0 {
			t.Errorf("WaitHint(%q) = %v, %v", h, wait, ok)
		}
	})
}

func TestResetHint(t *testing.T) {
	const greatest = time.Duration(math.MaxInt64)
	limit := func(remaining, reset string, more ...string) http.Header {
		return header(append([]string{"X-Ratelimit-Remaining-Requests", remaining, "X-Ratelimit-Reset-Requests", reset}, more...)...)
	}
	ahead := []string{"Date", "Sat, 14 Mar 2026 13:00:00 GMT"}
	tests := []struct {
		name   string
		header http.Header
		want   time.Duration
		wantOK bool
	}{
		{"nothing", nil, 0, false},
		{"other fields", header("X-Ratelimit-Limit-Requests", "60", "X-Ratelimit-Remaining-Requests", "0", "Reset", "5", "X-Reset-After", "5"), 0, false},

		{"duration", limit("0", "6m0s"), 6 * time.Minute, true},
		{"short duration", limit("0", "12ms"), 12 * time.Millisecond, true},
		{"fraction", limit("0", "8.64s"), 8640 * time.Millisecond, true},
		{"duration of zero", limit("0", "0s"), 0, true},
		{"negative duration", limit("0", "-5s"), 0, false},
		{"duration out of range", limit("0", "99999999h"), 0, false},
		{"seconds", limit("0", "17"), 17 * time.Second, true},
		{"seconds with a fraction", limit("0", "1.5"), 1500 * time.Millisecond, true},
		{"white space around", limit(" 0 ", " 17 "), 17 * time.Second, true},
		{"seconds of zero", limit("0", "0"), 0, true},
		{"negative seconds", limit("0", "-1"), 0, false},
		{"date", limit("0", "2026-03-14T12:00:20Z"), 20 * time.Second, true},
		{"date with a zone", limit("0", "2026-03-14T14:00:20.5+02:00"), 20500 * time.Millisecond, true},
		{"date in the past", limit("0", "2026-03-14T11:00:00Z"), 0, true},
		{"date far off", limit("0", "9999-12-31T23:59:59Z"), greatest, true},
		{"seconds since 1970", limit("0", "1773489660"), time.Minute, true},
		{"milliseconds since 1970", limit("0", "1773489660500"), 60500 * time.Millisecond, true},
		{"seconds since 1970, past", limit("0", "1773489000"), 0, true},
		{"milliseconds since 1970, past", limit("0", "1773489000000"), 0, true},
		{"out of range", limit("0", strings.Repeat("9", 400)), time.Unix(0, math.MaxInt64).Sub(noon), true},
		{"words", limit("0", "soon"), 0, false},
		{"empty", limit("0", ""), 0, false},

		{"the server's clock is ahead", limit("0", "2026-03-14T13:00:20Z", ahead...), 20 * time.Second, true},
		{"the server's clock is ahead, since 1970", limit("0", "1773493260", ahead...), time.Minute, true},
		{"its clock does not touch durations", limit("0", "20s", ahead...), 20 * time.Second, true},

		{"some remain", limit("1", "6m0s"), 0, false},
		{"some remain, in thousands", limit("1000", "6m0s"), 0, false},
		{"none remain, in other words", limit("0.0", "6m0s"), 6 * time.Minute, true},
		{"the server does not know", limit("-1", "0"), 0, false},
		{"the server says nothing sensible", limit("none", "6m0s"), 0, false},
		{"the server says nothing", header("X-Ratelimit-Reset-Requests", "6m0s"), 6 * time.Minute, true},
		{"the server says nothing, of several", header("Anthropic-Ratelimit-Unified-Reset", "1773489660", "Anthropic-Ratelimit-Unified-7d-Reset", "1773500000"), time.Minute, true},
		{"the server says nothing of one", limit("0", "12ms", "X-Ratelimit-Reset-Tokens", "6m0s"), 12 * time.Millisecond, true},
		{"the longer of two", limit("0", "12ms", "X-Ratelimit-Remaining-Tokens", "0", "X-Ratelimit-Reset-Tokens", "6m0s"), 6 * time.Minute, true},
		{"the one that is used up", limit("0", "12ms", "X-Ratelimit-Remaining-Tokens", "5", "X-Ratelimit-Reset-Tokens", "6m0s"), 12 * time.Millisecond, true},
		{"the one that can be read", limit("0", "12ms", "X-Ratelimit-Remaining-Tokens", "0", "X-Ratelimit-Reset-Tokens", "soon"), 12 * time.Millisecond, true},

		{"Anthropic", header("Anthropic-Ratelimit-Input-Tokens-Remaining", "0", "Anthropic-Ratelimit-Input-Tokens-Reset", "2026-03-14T12:01:00Z",
			"Anthropic-Ratelimit-Requests-Remaining", "40", "Anthropic-Ratelimit-Requests-Reset", "2026-03-14T12:05:00Z"), time.Minute, true},
		{"Azure, unknown", header("X-Ratelimit-Limit-Tokens", "-1", "X-Ratelimit-Remaining-Tokens", "-1", "X-Ratelimit-Reset-Tokens", "0"), 0, false},
		{"GitHub", header("X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", "1773489660"), time.Minute, true},
		{"the draft of a standard", header("Ratelimit-Remaining", "0", "Ratelimit-Reset", "50"), 50 * time.Second, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := policy.ResetHint(tt.header, noon)
			if got != tt.want || ok != tt.wantOK {
				t.Errorf("ResetHint(%v) = %v, %v, want %v, %v", tt.header, got, ok, tt.want, tt.wantOK)
			}
		})
	}
}

func FuzzResetHint(f *testing.F) {
	for _, value := range []string{
		"6m0s", "12ms", "-5s", "17", "-1", "1773489660", "1773489660500", "2026-03-14T12:00:20Z",
		"99999999h", "9223372037", strings.Repeat("9", 400), "0.5", "1e9", "NaN",
	} {
		f.Add("0", value, "")
		f.Add(value, value, "Sat, 14 Mar 2026 13:00:00 GMT")
	}
	f.Fuzz(func(t *testing.T, remaining, reset, date string) {
		h := http.Header{"X-Ratelimit-Remaining-Tokens": {remaining}, "X-Ratelimit-Reset-Tokens": {reset}, "Date": {date}}
		wait, ok := policy.ResetHint(h, noon)
		if wait < 0 || !ok && wait != 0 {
			t.Errorf("ResetHint(%q) = %v, %v", h, wait, ok)
		}
		for name := range h {
			h[name] = nil // as a caller may leave it
			policy.ResetHint(h, noon)
		}
	})
}
