package tape

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"unicode/utf8"
)

// newPayload returns a body without its secrets and those that the request came with,
// in a form in which equal bodies are equal.
func newPayload(contentType string, body []byte, req *http.Request) Payload {
	p := readPayload(contentType, hide(body, req))
	// Once more: they may have been spelled in another way, as by escapes of JSON.
	p.JSON, p.Text = hide(p.JSON, req), hideEscaped(p.Text, req)
	for _, values := range p.Parts {
		for i := range values {
			values[i] = hide(values[i], req)
		}
	}
	return p
}

func readPayload(contentType string, body []byte) Payload {
	if len(body) == 0 {
		return Payload{}
	}
	kind, parameters, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "multipart/form-data":
		if parts, ok := newParts(body, parameters["boundary"]); ok {
			return Payload{Parts: parts}
		}
	case "application/x-www-form-urlencoded":
		if values, err := url.ParseQuery(string(body)); err == nil {
			redactValues(values)
			return Payload{Text: values.Encode()}
		}
	}
	if canonical, ok := canonicalJSON(body); ok {
		return Payload{JSON: canonical}
	}
	if utf8.Valid(body) {
		return Payload{Text: redactURLs(string(body))}
	}
	return Payload{Bytes: body}
}

// newParts returns the parts of a form by name: its boundary is another each
// time.
func newParts(body []byte, boundary string) (map[string][][]byte, bool) {
	form := multipart.NewReader(bytes.NewReader(body), boundary)
	parts := map[string][][]byte{}
	for {
		part, err := form.NextRawPart()
		if err == io.EOF { //nolint:errorlint // as it is, unless the form broke off
			return parts, true
		}
		if err != nil {
			return nil, false
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, false
		}
		if name := part.FormName(); isSecret(name) {
			parts[name] = append(parts[name], []byte(removed))
		} else {
			parts[name] = append(parts[name], newPart(value))
		}
	}
}

// newPart returns the value of a part without its secrets.
func newPart(value []byte) []byte {
	if canonical, ok := canonicalJSON(value); ok {
		return canonical
	}
	if utf8.Valid(value) {
		return []byte(redactURLs(string(value)))
	}
	return value
}

// canonicalJSON returns a JSON document with its keys sorted and its secrets
// removed. Numbers stay as they are written.
func canonicalJSON(body []byte) (json.RawMessage, bool) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var document any
	if dec.Decode(&document) != nil {
		return nil, false
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, false
	}
	canonical, err := json.Marshal(redactJSON(document))
	return canonical, err == nil
}

// bytes returns the body to answer with.
func (p *Payload) bytes() []byte {
	switch {
	case p.JSON != nil:
		return p.JSON
	case p.Bytes != nil:
		return p.Bytes
	default:
		return []byte(p.Text)
	}
}
