package cache

import (
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// predictions is a transport that a Memo wraps.
type predictions struct {
	*Memo
	next http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (p *predictions) CloseIdleConnections() { body.CloseIdle(p.next) }

func (p *predictions) RoundTrip(req *http.Request) (*http.Response, error) {
	q, ok := p.question(req)
	if !ok {
		p.store.report(req, bypass)
		return body.Send(p.next, req)
	}
	if q.refresh {
		return p.anew(req, q)
	}
	now := time.Now()
	for came := now; ; now = time.Now() {
		found := p.store.epoch()
		known, _ := p.store.get(q.key, now).(*entry)
		if resp := p.known(req, q, known, now); resp != nil {
			return resp, nil
		}
		resp, err := p.ask(req, q, known, found, came)
		if err != errSettled { //nolint:errorlint // ours
			return resp, err
		}
	}
}

// known answers without a call below, if that is possible.
func (p *predictions) known(req *http.Request, q question, e *entry, now time.Time) *http.Response {
	switch {
	case e == nil:
		return nil
	case now.Before(e.freshUntil):
		if p.ages(e, now) {
			p.refresh(req, q)
		}
		return p.hit(req, q, e, now)
	case p.revalidates(e, now) && p.mayBeStale(req):
		p.refresh(req, q)
		body.CloseRequest(req)
		return p.stale(req, e, staleWhileRevalidate, policy.Unknown)
	}
	return nil
}

// hit gives an answer that is fresh.
func (p *predictions) hit(req *http.Request, q question, e *entry, now time.Time) *http.Response {
	body.CloseRequest(req)
	trail := p.store.report(req, hit)
	p.uncaptured(req, trail, q)
	trail.Answered(req.Context(), telemetry.Answer{Source: telemetry.Cache, Age: now.Sub(e.born)})
	return e.hit(req, now)
}

// stale gives an answer past its lifetime.
func (p *predictions) stale(req *http.Request, e *entry, detail string, cause policy.Class) *http.Response {
	p.store.report(req, stale)
	now := time.Now() // to discard a failure may have taken a while
	resp := e.stale(req, now, detail)
	telemetry.Mark(req, resp.Header, telemetry.Answer{Source: telemetry.Stale, Age: now.Sub(e.born), Cause: cause})
	return resp
}

// uncaptured counts an answer whose question the service does not hear of.
func (p *predictions) uncaptured(req *http.Request, trail *telemetry.Trail, q question) {
	if q.captured {
		p.store.uncaptured.Add(1)
		trail.LookedUp(req.Context(), "uncaptured")
	}
}

// anew sends a request whose caller wants a live answer.
func (p *predictions) anew(req *http.Request, q question) (*http.Response, error) {
	began := p.store.epoch()
	resp, err := body.Send(p.next, req)
	p.store.report(req, miss)
	if err != nil {
		return nil, err
	}
	if p.good(req, resp) {
		p.keep(req, q, resp, arrival{began, time.Now()})
	}
	return resp, nil
}

// ask sends the request, or joins one that asks the same. Known is what is past
// its lifetime, found in an epoch, or nil. The error is errSettled, and the request as
// it was, if the caller, who came at a time, is to look again.
func (p *predictions) ask(req *http.Request, q question, known *entry, found epoch, came time.Time) (resp *http.Response, err error) {
	spare := known
	if !p.covers(known, time.Now()) || !p.mayBeStale(req) {
		spare = nil
	}
	if spare != nil && req.Context().Err() == nil {
		if refusal := body.Refuse(p.next, req); refusal != nil {
			return p.failed(req, spare, refusal)
		}
	}
	sent := p.lasting(req, spare)
	defer func() {
		if sent != req && err != errSettled { //nolint:errorlint // ours
			body.CloseRequest(req)
		}
	}()
	s := p.board(sent, q, sent != req)
	if spare != nil && p.tooLate(s, came) && p.lasts(spare, q, found) && p.goOn(s, q) {
		return p.stale(req, spare, softTimeout, policy.TimedOut), nil
	}
	resp, joined, err := s.wait(req.Context())
	if err == errSettled { //nolint:errorlint // ours
		return nil, err
	}
	verdict := telemetry.Judge(req, resp, err, p.cfg.Classify)
	if p.lasts(spare, q, found) {
		if instead := p.standIn(req, spare, resp, err, verdict); instead != nil {
			return instead, nil
		}
	}
	if joined {
		p.follow(req, q, s, resp, verdict)
	} else {
		p.store.report(req, miss)
	}
	if err != nil {
		return nil, err
	}
	if verdict.Class == policy.OK {
		p.keep(req, q, resp, arrivalOf(s))
	}
	return resp, nil
}

// failed returns what stands in for an answer that the layers below refuse at once,
// if anything may.
func (p *predictions) failed(req *http.Request, spare *entry, refusal error) (*http.Response, error) {
	verdict := telemetry.Judge(req, nil, refusal, p.cfg.Classify)
	if resp := p.standIn(req, spare, nil, refusal, verdict); resp != nil {
		return resp, nil
	}
	p.store.report(req, miss)
	return nil, refusal
}

// lasts reports whether spare, which was found in an epoch, may still stand in for an
// answer once a call has taken its time: if neither its window has ended nor it was
// purged.
func (p *predictions) lasts(spare *entry, q question, found epoch) bool {
	return p.covers(spare, time.Now()) && !p.store.purges.since(found, q.key, spare.of)
}

// standIn returns spare if it stands in for the outcome of a call, which it ends, else
// nil.
func (p *predictions) standIn(req *http.Request, spare *entry, resp *http.Response, err error, v policy.Verdict) *http.Response {
	if p.handOn || !telemetry.WantsSpare(req, err, v) {
		return nil
	}
	if err == nil {
		body.Discard(req.Context(), resp, body.DrainBytes, body.DrainTime)
	}
	return p.stale(req, spare, staleIfError, v.Class)
}

// follow says that the answer, or the lack of one, is that of another's call, in whose
// flight s is a seat.
func (p *predictions) follow(req *http.Request, q question, s *seat, resp *http.Response, v policy.Verdict) {
	trail := p.store.report(req, joined)
	trail.Joined(req.Context(), s.flight.ctx)
	if resp == nil {
		return
	}
	if v.Class == policy.OK { // of a failure no sample is missed
		p.uncaptured(req, trail, q)
	}
	if resp.Header == nil { // as transports made for tests leave it
		resp.Header = http.Header{}
	}
	resp.Header.Del("Set-Cookie") // the other one's
	resp.Header["Cache-Status"] = append(resp.Header["Cache-Status"], "sparekey; fwd=miss; collapsed")
}

// board finds the request its seat. It is a loose one for a copy that its caller may
// leave behind.
func (p *predictions) board(req *http.Request, q question, loose bool) *seat {
	var sent *http.Request
	send := func(r *http.Request) (*http.Response, error) {
		now := time.Now()
		if e, ok := p.store.peek(q.key, now).(*entry); ok && now.Before(e.freshUntil) && !q.refresh {
			return nil, errSettled // it was stored since we looked
		}
		sent = r
		return p.next.RoundTrip(r)
	}
	share := func(resp *http.Response) bool { return p.isForAll(sent, resp) }
	return p.flights.board(&seat{req: req, send: send, loose: loose}, q.key, share)
}

// isForAll reports whether all who ask the same may have an answer: one that may
// be kept, or a failure.
func (p *predictions) isForAll(req *http.Request, resp *http.Response) bool {
	if p.good(req, resp) {
		return storable(resp, p.cfg.MaxEntryBytes, identified(req))
	}
	return resp.StatusCode >= http.StatusBadRequest && resp.ContentLength <= p.cfg.MaxEntryBytes &&
		len(resp.Trailer) == 0 && !mentions(resp.Header.Values("Content-Type"), "text/event-stream") ||
		body.Broken(resp) != nil
}

// good reports whether a response is the answer.
func (p *predictions) good(req *http.Request, resp *http.Response) bool {
	return telemetry.Judge(req, resp, nil, p.cfg.Classify).Class == policy.OK
}

func identified(req *http.Request) bool { return policy.CallOf(req.Context()).Identity != "" }

// An arrival is when an answer was asked for and came.
type arrival struct {
	began epoch
	came  time.Time
}

// arrivalOf returns that of the response which a seat got.
func arrivalOf(s *seat) arrival {
	if s.flight == nil {
		return arrival{s.began, time.Now()}
	}
	return arrival{s.began, s.flight.came}
}

// keep keeps a good answer once its body is read to its end, if it may be kept,
// and reports that.
func (p *predictions) keep(req *http.Request, q question, resp *http.Response, a arrival) bool {
	if !storable(resp, p.cfg.MaxEntryBytes, identified(req)) {
		return false
	}
	call := policy.CallOf(req.Context())
	e := newEntry(resp, a.came)
	e.of = ownerOf(call.Function, call.Identity)
	e.freshUntil = e.born.Add(p.lifetime(q.pinned))
	e.dropAt = e.freshUntil.Add(max(p.cfg.StaleIfError, p.cfg.StaleWhileRevalidate, 0))
	record(resp, p.cfg.MaxEntryBytes, p.store, func(body []byte) {
		if e.complete(body) {
			e.put(p.store, q.key, a.began)
			p.alike.learn(req, q.key, e, p.store, a.came)
		}
	})
	return true
}
