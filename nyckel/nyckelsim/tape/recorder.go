package tape

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// maxBody bounds the bodies that are recorded. Exchanges with larger ones pass
// unrecorded.
const maxBody = 32 << 20

// A Recorder is an [http.RoundTripper] that records what passes. It holds each
// answer back until it is whole, so it is not for streams.
//
// It is safe for concurrent use if the transport is.
type Recorder struct {
	next http.RoundTripper

	mu  sync.Mutex // guards the fields below, and writes to w
	w   io.Writer
	err error
}

// NewRecorder returns a Recorder that sends requests by next, nil for
// [http.DefaultTransport], and writes one line to w, by one call of Write, for
// each that was answered. Lines are no longer written once that has failed.
func NewRecorder(next http.RoundTripper, w io.Writer) *Recorder {
	if next == nil {
		next = http.DefaultTransport
	}
	return &Recorder{next: next, w: w}
}

// Err returns the first error of writing. Exchanges go on regardless.
func (r *Recorder) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// RoundTrip is the transport's, with the exchange recorded before it returns. An
// answer whose body breaks off is passed on as it is, and not recorded; nor is an
// exchange with a compressed body, in which no secret would be found, or a switch to
// another protocol. (A transport that asks for compression itself also takes it off.)
func (r *Recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, tokenPath) {
		return r.next.RoundTrip(req)
	}
	sent, req, err := withCopy(req)
	if err != nil {
		return nil, err
	}
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols { // what follows is a connection
		return resp, nil
	}
	got, whole := peek(resp)
	if sent != nil && whole && readable(req.Header) && readable(resp.Header) {
		r.record(req, *sent, resp, got)
	}
	return resp, nil
}

// readable reports whether a body can be searched for secrets.
func readable(h http.Header) bool { return h.Get("Content-Encoding") == "" }

// withCopy returns the request's body and a request that still has it. The body
// is nil if it is too large.
func withCopy(req *http.Request) (*[]byte, *http.Request, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return &[]byte{}, req, nil
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxBody+1))
	if err != nil {
		req.Body.Close()
		return nil, nil, fmt.Errorf("tape: read the request's body: %w", err)
	}
	clone := *req
	if len(body) > maxBody {
		clone.Body = rest{io.MultiReader(bytes.NewReader(body), req.Body), req.Body}
		return nil, &clone, nil
	}
	req.Body.Close()
	clone.Body = io.NopCloser(bytes.NewReader(body))
	return &body, &clone, nil
}

// A rest is a body of which the beginning has been read.
type rest struct {
	io.Reader
	io.Closer
}

// peek returns the answer's body, and leaves it to be read again. whole is false
// if it is too large or has broken off.
func peek(resp *http.Response) (body []byte, whole bool) {
	if resp.Body == nil { // by a transport other than net/http's
		return nil, true
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(body) <= maxBody {
		resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return body, true
	}
	tail := io.Reader(resp.Body)
	if err != nil {
		tail = broken{err}
	}
	resp.Body = rest{io.MultiReader(bytes.NewReader(body), tail), resp.Body}
	return nil, false
}

// A broken reader has nothing but an error.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// record writes an exchange's line.
func (r *Recorder) record(req *http.Request, sent []byte, resp *http.Response, got []byte) {
	own := secretsOf(req.Header)
	e := newExchange(req, sent, own)
	e.Status = resp.StatusCode
	e.Answer = newPayload(resp.Header.Get("Content-Type"), got, own)
	for _, name := range kept {
		if values := resp.Header.Values(name); len(values) > 0 {
			if e.Header == nil {
				e.Header = http.Header{}
			}
			e.Header[name] = slices.Clone(values)
			for i, value := range values {
				e.Header[name][i] = own.hide(redactURLs(value))
			}
		}
	}
	line, err := json.Marshal(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil && r.err == nil {
		_, err = r.w.Write(append(line, '\n'))
	}
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("tape: %w", err)
	}
}
