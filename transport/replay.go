package transport

import (
	"io"
	"net/http"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// replay gives each attempt of a call its body: a snapshot of one in memory, else
// what the caller's GetBody returns, else a recording of the one that was sent.
//
// The body of a further attempt is of the type of the first if that is one that
// net/http knows: net/http sends the header of a request with any other body by
// itself, in a packet of its own.
type replay struct {
	first     *http.Request
	snapshot  body.Snapshot
	getBody   func() (io.ReadCloser, error) // nil if there is none
	recording *recording                    // nil if there is none
	next      io.ReadCloser                 // from snapshot or getBody, until it is sent
}

// begin prepares to replay req, whose body it may replace: req is ours.
func (r *replay) begin(req *http.Request, cfg *policy.Retry) {
	r.first = req
	if !hasBody(req) || r.snapshot.Take(req.Body) {
		return
	}
	if r.getBody = req.GetBody; r.getBody != nil {
		return
	}
	memory, total := cfg.ReplayLimits()
	if total > 0 && req.ContentLength <= total {
		r.recording = newRecording(req.Body, spool{maxMemory: memory, max: total})
		req.Body = r.recording.play()
	}
}

// possible reports whether the request can be sent again.
func (r *replay) possible() bool {
	return !hasBody(r.first) || r.snapshot.Taken() || r.getBody != nil ||
		r.recording != nil && r.recording.playable()
}

// prepare makes sure that the request can be sent again, and reports that.
func (r *replay) prepare() bool {
	switch {
	case !hasBody(r.first):
		return true
	case r.snapshot.Taken():
		r.next = r.snapshot.Open()
		return true
	case r.recording != nil:
		return r.recording.hold()
	}
	fresh, err := r.getBody()
	r.next = fresh
	return err == nil && fresh != nil
}

// request returns the request for another attempt, after prepare.
func (r *replay) request() *http.Request {
	again := r.first.WithContext(r.first.Context())
	switch {
	case r.recording != nil:
		again.Body = r.recording.play()
	case r.next != nil:
		again.Body, r.next = r.next, nil
	}
	return again
}

// settle says that no attempt follows. It may be called with the last one under
// way, which keeps what it needs.
func (r *replay) settle() {
	if r.next != nil {
		_ = r.next.Close() // nobody could act on it
	}
	if r.recording != nil {
		r.recording.settle()
	}
}

func hasBody(req *http.Request) bool {
	return req.Body != nil && req.Body != http.NoBody
}
