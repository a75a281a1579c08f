package nyckelsim

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A query reads typed parameters and keeps the first error. A parameter that is
// missing or empty is unset.
type query struct {
	values url.Values
	err    error
}

// boolean returns the parameter's value, or fallback if it is unset. Case does
// not matter: Python clients send True.
func (q *query) boolean(name string, fallback bool) bool {
	switch value := q.values.Get(name); strings.ToLower(value) {
	case "":
		return fallback
	case "true":
		return true
	case "false":
		return false
	default:
		q.fail(badRequest("The query parameter %q is neither true nor false: %q.", name, value))
		return fallback
	}
}

// count returns the parameter's value, an int32 that is not negative, or
// fallback if it is unset.
func (q *query) count(name string, fallback int) int {
	value := q.values.Get(name)
	if value == "" {
		return fallback
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 0 {
		q.fail(badRequest("The query parameter %q is not a whole number from 0 to 2147483647: %q.", name, value))
		return fallback
	}
	return int(n)
}

// time returns the parameter's value, a date and time by RFC 3339.
func (q *query) time(name string) (time.Time, bool) {
	value := q.values.Get(name)
	if value == "" {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		q.fail(badRequest("The query parameter %q is not a time such as 2006-01-02T15:04:05Z: %q.", name, value))
	}
	return at, err == nil
}

// list returns ids with their prefix, given by several parameters or with
// commas; nil if there is none.
func (q *query) list(name, prefix string) []string {
	var ids []string
	for _, value := range q.values[name] {
		for id := range strings.SplitSeq(value, ",") {
			if id != "" {
				ids = append(ids, withPrefix(prefix, id))
			}
		}
	}
	return ids
}

func (q *query) fail(err error) {
	if q.err == nil {
		q.err = err
	}
}
