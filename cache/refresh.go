package cache

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

const (
	refreshTime = 30 * time.Second // bounds the fetch of one answer behind a caller
	maxFailed   = 1024             // how many keys are known to have failed; then all are forgotten
)

// refresh fetches an answer behind a caller, unless that is under way or was tried
// in vain a short while ago.
func (p *predictions) refresh(req *http.Request, q question) {
	if !p.refreshes.begin(q.key, time.Now()) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(req.Context()), refreshTime)
	begun := false
	defer func() {
		if !begun { // GetBody has no copy for us, or did not return
			cancel()
			p.refreshes.end(q.key, false, time.Now())
		}
	}()
	own, ok := detached(req, ctx)
	if !ok {
		return
	}
	ctx, over := telemetry.Behind(ctx) // its attempts are not the caller's
	own = own.WithContext(ctx)
	q.refresh = true // though the old answer is fresh
	s := p.board(own, q, false)
	p.store.report(own, refreshed)
	begun = true
	go p.finish(s, own, q, func(v policy.Verdict, err error) {
		over(v, err)
		cancel()
	})
}

// detachedForSoftTimeout returns the request to send: a detached copy if SoftTimeout may
// let the caller go with spare while it is under way, else req itself.
func (p *predictions) detachedForSoftTimeout(req *http.Request, spare *entry) *http.Request {
	if spare == nil || p.cfg.SoftTimeout <= 0 {
		return req
	}
	own, ok := detached(req, req.Context())
	if !ok {
		return req
	}
	return own
}

// softTimedOut waits for the header until SoftTimeout after the caller came, and reports
// whether that time ran out. It does not wait if the caller's seat is not loose.
func (p *predictions) softTimedOut(s *seat, came time.Time) bool {
	if !s.loose {
		return false
	}
	timer := time.NewTimer(time.Until(came.Add(p.cfg.SoftTimeout)))
	defer timer.Stop()
	select {
	case <-s.flight.header:
	case <-s.req.Context().Done():
	case <-timer.C:
		return true
	}
	return false
}

// goOnBehind lets the caller of a seat go while the call goes on behind him. It reports
// false if that is not possible.
func (p *predictions) goOnBehind(s *seat, q question) bool {
	switch p.refreshes.adopt(q.key) {
	case refused:
		return false
	case running: // the call, or one for its answer
		left, _ := s.flight.leave(s, context.Canceled, beforeHeader)
		return left // else the header came at the same time, and its body is this caller's to close
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.req.Context()), refreshTime)
	s.flight.extend(ctx)
	s.req, s.loose = s.req.WithContext(ctx), false // should it come to be sent by itself
	go p.finish(s, s.req, q, func(policy.Verdict, error) { cancel() })
	return true
}

// finish reads the answer to a call whose caller has gone, so that it is kept, and calls
// over with what came of it. A panic of the transport counts as a failure: nobody is
// there who could recover it.
func (p *predictions) finish(s *seat, req *http.Request, q question, over func(policy.Verdict, error)) {
	kept, verdict := false, policy.Verdict{}
	var failure error
	before := p.store.peek(q.key, time.Now())
	defer func() {
		_ = recover()
		over(verdict, failure)
		p.refreshes.end(q.key, kept, time.Now())
	}()
	resp, _, err := s.wait(req.Context())
	if err == errSettled { //nolint:errorlint // ours
		kept, verdict.Class = true, policy.OK
		return
	}
	verdict, failure = telemetry.Judge(req, resp, err, p.cfg.Classify), err
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }() // the body that keep has put in place, too; nobody could act on the error
	if verdict.Class == policy.OK && p.keep(req, q, resp, arrivalOf(s)) {
		_, err := io.Copy(io.Discard, io.LimitReader(resp.Body, p.cfg.MaxEntryBytes+1))
		after := p.store.peek(q.key, time.Now())
		kept = err == nil && after != nil && after != before // else it was no answer, or there was no room
		if err != nil {
			verdict, failure = telemetry.JudgeBody(req.Context(), verdict, err), err
		}
	}
}

// detached returns a copy of req, which is not sent yet, with ctx that shares nothing with
// it. It reports false if the body cannot be read a second time.
func detached(req *http.Request, ctx context.Context) (*http.Request, bool) {
	own := copyOf(req, ctx)
	if req.Body == nil || req.Body == http.NoBody {
		return own, true
	}
	room := scratches.Get().(*scratch)
	defer room.release()
	text, ok := room.snapshot(req, false)
	text = bytes.Clone(text) // the room is used again
	own.GetBody = func() (io.ReadCloser, error) { return body.Bytes(text), nil }
	own.Body, _ = own.GetBody()
	return own, ok
}

// refreshes are the answers that are fetched behind callers: one at a time for
// each key.
type refreshes struct {
	max     int
	backoff time.Duration
	group   sync.WaitGroup

	mu      sync.Mutex
	closed  bool              // guarded by mu, as all below
	running map[key]bool      // those under way
	failed  map[key]time.Time // when the last one was in vain
}

func newRefreshes(c policy.Cache) refreshes {
	return refreshes{
		max: c.MaxRefreshes, backoff: c.RefreshBackoff,
		running: make(map[key]bool), failed: make(map[key]time.Time),
	}
}

// An admission says whether an answer may be fetched behind a caller.
type admission uint8

const (
	admitted admission = iota
	running            // it is under way already
	refused            // too many others are, or Close was called
)

// begin reports whether a call for k may be started: none is under way, and the last did
// not fail within the backoff. If so, end must be called once.
func (r *refreshes) begin(k key, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.failed[k]; ok && now.Before(at.Add(r.backoff)) {
		return false
	}
	return r.admitLocked(k) == admitted
}

// adopt admits a call for k that is under way for a caller. If it is admitted, end must be
// called once.
func (r *refreshes) adopt(k key) admission {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.admitLocked(k)
}

func (r *refreshes) admitLocked(k key) admission {
	switch {
	case r.running[k]:
		return running
	case r.closed || len(r.running) >= r.max:
		return refused
	}
	r.running[k] = true
	r.group.Add(1)
	return admitted
}

// end ends a call that was admitted. Kept says whether its answer is in the store now.
func (r *refreshes) end(k key, kept bool, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, k)
	delete(r.failed, k)
	if !kept {
		if len(r.failed) >= maxFailed {
			clear(r.failed)
		}
		r.failed[k] = now
	}
	r.group.Done()
}

// close waits for all that are under way, and admits no more.
func (r *refreshes) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.group.Wait()
}
