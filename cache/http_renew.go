package cache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// renewals are the answers that are being fetched behind callers.
type renewals struct {
	mu      sync.Mutex
	running map[*stored]*renewal // by what they are to replace; guarded by mu
	closed  bool                 // guarded by mu
}

// A renewal fetches one answer.
type renewal struct {
	cancel context.CancelFunc
	done   chan struct{} // closed at its end
	failed bool          // set before done is closed
}

// end cancels all renewals and waits for them. If for good, there are none from
// then on.
func (r *renewals) end(forGood bool) {
	r.mu.Lock()
	r.closed = r.closed || forGood
	all := make([]*renewal, 0, len(r.running))
	for _, one := range r.running {
		all = append(all, one)
	}
	r.mu.Unlock()
	for _, one := range all {
		one.cancel()
		<-one.done
	}
}

// renew fetches a stored answer anew on a goroutine of its own, unless that is
// under way. It returns nil if that must wait.
func (c *httpCache) renew(req *http.Request, w *wanted, s *stored, now time.Time) *renewal {
	r := &c.renewals
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := r.running[s]; one != nil {
		return one
	}
	if r.closed || len(r.running) >= c.cfg.MaxRefreshes || now.Before(s.refreshAt) {
		return nil
	}
	if current, _ := c.find(w, now); current != s {
		return nil // it has just been replaced
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(req.Context()), refreshTime)
	one := &renewal{cancel: cancel, done: make(chan struct{}), failed: true}
	if r.running == nil {
		r.running = make(map[*stored]*renewal)
	}
	r.running[s] = one
	behind, anew := behindCaller(ctx, req, w)
	go func() {
		ctx, over := telemetry.Behind(behind.Context())
		own := behind.WithContext(ctx)
		verdict, err := policy.Verdict{}, error(nil)
		defer func() {
			_ = recover() // a failure like others: nobody is there who could tell
			over(verdict, err)
			cancel()
			if one.failed {
				c.postpone(anew, s)
			}
			r.mu.Lock()
			delete(r.running, s)
			r.mu.Unlock()
			close(one.done)
		}()
		c.store.report(own, refreshed)
		var whole bool
		whole, verdict, err = c.fetchWhole(own, anew, s)
		one.failed = !whole
	}()
	return one
}

// behindCaller returns a request for the whole of what the caller's is about,
// which shares nothing with his.
func behindCaller(ctx context.Context, req *http.Request, w *wanted) (*http.Request, *wanted) {
	behind, anew := copyOf(req, ctx), *w
	behind.Method, behind.Body, behind.GetBody = http.MethodGet, nil, nil
	anew.header = w.header.Clone()
	for _, name := range []string{"Range", "If-Range", "If-None-Match", "If-Modified-Since", "Cache-Control", "Pragma"} {
		delete(anew.header, name)
	}
	behind.Header = anew.header.Clone()
	return behind, &anew
}

// fetchWhole fetches an answer and reads it, so that it is stored. It reports
// whether it came to take the place of s, and what became of the request.
func (c *httpCache) fetchWhole(req *http.Request, w *wanted, s *stored) (whole bool, v policy.Verdict, err error) {
	resp, err := c.fetch(req, w, s, "stale")
	v = telemetry.Judge(req, resp, err, nil)
	if err != nil {
		return false, v, err
	}
	defer resp.Body.Close() // nobody could act on an error
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, c.cfg.MaxEntryBytes+1))
	if err != nil {
		return false, telemetry.JudgeBody(req.Context(), v, err), err
	}
	current, _ := c.find(w, time.Now())
	return n <= c.cfg.MaxEntryBytes && !isError(resp.StatusCode) && current != s, v, nil
}

// postpone has the next refresh of an answer wait, if that is what is stored still.
func (c *httpCache) postpone(w *wanted, s *stored) {
	now := time.Now()
	if current, _ := c.find(w, now); current != s {
		return
	}
	later := *s
	later.refreshAt = now.Add(c.cfg.RefreshBackoff)
	c.put(w, &later)
}

// soon answers with what the origin says if that comes until late, else with what is
// stored. It reports false if that cannot be done.
func (c *httpCache) soon(req *http.Request, w *wanted, found *stored, late time.Time) (*http.Response, bool) {
	one := c.renew(req, w, found, time.Now())
	if one == nil {
		return nil, false
	}
	timer := time.NewTimer(time.Until(late))
	defer timer.Stop()
	select {
	case <-one.done:
		if one.failed {
			return nil, false
		}
		now := time.Now()
		if anew, _ := c.find(w, now); anew != nil && anew.standing(w.cc, now, c.maxStale) == fresh {
			return c.give(req, w.header, anew, fresh, now)
		}
		return nil, false
	case <-timer.C:
	case <-req.Context().Done():
		if telemetry.CallerLeft(req.Context()) {
			return nil, false
		}
	}
	spare := c.spare(w, true)
	if spare == nil {
		return nil, false
	}
	return c.standIn(req, w, spare, softTimeout, policy.TimedOut), true
}

// errTooLate says that the origin's answer did not come within SoftTimeout.
var errTooLate = errors.New("cache: too late")

// askUntil returns an ask for a caller behind whom nothing may be fetched now: what is
// asked for him alone ends when he waits no longer. The error is errTooLate then.
func (c *httpCache) askUntil(late time.Time) askFunc {
	return func(req *http.Request, w *wanted, found *stored, reason string) (*http.Response, context.Context, error) {
		ctx, cancel := context.WithCancel(req.Context())
		timer := time.AfterFunc(time.Until(late), cancel)
		resp, leader, err := c.ask(req.WithContext(ctx), w, found, reason)
		inTime := timer.Stop() || err == errSettled || req.Context().Err() != nil //nolint:errorlint // ours
		switch {
		case err == nil && inTime:
			body.Watch(resp, body.EndFunc(func(error) { cancel() }))
			return resp, leader, nil
		case err == nil: // it came at the same time
			_ = closed(resp.Body)
		}
		cancel()
		if !inTime {
			return nil, nil, errTooLate
		}
		return nil, leader, err
	}
}
