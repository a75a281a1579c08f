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
	q, ok := p.question(req, false)
	if !ok {
		p.store.report(req, bypass)
		return body.Send(p.next, req)
	}
	if q.refresh {
		return p.fetchLive(req, q)
	}
	now := time.Now()
	for came := now; ; now = time.Now() {
		found := p.store.epoch()
		known, _ := p.store.get(q.key, now).(*entry)
		if resp := p.fromMemory(req, q, known, now); resp != nil {
			return resp, nil
		}
		resp, err := p.ask(req, q, known, found, came)
		if err != errSettled { //nolint:errorlint // ours
			return resp, err
		}
	}
}

// fromMemory returns e as an answer, if it may be given without a call below, else nil.
func (p *predictions) fromMemory(req *http.Request, q question, e *entry, now time.Time) *http.Response {
	switch {
	case e == nil:
		return nil
	case now.Before(e.freshUntil):
		if p.isAging(e, now) {
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
	now := time.Now() // once more: a failure may have been discarded, which takes a while
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

// fetchLive sends a request whose caller wants a live answer, be there one in memory.
func (p *predictions) fetchLive(req *http.Request, q question) (*http.Response, error) {
	began := p.store.epoch()
	resp, err := body.Send(p.next, req)
	p.store.report(req, miss)
	if err != nil {
		return nil, err
	}
	if p.isGood(req, resp) {
		p.keep(req, q, resp, arrival{began, time.Now()})
	}
	return resp, nil
}

// ask sends the request, or joins one that asks the same. Known is an answer past its
// lifetime, or nil; found is the epoch in which the store was asked for it, and came is
// when the caller came, from which SoftTimeout counts. The error is errSettled if he is
// to look again; the request is as it was then.
func (p *predictions) ask(req *http.Request, q question, known *entry, found epoch, came time.Time) (resp *http.Response, err error) {
	spare := known
	if !p.covers(known, time.Now()) || !p.mayBeStale(req) {
		spare = nil
	}
	if spare != nil && req.Context().Err() == nil {
		if refusal := body.Refuse(p.next, req); refusal != nil {
			return p.refusedBelow(req, spare, refusal)
		}
	}
	sent := p.detachedForSoftTimeout(req, spare)
	defer func() {
		if sent != req && err != errSettled { //nolint:errorlint // ours
			body.CloseRequest(req)
		}
	}()
	s := p.board(sent, q, sent != req)
	if p.softTimedOut(s, came) && p.stillUsable(spare, q, found) && p.goOnBehind(s, q) {
		return p.stale(req, spare, softTimeout, policy.TimedOut), nil
	}
	resp, joined, err := s.wait(req.Context())
	if err == errSettled { //nolint:errorlint // ours
		return nil, err
	}
	verdict := telemetry.Judge(req, resp, err, p.cfg.Classify)
	if p.stillUsable(spare, q, found) {
		if instead := p.standIn(req, spare, resp, err, verdict); instead != nil {
			return instead, nil
		}
	}
	if err == nil && verdict.Class == policy.OK { // as it came, before this caller is told more
		p.keep(req, q, resp, arrivalOf(s))
	}
	if joined {
		p.reportJoined(req, q, s, resp, verdict)
	} else {
		p.store.report(req, miss)
	}
	return resp, err
}

// refusedBelow returns the outcome of a request that the layers below refuse at once:
// spare in the place of a live answer if it may stand for one, else the refusal.
func (p *predictions) refusedBelow(req *http.Request, spare *entry, refusal error) (*http.Response, error) {
	verdict := telemetry.Judge(req, nil, refusal, p.cfg.Classify)
	if resp := p.standIn(req, spare, nil, refusal, verdict); resp != nil {
		return resp, nil
	}
	p.store.report(req, miss)
	return nil, refusal
}

// stillUsable reports whether spare, which was found in that epoch, may stand in for a live
// answer now that a call has taken its time: its window has not ended, and it was not
// purged.
func (p *predictions) stillUsable(spare *entry, q question, found epoch) bool {
	return p.covers(spare, time.Now()) && !p.store.purges.since(found, q.key, spare.of)
}

// standIn returns spare as an answer if it may stand in for the outcome of a call, whose
// response it discards then, else nil.
func (p *predictions) standIn(req *http.Request, spare *entry, resp *http.Response, err error, v policy.Verdict) *http.Response {
	if p.handOn || !telemetry.WantsSpare(req, err, v) {
		return nil
	}
	if err == nil {
		body.Discard(req.Context(), resp, body.DrainBytes, body.DrainTime)
	}
	return p.stale(req, spare, staleIfError, v.Class)
}

// reportJoined says that the answer, or the lack of one, came of another's call, in whose
// flight s is a seat.
func (p *predictions) reportJoined(req *http.Request, q question, s *seat, resp *http.Response, v policy.Verdict) {
	trail := p.store.report(req, joined)
	trail.Joined(req.Context(), s.flight.ctx)
	if resp == nil {
		return
	}
	if v.Class == policy.OK { // of a failure no sample is missed
		p.uncaptured(req, trail, q)
	}
	if resp.Header = canonicalNames(resp.Header); resp.Header == nil { // net/http never leaves it out, but other transports do
		resp.Header = http.Header{}
	}
	resp.Header.Del("Set-Cookie") // the other one's
	resp.Header["Cache-Status"] = append(resp.Header["Cache-Status"], ownName+"; fwd=miss; collapsed")
}

// board finds the request its seat. Loose says that req is a copy, which its caller may
// leave under way.
func (p *predictions) board(req *http.Request, q question, loose bool) *seat {
	var sent *http.Request
	send := func(r *http.Request) (*http.Response, error) {
		now := time.Now()
		if e, ok := p.store.peek(q.key, now).(*entry); ok && now.Before(e.freshUntil) && !q.refresh {
			return nil, errSettled // it was stored since the caller looked
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
	if p.isGood(req, resp) {
		return storable(resp, p.cfg.MaxEntryBytes, identified(req))
	}
	return resp.StatusCode >= http.StatusBadRequest && resp.ContentLength <= p.cfg.MaxEntryBytes &&
		len(resp.Trailer) == 0 && !mentions(canonicalNames(resp.Header)["Content-Type"], "text/event-stream") ||
		body.Broken(resp) != nil
}

// isGood reports whether a response has the answer that was asked for.
func (p *predictions) isGood(req *http.Request, resp *http.Response) bool {
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

// keep has a good answer kept once its body is read to its end. It reports false if it may
// not be kept.
func (p *predictions) keep(req *http.Request, q question, resp *http.Response, a arrival) bool {
	if !storable(resp, p.cfg.MaxEntryBytes, identified(req)) {
		return false
	}
	call := policy.CallOf(req.Context())
	e := newEntry(resp, a.came)
	e.of = ownerOf(call.Function, call.Identity)
	e.freshUntil = e.born.Add(p.lifetime(q.pinned))
	e.dropAt = e.freshUntil.Add(max(p.cfg.StaleIfError, p.cfg.StaleWhileRevalidate, 0))
	done := func(body []byte) {
		if e.complete(body) {
			e.put(p.store, q.key, a.began)
			p.alike.learn(req, q.key, e, p.store, a.came)
		}
	}
	if b, ok := resp.Body.(*follower); ok && b.flight.all == p.flights {
		b.whole = done // what is longer is not there as a whole
		return true
	}
	body.RecordWithin(resp, p.cfg.MaxEntryBytes, budget{p.store}, done)
	return true
}
