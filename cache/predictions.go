package cache

import (
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// A Layer wraps a transport in another one. It is an alias, so that any func of
// this shape is one.
type Layer = func(next http.RoundTripper) http.RoundTripper

// PredictionsConfig configures [Predictions]. Its zero value is ready to use.
type PredictionsConfig struct {
	// Cache has the bounds and lifetimes.
	policy.Cache

	// Store holds the answers, and its bound counts in place of MaxBytes. Stacks
	// that share one share their answers; where they serve several accounts,
	// [policy.Call.Identity] must tell these apart. Nil means a store of its
	// own, for all transports that the layer wraps.
	Store *Store
}

// Predictions returns a layer that remembers the answers to replayable POST
// requests; see the package comment for which. It gives them
//
//   - while they are fresh, without a call below;
//   - past that and for as long as StaleIfError allows, when the layers below
//     return an outage ([policy.Class.IsOutage]) or an error that no rule
//     names. A caller whose deadline has passed gets such an answer, too; one
//     who canceled gets the cancellation.
//
// Both carry Age, Cache-Status (RFC 9211) and a [telemetry.HeaderName] field. An
// answer is kept when the caller has read all of it; one who closes it early
// leaves nothing. A lifetime counts from the arrival of the header, less the Age
// that it states.
//
// The layer starts no goroutine. It panics if a setting is invalid.
func Predictions(cfg PredictionsConfig) Layer {
	if err := cfg.Validate(); err != nil {
		panic("cache: " + err.Error())
	}
	settings, store := cfg.WithDefaults(), cfg.Store
	if store == nil {
		store = storeFor(settings)
	}
	return func(next http.RoundTripper) http.RoundTripper {
		if settings.Off {
			return next
		}
		return &predictions{cfg: settings, store: store, next: next}
	}
}

// storeFor returns a store with the bounds of the settings.
func storeFor(c policy.Cache) *Store {
	const header = 64 << 10 // comes on top of the body, which is what MaxEntryBytes bounds
	return NewStore(StoreConfig{
		MaxBytes:      c.MaxBytes,
		MaxEntries:    c.MaxEntries,
		MaxEntryBytes: min(c.MaxEntryBytes+header, c.MaxBytes),
		IdentityShare: c.IdentityShare,
	})
}

type predictions struct {
	cfg   policy.Cache
	store *Store
	next  http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (p *predictions) CloseIdleConnections() {
	if c, ok := p.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (p *predictions) RoundTrip(req *http.Request) (*http.Response, error) {
	q, ok := questionOf(req)
	if !ok {
		p.report(req, bypass)
		return body.Send(p.next, req)
	}
	now, began := time.Now(), p.store.epoch()
	var known *entry // what may be given, fresh or not
	if !q.refresh {
		known, _ = p.store.get(q.key, now).(*entry)
	}
	if known != nil && now.Before(known.freshUntil) {
		return p.hit(req, q, known, now), nil
	}

	resp, err := body.Send(p.next, req)
	now = time.Now()
	verdict := telemetry.Judge(req, resp, err, p.cfg.Classify)
	if p.covers(known, now) && telemetry.WantsSpare(req, err, verdict) {
		if err == nil {
			body.Discard(req.Context(), resp, body.DrainBytes, body.DrainTime)
		}
		return p.stale(req, known, verdict.Class), nil
	}
	p.report(req, miss)
	if err != nil {
		return nil, err
	}
	if verdict.Class == policy.OK && storable(resp, p.cfg.MaxEntryBytes, policy.CallOf(req.Context()).Identity != "") {
		p.record(req, q, resp, began, now)
	}
	return resp, nil
}

// hit answers without a call below.
func (p *predictions) hit(req *http.Request, q question, e *entry, now time.Time) *http.Response {
	body.CloseRequest(req)
	p.report(req, hit)
	if q.captured {
		p.store.uncaptured.Add(1)
	}
	return e.hit(req, now)
}

// stale answers in place of a live answer that could not be had.
func (p *predictions) stale(req *http.Request, e *entry, cause policy.Class) *http.Response {
	p.report(req, stale)
	now := time.Now() // the discard may have taken a while
	resp := e.response(req, now, "stale-if-error")
	telemetry.Mark(req, resp.Header, telemetry.Answer{Source: telemetry.Stale, Age: now.Sub(e.born), Cause: cause})
	return resp
}

// covers reports whether e may stand in for a live answer. A store that is
// shared can hold answers that another layer keeps for longer.
func (p *predictions) covers(e *entry, now time.Time) bool {
	return e != nil && p.cfg.StaleIfError > 0 &&
		now.Before(e.dropAt) && now.Before(e.freshUntil.Add(p.cfg.StaleIfError))
}

// record keeps the answer once its body is read to its end.
func (p *predictions) record(req *http.Request, q question, resp *http.Response, began epoch, now time.Time) {
	ttl := p.cfg.TTL
	if q.pinned {
		ttl = p.cfg.PinnedTTL
	}
	call := policy.CallOf(req.Context())
	e := newEntry(resp, now)
	e.of = ownerOf(call.Function, call.Identity)
	e.freshUntil = e.born.Add(ttl)
	e.dropAt = e.freshUntil.Add(max(p.cfg.StaleIfError, 0))
	record(resp, p.cfg.MaxEntryBytes, func(body []byte) {
		if e.complete(body) {
			e.put(p.store, q.key, began)
		}
	})
}

// report counts what a lookup came to.
func (p *predictions) report(req *http.Request, l lookup) {
	p.store.lookups[l].Add(1)
	telemetry.FromContext(req.Context()).LookedUp(req.Context(), l.String())
}
