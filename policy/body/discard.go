package body

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// Discard reads the body of resp to its end and closes it, so that its
// connection can be used again. It reads at most maxBytes and takes at most
// maxTime; a body that is longer or slower is closed as it is, which costs the
// connection.
func Discard(resp *http.Response, maxBytes int64, maxTime time.Duration) {
	drain(resp, io.Discard, maxBytes, maxTime)
}

// Drain is [Discard] for a response that may be needed after all. It returns
// the body and true if it came whole within the bounds.
func Drain(resp *http.Response, maxBytes int64, maxTime time.Duration) ([]byte, bool) {
	var buf bytes.Buffer
	if !drain(resp, &buf, maxBytes, maxTime) {
		return nil, false
	}
	return buf.Bytes(), true
}

// drain copies the body to w and reports whether it came whole.
func drain(resp *http.Response, w io.Writer, maxBytes int64, maxTime time.Duration) bool {
	if resp.Body == nil || resp.Body == http.NoBody {
		return true
	}
	// A closed body ends a read that blocks: net/http allows both at once.
	rc := resp.Body
	timer := time.AfterFunc(maxTime, func() { _ = rc.Close() })
	_, err := io.CopyN(w, rc, oneMore(maxBytes))
	if timer.Stop() {
		_ = rc.Close()
	}
	return err == io.EOF //nolint:errorlint // an end is io.EOF itself
}

// Bytes returns data as a response body.
func Bytes(data []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }
