package providersim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// stopOf are the dialects' words for a reason to stop.
var stopOf = map[Dialect]map[Stop]string{
	OpenAI:    {"": "stop", StopLength: "length", StopFilter: "content_filter", StopRefusal: "stop"},
	Anthropic: {"": "end_turn", StopLength: "max_tokens", StopFilter: "refusal", StopRefusal: "refusal"},
}

func (x *exchange) stop(c Completion) string {
	if x.s.cfg.Dialect == Anthropic {
		return stopOf[Anthropic][c.Stop]
	}
	return stopOf[OpenAI][c.Stop]
}

// completion returns the answer in one piece.
func (x *exchange) completion(c Completion) object {
	switch x.s.cfg.Dialect {
	case Nyckel:
		return object{"labelName": c.Text, "labelId": "label_" + c.Text, "confidence": 0.9}
	case Anthropic:
		block, stop := object{"type": "text", "text": c.Text}, x.stop(c)
		if x.tools && isObject(c.Text) {
			block = object{"type": "tool_use", "id": x.id("toolu_"), "name": "answer", "input": json.RawMessage(c.Text)}
			if c.Stop == "" {
				stop = "tool_use"
			}
		}
		return object{
			"id": x.id("msg_"), "type": "message", "role": "assistant", "content": []object{block},
			"stop_reason": stop, "usage": object{"input_tokens": 1, "output_tokens": 1},
		}
	}
	message := object{"role": "assistant", "content": c.Text, "refusal": nil}
	if c.Stop == StopRefusal {
		message["content"], message["refusal"] = nil, c.Text
	}
	return object{
		"id": x.id("chatcmpl-"), "object": "chat.completion", "usage": object{"total_tokens": 2},
		"choices": []object{{"index": 0, "message": message, "finish_reason": x.stop(c)}},
	}
}

func isObject(text string) bool {
	return len(text) > 0 && text[0] == '{' && json.Valid([]byte(text))
}

// sendStream sends the answer as an event stream of two pieces, or what a fault
// leaves of it.
func (x *exchange) sendStream(c Completion) {
	x.w.Header().Set("Content-Type", "text/event-stream")
	x.begin(http.StatusOK)
	half := len(c.Text) / 2
	for half > 0 && c.Text[half]&0xC0 == 0x80 { // within a rune
		half--
	}
	events := x.events(c.Text[:half], c.Text[half:], x.stop(c))
	middle := len(events) / 2
	for i, e := range events {
		switch {
		case i == middle && x.fault == Truncated:
			x.cut()
		case i == middle && x.fault == StreamError:
			x.failure = internal
			x.event("error", marshal(x.envelope(x.refusal())))
			return
		case i == len(events)-1 && x.fault == Unfinished:
			return
		}
		x.event(e.name, e.data)
	}
}

// An event is one of a stream. OpenAI's have no name.
type event struct {
	name string
	data []byte
}

// events returns a whole stream; the first half of the text comes before its
// middle.
func (x *exchange) events(first, second, stop string) []event {
	if x.s.cfg.Dialect == Anthropic {
		delta := func(text string) object {
			return object{"index": 0, "delta": object{"type": "text_delta", "text": text}}
		}
		return []event{
			named("message_start", object{"message": object{
				"id": x.id("msg_"), "type": "message", "role": "assistant",
				"content": []object{}, "usage": object{"input_tokens": 1, "output_tokens": 1},
			}}),
			named("content_block_start", object{"index": 0, "content_block": object{"type": "text", "text": ""}}),
			named("content_block_delta", delta(first)),
			named("content_block_delta", delta(second)),
			named("content_block_stop", object{"index": 0}),
			named("message_delta", object{"delta": object{"stop_reason": stop}, "usage": object{"output_tokens": 2}}),
			named("message_stop", object{}),
		}
	}
	chunk := func(delta object, finish any) event {
		return event{data: marshal(object{
			"id": x.id("chatcmpl-"), "object": "chat.completion.chunk",
			"choices": []object{{"index": 0, "delta": delta, "finish_reason": finish}},
		})}
	}
	return []event{
		chunk(object{"role": "assistant", "content": first}, nil),
		chunk(object{"content": second}, nil),
		chunk(object{}, stop),
		{data: []byte("[DONE]")},
	}
}

// named returns one of Anthropic's events, which say their name in the data, too.
func named(name string, data object) event {
	data["type"] = name
	return event{name, marshal(data)}
}

// event sends an event at once.
func (x *exchange) event(name string, data []byte) {
	if name != "" && x.s.cfg.Dialect == Anthropic {
		_, _ = io.WriteString(x.w, "event: "+name+"\n")
	}
	fmt.Fprintf(x.w, "data: %s\n\n", data)
	_ = http.NewResponseController(x.w).Flush() // a client that has gone is no concern of the server
}
