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
// the range of [time.Duration] is its greatest value.
func WaitHint(h http.Header, now time.Time) (wait time.Duration, ok bool) {
	for _, name := range [...]string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if wait, ok := parseDelay(h.Get(name), time.Millisecond); ok {
			return wait, true
		}
	}
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	if wait, ok := parseDelay(value, time.Second); ok {
		return wait, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(0, at.Sub(now)), true
}

// parseDelay reads a decimal number of units.
func parseDelay(value string, unit time.Duration) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if value == "" || strings.Trim(value, "0123456789.") != "" { // no signs, no exponents, no "Inf"
		return 0, false
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range is infinite
		return 0, false
	}
	if n *= float64(unit); n >= math.MaxInt64 {
		return math.MaxInt64, true
	}
	return time.Duration(math.Round(n)), true // the product may fall short of the whole nanosecond
}
