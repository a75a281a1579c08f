package cache

import (
	"net/http"
	"slices"
	"time"
)

// Heuristic freshness is a tenth of the time since the last change, at most a
// day (RFC 9111 section 4.2.2).
const (
	heuristicShare = 10
	maxHeuristic   = 24 * time.Hour
)

// The statuses of answers that may be stored, and given a heuristic freshness, though
// nothing is said about that (RFC 9110 section 15.1), but for 206, which is not stored.
var heuristicStatuses = [...]int{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}

// bornAt returns when the origin gave or last confirmed an answer (RFC 9111
// section 4.2.3): to a request of that time, at the latest.
func bornAt(h http.Header, asked, arrived time.Time) time.Time {
	age := statedAge(h) + arrived.Sub(asked)
	if date, ok := dateOf(h, "Date"); ok {
		age = max(age, arrived.Sub(date).Truncate(time.Second)) // dates are no finer than that
	}
	return arrived.Add(-age)
}

// lifetime returns for how long an answer is fresh from its birth on (RFC 9111
// section 4.2.1), and whether it says so itself.
func lifetime(status int, h http.Header, cc directives, arrived time.Time) (d time.Duration, explicit bool) {
	if cc.maxAge != absent {
		return cc.maxAge, true
	}
	date, ok := dateOf(h, "Date")
	if !ok {
		date = arrived
	}
	if _, ok := h["Expires"]; ok {
		expires, _ := dateOf(h, "Expires") // one that cannot be read is past
		return max(expires.Sub(date), 0), true
	}
	if !cc.public && !slices.Contains(heuristicStatuses[:], status) {
		return 0, false
	}
	if changed, ok := dateOf(h, "Last-Modified"); ok {
		return min(max(date.Sub(changed), 0)/heuristicShare, maxHeuristic), false
	}
	return 0, false
}

// A standing is what a stored answer may be given for.
type standing uint8

const (
	unusable  standing = iota // not without the origin's word
	fresh                     // as it is
	tolerated                 // stale, as the request allows
	swr                       // stale, while a new one is fetched
)

// standing returns what the answer may be given for, to a request that says cc.
func (s *stored) standing(cc directives, now time.Time, maxStale time.Duration) standing {
	age, left, late := now.Sub(s.born), s.freshUntil.Sub(now), now.Sub(s.freshUntil) // late is not -left if both are the utmost
	if s.cc.noCache || cc.noCache || cc.maxAge != absent && age > cc.maxAge {
		return unusable
	}
	switch {
	case left > max(cc.minFresh, 0), left > 0 && left == cc.minFresh:
		return fresh
	case s.cc.mustRevalidate:
		return unusable
	case cc.maxStale != absent && late <= min(cc.maxStale, maxStale) && cc.minFresh == absent:
		return tolerated
	case late < min(s.cc.staleWhileRevalidate, maxStale) && cc.minFresh == absent:
		return swr
	}
	return unusable
}

// covers reports whether the answer may stand in for one that could not be had
// (RFC 9111 section 4.2.4, RFC 5861 section 4): for an error that the origin
// answered only if one side has set a time for that; where nobody could be asked,
// unless that time is over. An error stands in for nothing.
func (s *stored) covers(cc directives, disconnected bool, now time.Time, maxStale time.Duration) bool {
	if isError(s.code) || s.cc.noCache || s.cc.mustRevalidate || cc.noCache || cc.minFresh != absent {
		return false
	}
	if cc.maxAge != absent && now.Sub(s.born) > cc.maxAge {
		return false
	}
	window := s.cc.staleIfError
	if window == absent {
		window = cc.staleIfError
	}
	if window == absent && disconnected {
		window = maxStale
	}
	return now.Sub(s.freshUntil) < min(window, maxStale)
}

// isError reports whether a status is one that stale-if-error is for.
func isError(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
