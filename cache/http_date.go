package cache

import (
	"net/http"
	"strings"
	"time"
)

// The forms of a date (RFC 9110 section 5.6.7). Of a year with two digits, those
// below 69 are in this century.
var dateLayouts = [...]string{http.TimeFormat, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC}

// readDate reads a date exactly as it must be written, but for the case of its
// letters: package time takes one-digit hours and doubled spaces, too, where a
// sender who is that careless may mean another time. The day of the week is not
// compared with the date.
func readDate(text string) (time.Time, bool) {
	if n := len(text) - len("GMT"); n > 0 && strings.EqualFold(text[n:], "GMT") {
		text = text[:n] + "GMT"
	}
	for _, layout := range dateLayouts {
		t, err := time.Parse(layout, text)
		if err == nil && strings.EqualFold(afterWeekday(text), afterWeekday(t.Format(layout))) {
			return t, true
		}
	}
	return time.Time{}, false
}

func afterWeekday(date string) string {
	if i := strings.IndexAny(date, ", "); i >= 0 {
		return date[i:]
	}
	return date
}

// dateOf returns the date that a field says, if it is there once and is one.
func dateOf(h http.Header, name string) (time.Time, bool) {
	if lines := h[name]; len(lines) == 1 {
		return readDate(lines[0])
	}
	return time.Time{}, false
}
