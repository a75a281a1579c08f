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
// costs the connection and may take as long again.
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
	defer func() { shut(rc, whole, maxTime) }()
	var err error
	reading := setApart(func() { _, err = io.CopyN(io.Discard, rc, oneMore(maxBytes)) })
	whole = reading.wait(ctx, maxTime) && err == io.EOF //nolint:errorlint // an end is io.EOF itself
}

// Drain is [Discard] for a response that may be needed after all. It returns
// the body and true if it came whole within the bounds.
func Drain(ctx context.Context, resp *http.Response, maxBytes int64, maxTime time.Duration) ([]byte, bool) {
	if resp.Body == nil || resp.Body == http.NoBody {
		return nil, true
	}
	if o, ok := resp.Body.(owner); ok && o.own().prefix.holdsAll() {
		return o.own().takeAll(maxBytes)
	}
	whole := false
	defer func() { shut(resp.Body, whole, maxTime) }()
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
	o, ok := resp.Body.(owner)
	if !ok {
		return false
	}
	b := o.own()
	if a, ok := b.rc.(*ahead); ok {
		return a.inMemory()
	}
	return b.prefix.holdsAll()
}

// Bytes returns data as a response body.
func Bytes(data []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }
