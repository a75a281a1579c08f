package policy

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// An envelope is what an error body says.
type envelope struct {
	code, message string
	known         bool // it has one of the forms that Classify reads

	// names are the provider's own for what happened, the most precise first.
	// Those that are not there are "".
	names        [6]string
	exception    string // Amazon's name for it
	google       googleDetails
	outer, inner fields
}

// readEnvelope reads an error body. A body that is no JSON object gives what can be
// said of it: the title of a page, else its beginning as the message. Of an array,
// which streams of Gemini's begin with, the first member counts. A byte order mark does
// not count, though JSON has none.
func readEnvelope(body []byte) envelope {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(body) == 0 {
		return envelope{}
	}
	if !json.Valid(body) {
		whole := uncut(body)
		if whole == nil {
			return envelope{message: plainMessage(body)}
		}
		body = whole
	}
	object := body
	if body[0] == '[' {
		object = bytes.TrimLeft(body[1:], jsonSpace)
	}
	if object[0] != '{' {
		return envelope{message: plainMessage(body)}
	}
	e := envelope{known: true, outer: readFields(object[:valueEnd(object)])}
	e.inner = readFields(e.outer.err)
	name, description := jsonText(e.outer.err), jsonText(e.outer.description)
	e.message = firstOf(jsonText(e.outer.message), jsonText(e.inner.message), description, name, firstText(e.outer.err),
		jsonText(e.outer.detail), jsonText(e.outer.title)) // RFC 9457 section 3.1
	e.names = [6]string{
		jsonText(readFields(e.inner.details).errorCode), // Anthropic
		wordOf(e.inner.status),                          // Gemini; a number says less than its code
		jsonText(e.inner.code),
		jsonText(e.inner.kind),
		jsonText(e.outer.code),
	}
	e.code = firstOf(e.names[:]...)
	if name != "" && description != "" {
		e.code = firstOf(e.code, name) // RFC 6749 section 5.2
	}
	e.google = readGoogleDetails(e.inner.details)
	e.names[5] = jsonText(readFields(e.inner.innerError).code) // Azure
	e.code, e.message = oneLine(e.code), oneLine(e.message)
	return e
}

// plainMessage returns what a body says that is no JSON object.
func plainMessage(body []byte) string {
	if body[0] == '<' {
		_, title, found := cutTag(body, "<title>")
		title, _, ended := cutTag(title, "</title>")
		if found && ended && len(bytes.TrimSpace(title)) > 0 {
			body = title
		}
	}
	return oneLine(string(body[:min(len(body), 4*maxMessage)]))
}

// cutTag cuts a page around the first tag like that, in any case.
func cutTag(page []byte, tag string) (before, after []byte, found bool) {
	for i, c := range page {
		if c == '<' && len(page)-i >= len(tag) && strings.EqualFold(string(page[i:i+len(tag)]), tag) {
			return page[:i], page[i+len(tag):], true
		}
	}
	return page, nil, false
}

// saysQuota reports whether the error is about a plan, not about a rate. Links
// do not count: rate limits come with one to where the quota can be raised.
func (e *envelope) saysQuota() bool {
	message := strings.ToLower(e.message)
	if !e.known || !namesPlan(message) {
		return false
	}
	words := slices.DeleteFunc(strings.Fields(message), func(word string) bool {
		return strings.Contains(word, "://")
	})
	return namesPlan(strings.Join(words, " "))
}

func namesPlan(message string) bool {
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
	message, err, description, code, kind  []byte
	status, details, errorCode, innerError []byte
	estimatedTime, requestID, response     []byte
	exception                              []byte
	retryDelay, violations, quotaID        []byte
	reason, detail, title                  []byte
}

// readFields reads a JSON text that is valid. One that is no object has none.
func readFields(text []byte) (f fields) {
	if len(text) == 0 || text[0] != '{' {
		return f
	}
	for raw, value := range members(text) {
		name := raw[1 : len(raw)-1]
		odd := isOdd(name)
		if odd {
			name = []byte(jsonText(raw))
		}
		is := func(want string) bool {
			return (odd || len(name) == len(want)) && strings.EqualFold(string(name), want)
		}
		switch {
		case is("message"):
			f.message = value
		case is("error"):
			f.err = value
		case is("error_description"):
			f.description = value
		case is("code"):
			f.code = value
		case is("type"):
			f.kind = value
		case is("status"):
			f.status = value
		case is("details"):
			f.details = value
		case is("error_code"):
			f.errorCode = value
		case is("innererror"):
			f.innerError = value
		case is("estimated_time"):
			f.estimatedTime = value
		case is("request_id"):
			f.requestID = value
		case is("response"):
			f.response = value
		case is("__type"):
			f.exception = value
		case is("retryDelay"):
			f.retryDelay = value
		case is("violations"):
			f.violations = value
		case is("quotaId"):
			f.quotaID = value
		case is("reason"):
			f.reason = value
		case is("detail"):
			f.detail = value
		case is("title"):
			f.title = value
		}
	}
	return f
}

// isOdd reports whether a name may be that of a field though it is not as long: it
// has an escape, or letters that are no ASCII but count as such ones in any case.
func isOdd(name []byte) bool {
	for _, c := range name {
		if c == '\\' || c >= utf8.RuneSelf {
			return true
		}
	}
	return false
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

// elements returns the values of a JSON array that is valid. What is no array has
// none.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		if len(array) == 0 || array[0] != '[' {
			return
		}
		rest := bytes.TrimLeft(array[1:], jsonSpace)
		for len(rest) > 0 && rest[0] != ']' {
			value := rest[:valueEnd(rest)]
			rest = bytes.TrimLeft(rest[len(value):], jsonSpace+",")
			if !yield(value) {
				return
			}
		}
	}
}

// jsonSpace is what may stand between the parts of a JSON text.
const jsonSpace = " \t\r\n"

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

// wordOf returns a JSON string as text, anything else as "".
func wordOf(raw []byte) string {
	if len(raw) == 0 || raw[0] != '"' {
		return ""
	}
	return jsonText(raw)
}

// firstText returns the first member of a JSON array as text.
func firstText(array []byte) string {
	for value := range elements(array) {
		return jsonText(value)
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
