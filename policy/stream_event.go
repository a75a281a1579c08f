package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// An Event is one of a stream of server-sent events, as section 9.2 of the HTML
// standard has it.
type Event struct {
	// Name is the field of name "event", "" if there is none.
	Name string

	// Data is what the fields of name "data" hold, joined by line feeds. It must
	// not be kept or changed.
	Data []byte
}

// An EventKind says what an event is to an answer.
type EventKind uint8

const (
	// EventUnknown is of no format that is known.
	EventUnknown EventKind = iota
	// EventStart belongs to an answer and brings nothing of it yet.
	EventStart
	// EventOutput brings a part of the answer.
	EventOutput
	// EventEnd is the last one of an answer, which is whole unless more of it comes.
	EventEnd
	// EventError tells that the answer failed.
	EventError
)

// String returns "unknown", "start", "output", "end" or "error".
func (k EventKind) String() string {
	switch k {
	case EventUnknown:
		return "unknown"
	case EventStart:
		return "start"
	case EventOutput:
		return "output"
	case EventEnd:
		return "end"
	case EventError:
		return "error"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// An EventJudge tells what an event is, and the verdict if it is an EventError. It
// must be safe for concurrent use and must not keep or change what it is given.
type EventJudge func(Event) (EventKind, Verdict)

// JudgeEvent is the usual [EventJudge]. It knows the streams of chat completions,
// OpenAI's and those of all who speak like it, Azure and older completions among
// them, which end with [DONE]; of OpenAI's responses, which end with
// response.completed, response.incomplete or response.failed; of Anthropic's
// messages, which end with message_stop; of Gemini's generateContent, on Vertex AI,
// too, which end with the part that has a finishReason for each candidate in it, or
// says why the prompt was blocked; and of Cohere's chat, which end with message-end,
// in version 1 with stream-end. One that failed says so there.
//
// A server that speaks one of them without its last event needs a judge of its
// own.
func JudgeEvent(e Event) (EventKind, Verdict) {
	if kind := kindOf(e.Name); kind != EventUnknown {
		return kind, Verdict{}
	}
	data := bytes.TrimSpace(e.Data)
	switch {
	case string(data) == "[DONE]":
		return EventEnd, Verdict{}
	case len(data) == 0 || data[0] != '{':
		return EventUnknown, Verdict{}
	}
	var f eventFields
	if json.Unmarshal(data, &f) != nil || len(f.RPC) > 0 {
		return EventUnknown, Verdict{}
	}
	name := firstOf(e.Name, jsonText(f.Type))
	switch kind := kindOf(name); {
	case kind != EventUnknown:
		return kind, Verdict{}
	case name == "response.failed":
		return EventError, judgeFailure(f.Response)
	case holdsSomething(f.Error):
		return EventError, judgeFailure(data)
	case name == "error" && jsonText(f.Type) == "error":
		return EventError, judgeFailure(data)
	case isArray(f.Choices):
		return kindOfChoices(f.Choices), Verdict{}
	}
	if kind := f.gemini(); kind != EventUnknown {
		return kind, Verdict{}
	}
	return f.cohere(name)
}

// eventFields are those by which an event without a telling name is known.
type eventFields struct {
	Type     json.RawMessage `json:"type"`
	Error    json.RawMessage `json:"error"`
	Choices  json.RawMessage `json:"choices"`
	RPC      json.RawMessage `json:"jsonrpc"` // somebody else's answers and errors
	Response json.RawMessage `json:"response"`

	geminiFields
	cohereFields
}

// kindOf returns the kind of events of a name that says it all.
func kindOf(name string) EventKind {
	switch name {
	case "message_start", "content_block_start", "content_block_stop",
		"response.created", "response.queued", "response.in_progress",
		"response.output_item.added", "response.content_part.added":
		return EventStart
	case "content_block_delta", "message_delta":
		return EventOutput
	case "message_stop", "response.completed", "response.incomplete":
		return EventEnd
	}
	if strings.HasPrefix(name, "response.") && (strings.HasSuffix(name, ".delta") || strings.HasSuffix(name, ".done")) {
		return EventOutput
	}
	return EventUnknown
}

// kindOfChoices tells whether the choices of a chat completion bring anything. The
// first parts name the role, or are there for the sake of what stands beside them.
func kindOfChoices(raw json.RawMessage) EventKind {
	var choices []struct {
		Text         string                     `json:"text"`
		Delta        map[string]json.RawMessage `json:"delta"`
		FinishReason string                     `json:"finish_reason"`
	}
	if json.Unmarshal(raw, &choices) != nil {
		return EventOutput // in a way that is not known
	}
	for _, c := range choices {
		if c.Text != "" || c.FinishReason != "" {
			return EventOutput
		}
		for name, value := range c.Delta {
			if name != "role" && holdsSomething(value) {
				return EventOutput
			}
		}
	}
	return EventStart
}

// holdsSomething reports whether a JSON value is there and not empty.
func holdsSomething(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", `""`, "[]", "{}", "false":
		return false
	}
	return true
}

func isArray(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '[' }

func isObject(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '{' }

// judgeFailure returns the verdict on an error event: the one on the answer that the
// same error would have had before the stream began, but for an overload, which
// came after it had begun.
func judgeFailure(document []byte) Verdict {
	e := readEnvelope(document)
	v := e.eventVerdict(ProviderGeneric)
	if v.Class == Overloaded {
		v.Executed = MaybeExecuted
	}
	return v
}
