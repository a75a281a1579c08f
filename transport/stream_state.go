package transport

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/sparekey/sparekey/policy"
)

// A streamState is what the events of one stream have told so far.
type streamState struct {
	events sseParser
	judge  policy.EventJudge // nil for policy.JudgeEvent
	known  bool              // an event was of a known format
	chat   bool              // the first of those was a part of a chat completion
	due    bool              // there must be a last event
	output bool              // something of the answer has come, be it its end
	whole  bool              // the last event has come, and nothing of the answer after it

	// failure is what an error event told of, or nil. It may be asked for while the
	// stream is read.
	failure atomic.Pointer[policy.StreamError]
}

// newState returns the state of the stream that answers req, before its first event.
func (s *streams) newState(req *http.Request) *streamState {
	return &streamState{judge: s.cfg.Judge, due: s.cfg.Judge != nil || asksForAnswer(req)}
}

// asksForAnswer reports whether req goes where the answer, if it is a stream, is of
// one of the formats that policy.JudgeEvent knows.
func asksForAnswer(req *http.Request) bool {
	if req.Method != http.MethodPost {
		return false
	}
	for _, end := range [...]string{
		"/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", // OpenAI's and Anthropic's
		":streamGenerateContent", "/v2/chat", // Gemini's and Cohere's
	} {
		if strings.HasSuffix(req.URL.Path, end) {
			return true
		}
	}
	return false
}

// settled reports whether it is clear what the stream comes to: an answer or an
// error.
func (s *streamState) settled() bool { return s.output || s.failure.Load() != nil }

// read handles the next bytes of the stream.
func (s *streamState) read(p []byte) {
	if s.failure.Load() == nil {
		s.events.read(p, s.onEvent)
	}
}

// onEvent handles an event. Nothing counts after an error; but an answer that goes on
// after its last event, as with some gateways, must have a last event once more.
func (s *streamState) onEvent(e policy.Event) {
	if s.failure.Load() != nil || s.isMoreOfSame(e) {
		return
	}
	kind, verdict := s.judgeEvent(e)
	if kind == policy.EventUnknown {
		s.onUnknown(e)
		return
	}
	if !s.known {
		s.chat = s.judge == nil && isChat(e.Data)
	}
	s.known, s.due = true, true
	switch kind {
	case policy.EventOutput:
		s.output, s.whole = true, false
	case policy.EventEnd:
		s.output, s.whole = true, true
	case policy.EventError:
		s.failure.Store(&policy.StreamError{Verdict: verdict})
	}
}

func (s *streamState) judgeEvent(e policy.Event) (policy.EventKind, policy.Verdict) {
	if s.judge != nil {
		return s.judge(e)
	}
	kind, verdict := policy.JudgeEvent(e)
	if kind == policy.EventUnknown && s.events.tooLong {
		return judgeStart(e)
	}
	return kind, verdict
}

// judgeStart judges an event by its start. Those that say what they are do so before
// all else. A long one of Gemini's may be the last: only its end would say so.
func judgeStart(e policy.Event) (policy.EventKind, policy.Verdict) {
	if bytes.Contains(e.Data, candidatesField) {
		return policy.EventEnd, policy.Verdict{}
	}
	return policy.JudgeEvent(policy.Event{Name: leadingType(e.Data)})
}

// leadingType returns the member "type" of a JSON object if it is the first.
func leadingType(object []byte) string {
	d := json.NewDecoder(bytes.NewReader(object))
	for _, want := range [...]json.Token{json.Delim('{'), "type"} {
		if got, err := d.Token(); err != nil || got != want {
			return ""
		}
	}
	value, _ := d.Token()
	name, _ := value.(string)
	return name
}

// onUnknown handles an event of no known format: a keep-alive in the middle of an
// answer, or the first event of something else. A ping says nothing.
func (s *streamState) onUnknown(e policy.Event) {
	if s.known || e.Name == "ping" {
		return
	}
	s.output = true
	s.due = s.due && s.events.tooLong // which may be why it is not known
}

// isMoreOfSame reports whether e surely is one more part of the chat completion under
// way, as most events are. It saves decoding each of them.
func (s *streamState) isMoreOfSame(e policy.Event) bool {
	return s.chat && s.output && !s.whole && e.Name == "" && bytes.HasPrefix(e.Data, openBrace) &&
		bytes.Contains(e.Data, choicesField) && !bytes.Contains(e.Data, errorField)
}

// isChat reports whether the data of an event is a part of a chat completion. Events
// of other formats may have a member "choices" further in: an argument of a function.
func isChat(data []byte) bool {
	var part struct {
		Choices []json.RawMessage `json:"choices"`
	}
	return json.Unmarshal(data, &part) == nil && part.Choices != nil
}

var (
	openBrace       = []byte(`{`)
	errorField      = []byte(`"error"`)
	choicesField    = []byte(`"choices"`)
	candidatesField = []byte(`"candidates"`)
)

// end returns what a stream ends in whose body ended in err. What it has told by
// then counts for more than err.
func (s *streamState) end(err error) error {
	half := s.rest()
	failure := s.failure.Load()
	switch {
	case failure != nil:
		return failure
	case s.whole:
		return io.EOF
	case err == io.EOF && (s.due || half): //nolint:errorlint // an end is io.EOF itself
		return io.ErrUnexpectedEOF
	}
	return err
}

// rest goes on with an event of which the empty line after it is missing. By the
// standard there is no such event, but some servers leave the line out at the very
// end. It reports whether half of the event's data is missing, too.
func (s *streamState) rest() (half bool) {
	e, ok := s.events.rest()
	if !ok || s.failure.Load() != nil {
		return false
	}
	data := bytes.TrimSpace(e.Data)
	if json.Valid(data) || string(data) == "[DONE]" {
		s.onEvent(e)
		return false
	}
	return !s.events.tooLong && bytes.HasPrefix(data, openBrace)
}
