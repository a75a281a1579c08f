package policy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
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
func readEnvelope(body []byte) (e envelope) {
	e.read(body)
	return e
}

// read is readEnvelope for one that is in place: it is large.
func (e *envelope) read(body []byte) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(body) == 0 {
		return
	}
	if !e.outer.readWhole(body) {
		if whole := repairJSON(body); whole != nil {
			body = whole
		}
		if !e.outer.readWhole(body) {
			e.message = plainMessage(body)
			return
		}
	}
	e.known = true
	e.inner.read(e.outer.err)
	name, description := jsonText(e.outer.err), jsonText(e.outer.description)
	e.message = firstOf(jsonText(e.outer.message), jsonText(e.inner.message), description, name, firstText(e.outer.err),
		jsonText(e.outer.detail), jsonText(e.outer.title)) // RFC 9457 section 3.1
	e.names = [6]string{
		jsonText(member(e.inner.details, "error_code")), // Anthropic
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
	e.names[5] = jsonText(member(e.inner.innerError, "code")) // Azure
	e.code, e.message = oneLine(e.code), oneLine(e.message)
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
	message, err, description, code, kind []byte
	status, details, innerError           []byte
	estimatedTime, requestID, response    []byte
	exception, detail, title              []byte
}

// readWhole reads a text and reports whether it is a JSON object, or an array that
// begins with one. Of any other text nothing is read.
func (f *fields) readWhole(text []byte) bool {
	object, end := text, len(text)
	if text[0] == '[' {
		object, end = firstElement(text)
	}
	if end == len(text) && f.read(object) == len(object) {
		return true
	}
	*f = fields{}
	return false
}

// read reads the JSON object with which a text begins and returns where it ends, -1
// if there is none. What it has read by then stays.
func (f *fields) read(text []byte) int {
	return objectEnd(text, 0, 0, func(raw, value []byte) {
		if field := f.named(raw); field != nil {
			*field = value
		}
	})
}

// named returns the field of a name as it is in a JSON text, or nil.
func (f *fields) named(raw []byte) *[]byte {
	switch string(lowerCase(unquoted(raw))) {
	case "message":
		return &f.message
	case "error":
		return &f.err
	case "error_description":
		return &f.description
	case "code":
		return &f.code
	case "type":
		return &f.kind
	case "status":
		return &f.status
	case "details":
		return &f.details
	case "innererror":
		return &f.innerError
	case "estimated_time":
		return &f.estimatedTime
	case "request_id":
		return &f.requestID
	case "response":
		return &f.response
	case "__type":
		return &f.exception
	case "detail":
		return &f.detail
	case "title":
		return &f.title
	}
	return nil
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
	first, _ := firstElement(array)
	return jsonText(first)
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
