package policy

import (
	"bytes"
	"strconv"
)

// ClassifyEvent decides on the data of an event in a stream, whose answer began
// with a good status. Data that tells of no error is [OK]. An error is one of
// these, in the words of the provider:
//
//	{"error": {…}}                                   OpenAI, Azure, Gemini, OpenRouter
//	{"type": "error", "error": {…}}                  Anthropic
//	{"type": "error", "code": "…", "message": "…"}   OpenAI, Responses API
//	{"type": "response.failed", "response": {"error": {…}}}
//	{"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "…"}}     Cohere
//	{"event_type": "stream-end", "finish_reason": "ERROR"}                         Cohere, version 1
//
// One that nothing is known of is [Unknown]. Whether an error was executed is never
// certain, since the answer had begun.
func ClassifyEvent(p Provider, data []byte) Verdict {
	if (p == ProviderCohere || p == ProviderGeneric) && bytes.Contains(data, []byte(`-end"`)) {
		if v, failed := cohereFailure(data); failed {
			return v
		}
	}
	if !bytes.Contains(data, []byte(`"error"`)) { // nearly all
		return Verdict{Class: OK, Executed: Executed}
	}
	e := readEnvelope(data)
	if string(e.outer.kind) == `"response.failed"` {
		e = readEnvelope(e.outer.response)
	} else if !e.isError() {
		return Verdict{Class: OK, Executed: Executed}
	}
	v := e.eventVerdict(p)
	v.Executed = MaybeExecuted
	return v
}

// eventVerdict returns the verdict on the error of an event, which has no status.
func (e *envelope) eventVerdict(p Provider) Verdict {
	c := e.classOf(p, 0)
	if c == Unknown {
		c = e.named(eventName)
	}
	v := meaning(c)
	if c == Unknown {
		v = byCode(e.names[:]...)
	}
	v.Wait = e.wait()
	v.Code, v.Message, v.RequestID = e.code, e.message, oneLine(jsonText(e.outer.requestID))
	return v
}

// isError reports whether the data of an event tells of an error.
func (e *envelope) isError() bool {
	return string(e.outer.kind) == `"error"` || holdsSomething(e.outer.err)
}

// byCode returns the verdict on the first name that is a status, as some providers
// have it.
func byCode(names ...string) Verdict {
	for _, name := range names {
		if status, err := strconv.Atoi(name); err == nil && status >= 400 {
			return byStatus(status)
		}
	}
	return Verdict{}
}
