package nyckelsim

import (
	"net/url"
	"strconv"
	"strings"
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

func (q *query) fail(err error) {
	if q.err == nil {
		q.err = err
	}
}
