package cache

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// HTTPConfig configures [HTTP]. Its zero value is ready to use.
type HTTPConfig struct {
	// Store holds the answers. Transports that share one share their answers,
	// those of [Predictions] aside. Nil means a store of its own with the usual
	// bounds, for all transports that the layer wraps.
	Store *Store

	// Identity says whose a request is; the same answers are given to the same
	// identity only, unless they are public. It must tell apart all who may get
	// different answers, and outlive their tokens: an account or a tenant, say.
	// "" is nobody in particular. False means that it cannot be told: such a
	// request is sent on and its answer not stored. Nil means
	// [policy.Call.Identity], else the credentials that the request carries:
	// Authorization, Cookie, the URL's user, and each field whose name sounds like
	// a credential ([policy.IsSecret]).
	//
	// Credentials that a layer below adds cannot be seen from here: where one
	// stack serves several accounts, it must be set.
	Identity func(*http.Request) (id string, ok bool)

	// MaxEntryBytes bounds the body of one answer; a longer one is handed on and
	// not stored. Zero means 1 MiB.
	MaxEntryBytes int64

	// MaxStale bounds for how long past its lifetime an answer is given, whatever
	// the origin or the caller allow; for so long it also stands in, if no side
	// says anything about that, when the origin cannot be reached. Zero means 1 h;
	// negative means not at all.
	MaxStale time.Duration

	// SoftTimeout is how long a caller waits for the origin if there is an answer
	// that may stand in for one that cannot be had; that one is given then, while
	// the call goes on behind it, if MaxRefreshes and RefreshBackoff let it. Zero
	// means that he waits to the end.
	SoftTimeout time.Duration

	// MaxRefreshes bounds how many answers are fetched behind callers at a time.
	// Zero means 16.
	MaxRefreshes int

	// RefreshBackoff is how long after one that failed, or brought nothing to store,
	// the next fetch behind callers of the same answer begins, at the earliest. Zero
	// means 10 s.
	RefreshBackoff time.Duration

	// Name is what the cache calls itself in Cache-Status, a token. Zero means
	// "sparekey".
	Name string
}

// WithDefaults returns a copy of c with its zero fields filled, but for Store and
// Identity.
func (c HTTPConfig) WithDefaults() HTTPConfig {
	c.MaxEntryBytes = cmp.Or(c.MaxEntryBytes, 1<<20)
	c.MaxStale = cmp.Or(c.MaxStale, time.Hour)
	c.MaxRefreshes = cmp.Or(c.MaxRefreshes, 16)
	c.RefreshBackoff = cmp.Or(c.RefreshBackoff, 10*time.Second)
	c.Name = cmp.Or(c.Name, "sparekey")
	return c
}

// Validate reports the first setting that is out of its bounds.
func (c HTTPConfig) Validate() error {
	switch {
	case c.MaxEntryBytes < 0:
		return fmt.Errorf("HTTPConfig.MaxEntryBytes is %d, want at least 0", c.MaxEntryBytes)
	case c.SoftTimeout < 0:
		return fmt.Errorf("HTTPConfig.SoftTimeout is %v, want at least 0", c.SoftTimeout)
	case c.MaxRefreshes < 0:
		return fmt.Errorf("HTTPConfig.MaxRefreshes is %d, want at least 0", c.MaxRefreshes)
	case c.RefreshBackoff < 0:
		return fmt.Errorf("HTTPConfig.RefreshBackoff is %v, want at least 0", c.RefreshBackoff)
	case c.Name != "" && !isToken(c.Name):
		return fmt.Errorf("HTTPConfig.Name is %q, want a token", c.Name)
	}
	return nil
}

// HTTP returns a layer that is a private HTTP cache (RFC 9111) for any client: it
// answers GET and HEAD from memory as far as the origin and the caller allow, asks
// whether what it has is still right where they do not, and forgets what a request
// of another method may have changed.
//
//   - Whose an answer is is part of its key, since a program has many users where a
//     browser has one: see [HTTPConfig.Identity]. Only Cache-Control: public lifts
//     that.
//   - Equal requests at a time are sent once. Who asks when the answer has begun to
//     come joins it if it is fresh. Of an answer of more than 256 KiB, who does not
//     read on for a second while others wait for him loses the rest.
//   - Stale answers are given as stale-while-revalidate and stale-if-error (RFC
//     5861) allow, and when the origin cannot be reached. Must-revalidate and
//     no-cache rule that out, and so does a call that excludes [policy.RungStale];
//     each is bounded by MaxStale. Once the origin has answered a GET by 404 or 410, what
//     was there before is given no more.
//   - An answer with a cookie is not public, whatever it says; callers who show
//     nothing of themselves share it only if it has an explicit lifetime, of more
//     than nothing, and is neither private nor no-cache (RFC 9111 section 7.3).
//   - An answer is stored once it was read to its end. Not stored are event
//     streams, parts, answers with trailers or that only the end of the connection
//     ends, and the ones that stand in for a live answer.
//
// Each response has a Cache-Status field (RFC 9211); one from memory has Age and a
// [telemetry.HeaderName] field, too.
//
// A refresh behind a caller runs on a goroutine of its own, for up to 30 s, even
// if he leaves. CloseIdleConnections and Close of the transport end all that are
// under way, and wait for it; after Close there are none. HTTP panics if a setting
// is invalid.
func HTTP(cfg HTTPConfig) Layer {
	if err := cfg.Validate(); err != nil {
		panic("cache: " + err.Error())
	}
	cfg = cfg.WithDefaults()
	store := cfg.Store
	cfg.MaxEntryBytes = min(cfg.MaxEntryBytes, maxBody)
	if store == nil {
		store = NewStore(StoreConfig{MaxEntryBytes: 4 * cfg.MaxEntryBytes, MaxBytes: max(64<<20, 16*cfg.MaxEntryBytes)})
	}
	return func(next http.RoundTripper) http.RoundTripper {
		c := &httpCache{cfg: cfg, store: store, next: next, flights: newFlights(min(cfg.MaxEntryBytes, readAhead), store)}
		c.maxStale = max(cfg.MaxStale, 0)
		return c
	}
}

// readAhead bounds how much of an answer is read ahead of who asked for it. Nobody
// joins one that is longer.
const readAhead = 256 << 10

type httpCache struct {
	cfg      HTTPConfig
	store    *Store
	next     http.RoundTripper
	maxStale time.Duration
	flights  *flights
	renewals renewals
}

func (c *httpCache) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != "" && req.Method != http.MethodGet && req.Method != http.MethodHead {
		return c.other(req)
	}
	w, ok := c.want(req)
	if !ok || passesBy(req, w.header, w.cc) {
		if w.cc.onlyIfCached {
			return c.notCached(req), nil
		}
		return c.pass(req, "bypass")
	}
	now := time.Now()
	found, varied := c.find(&w, now)
	if found != nil {
		if resp, ok := c.known(req, &w, found, now); ok {
			return resp, nil
		}
	}
	switch {
	case w.cc.onlyIfCached:
		return c.notCached(req), nil
	case len(w.header["Range"]) > 0:
		return c.pass(req, "bypass")
	}
	asked := w // in memory that others may go on to use
	if policy.Excluded(req.Context(), policy.RungStale) {
		asked.cc.minFresh = max(asked.cc.minFresh, 0) // which nothing stale is
	}
	return c.forward(req, &asked, found, forwardReason(found, varied, now))
}

// known answers from memory, if what is found there may be given.
func (c *httpCache) known(req *http.Request, w *wanted, s *stored, now time.Time) (*http.Response, bool) {
	standing := s.standing(w.cc, now, c.maxStale)
	switch {
	case standing == unusable:
		return nil, false
	case standing != fresh && policy.Excluded(req.Context(), policy.RungStale):
		return nil, false
	}
	resp, ok := c.give(req, w.header, s, standing, now)
	if ok && standing == swr {
		behind := *w
		c.renew(req, &behind, s, now)
	}
	return resp, ok
}

// forwardReason says why a request is not answered from memory, in the words of
// RFC 9211 section 2.2.
func forwardReason(found *stored, varied bool, now time.Time) string {
	switch {
	case found != nil && now.Before(found.freshUntil) && !found.cc.noCache:
		return "request"
	case found != nil:
		return "stale"
	case varied:
		return "vary-miss"
	}
	return "uri-miss"
}

// give answers from memory. It reports false if the stored answer has not what the
// request, whose header is h, wants.
func (c *httpCache) give(req *http.Request, h http.Header, s *stored, standing standing, now time.Time) (*http.Response, bool) {
	said, lookup := remark{by: c.cfg.Name, source: telemetry.Stale}, stale
	switch standing {
	case fresh:
		said.source, lookup = telemetry.Cache, hit
	case tolerated:
		said.detail = "max-stale"
	case swr:
		said.detail = "stale-while-revalidate"
	}
	resp := s.response(req, now, said)
	switch {
	case s.meets(h): // goes before a range (RFC 9110 section 13.2.2)
		notModified(resp)
	case len(h["Range"]) > 0 && req.Method != http.MethodHead: // only GET has ranges
		if !s.partOf(resp, h) {
			return nil, false
		}
	}
	body.CloseRequest(req)
	c.store.report(req, lookup).Answered(req.Context(), telemetry.Answer{Source: said.source, Age: now.Sub(s.born)})
	return resp, true
}

// spare returns the answer that may stand in for one that could not be had, nil for none:
// one that was found before the call may have been purged since, or its target changed.
func (c *httpCache) spare(w *wanted, disconnected bool) *stored {
	now := time.Now()
	if s, _ := c.find(w, now); s != nil && s.covers(w.cc, disconnected, now, c.maxStale) {
		return s
	}
	return nil
}

// standIn answers from memory in place of an answer that could not be had.
func (c *httpCache) standIn(req *http.Request, w *wanted, s *stored, detail string, cause policy.Class) *http.Response {
	now := time.Now()
	resp := s.response(req, now, remark{by: c.cfg.Name, detail: detail})
	if s.meets(w.header) {
		notModified(resp)
	}
	c.store.report(req, stale)
	telemetry.Mark(req, resp.Header, telemetry.Answer{Source: telemetry.Stale, Age: now.Sub(s.born), Cause: cause})
	return resp
}

// notCached answers a request that is to be answered from memory or not at all.
func (c *httpCache) notCached(req *http.Request) *http.Response {
	body.CloseRequest(req)
	c.store.report(req, miss)
	resp := &http.Response{
		Status: "504 Gateway Timeout", StatusCode: http.StatusGatewayTimeout, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Length": {"0"}}, Body: http.NoBody, Request: req,
	}
	c.mark(resp, "detail=only-if-cached")
	return resp
}

// pass sends a request on that the cache has no part in.
func (c *httpCache) pass(req *http.Request, reason string) (*http.Response, error) {
	c.store.report(req, bypass)
	resp, err := body.Send(c.next, req)
	if err != nil {
		return nil, err
	}
	c.mark(resp, "fwd="+reason)
	return resp, nil
}

// forward asks the origin, and answers with what it has if that cannot be done.
func (c *httpCache) forward(req *http.Request, w *wanted, found *stored, reason string) (*http.Response, error) {
	w.header = w.header.Clone() // layers below may add fields to the caller's
	ask := c.ask
	if now := time.Now(); c.cfg.SoftTimeout > 0 && found != nil && found.covers(w.cc, true, now, c.maxStale) {
		late := now.Add(c.cfg.SoftTimeout)
		if resp, ok := c.soon(req, w, found, late); ok {
			return resp, nil
		}
		ask = c.askUntil(late)
	}
	resp, leader, err := ask(req, w, found, reason)
	if err == errTooLate { //nolint:errorlint // ours
		if spare := c.spare(w, true); spare != nil {
			return c.standIn(req, w, spare, softTimeout, policy.TimedOut), nil
		}
		resp, leader, err = c.ask(req, w, found, reason)
	}
	if err == errSettled { //nolint:errorlint // ours
		return c.RoundTrip(req)
	}
	if found != nil && (err != nil || isError(resp.StatusCode)) {
		verdict := telemetry.Judge(req, resp, err, nil)
		if spare := c.spare(w, err != nil); spare != nil && !telemetry.CallerLeft(req.Context()) {
			if err == nil {
				body.Discard(req.Context(), resp, body.DrainBytes, body.DrainTime)
			}
			return c.standIn(req, w, spare, "stale-if-error", verdict.Class), nil
		}
	}
	if leader != nil {
		c.store.report(req, joined).Joined(req.Context(), leader)
	} else {
		c.store.report(req, miss)
	}
	return resp, err
}

type askFunc = func(req *http.Request, w *wanted, found *stored, reason string) (resp *http.Response, leader context.Context, err error)

// ask has the origin asked once for all who want the same at the same time. Its
// error is errSettled if there is a fresh answer by now. The leader is a context of
// who asked first, nil if that is this one.
func (c *httpCache) ask(req *http.Request, w *wanted, found *stored, reason string) (resp *http.Response, leader context.Context, err error) {
	send := func(req *http.Request) (*http.Response, error) {
		now := time.Now()
		if anew, _ := c.find(w, now); anew != nil && anew != found && anew.standing(w.cc, now, c.maxStale) == fresh {
			return nil, errSettled
		}
		return c.fetch(req, w, found, reason)
	}
	s := c.flights.board(&seat{req: req, send: send, takes: w.takes}, w.flightKey(req.Method), isForAll)
	resp, joined, err := s.wait(req.Context())
	if !joined {
		return resp, nil, err
	}
	if err == nil {
		said := resp.Header["Cache-Status"]
		resp.Header["Cache-Status"] = []string{said[0] + "; collapsed"}
	}
	return resp, s.flight.ctx, err
}

// fetch asks the origin, for whether the found answer is still right if that can be
// asked, and stores what it says.
func (c *httpCache) fetch(req *http.Request, w *wanted, found *stored, reason string) (*http.Response, error) {
	asking, validating := req, found != nil && found.validators()
	if validating {
		asking = found.validation(req, w.header)
	}
	asked := time.Now()
	resp, err := body.Send(c.next, asking)
	if err != nil {
		return nil, err
	}
	arrived := time.Now()
	if validating && resp.StatusCode == http.StatusNotModified {
		body.Discard(req.Context(), resp, body.DrainBytes, body.DrainTime)
		if found.confirms(canonicalNames(resp.Header)) {
			return c.confirm(req, w, found, resp, asked, arrived, reason), nil
		}
		asked = time.Now()
		if resp, err = body.Send(c.next, req); err != nil { // it is about something else
			return nil, err
		}
		arrived = time.Now()
	}
	said := "fwd=" + reason + "; fwd-status=" + strconv.Itoa(resp.StatusCode)
	spared := isError(resp.StatusCode) && found != nil && found.covers(w.cc, false, arrived, c.maxStale) // and must stay
	stores := req.Method != http.MethodHead && !spared && c.record(w, resp, asked, arrived)
	if stores {
		said += "; stored"
	}
	if found != nil && (!stores || resp.StatusCode != http.StatusOK) && found.outdatedBy(resp, req.Method) { // before its body, which may break off
		c.takeOut(w, found)
	}
	c.mark(resp, said)
	return resp, nil
}

// confirm answers with a stored answer that the origin says is right.
func (c *httpCache) confirm(req *http.Request, w *wanted, found *stored, resp *http.Response, asked, arrived time.Time, reason string) *http.Response {
	confirmed, keeps := found.confirmed(w, resp, asked, arrived, c.maxStale)
	said := "fwd=" + reason + "; fwd-status=304"
	if !keeps || found.public && !confirmed.public {
		c.takeOut(w, found)
	}
	if keeps {
		c.put(w, confirmed)
		said += "; stored"
	}
	given := confirmed.response(req, arrived, remark{})
	h := canonicalNames(resp.Header)
	news := updates(h, arrived)
	for _, name := range confirmed.cc.noCacheFields { // are not stored, and good for this once
		if values := news[name]; len(values) > 0 {
			given.Header[name] = values
		}
	}
	if source := h[telemetry.HeaderName]; len(source) > 0 {
		given.Header[telemetry.HeaderName] = source
	}
	given.Header["Cache-Status"] = []string{confirmed.upstream + c.cfg.Name + "; " + said}
	if confirmed.meets(w.header) {
		notModified(given)
	}
	return given
}

// record stores the answer once its body is read to its end. It reports false if
// it is not to be stored.
func (c *httpCache) record(w *wanted, resp *http.Response, asked, arrived time.Time) bool {
	if resp.ContentLength > c.cfg.MaxEntryBytes {
		return false
	}
	s, ok := storing(w, resp, asked, arrived, c.maxStale)
	if !ok {
		return false
	}
	if resp.Body == http.NoBody {
		c.put(w, s.complete(nil))
		return true
	}
	body.RecordWithin(resp, c.cfg.MaxEntryBytes, budget{c.store}, func(data []byte) { c.put(w, s.complete(data)) })
	return true
}

// CloseIdleConnections ends the refreshes that are under way and forwards to the
// transport below.
func (c *httpCache) CloseIdleConnections() {
	c.renewals.end(false)
	body.CloseIdle(c.next)
}

// Close ends the refreshes for good. Requests are answered as before.
func (c *httpCache) Close() error {
	c.renewals.end(true)
	return nil
}

// Unwrap and Part tell what the layer is: see transport.Inspect.

func (c *httpCache) Unwrap() http.RoundTripper { return c.next }

func (c *httpCache) Part() policy.Part {
	bounds := c.store.config()
	return policy.Part{Kind: policy.KindCache, Name: "http", Settings: policy.Cache{
		MaxBytes:       bounds.MaxBytes,
		MaxEntries:     bounds.MaxEntries,
		IdentityShare:  bounds.IdentityShare,
		MaxEntryBytes:  c.cfg.MaxEntryBytes,
		StaleIfError:   c.cfg.MaxStale,
		SoftTimeout:    c.cfg.SoftTimeout,
		MaxRefreshes:   c.cfg.MaxRefreshes,
		RefreshBackoff: c.cfg.RefreshBackoff,
	}}
}
