// Package tape records exchanges with an HTTP API, such as Nyckel's, and serves
// them again. The file is one JSON object per line, in the order in which the
// answers came.
//
// No secret gets into it: of the headers only Content-Type, Link and Retry-After
// of the answer are kept, exchanges with a token endpoint are left out, values
// of queries, forms and JSON that go by the name of a secret are replaced by
// "removed", as are users and signatures in URLs, and so is the caller's own token
// wherever else it turns up. What callers send as input is kept as it is: look
// through a file before it goes further.
package tape

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// An Exchange is one request and its answer, as they are kept.
type Exchange struct {
	Method string      `json:"method"`
	Path   string      `json:"path"`            // escaped
	Query  string      `json:"query,omitempty"` // sorted by name
	Body   Payload     `json:"body,omitzero"`
	Status int         `json:"status"`
	Header http.Header `json:"header,omitempty"` // of the answer
	Answer Payload     `json:"answer,omitzero"`
}

// A Payload is a body in one of four forms; none is set if it was empty.
type Payload struct {
	JSON  json.RawMessage     `json:"json,omitempty"`  // keys sorted, without white space
	Parts map[string][][]byte `json:"parts,omitempty"` // of a multipart form, by name
	Text  string              `json:"text,omitempty"`
	Bytes []byte              `json:"bytes,omitempty"` // what is not UTF-8
}

// kept are the headers of an answer that are recorded.
var kept = []string{"Content-Type", "Link", "Retry-After"}

// tokenPath ends the paths of token endpoints, which are never recorded.
const tokenPath = "/connect/token"

// key is what a request must have in common with a recorded one to be answered
// like it.
func (e *Exchange) key() string {
	body, err := json.Marshal(e.Body) // maps come out sorted
	if err != nil {                   // RawMessage, the one thing that can fail, was checked
		panic(err)
	}
	return e.line() + "\n" + string(body)
}

// line is the key without the body.
func (e *Exchange) line() string { return e.Method + " " + e.Path + "?" + e.Query }

// newExchange returns the request's half, without the caller's own secrets.
func newExchange(req *http.Request, body []byte, own secrets) Exchange {
	return Exchange{
		Method: cmp.Or(req.Method, http.MethodGet),
		Path:   cmp.Or(own.hide(req.URL.EscapedPath()), "/"),
		Query:  own.hide(canonicalQuery(req.URL.RawQuery, own)),
		Body:   newPayload(req.Header.Get("Content-Type"), body, own),
	}
}

// check returns an error unless the exchange can be served.
func (e *Exchange) check() error {
	switch {
	case e.Method == "":
		return errors.New("no method")
	case !strings.HasPrefix(e.Path, "/"):
		return fmt.Errorf("path %q does not begin with a slash", e.Path)
	case e.Status < 200 || e.Status > 999:
		return fmt.Errorf("status %d is not from 200 to 999", e.Status)
	}
	return nil
}

// canonicalQuery returns a query, or a form, sorted by name and without its secrets,
// the caller's own only where they are in JSON.
func canonicalQuery(raw string, own secrets) string {
	values, _ := url.ParseQuery(raw) // what is not understood is left out of both sides
	return redactValues(values, own).Encode()
}
