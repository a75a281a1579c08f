package body

import (
	"cmp"
	"io"
	"net/http"
	"sync"
)

// Record makes the body of resp copy what its reader gets, up to maxBytes. When
// the reader has got all of it, done is called with the copy, once and from
// within the reader's call. Of JSON without an announced length, who closes it has got
// all of it once its value has come to an end: see [WholeJSON]. Done is not called if
// the body fails, is longer than maxBytes, has another length than announced or, without
// one, ends in trailers, or is closed before. The copy belongs to done. The reader gets
// each byte as it comes and each error as it is. A body that is an [io.WriterTo] stays
// one.
func Record(resp *http.Response, maxBytes int64, done func(body []byte)) {
	RecordWithin(resp, maxBytes, nil, done)
}

// A Budget has the bytes of memory that many copies share. It must be safe for
// concurrent use.
type Budget interface {
	Reserve(n int64) bool // takes n bytes; false if there are not as many left
	Release(n int64)      // gives n bytes back
}

// RecordWithin is [Record] for a copy whose memory comes out of a budget, as the
// bytes arrive and not as they are announced. Done is not called if the budget
// does not have them. What the copy took is given back before done is called, and
// when it is not. A nil Budget has all that is asked for.
func RecordWithin(resp *http.Response, maxBytes int64, budget Budget, done func(body []byte)) {
	r := &recording{
		rc: resp.Body, resp: resp, kind: resp.Header.Get("Content-Type"),
		announced: max(resp.ContentLength, 0), max: maxBytes, budget: budget, done: done,
	}
	resp.Body = r
	if wt, ok := r.rc.(io.WriterTo); ok {
		resp.Body = &recordingWriterTo{r, wt}
	}
}

// recording is a body whose bytes are copied as they pass. Reads come one at a
// time; Close may come at any time.
type recording struct {
	rc        io.ReadCloser
	resp      *http.Response
	kind      string // its Content-Type, while nobody else had the header
	announced int64  // its length, zero if it was not announced
	max       int64
	budget    Budget

	mu    sync.Mutex
	done  func([]byte) // guarded by mu, as all below
	buf   []byte
	ended bool // nothing more is copied
}

func (r *recording) Read(p []byte) (int, error) {
	n, err := r.rc.Read(p)
	r.copy(p[:n])
	switch {
	case err == io.EOF:
		r.end(true)
	case err != nil:
		r.fail()
	}
	return n, err
}

// Close ends the copy. It may be whole though the reader did not ask on to see the
// end, as a JSON decoder does not.
func (r *recording) Close() error {
	r.end(false)
	return r.rc.Close()
}

func (r *recording) copy(data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch need := int64(len(r.buf) + len(data)); {
	case r.ended:
	case need > r.max, !r.growLocked(need):
		r.stopLocked()
	default:
		r.buf = append(r.buf, data...)
	}
}

// growLocked makes room for need bytes in all. It reports false if the budget does
// not have them.
func (r *recording) growLocked(need int64) bool {
	const small, unknown = 16 << 10, 512
	size := int64(cap(r.buf))
	if need <= size {
		return true
	}
	larger := max(2*size, need)
	if size == 0 {
		larger = max(need, min(cmp.Or(r.announced, unknown), small)) // to announce a length costs nothing
	}
	if r.announced >= need {
		larger = min(larger, r.announced)
	}
	larger = min(larger, r.max)
	if r.budget != nil && !r.budget.Reserve(larger-size) {
		return false
	}
	r.buf = append(make([]byte, 0, larger), r.buf...)
	return true
}

// stopLocked ends the copy and gives back what it took.
func (r *recording) stopLocked() (buf []byte, done func([]byte)) {
	buf, done = r.buf, r.done
	if r.budget != nil && cap(buf) > 0 {
		r.budget.Release(int64(cap(buf)))
	}
	r.buf, r.done, r.ended = nil, nil, true
	return buf, done
}

// fail ends the copy of a body that broke, be it at its announced length.
func (r *recording) fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.stopLocked()
	}
}

// end hands over the copy if it is whole.
func (r *recording) end(eof bool) {
	if body, done := r.take(eof); done != nil {
		done(body)
	}
}

// take ends the copy. It returns it and done, which is nil if the copy is not whole.
func (r *recording) take(eof bool) ([]byte, func([]byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, nil
	}
	body, done := r.stopLocked()
	whole := false
	switch {
	case r.announced > 0:
		whole = int64(len(body)) == r.announced
	case eof:
		whole = len(r.resp.Trailer) == 0
	default: // the trailers may be set just now
		whole = WholeJSON(r.kind, body)
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
	if err != nil {
		r.fail()
	} else {
		r.end(true)
	}
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
