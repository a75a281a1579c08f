package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/sparekey/sparekey/policy"
)

// A story is what the events of one stream have told so far.
type story struct {
	events events
	judge  policy.EventJudge // nil for policy.JudgeEvent
	known  bool              // an event was of a known format
	due    bool              // there must be a last event
	output bool              // something of the answer has come
	whole  bool              // the last event has come

	// failure is what an error event told of, or nil. It may be asked for while the
	// stream is read.
	failure atomic.Pointer[policy.StreamError]
}

// newStory returns the story of the stream that answers req.
func (s *streams) newStory(req *http.Request) *story {
	return &story{judge: s.cfg.Judge, due: s.cfg.Judge != nil || asksForAnswer(req)}
}

// asksForAnswer reports whether req goes where the answer, if it is a stream, is of
// one of the formats that policy.JudgeEvent knows.
func asksForAnswer(req *http.Request) bool {
	if req.Method != http.MethodPost {
		return false
	}
	for _, end := range [...]string{"/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"} {
		if strings.HasSuffix(req.URL.Path, end) {
			return true
		}
	}
	return false
}

// settled reports whether it is clear what the stream comes to: an answer or an
// error.
func (s *story) settled() bool { return s.output || s.whole || s.failure.Load() != nil }

// over reports whether nothing that may follow matters.
func (s *story) over() bool { return s.whole || s.failure.Load() != nil }

// read goes on with p.
func (s *story) read(p []byte) {
	if len(p) > 0 && !s.over() {
		s.events.read(p, s.tell)
	}
}

// tell goes on with an event.
func (s *story) tell(e policy.Event) {
	if s.over() || s.addsNothing(e) {
		return
	}
	kind, verdict := s.judged(e)
	if kind == policy.EventUnknown {
		s.foreign()
		return
	}
	s.known, s.due = true, true
	switch kind {
	case policy.EventOutput:
		s.output = true
	case policy.EventEnd:
		s.whole = true
	case policy.EventError:
		s.failure.Store(&policy.StreamError{Verdict: verdict})
	}
}

func (s *story) judged(e policy.Event) (policy.EventKind, policy.Verdict) {
	if s.judge != nil {
		return s.judge(e)
	}
	return policy.JudgeEvent(e)
}

// foreign goes on with an event that nobody knows: a sign of life in the middle of
// an answer, or the first event of something else.
func (s *story) foreign() {
	if s.known {
		return
	}
	s.output = true
	s.due = s.due && s.events.tooLong // which may be why it is not known
}

// addsNothing reports whether e surely is one more part of an answer under way, of
// which most events are: without a look at all that is in it.
func (s *story) addsNothing(e policy.Event) bool {
	return s.judge == nil && s.known && s.output && e.Name == "" && bytes.HasPrefix(e.Data, openBrace) &&
		!bytes.Contains(e.Data, errorField) && !bytes.Contains(e.Data, typeField)
}

var openBrace, errorField, typeField = []byte(`{`), []byte(`"error"`), []byte(`"type"`)

// end returns what a stream ends in whose body ended in err.
func (s *story) end(err error) error {
	ended := err == io.EOF //nolint:errorlint // an end is io.EOF itself
	if !ended && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err // not for want of bytes
	}
	half := s.rest()
	failure := s.failure.Load()
	switch {
	case failure != nil:
		return failure
	case s.whole:
		return io.EOF
	case ended && (s.due || half):
		return io.ErrUnexpectedEOF
	}
	return err
}

// rest goes on with an event of which the empty line after it is missing. By the
// standard there is no such event, but some servers leave the line out at the very
// end. It reports whether half of the event's data is missing, too.
func (s *story) rest() (half bool) {
	e, ok := s.events.rest()
	if !ok || s.over() {
		return false
	}
	data := bytes.TrimSpace(e.Data)
	if json.Valid(data) || string(data) == "[DONE]" {
		s.tell(e)
		return false
	}
	return !s.events.tooLong && bytes.HasPrefix(data, openBrace)
}
