package policy

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// WaitHint returns how long a server asked to wait, and whether it said so in a
// form that can be read. It reads, in this order, retry-after-ms and
// x-ms-retry-after-ms (milliseconds), then Retry-After (RFC 9110 section
// 10.2.3): seconds, with a fraction if need be, or a date in any of the three
// forms of RFC 9110 section 5.6.7. A date counts from the response's own Date,
// so that clocks that differ do no harm, else from now. What lies in the past
// is a wait of zero; what is negative or unreadable is no hint; what exceeds
// the range of [time.Duration] is its greatest value. Of a field that comes more
// than once, the longest wait counts.
func WaitHint(h http.Header, now time.Time) (wait time.Duration, ok bool) {
	var waits hints
	for _, name := range [...]string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		for _, value := range h[name] {
			waits.addIf(parseDelay(value, time.Millisecond))
		}
		if waits.some {
			return waits.most, true
		}
	}
	for _, value := range h["Retry-After"] {
		waits.addIf(parseRetryAfter(strings.TrimSpace(value), h, now))
	}
	return waits.most, waits.some
}

// parseRetryAfter reads a number of seconds or a date.
func parseRetryAfter(value string, h http.Header, now time.Time) (time.Duration, bool) {
	if wait, ok := parseDelay(value, time.Second); ok {
		return wait, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return max(0, at.Sub(serverTime(h, now))), true
}

// serverTime returns what the server's clock said, else now.
func serverTime(h http.Header, now time.Time) time.Time {
	if value := valueOf(h, "Date"); value != "" {
		if date, err := http.ParseTime(value); err == nil {
			return date
		}
	}
	return now
}

// ResetHint returns how long it takes until a rate limit that is used up starts
// afresh, and whether the header fields of a 429 tell. They are the ones whose
// names say "ratelimit" and "reset", each with a sibling that says "remaining" in
// place of "reset": x-ratelimit-reset-requests (OpenAI, Azure),
// anthropic-ratelimit-tokens-reset, x-ratelimit-reset, ratelimit-reset. Their
// values may be durations ("6m0s", "12ms"), numbers of seconds, dates of RFC 3339,
// or the time in seconds or milliseconds since 1970. Times count as with
// [WaitHint], which comes first unless it is zero: it is what the server asks for.
//
// A limit is used up if nothing of it remains; of several, the one that takes
// longest counts. Where no limit says so, one whose field for what remains is
// missing may be the one; of several, the one that takes least counts. A negative
// number that remains means that the server does not know.
func ResetHint(h http.Header, now time.Time) (wait time.Duration, ok bool) {
	var server time.Time // once a field asks for it
	var usedUp, unsaid hints
	for name := range h {
		sibling, isReset := remainingOf(name)
		if !isReset {
			continue
		}
		if server.IsZero() {
			server = serverTime(h, now)
		}
		wait, ok := parseReset(h.Get(name), server)
		if !ok {
			continue
		}
		switch left, said := h[sibling]; {
		case !said:
			unsaid.add(wait)
		case len(left) > 0 && isZero(left[0]):
			usedUp.add(wait)
		}
	}
	if usedUp.some {
		return usedUp.most, true
	}
	return unsaid.least, unsaid.some
}

// hints are the least and the longest of some waits.
type hints struct {
	some        bool
	least, most time.Duration
}

func (w *hints) add(wait time.Duration) {
	if !w.some {
		*w = hints{true, wait, wait}
	}
	w.least, w.most = min(w.least, wait), max(w.most, wait)
}

func (w *hints) addIf(wait time.Duration, ok bool) {
	if ok {
		w.add(wait)
	}
}

// remainingOf returns the name of the field for what remains of a limit, if name
// is that of the field for its reset.
func remainingOf(name string) (string, bool) {
	if !strings.Contains(name, "Ratelimit-") || !strings.Contains(name+"-", "-Reset-") {
		return "", false
	}
	return strings.Replace(name, "-Reset", "-Remaining", 1), true
}

// parseReset reads the time to a reset in any of its forms.
func parseReset(value string, now time.Time) (time.Duration, bool) {
	const (
		seconds      = 1e9  // from here on it is no delay but a time since 1970
		milliseconds = 1e12 // from here on it is one in milliseconds
	)
	value = strings.TrimSpace(value)
	if n, ok := parseNumber(value); ok {
		switch {
		case n >= milliseconds:
			return max(0, sinceEpoch(n, time.Millisecond, now)), true
		case n >= seconds:
			return max(0, sinceEpoch(n, time.Second, now)), true
		}
		return scale(n, time.Second), true
	}
	if strings.Contains(value, "T") { // no duration does
		at, err := time.Parse(time.RFC3339, value)
		return max(0, at.Sub(now)), err == nil
	}
	wait, err := time.ParseDuration(value)
	return max(0, wait), err == nil && wait >= 0
}

// sinceEpoch returns how long it is from now to n units after 1970.
func sinceEpoch(n float64, unit time.Duration, now time.Time) time.Duration {
	return time.Unix(0, 0).Add(scale(n, unit)).Sub(now)
}

func isZero(value string) bool {
	n, ok := parseNumber(strings.TrimSpace(value))
	return ok && n == 0
}

// parseDelay reads a decimal number of units.
func parseDelay(value string, unit time.Duration) (time.Duration, bool) {
	n, ok := parseNumber(strings.TrimSpace(value))
	return scale(n, unit), ok
}

// parseNumber reads a decimal number: no sign, no exponent, no "Inf".
func parseNumber(value string) (float64, bool) {
	if value == "" || strings.Trim(value, "0123456789.") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(value, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange) // out of range is infinite
}

// scale returns n units, as far as a Duration goes.
func scale(n float64, unit time.Duration) time.Duration {
	if n *= float64(unit); n >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(math.Round(n)) // the product may fall short of the whole nanosecond
}
