package transporttest

import (
	"net/http"
	"time"
)

// An Option of [Check] and [Run] says what a layer may do.
type Option func(*settings)

type settings struct {
	repeat  bool
	answer  bool
	replace bool
	refuse  bool
	linger  time.Duration
	prepare func(*http.Request) *http.Request
	except  map[string]string // by the name of the rule
}

// MayRepeat says that the layer may send a request more than once, as retries
// and hedges do. It must then replay the body whole, end the answers that it
// drops, and leave alone what is not safe to repeat.
func MayRepeat() Option { return func(s *settings) { s.repeat = true } }

// MayAnswer says that the layer may answer without a request below, as a cache
// does.
func MayAnswer() Option { return func(s *settings) { s.answer = true } }

// MayReplace says that the layer may give an answer of its own in place of an
// error or of a status of 400 and more, as a fallback does.
func MayReplace() Option { return func(s *settings) { s.replace = true } }

// MayRefuse says that the layer may fail a request without sending it after
// others have failed or while many are under way, as breakers and limiters do.
func MayRefuse() Option { return func(s *settings) { s.refuse = true } }

// MayLinger says that what the layer sent may go on for so long after the call, as
// the request that lost to a hedge does, so that its connection can be kept.
func MayLinger(d time.Duration) Option {
	return func(s *settings) { s.linger = max(s.linger, d) }
}

// Requests says how the suite's requests must be prepared to get the layer's
// attention: with credentials, say, or a value in the context. The func returns
// the request itself or a copy. What is safe to repeat is checked without it, since
// that may be what it says.
func Requests(prepare func(*http.Request) *http.Request) Option {
	return func(s *settings) { s.prepare = prepare }
}

// Except leaves out the rule of that name, which the layer is known to break, and
// says why. It panics if there is no such rule.
func Except(name, reason string) Option {
	mustBeRule(name)
	return func(s *settings) { s.except[name] = reason }
}
