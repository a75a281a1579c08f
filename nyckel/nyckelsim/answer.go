package nyckelsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// A failure is an answer other than 200, as the error of an endpoint.
type failure struct {
	status           int
	message          string
	existingSampleID string // on 409 for a sample
}

func (f *failure) Error() string { return f.message }

// MarshalJSON writes the API's error body.
func (f *failure) MarshalJSON() ([]byte, error) {
	return marshal(struct {
		Message          string `json:"message"`
		ExistingSampleID string `json:"existingSampleId,omitempty"`
	}{f.message, f.existingSampleID})
}

func failf(status int, format string, args ...any) *failure {
	return &failure{status: status, message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *failure {
	return failf(http.StatusBadRequest, format, args...)
}

func notFound(kind, id string) *failure {
	return failf(http.StatusNotFound, "There is no %s %q.", kind, id)
}

// reply writes v, or err if there is one, as the whole answer.
func reply(w http.ResponseWriter, v any, err error) {
	switch err := err.(type) { //nolint:errorlint // endpoints return these as they are
	case nil:
		writeJSON(w, http.StatusOK, v)
	case *failure:
		writeJSON(w, err.status, err)
	case htmlPage:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(err.status)
		_, _ = io.WriteString(w, err.html)
	default:
		writeJSON(w, http.StatusInternalServerError, failf(0, "%v", err))
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := marshal(v)
	if err != nil { // the simulator's own types always marshal
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // a client that has gone is no concern of the service
}

// marshal is json.Marshal without the escaping of <, > and &: text comes back
// as it was sent.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// readBody returns the request's whole body.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil { // by a caller other than net/http
		return nil, nil
	}
	body, err := io.ReadAll(r.Body)
	if err := tooLarge(err); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, badRequest("The body could not be read: %v.", err)
	}
	return body, nil
}

// tooLarge returns a 413 if err says that a body has more than MaxBody bytes,
// else nil.
func tooLarge(err error) error {
	if bound, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return failf(http.StatusRequestEntityTooLarge, "The body has more than %d bytes.", bound.Limit)
	}
	return nil
}

// decode reads body, one JSON object, into *v. Unknown fields are ignored.
func decode(body []byte, v any) error {
	if !utf8.Valid(body) {
		return badRequest("The body is not valid UTF-8.")
	}
	if trimmed := bytes.TrimSpace(body); len(trimmed) == 0 || trimmed[0] != '{' {
		return badRequest("The body must be a JSON object.")
	}
	err := json.Unmarshal(body, v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return badRequest("The body's field %q cannot be a JSON %s.", wrong.Field, wrong.Value)
	}
	if err != nil {
		return badRequest("The body is not valid JSON: %v.", err)
	}
	return nil
}

// decodeBody is readBody and decode in one.
func decodeBody(r *http.Request, v any) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	return decode(body, v)
}
