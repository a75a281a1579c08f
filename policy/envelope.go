package policy

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
	"strings"
)

// An envelope is what an error body says.
type envelope struct {
	code, message string
	known         bool // it has one of the forms that Classify reads
}

// readEnvelope reads an error body. A body that was cut at PeekBytes, or is no
// JSON object, gives what can be said of it: its beginning as the message.
func readEnvelope(body []byte) envelope {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return envelope{}
	}
	if body[0] != '{' || !json.Valid(body) {
		return envelope{message: oneLine(string(body[:min(len(body), 4*maxMessage)]))}
	}
	outer := readFields(body)
	inner := readFields(outer.err)
	name, description := jsonText(outer.err), jsonText(outer.description)
	e := envelope{
		code:    firstOf(jsonText(inner.code), jsonText(inner.kind), jsonText(outer.code)),
		message: firstOf(jsonText(outer.message), jsonText(inner.message), description, name),
		known:   true,
	}
	if name != "" && description != "" {
		e.code = firstOf(e.code, name) // RFC 6749 section 5.2
	}
	e.code, e.message = oneLine(e.code), oneLine(e.message)
	return e
}

// saysQuota reports whether the error is about a plan, not about a rate. Links
// do not count: rate limits come with one to where the quota can be raised.
func (e envelope) saysQuota() bool {
	if !e.known {
		return false
	}
	switch e.code {
	case "insufficient_quota", "quota_exceeded", "billing_error", "billing_hard_limit_reached",
		"credit_balance_exhausted":
		return true
	}
	words := slices.DeleteFunc(strings.Fields(strings.ToLower(e.message)), func(word string) bool {
		return strings.Contains(word, "://")
	})
	message := strings.Join(words, " ")
	for _, phrase := range [...]string{"quota", "billing", "credit balance", "spend limit", "upgrade your plan"} {
		if strings.Contains(message, phrase) {
			return true
		}
	}
	return false
}

// fields are the members of an error object, as they are in the JSON text; nil
// for one that is not there. Their names count in any case, and of several the
// last, as with package encoding/json, which takes several times as long: answers
// that are errors come in numbers just when there is no time for them.
type fields struct {
	message, err, description, code, kind []byte
}

// readFields reads a JSON text that is valid. One that is no object has none.
func readFields(text []byte) (f fields) {
	if len(text) == 0 || text[0] != '{' {
		return f
	}
	for name, value := range members(text) {
		switch {
		case isName(name, "message"):
			f.message = value
		case isName(name, "error"):
			f.err = value
		case isName(name, "error_description"):
			f.description = value
		case isName(name, "code"):
			f.code = value
		case isName(name, "type"):
			f.kind = value
		}
	}
	return f
}

// isName reports whether a JSON string is name, in any case.
func isName(text []byte, name string) bool {
	if bytes.IndexByte(text, '\\') >= 0 {
		return strings.EqualFold(jsonText(text), name)
	}
	return strings.EqualFold(string(text[1:len(text)-1]), name)
}

// members returns the names and values of a JSON object that is valid.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		const between = " \t\r\n,:{"
		rest := bytes.TrimLeft(object, between)
		for len(rest) > 0 && rest[0] == '"' {
			name := rest[:valueEnd(rest)]
			rest = bytes.TrimLeft(rest[len(name):], " \t\r\n:")
			value := rest[:valueEnd(rest)]
			rest = bytes.TrimLeft(rest[len(value):], between)
			if !yield(name, value) {
				return
			}
		}
	}
}

// valueEnd returns where the value ends with which a part of a JSON text begins.
func valueEnd(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			if i += stringEnd(text[i:]) - 1; depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // it is a number or a word, and the last value there is
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// stringEnd returns where the string ends with which a part of a JSON text begins.
func stringEnd(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// jsonText returns a JSON string or number as text, anything else as "".
func jsonText(raw []byte) string {
	switch {
	case len(raw) == 0: // absent
		return ""
	case raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0:
		return string(raw[1 : len(raw)-1])
	case raw[0] == '"':
		var text string
		_ = json.Unmarshal(raw, &text) // it is valid
		return text
	case raw[0] == '-' || '0' <= raw[0] && raw[0] <= '9':
		return string(raw)
	}
	return ""
}
func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
