package tape

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"unicode/utf8"
)

// newPayload returns a body without its secrets and the caller's own, in a form in
// which equal bodies are equal. It looks for names of secrets before it takes out
// what the caller sent: that may look like a name.
func newPayload(contentType string, body []byte, own secrets) Payload {
	if len(body) == 0 {
		return Payload{}
	}
	if canonical, ok := canonicalJSON(body, own); ok { // whatever it is said to be: a form to curl, unless told otherwise
		return Payload{JSON: canonical}
	}
	kind, parameters, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "multipart/form-data":
		if parts, ok := newParts(body, parameters["boundary"], own); ok {
			return Payload{Parts: parts}
		}
		return Payload{Text: removed} // it broke off: no secret would be found in it
	case "application/x-www-form-urlencoded":
		return Payload{Text: own.hide(canonicalQuery(redactText(string(body)), own))}
	}
	if utf8.Valid(body) {
		return Payload{Text: own.hide(redactText(string(body)))}
	}
	return Payload{Bytes: []byte(own.hide(string(body)))}
}

// newParts returns the parts of a form by name: its boundary is another each
// time.
func newParts(body []byte, boundary string, own secrets) (map[string][][]byte, bool) {
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
		name := own.hide(part.FormName())
		if isSecretParameter(part.FormName()) {
			parts[name] = append(parts[name], []byte(removed))
		} else {
			parts[name] = append(parts[name], newPart(value, own))
		}
	}
}

// newPart returns the value of a part without its secrets.
func newPart(value []byte, own secrets) []byte {
	if canonical, ok := canonicalJSON(value, own); ok {
		return canonical
	}
	text := string(value)
	if utf8.ValidString(text) {
		text = redactText(text)
	}
	return []byte(own.hide(text))
}

// canonicalJSON returns a JSON document with its keys sorted and its secrets
// removed. Numbers stay as they are written.
func canonicalJSON(body []byte, own secrets) (json.RawMessage, bool) {
	document, ok := readJSON(body)
	if !ok {
		return nil, false
	}
	canonical, err := json.Marshal(redactJSON(document, own))
	return canonical, err == nil
}

// readJSON returns what the body says if it is one JSON document.
func readJSON(body []byte) (document any, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if dec.Decode(&document) != nil {
		return nil, false
	}
	_, err := dec.Token()
	return document, err == io.EOF
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
