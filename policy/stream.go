package policy

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Streams sets how answers are treated that are streams of server-sent events
// (text/event-stream). Its zero value passes every byte on as it comes and looks
// after the end only: a stream that stops before its last event ends in
// [io.ErrUnexpectedEOF] instead of looking whole.
//
// Streams in a Content-Encoding are left alone, since nobody can tell what is in
// them; so are those of a format that Judge does not know.
type Streams struct {
	// Off leaves all streams alone.
	Off bool

	// Judge tells what an event is. A stream of which it knows one event must have
	// a last one. With a Judge of one's own that holds for every stream, unless its
	// first event is an unknown one. Nil means [JudgeEvent]; streams that come to a
	// POST to a path by which one of its formats is known must have a last event
	// from the start, too.
	Judge EventJudge

	// HoldBytes and HoldTime let an answer wait for the first event that brings
	// something of it: until then the stream may turn out to be an error or to be
	// cut short, and so be asked for again as any other answer that failed. The
	// answer goes on to the caller as it is once HoldBytes have come, or once
	// HoldTime has passed since its header came. Zero HoldBytes mean that no
	// answer waits; at most 1 MiB. Zero HoldTime means 5 s.
	HoldBytes int64
	HoldTime  time.Duration
}

const defaultHoldTime = 5 * time.Second

// WithDefaults returns a copy of s with its zero fields filled. Judge stays nil,
// which is more than [JudgeEvent].
func (s Streams) WithDefaults() Streams {
	s.HoldTime = cmp.Or(s.HoldTime, defaultHoldTime)
	return s
}

// Validate reports everything that is wrong with s, a zero field being right.
func (s Streams) Validate() error {
	s = s.WithDefaults()
	return errors.Join(
		check(s.HoldBytes >= 0 && s.HoldBytes <= 1<<20, "Streams.HoldBytes", s.HoldBytes, "0 to 1048576"),
		check(s.HoldTime > 0, "Streams.HoldTime", s.HoldTime, "above 0"),
	)
}

func (s Streams) text() string {
	if s.HoldBytes == 0 {
		return "not held"
	}
	return fmt.Sprintf("held for ≤ %s, %s", size(s.HoldBytes), span(s.HoldTime))
}

// A StreamError ends the body of a stream that brought an error event: what went
// wrong after the server had begun to answer with a good status. The event itself
// has reached the caller before, as it was sent.
type StreamError struct {
	// Verdict is on the error that the event tells of.
	Verdict Verdict
}

// Error returns, for example, "sparekey: error in the stream: overloaded: Overloaded".
func (e *StreamError) Error() string {
	text := "sparekey: error in the stream: " + e.Verdict.Class.String()
	if message := firstOf(e.Verdict.Message, e.Verdict.Code); message != "" {
		text += ": " + message
	}
	return text
}
