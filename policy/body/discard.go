package body

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"
)

// DrainBytes and DrainTime are the bounds that the layers of this module give
// [Discard] and [Drain].
const (
	DrainBytes = 64 << 10
	DrainTime  = 50 * time.Millisecond
)

// Discard reads the body of resp to its end and closes it, so that its
// connection can be used again. It reads at most maxBytes, takes at most maxTime
// and ends with ctx; a body that is longer or slower is closed as it is, which
// costs the connection and may take up to maxTime again.
func Discard(ctx context.Context, resp *http.Response, maxBytes int64, maxTime time.Duration) {
	if resp.Body == nil || resp.Body == http.NoBody {
		return
	}
	rc := resp.Body
	if inMemory(resp) {
		defer rc.Close()
		_, _ = io.CopyN(io.Discard, rc, oneMore(maxBytes))
		return
	}
	whole := false
	defer func() { closeWithin(rc, whole, maxTime) }()
	var err error
	reading := startBackground(func() { _, err = io.CopyN(io.Discard, rc, oneMore(maxBytes)) })
	whole = reading.wait(ctx, maxTime) && err == io.EOF //nolint:errorlint // an end is io.EOF itself
}

// Drain is [Discard] for a response that may be needed after all. It returns
// the body and true if it came whole within the bounds, else nil and false. Either
// way the response's own body is closed.
func Drain(ctx context.Context, resp *http.Response, maxBytes int64, maxTime time.Duration) ([]byte, bool) {
	if resp.Body == nil || resp.Body == http.NoBody {
		return nil, true
	}
	if o, ok := resp.Body.(watchable); ok && o.asWatched().prefix.holdsAll() {
		return o.asWatched().takeAll(maxBytes)
	}
	whole := false
	defer func() { closeWithin(resp.Body, whole, maxTime) }()
	p := newPrefix(resp.ContentLength, oneMore(maxBytes))
	if inMemory(resp) {
		p.fill(resp.Body)
	} else {
		go p.fill(resp.Body)
		<-p.done // it has begun
		await(ctx, p.done, maxTime)
	}
	data, err := p.rest()
	if err != io.EOF || int64(len(data)) > maxBytes { //nolint:errorlint // an end is io.EOF itself
		return nil, false
	}
	whole = true
	return data, true
}

// inMemory reports whether all of the body has been read ahead, so that reading
// it takes no time.
func inMemory(resp *http.Response) bool {
	o, ok := resp.Body.(watchable)
	if !ok {
		return false
	}
	b := o.asWatched()
	if a, ok := b.rc.(*ahead); ok {
		return a.inMemory()
	}
	return b.prefix.holdsAll()
}

// Bytes returns data as a response body.
func Bytes(data []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }
