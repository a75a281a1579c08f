package cache

import (
	"strconv"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// A remark is what is said of an answer that is given from memory, beside its times.
type remark struct {
	by     string           // the name of the cache
	source telemetry.Source // "" if the caller of response sets the field itself
	detail string           // why the answer is given though it is not fresh, "" if it is
}

// said are the values of the fields that say it. They are good for a second, and do not
// change.
type said struct {
	remark
	seconds, ttl int64 // the age, and how long the answer is fresh yet; below zero if it is stale

	age    string // Age
	status string // Cache-Status (RFC 9211)
	answer string // [telemetry.HeaderName]
}

// say returns what is said of the message now: mostly that of the last time, which costs
// no allocation.
func (m *message) say(r remark, now time.Time) *said {
	seconds := int64(max(now.Sub(m.born), 0) / time.Second)
	ttl := wholeSeconds(m.freshUntil.Sub(now))
	if last := m.last.Load(); last != nil && last.seconds == seconds && last.ttl == ttl && last.remark == r {
		return last
	}
	s := &said{remark: r, seconds: seconds, ttl: ttl}
	s.write(m.upstream)
	m.last.Store(s)
	return s
}

// write makes the values as parts of one text, for one allocation: answer ends with age,
// and status comes after that. Upstream is what caches nearer to the origin said, which
// comes first in Cache-Status.
func (s *said) write(upstream string) {
	var room [192]byte
	text := append(room[:0], s.source...)
	text = append(text, ";age="...)
	ageFrom := len(text)
	text = strconv.AppendInt(text, s.seconds, 10)
	ageTo := len(text)
	text = append(append(text, upstream...), s.by...)
	text = append(text, "; hit; ttl="...)
	text = strconv.AppendInt(text, s.ttl, 10)
	if s.detail != "" {
		text = append(append(text, "; detail="...), s.detail...)
	}
	all := string(text)
	s.age, s.status, s.answer = all[ageFrom:ageTo], all[ageTo:], all[:ageTo]
	if s.seconds == 0 { // as in [telemetry.Answer.Header]
		s.answer = string(s.source)
	}
}

// wholeSeconds returns d in seconds, rounded down, below zero too.
func wholeSeconds(d time.Duration) int64 {
	seconds := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		seconds--
	}
	return seconds
}
