package cache

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

const (
	maxBody   = 1 << 40          // what a greater bound on an answer is taken for, in bytes
	maxFlight = 10 * time.Minute // to the header
	apartFor  = 10 * time.Second // how long requests are not merged after an answer that is not for all
	maxApart  = 1024             // how many keys are known not to be merged; then all are forgotten
	newsFor   = time.Second      // how long after its end an answer is given to those who only now ask
)

type (
	sendFunc  = func(*http.Request) (*http.Response, error)
	shareFunc = func(*http.Response) bool
)

// flights merges requests that ask the same at the same time: one is sent, the
// first, and all who ask follow its answer. It is safe for concurrent use.
type flights struct {
	maxBytes int64 // of an answer that waits for its readers as a whole; at most maxBody
	home     home  // where such answers go

	mu    sync.Mutex
	table map[key]*flight   // those that can be joined; guarded by mu
	apart map[key]time.Time // until when requests are not merged; guarded by mu
}

// A home is what flights ask of a [Store].
type home interface {
	reserve(n int64) bool // room for an answer on its way
	release(n int64)
	epoch() epoch // an answer that was asked for in an earlier one is nothing for those who come later
}

func newFlights(maxBytes int64, home home) *flights {
	return &flights{
		maxBytes: maxBytes,
		home:     home,
		table:    make(map[key]*flight),
		apart:    make(map[key]time.Time),
	}
}

// board gives s a seat in the flight of k, which it starts if there is none. What
// comes of it is for [seat.wait] to tell. The request is sent once for all who board
// for k at the same time.
//
// It is sent on a goroutine of its own, under a context with the values of the first
// caller's and an end of its own: when all who asked have left, by their contexts or
// by closing their bodies. Its deadline is the latest of theirs. It is a copy, except
// for its body, which may be read after the first caller has gone: it must not share
// anything with him.
//
// An error is for all. A response is for all if share says so, which is asked
// once, at the header. Each caller then reads at his own pace what has come; of
// an answer that is longer than maxBytes, or for which there is no room, at most
// that is kept, nobody joins any more, and all go at the pace of the slowest. One
// who does not read for a second while others wait for him loses the rest.
//
// A response that is not for all is the first caller's, as it came. The others
// send their own requests, side by side, and so do all who ask k in the ten
// seconds to come; those in loose seats look again instead. If send returns
// errSettled, each of them gets it and keeps the body of his request. A panic in send
// or share is passed on to the first caller and leaves the others to send their own,
// too. Who can leave by his request's Cancel only sends his own as well.
func (fs *flights) board(s *seat, k key, share shareFunc) *seat {
	if fs.assign(s, k) {
		go s.flight.fly(s.flight.request(s.req), s.send, share)
	}
	return s
}

// assign gives s its seat, if it is to have one, and reports whether that is in a
// flight that is to be started.
func (fs *flights) assign(s *seat, k key) (starts bool) {
	now := time.Now()
	s.began = fs.home.epoch()
	if !s.loose && endsByCancelOnly(s.req) {
		return false
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.table[k]; f != nil && !f.carries(s.req) && f.take(s, now) {
		return false
	}
	apart := fs.areApartLocked(k, now)
	if apart && !s.loose {
		return false
	}
	f := newFlight(fs, k, s, now)
	s.leads = true
	f.take(s, now)
	if !apart {
		fs.table[k] = f
	}
	return true
}

// endsByCancelOnly reports whether nothing but Cancel tells when the caller's time is up.
// Where the context has a deadline, Cancel is that of [http.Client], to the same end.
func endsByCancelOnly(req *http.Request) bool {
	_, bounded := req.Context().Deadline()
	return req.Cancel != nil && !bounded //nolint:staticcheck // deprecated, but heeded
}

// areApartLocked reports whether requests for k are not to be merged.
func (fs *flights) areApartLocked(k key, now time.Time) bool {
	until, ok := fs.apart[k]
	if ok && !now.Before(until) {
		delete(fs.apart, k)
		return false
	}
	return ok
}

// partLocked says that requests for k are not to be merged for a while.
func (fs *flights) partLocked(k key, now time.Time) {
	if len(fs.apart) >= maxApart {
		clear(fs.apart)
	}
	fs.apart[k] = now.Add(apartFor)
}

// removeLocked lets nobody join f.
func (fs *flights) removeLocked(f *flight) {
	if fs.table[f.key] == f {
		delete(fs.table, f.key)
	}
}

// remove lets nobody join f.
func (fs *flights) remove(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.removeLocked(f)
}

// A seat is the place of one caller in a flight.
type seat struct {
	flight *flight // nil for one who goes by himself
	leads  bool    // the flight is his
	loose  bool    // he may go while it is under way, and never sends by himself
	began  epoch   // when he came
	req    *http.Request
	send   sendFunc

	// takes reports whether he may have an answer that came before he did; nil means
	// any. It is called under locks.
	takes func(head *http.Response, asked, came, now time.Time) bool

	pos int64 // how much of the body he has had; guarded by flight.mu
}

// wait returns what came of the request, to a caller who stays for as long as ctx
// lasts, and whether that is another's. If ctx ends first he has left. A response is
// the caller's own.
func (s *seat) wait(ctx context.Context) (*http.Response, bool, error) {
	f := s.flight
	if f == nil {
		return s.alone()
	}
	select {
	case <-f.header:
	case <-ctx.Done():
		if left, _ := f.leave(s, context.Cause(ctx), beforeHeader); left {
			s.settle()
			return nil, !s.leads, context.Cause(ctx)
		}
		<-f.header // it came at the same time
	}
	switch {
	case f.err != nil:
		if f.err != errSettled { //nolint:errorlint // ours
			s.settle()
		}
		return nil, !s.leads, f.err
	case f.resp == nil && s.leads:
		panic(f.panicked)
	case f.shared:
		s.settle()
		return f.copyFor(s, ctx), !s.leads, nil
	case s.leads:
		return f.handOver(ctx), false, nil
	case s.loose:
		return nil, false, errSettled
	}
	return s.alone()
}

// settle closes the body of a request that was not sent.
func (s *seat) settle() {
	if !s.leads {
		body.CloseRequest(s.req)
	}
}

// alone sends the request for the one who asks.
func (s *seat) alone() (*http.Response, bool, error) {
	s.flight = nil
	resp, err := body.Send(transportFunc(s.send), s.req)
	return resp, false, err
}

type transportFunc sendFunc

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A flight is one request that is sent for all who sit in it.
type flight struct {
	all    *flights
	key    key
	began  epoch
	asked  time.Time
	ctx    context.Context
	cancel context.CancelCauseFunc
	bound  *time.Timer

	header chan struct{} // closed when what follows is there for good
	resp   *http.Response
	head   http.Response // a copy of resp at its header
	came   time.Time     // when it did
	broken error         // what ended a body that was read ahead, or nil
	shared bool
	err    error // if this and resp are nil, send or share panicked

	panicked any

	mu     sync.Mutex
	landed bool    // the outcome is settled; guarded by mu, as all below
	aboard []*seat // who is there; changed under all.mu, too

	latest  time.Time // deadline of those who came
	endless bool      // one of them has none

	stream
}

func newFlight(fs *flights, k key, first *seat, now time.Time) *flight {
	f := &flight{all: fs, key: k, began: first.began, asked: now, header: make(chan struct{})}
	inner, cancel := context.WithCancelCause(policy.WithMovingDeadline(context.WithoutCancel(first.req.Context())))
	f.ctx, f.cancel = flightContext{inner, f}, cancel
	f.bound = time.AfterFunc(maxFlight, func() {
		cancel(&policy.TimeoutError{Scope: "flight", Phase: "first byte", Limit: maxFlight})
	})
	return f
}

// flightContext is the context of a flight.
type flightContext struct {
	context.Context
	flight *flight
}

// Deadline returns the latest deadline of those who wait: a layer below makes no
// plans that none of them would live to see.
func (c flightContext) Deadline() (time.Time, bool) {
	c.flight.mu.Lock()
	defer c.flight.mu.Unlock()
	return c.flight.latest, !c.flight.endless && !c.flight.latest.IsZero()
}

// Value says to a request that comes back from below which flight it is in.
func (c flightContext) Value(k any) any {
	if k == any(c.flight) {
		return c.flight
	}
	return c.Context.Value(k)
}

// carries reports whether req is a part of what the flight waits for, as where two
// layers of a stack are one Memo's: it would wait for itself.
func (f *flight) carries(req *http.Request) bool { return req.Context().Value(f) != nil }

// request returns the request that is sent: whoever leaves may change his own, and
// takes none with him.
func (f *flight) request(req *http.Request) *http.Request {
	own := copyOf(req, f.ctx)
	own.Body = req.Body
	return own
}

// copyOf returns a copy of req that lasts as long as ctx does. Cancel says that the
// caller's time is up, which has no meaning for others.
func copyOf(req *http.Request, ctx context.Context) *http.Request {
	own := req.Clone(ctx)
	own.Cancel = nil //nolint:staticcheck // deprecated, but heeded
	return own
}

// take gives s a seat, unless nobody may join any more. It is called under the
// lock of all flights.
func (f *flight) take(s *seat, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.overlong: // he would miss the beginning
		return false
	case f.ended && now.Sub(f.endedAt) >= newsFor, f.began != s.began:
		return false
	case f.landed && f.resp != nil && s.takes != nil && !s.takes(&f.head, f.asked, f.came, now):
		return false
	}
	f.extendLocked(s.req.Context())
	s.flight = f
	f.aboard = append(f.aboard, s)
	return true
}

// extendLocked has the flight last until the deadline of ctx.
func (f *flight) extendLocked(ctx context.Context) {
	deadline, ok := ctx.Deadline()
	f.endless = f.endless || !ok
	if deadline.After(f.latest) {
		f.latest = deadline
	}
}

// extend has the flight last until the deadline of ctx.
func (f *flight) extend(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.extendLocked(ctx)
}

// When a seat is given up.
type leaving bool

const (
	beforeHeader leaving = false // not once the outcome is there
	atAnyTime    leaving = true
)

// leave gives up a seat. The last one out ends the flight, and nobody joins it
// from the same moment on.
func (f *flight) leave(s *seat, cause error, when leaving) (left, last bool) {
	left, last, free := f.quit(s, when)
	f.all.home.release(free)
	if last {
		f.cancel(cause)
	}
	return left, last
}

func (f *flight) quit(s *seat, when leaving) (left, last bool, free int64) {
	f.all.mu.Lock()
	defer f.all.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(f.aboard, s)
	if i < 0 || f.landed && when == beforeHeader {
		return false, false, 0
	}
	f.aboard = slices.Delete(f.aboard, i, i+1)
	last = len(f.aboard) == 0
	if last {
		f.all.removeLocked(f)
	}
	f.movedLocked()
	return true, last, f.spareLocked()
}

// fly sends the request and brings its answer to those who sit in the flight.
func (f *flight) fly(req *http.Request, send sendFunc, share shareFunc) {
	defer f.arrive(req) // even if send ends the goroutine
	f.depart(req, send, share)
}

// arrive tells of the outcome of req, and brings it.
func (f *flight) arrive(req *http.Request) {
	f.bound.Stop()
	leader, empty := f.land()
	if f.err == errSettled && !leader { //nolint:errorlint // ours
		body.CloseRequest(req) // the first caller does not keep it
	}
	close(f.header)
	switch {
	case f.resp == nil:
		f.cancel(nil)
	case f.shared && !empty:
		f.pump()
	case f.shared || !leader: // for nobody
		f.cancel(nil)
		f.shut()
	}
}

// errSettled says that nothing was sent for the caller, who is to look again: there is an
// answer by now, or a loose one joined in vain.
var errSettled = errors.New("cache: look again")

var errPanicked = errors.New("cache: the transport panicked")

// depart fetches the outcome.
func (f *flight) depart(req *http.Request, send sendFunc, share shareFunc) {
	var resp *http.Response
	done := false
	defer func() {
		if !done {
			if f.panicked = recover(); f.panicked == nil {
				f.panicked = errPanicked // by runtime.Goexit
			}
			if resp != nil {
				_ = closed(resp.Body) // nobody gets it
			}
		}
	}()
	resp, err := body.Send(transportFunc(send), req)
	if err == nil {
		f.came = time.Now()
		f.shared = share(resp)
		f.broken = body.Broken(resp)
		f.resp, f.head, f.rc = resp, *resp, resp.Body
		f.announced = max(resp.ContentLength, 0)
	}
	f.err = err
	done = true
}

// land settles the outcome. It reports whether the first caller is there, or
// nobody at all.
func (f *flight) land() (leader, empty bool) {
	fs := f.all
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.landed = true
	if !f.shared {
		fs.removeLocked(f)
		if f.resp != nil {
			fs.partLocked(f.key, time.Now())
		}
	}
	leader = slices.ContainsFunc(f.aboard, func(s *seat) bool { return s.leads })
	return leader, len(f.aboard) == 0
}

// handOver gives the response to the first caller alone. The flight lasts until
// its body ends, or the caller's context.
func (f *flight) handOver(ctx context.Context) *http.Response {
	stop := context.AfterFunc(ctx, func() { f.cancel(context.Cause(ctx)) })
	body.Watch(f.resp, &handedOver{ctx, stop, f.cancel})
	return f.resp
}

// handedOver waits for the end of a body that is one caller's alone.
type handedOver struct {
	ctx    context.Context // his
	stop   func() bool
	cancel context.CancelCauseFunc
}

// BodyEnd implements [body.Watcher]. The end of the flight's context was that of
// the caller's, for a reason that only his tells.
func (h *handedOver) BodyEnd(err error) error {
	h.stop()
	h.cancel(nil)
	if errors.Is(err, context.Canceled) && h.ctx.Err() != nil {
		return context.Cause(h.ctx)
	}
	return err
}

// copyFor returns the response that a caller gets of those for all.
func (f *flight) copyFor(s *seat, ctx context.Context) *http.Response {
	resp := f.head // a copy
	resp.Header = f.head.Header.Clone()
	resp.Trailer = f.head.Trailer.Clone()
	resp.TransferEncoding = slices.Clone(f.head.TransferEncoding)
	resp.Request = f.requestFor(s.req)
	follow(&resp, s, ctx)
	if f.broken != nil {
		_ = body.Buffer(&resp, f.all.maxBytes) // all has come: the layers above learn the end as those below did
	}
	return &resp
}

// requestFor returns the request that a response names: the caller's, unless it
// is that of another stack below, which knows more of it.
func (f *flight) requestFor(own *http.Request) *http.Request {
	if below := f.head.Request; below != nil && telemetry.FromContext(below.Context()) != telemetry.FromContext(f.ctx) {
		return below.WithContext(below.Context())
	}
	return own
}
