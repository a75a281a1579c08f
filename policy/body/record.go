package body

import (
	"io"
	"net/http"
	"sync"
)

// Record makes the body of resp copy what its reader gets, up to maxBytes. When
// the reader has got all of it, done is called with the copy, once and from
// within the reader's call; it is not called if the body fails, is longer than
// maxBytes or than it said, or is closed before. The reader gets each byte as it
// comes and each error as it is. A body that is an [io.WriterTo] stays one.
func Record(resp *http.Response, maxBytes int64, done func(body []byte)) {
	r := &recording{rc: resp.Body, announced: max(resp.ContentLength, 0), max: maxBytes, done: done}
	r.buf = make([]byte, 0, min(r.announced, maxBytes))
	resp.Body = r
	if wt, ok := r.rc.(io.WriterTo); ok {
		resp.Body = &recordingWriterTo{r, wt}
	}
}

// recording is a body whose bytes are copied as they pass. Reads come one at a
// time; Close may come at any time.
type recording struct {
	rc        io.ReadCloser
	announced int64 // its length, zero if it was not announced
	max       int64

	mu    sync.Mutex
	done  func([]byte) // guarded by mu, as all below
	buf   []byte
	ended bool // nothing more is copied
}

func (r *recording) Read(p []byte) (int, error) {
	n, err := r.rc.Read(p)
	r.copy(p[:n])
	if err != nil {
		r.end(err == io.EOF)
	}
	return n, err
}

// Close ends the copy. One that has its announced length is whole though the
// reader did not ask on to see the end, as a JSON decoder does not.
func (r *recording) Close() error {
	r.end(false)
	return r.rc.Close()
}

func (r *recording) copy(data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended:
	case int64(len(r.buf)+len(data)) > r.max:
		r.buf, r.done, r.ended = nil, nil, true
	default:
		r.buf = append(r.buf, data...)
	}
}

// end hands over the copy if it is whole.
func (r *recording) end(eof bool) {
	if body, done := r.take(eof); done != nil {
		done(body)
	}
}

// take returns what is called with the copy, nil if nothing is.
func (r *recording) take(eof bool) ([]byte, func([]byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, nil
	}
	body, done := r.buf, r.done
	r.buf, r.done, r.ended = nil, nil, true
	whole := eof
	if r.announced > 0 {
		whole = int64(len(body)) == r.announced
	}
	if !whole {
		return nil, nil
	}
	return body, done
}

// recordingWriterTo is a recording of a body that can write itself.
type recordingWriterTo struct {
	*recording
	wt io.WriterTo
}

func (r *recordingWriterTo) WriteTo(w io.Writer) (int64, error) {
	n, err := r.wt.WriteTo(&copyingWriter{w, r.recording})
	r.end(err == nil)
	return n, err
}

// copyingWriter copies what w took.
type copyingWriter struct {
	w io.Writer
	r *recording
}

func (c *copyingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.r.copy(p[:n])
	return n, err
}
