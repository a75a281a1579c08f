package policy

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
)

// plainBody returns an error body as text. A caller who asks for encodings by a
// field of his own gets them from net/http as they are; gzip is the one that can
// be read here, as far as PeekBytes of text. What comes in another says nothing.
func plainBody(o Outcome) []byte {
	encoding := valueOf(o.Header, "Content-Encoding")
	switch {
	case encoding == "" || strings.EqualFold(encoding, "identity"):
		return o.Body
	case strings.EqualFold(encoding, "gzip") || strings.EqualFold(encoding, "x-gzip"):
		return gunzip(o.Body)
	}
	return nil
}

// gunzip returns the text of a body, or of its beginning. A body that is no gzip
// is one that somebody on the way has decoded.
func gunzip(body []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body
	}
	text, _ := io.ReadAll(io.LimitReader(r, PeekBytes)) // what was cut has a beginning all the same
	return text
}
