package cache

import (
	"strconv"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// A remark is what is said of an answer that is given from memory.
type remark struct {
	by     string           // the name of the cache
	source telemetry.Source // "" if that is said by another
	detail string           // why the answer is given though it is not fresh, "" if it is
}

// said are the fields that say it. They are the same for a second, and not changed.
type said struct {
	remark
	seconds, ttl int64

	age, status, answer string // of one text
}

// say returns what is said of the message now, most often what was said last.
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

// write makes the fields. Caches nearer to the origin have said so much before.
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

// wholeSeconds rounds down.
func wholeSeconds(d time.Duration) int64 {
	seconds := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		seconds--
	}
	return seconds
}
