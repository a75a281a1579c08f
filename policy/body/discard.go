package body

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"
)

// DrainBytes and DrainTime are the usual bounds for [Discard].
const (
	DrainBytes = 64 << 10
	DrainTime  = 50 * time.Millisecond
)

// Discard reads the body of resp to its end and closes it, so that its
// connection can be used again. It reads at most maxBytes, takes at most maxTime
// and ends with ctx; a body that is longer or slower is closed as it is, which
// costs the connection.
func Discard(ctx context.Context, resp *http.Response, maxBytes int64, maxTime time.Duration) {
	drain(ctx, resp, io.Discard, maxBytes, maxTime)
}

// Drain is [Discard] for a response that may be needed after all. It returns
// the body and true if it came whole within the bounds.
func Drain(ctx context.Context, resp *http.Response, maxBytes int64, maxTime time.Duration) ([]byte, bool) {
	if o, ok := resp.Body.(owner); ok && o.own().prefix.holdsAll() {
		return o.own().takeAll(maxBytes)
	}
	var buf bytes.Buffer
	if length := resp.ContentLength; length > 0 && length <= maxBytes {
		buf.Grow(int(length) + bytes.MinRead)
	}
	if !drain(ctx, resp, &buf, maxBytes, maxTime) {
		return nil, false
	}
	return buf.Bytes(), true
}

// drain copies the body to w and reports whether it came whole.
func drain(ctx context.Context, resp *http.Response, w io.Writer, maxBytes int64, maxTime time.Duration) bool {
	if resp.Body == nil || resp.Body == http.NoBody {
		return true
	}
	rc := resp.Body
	if inMemory(resp) {
		_, err := io.CopyN(w, rc, oneMore(maxBytes))
		_ = rc.Close()
		return err == io.EOF //nolint:errorlint // an end is io.EOF itself
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.CopyN(w, rc, oneMore(maxBytes))
		ended <- err
	}()
	timer := time.NewTimer(maxTime)
	defer timer.Stop()
	defer rc.Close() // ends a read that blocks, and the goroutine with it
	var err error
	select {
	case err = <-ended:
	case <-timer.C:
	case <-ctx.Done():
	}
	return err == io.EOF //nolint:errorlint // an end is io.EOF itself
}

// inMemory reports whether all of the body has been read ahead, so that reading
// it takes no time.
func inMemory(resp *http.Response) bool {
	o, ok := resp.Body.(owner)
	if !ok {
		return false
	}
	b := o.own()
	if a, ok := b.rc.(*ahead); ok {
		return a.whole || a.err != nil
	}
	return b.prefix.holdsAll()
}

// Bytes returns data as a response body.
func Bytes(data []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }
