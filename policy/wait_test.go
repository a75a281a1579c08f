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
	for _, value := range []string{"2", "1.5", "-5", "1e9", "Inf", "9223372037", "Sat, 14 Mar 2026 12:01:00 GMT",
		"Saturday, 14-Mar-26 12:01:00 GMT", "Sat Mar 14 12:01:00 2026", strings.Repeat("9", 400)} {
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
