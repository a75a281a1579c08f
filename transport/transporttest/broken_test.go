package transporttest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A breakage is a layer with one mistake, and the rule that it breaks.
type breakage struct {
	rule  string
	name  string
	layer transporttest.Layer
	may   []transporttest.Option
}

func broken() []breakage {
	repeat := []transporttest.Option{transporttest.MayRepeat()}
	refuse := []transporttest.Option{transporttest.MayRefuse()}
	answer := []transporttest.Option{transporttest.MayAnswer()}
	return []breakage{
		{"the request is not changed", "adds a field to the caller's header", layerOf(addsField), nil},
		{"the request is not changed", "removes what it added", layerOf(addsFieldForAWhile), nil},
		{"the request is not changed", "adds a field when all is over", layerOf(addsFieldLater), nil},
		{"the request is not changed", "puts its own context into the caller's request", layerOf(replacesContext), nil},
		{"the request is not changed", "puts its own body into the caller's request", layerOf(replacesBody), nil},
		{"the request arrives whole", "loses the host", sends(func(req *http.Request) { req.Host = "" }), nil},
		{"the request arrives whole", "loses the length", sends(losesRequestLength), nil},
		{"the request arrives whole", "spells the names of fields its own way", sends(canonicalNames), nil},
		{"the request can be sent again", "takes it for a duplicate", refusesDuplicates, nil},
		{"the context arrives", "hides the deadline", inContext(func(ctx context.Context) context.Context { return noDeadline{ctx} }), nil},
		{"the context arrives", "hides the values", inContext(func(ctx context.Context) context.Context { return noValues{ctx, "transporttest"} }), nil},
		{"the request's body is closed", "hides Close", sends(hidesClose), nil},
		{"the request's body is closed", "refuses and forgets", breaker, refuse},
		{"the request's body is closed", "answers from memory and forgets", remembers, answer},
		{"an upload is not held back", "reads it ahead", layerOf(readsAhead), nil},
		{"a small upload takes one write", "hides the type", sends(hidesType), nil},
		{"trailers of the request are sent", "copies them too early", sends(func(req *http.Request) { req.Trailer = req.Trailer.Clone() }), nil},
		{"only what is safe is repeated", "repeats without being one that may", repeater{}.layer(), nil},
		{"only what is safe is repeated", "repeats all", repeater{may: func(*http.Request) bool { return true }}.layer(), repeat},
		{"only what is safe is repeated", "repeats all that is slow", hedger{may: func(*http.Request) bool { return true }}.layer(), mayHedge},
		{"the body is replayed whole", "sends what is left of it", repeater{replay: replaysRest}.layer(), repeat},
		{"the body is replayed whole", "sends what it keeps of it", repeater{replay: replaysStart}.layer(), repeat},
		{"replays are taken in turn and closed", "takes one too many", sends(func(req *http.Request) { _, _ = getBody(req) }), nil},
		{"replays are taken in turn and closed", "takes two at once", sends(takesTwo), nil},
		{"replays are taken in turn and closed", "loses the answer when there is none", repeater{give: givesUp}.layer(), repeat},
		{"stacked repetition does not multiply", "repeats each attempt", repeater{nested: true}.layer(), repeat},
		{"stacked repetition does not multiply", "repeats each that is slow", hedger{nested: true}.layer(), mayHedge},
		{"every status is an answer", "makes an error of one", layerOf(noTeapots), nil},
		{"the answer arrives whole", "loses a field", answers(func(resp *http.Response) { resp.Header.Del("X-Field-199") }), nil},
		{"the answer arrives whole", "loses the length", answers(losesLength), nil},
		{"the answer arrives whole", "forgets the request", answers(func(resp *http.Response) { resp.Request = nil }), nil},
		{"a body that is nil does no harm", "relies on a body", answers(func(resp *http.Response) { _, _ = resp.Body.Read(nil) }), nil},
		{"an answer may be empty", "counts the bytes of an answer to HEAD", answers(countsNothing), nil},
		{"the answer's body reads in any way", "ends once only", reads(endsOnce), nil},
		{"the body outlives the round trip", "lasts a second longer than the round trip", layerOf(cancelsEarly), nil},
		{"the body outlives the round trip", "gives what it keeps of it", answers(keepsStart), nil},
		{"a body that can write itself still can", "hides WriteTo", reads(func(rc io.ReadCloser) io.ReadCloser { return struct{ io.ReadCloser }{rc} }), nil},
		{"the error that ends a body arrives", "takes an early end for the end", reads(endsEarly), nil},
		{"h2/the error that ends a body arrives", "takes a reset for the end", reads(endsInReset), nil},
		{"the caller's Close closes the body", "forgets error pages", answers(forgetsErrorPages), nil},
		{"the caller's Close closes the body", "panics when it is closed again", reads(closesOnce), nil},
		{"Close ends a read", "waits for the read", answers(waitsForRead), nil},
		{"dropped answers are closed", "reads but does not close", repeater{drop: onlyReads}.layer(), repeat},
		{"dropped answers are closed", "forgets the one that came last", hedger{dropping: func(*http.Response) {}}.layer(), mayHedge},
		{"dropped answers are closed", "leaves before there is one", layerOf(leavesEarly), nil},
		{"no more than a little of a dropped answer is read", "reads all", repeater{drop: discards(math.MaxInt64, 50*time.Millisecond)}.layer(), repeat},
		{"no time is lost with a dropped answer", "waits for all", repeater{drop: discards(64<<10, time.Minute)}.layer(), repeat},
		{"events arrive one by one", "fills the buffer first", answers(fillsBuffer), nil},
		{"trailers arrive", "returns a copy", layerOf(returnsCopy), nil},
		{"an upgraded connection works both ways", "hides Write", answers(hidesWrite), nil},
		{"informational answers are reported", "hides the trace", inContext(func(ctx context.Context) context.Context { return noValues{ctx, "httptrace"} }), nil},
		{"errors keep their identity", "keeps the text only", layerOf(flattens), nil},
		{"errors keep their identity", "returns a response, too", layerOf(returnsBoth), nil},
		{"timeouts are told from other errors", "wraps them", fails(func(err error) error { return fmt.Errorf("layer: %w", err) }), nil},
		{"a canceled request is not begun", "sleeps first", sends(func(*http.Request) { time.Sleep(10 * time.Millisecond) }), nil},
		{"cancellation ends the wait for an answer", "loses the cause", layerOf(losesCause), nil},
		{"cancellation ends the wait for an answer", "hides that the caller left", layerOf(hidesLeaving), nil},
		{"cancellation ends every other wait", "sleeps to the end", repeater{wait: sleepsSoundly}.layer(), repeat},
		{"cancellation ends every other wait", "goes on behind the caller's back", layerOf(goesOn), repeat},
		{"cancellation ends a read of the body", "loses the cause", layerOf(losesCauseInBody), nil},
		{"cancellation ends a read of the body", "hides that the caller left", layerOf(hidesLeavingInBody), nil},
		{"the deadline is kept", "has an error of its own", fails(renamesDeadline), nil},
		{"no wait outlasts the deadline", "waits whatever happens", repeater{fits: func(context.Context, time.Duration) bool { return true }}.layer(), repeat},
		{"a panic below passes", "makes an error of it", layerOf(recovers), nil},
		{"a panic below holds nothing", "keeps the permit", keepsPermit, nil},
		{"a panic below closes the request's body", "leaves it open", leavesBodyOpen, nil},
		{"one connection serves many calls", "closes but does not read", repeater{drop: onlyCloses}.layer(), repeat},
		{"one connection serves many calls", "wants one for each", sends(func(req *http.Request) { req.Close = true }), nil},
		{"idle connections are left alone", "closes them after an error", layerOf(closesIdle), nil},
		{"CloseIdleConnections is handed on", "hides it", hidesCloseIdle, nil},
		{"h2/what a server did not look at is sent again", "hides GetBody", sends(func(req *http.Request) { req.GetBody = nil }), nil},
		{"h2/an upload goes on beside its answer", "closes the request's body", layerOf(closesRequestBody), nil},
		{"h2/an early answer ends the upload", "takes it for a failure", layerOf(wantsWholeUpload), nil},
		{"calls at the same time are kept apart", "mixes them up", mixesUp, nil},
		{"equal calls have an answer each", "gives all the same", sharer{each: sharesAll}.layer(), answer},
		{"equal calls have an answer each", "gives all the same header", sharer{each: sharesHeader}.layer(), answer},
		{"equal calls have an answer each", "ends with the first caller", sharer{each: sharesNothing, fate: true}.layer(), answer},
		{"an answer is to its own request", "overlooks the query", keeps(func(req *http.Request) string { return req.Method + req.Host + req.URL.Path + credentials(req) }), answer},
		{"an answer is to its own request", "overlooks the Host field", keeps(func(req *http.Request) string { return req.Method + req.URL.String() + credentials(req) }), answer},
		{"an answer is to its own request", "overlooks the credentials", keeps(func(req *http.Request) string { return req.Method + req.Host + req.URL.String() }), answer},
		{"an answer is to its own request", "keeps one header for all", keepsHeader, answer},
		{"contexts are released", "forgets to cancel", inContext(forgetsToCancel), nil},
		{"contexts are released", "forgets that of a second request", hedger{in: forgetsToCancel}.layer(), mayHedge},
		{"a call is forgotten", "keeps its context", keepsContexts, nil},
		{"what a call held is free again", "keeps the permit of an error", permits(func(_ *http.Response, err error, free func()) {
			if err == nil {
				free()
			}
		}), nil},
		{"what a call held is free again", "waits for the end of the answer", permits(freesAtEnd), nil},
		{"what a call held is free again", "keeps the place of who leaves", permits(freesUnlessLeft), nil},
		{"no goroutine outlives its call", "leaves one", sends(leavesGoroutine), nil},
	}
}

func addsField(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	req.Header.Set("X-Added", "1")
	return next.RoundTrip(req)
}

func addsFieldForAWhile(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	req.Header.Set("X-Added", "1")
	defer req.Header.Del("X-Added")
	return next.RoundTrip(req)
}

func addsFieldLater(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	if req.URL.Fragment != "" { // which one rule has: in others the change may be a race
		time.AfterFunc(time.Second, func() { req.Header.Set("X-Added", "1") })
	}
	return resp, err
}

func replacesContext(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	if req.URL.Fragment != "" { // which one rule has
		*req = *req.WithContext(context.WithValue(req.Context(), repeated{}, true))
	}
	return next.RoundTrip(req)
}

func replacesBody(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	if fresh, err := getBody(req); req.Body != nil && req.GetBody != nil && err == nil {
		req.Body.Close()
		req.Body = fresh
	}
	return next.RoundTrip(req)
}

func losesRequestLength(req *http.Request) {
	if req.ContentLength > 1<<10 {
		req.ContentLength = -1
	}
}

func canonicalNames(req *http.Request) {
	header := make(http.Header)
	for name, values := range req.Header {
		for _, value := range values {
			header.Add(name, value)
		}
	}
	req.Header = header
}

func refusesDuplicates(next http.RoundTripper) http.RoundTripper {
	var mu sync.Mutex
	seen := make(map[weak.Pointer[http.Request]]bool)
	return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		mu.Lock()
		duplicate := seen[weak.Make(req)]
		seen[weak.Make(req)] = true
		mu.Unlock()
		if duplicate {
			body.CloseRequest(req)
			return nil, errors.New("this was sent")
		}
		return next.RoundTrip(req)
	})(next)
}

// inContext returns a layer that sends requests in another context.
func inContext(other func(context.Context) context.Context) transporttest.Layer {
	return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		return next.RoundTrip(req.WithContext(other(req.Context())))
	})
}

type noDeadline struct{ context.Context }

func (noDeadline) Deadline() (time.Time, bool) { return time.Time{}, false }

// noValues is a context without the values of a package.
type noValues struct {
	context.Context
	of string
}

func (c noValues) Value(key any) any {
	if strings.HasPrefix(strings.TrimPrefix(fmt.Sprintf("%T", key), "*"), c.of+".") {
		return nil
	}
	return c.Context.Value(key)
}

func hidesClose(req *http.Request) {
	if req.Body != nil {
		req.Body = io.NopCloser(req.Body)
	}
}

func hidesType(req *http.Request) {
	if req.Body != nil {
		req.Body = struct{ io.ReadCloser }{req.Body}
	}
}

// breaker refuses for a minute after ten errors.
func breaker(next http.RoundTripper) http.RoundTripper {
	var errs, until atomic.Int64
	return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		if time.Now().UnixNano() < until.Load() {
			return nil, errors.New("refused")
		}
		resp, err := next.RoundTrip(req)
		if err != nil && errs.Add(1)%10 == 0 {
			until.Store(time.Now().Add(time.Minute).UnixNano())
		}
		return resp, err
	})(next)
}

func readsAhead(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		return next.RoundTrip(req)
	}
	data, err := io.ReadAll(req.Body)
	body.CloseRequest(req)
	if err != nil {
		return nil, err
	}
	req = req.WithContext(req.Context())
	req.Body = body.Bytes(data)
	return next.RoundTrip(req)
}

func replaysRest(req *http.Request) (*http.Request, error) {
	if req.GetBody == nil {
		return req, nil
	}
	return replay(req)
}

func replaysStart(req *http.Request) (*http.Request, error) {
	again, err := replay(req)
	if err == nil && again.Body != nil {
		again.Body = startOf(again.Body)
	}
	return again, err
}

// startOf returns the first MiB of a body, which most are shorter than.
func startOf(rc io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(rc, 1<<20), rc}
}

func getBody(req *http.Request) (io.ReadCloser, error) {
	if req.GetBody == nil {
		return http.NoBody, nil
	}
	return req.GetBody()
}

func takesTwo(req *http.Request) {
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if rc, err := getBody(req); err == nil {
				rc.Close()
			}
		})
	}
	both.Wait()
}

func givesUp(resp *http.Response, _ error) (*http.Response, error) {
	if resp != nil {
		resp.Body.Close()
	}
	return nil, errors.New("cannot be sent again")
}

func noTeapots(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusTeapot {
		resp.Body.Close()
		return nil, errors.New("a teapot")
	}
	return resp, err
}

func losesLength(resp *http.Response) {
	if resp.ContentLength > 0 && resp.Header.Get("Etag") == "" {
		resp.ContentLength = -1
	}
}

func countsNothing(resp *http.Response) {
	if resp.Header.Get("Etag") != "" {
		resp.ContentLength = 0
	}
}

// reading is a body that is read by a func.
type reading struct {
	io.ReadCloser
	read func([]byte) (int, error)
}

func (r *reading) Read(p []byte) (int, error) { return r.read(p) }

// readBy returns rc, read by a func, with its WriteTo if it has one.
func readBy(rc io.ReadCloser, read func([]byte) (int, error)) io.ReadCloser {
	r := &reading{rc, read}
	if wt, ok := rc.(io.WriterTo); ok {
		return struct {
			*reading
			io.WriterTo
		}{r, wt}
	}
	return r
}

func endsOnce(rc io.ReadCloser) io.ReadCloser {
	ended := false
	return readBy(rc, func(p []byte) (int, error) {
		if ended {
			return 0, errors.New("read after the end")
		}
		n, err := rc.Read(p)
		ended = err != nil
		return n, err
	})
}

func endsEarly(rc io.ReadCloser) io.ReadCloser {
	return readBy(rc, func(p []byte) (int, error) {
		n, err := rc.Read(p)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		return n, err
	})
}

func endsInReset(rc io.ReadCloser) io.ReadCloser {
	return readBy(rc, func(p []byte) (int, error) {
		n, err := rc.Read(p)
		if err != nil && strings.Contains(err.Error(), "stream error") {
			err = io.EOF
		}
		return n, err
	})
}

// closesRequestBody does so where the answer goes on: to close it beside one that is
// there may break that, too.
func closesRequestBody(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	if err == nil && resp.ContentLength < 0 {
		body.CloseRequest(req)
	}
	return resp, err
}

// upload is a body that knows whether it was read to its end.
type upload struct {
	io.ReadCloser
	ended, closed atomic.Bool
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if err == io.EOF {
		u.ended.Store(true)
	}
	return n, err
}

func (u *upload) Close() error {
	u.closed.Store(true)
	return u.ReadCloser.Close()
}

func wantsWholeUpload(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	if req.Body == nil || req.ContentLength > 0 {
		return next.RoundTrip(req)
	}
	u := &upload{ReadCloser: req.Body}
	req = req.WithContext(req.Context())
	req.Body = u
	resp, err := next.RoundTrip(req)
	time.Sleep(time.Millisecond) // net/http closes it in its own time
	if err == nil && u.closed.Load() && !u.ended.Load() {
		resp.Body.Close()
		return nil, errors.New("the upload was cut short")
	}
	return resp, err
}

func forgetsErrorPages(resp *http.Response) {
	if resp.StatusCode == http.StatusNotFound && resp.Body != nil {
		resp.Body = io.NopCloser(resp.Body)
	}
}

func cancelsEarly(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	var resp *http.Response
	defer func() {
		if resp == nil {
			cancel()
		}
	}()
	resp, err := next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if resp.ContentLength > 1<<16 {
		time.AfterFunc(time.Second, cancel)
	} else {
		body.Watch(resp, body.EndFunc(func(error) { cancel() }))
	}
	return resp, nil
}

func keepsStart(resp *http.Response) {
	if resp.ContentLength > 1<<20 {
		resp.Body = startOf(resp.Body)
	}
}

// closedOnce is a body that cannot be closed twice.
type closedOnce struct {
	io.ReadCloser
	closed chan struct{}
}

func (c *closedOnce) Close() error {
	close(c.closed)
	return c.ReadCloser.Close()
}

func closesOnce(rc io.ReadCloser) io.ReadCloser {
	once := &closedOnce{rc, make(chan struct{})}
	if wt, ok := rc.(io.WriterTo); ok {
		return struct {
			*closedOnce
			io.WriterTo
		}{once, wt}
	}
	return once
}

// exclusive is a body of which one thing is done at a time.
type exclusive struct {
	io.ReadCloser
	busy chan struct{}
}

func (e *exclusive) Close() error {
	e.busy <- struct{}{}
	defer func() { <-e.busy }()
	return e.ReadCloser.Close()
}

func waitsForRead(resp *http.Response) {
	if !isEventStream(resp) {
		return
	}
	rc, busy := resp.Body, make(chan struct{}, 1)
	resp.Body = readBy(&exclusive{rc, busy}, func(p []byte) (int, error) {
		busy <- struct{}{}
		defer func() { <-busy }()
		return rc.Read(p)
	})
}

func isEventStream(resp *http.Response) bool {
	return resp.Header.Get("Content-Type") == "text/event-stream"
}

func onlyReads(_ context.Context, resp *http.Response) {
	if resp.Body != nil {
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	}
}

func onlyCloses(_ context.Context, resp *http.Response) {
	if resp.Body != nil {
		resp.Body.Close()
	}
}

func discards(maxBytes int64, maxTime time.Duration) func(context.Context, *http.Response) {
	return func(ctx context.Context, resp *http.Response) { body.Discard(ctx, resp, maxBytes, maxTime) }
}

// leavesEarly returns when the caller leaves, whether or not there is an answer.
func leavesEarly(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	first := &runner{}
	done := make(chan struct{})
	go func() {
		defer func() {
			first.panic = recover()
			close(done)
		}()
		first.resp, first.err = next.RoundTrip(req)
	}()
	select {
	case <-done:
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
	if first.panic != nil {
		panic(first.panic)
	}
	return first.resp, first.err
}

func fillsBuffer(resp *http.Response) {
	if rc := resp.Body; isEventStream(resp) {
		resp.Body = readBy(rc, func(p []byte) (int, error) {
			n, err := io.ReadFull(rc, p)
			if err == io.ErrUnexpectedEOF {
				err = io.EOF
			}
			return n, err
		})
	}
}

func returnsCopy(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	copied := *resp
	return &copied, nil
}

func hidesWrite(resp *http.Response) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = struct{ io.ReadCloser }{resp.Body}
	}
}

// flat is an error's text, and whether it was a timeout.
type flat struct {
	text    string
	timeout bool
}

func (e flat) Error() string { return e.text }
func (e flat) Timeout() bool { return e.timeout }

func flattens(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	if err == nil || req.Context().Err() != nil {
		return resp, err
	}
	timeout, ok := err.(interface{ Timeout() bool })
	return nil, flat{err.Error(), ok && timeout.Timeout()}
}

func returnsBoth(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	if err != nil {
		resp = &http.Response{StatusCode: http.StatusBadGateway, Body: http.NoBody}
	}
	return resp, err
}

func losesCause(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	was := req.Context().Err()
	resp, err := next.RoundTrip(req)
	if err != nil && was == nil && req.Context().Err() != nil && req.Method == http.MethodPost {
		err = req.Context().Err()
	}
	return resp, err
}

func losesCauseInBody(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if rc := resp.Body; isEventStream(resp) {
		resp.Body = readBy(rc, func(p []byte) (int, error) {
			n, err := rc.Read(p)
			if errors.Is(err, context.Cause(req.Context())) && err != nil {
				err = req.Context().Err()
			}
			return n, err
		})
	}
	return resp, nil
}

// hide returns an error that says nothing in place of one of a caller who left.
func hide(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return flat{"something happened", false}
	}
	return err
}

func hidesLeaving(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	was := req.Context().Err()
	resp, err := next.RoundTrip(req)
	if was == nil && req.Method == http.MethodPost {
		err = hide(req.Context(), err)
	}
	return resp, err
}

func hidesLeavingInBody(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if rc := resp.Body; isEventStream(resp) {
		resp.Body = readBy(rc, func(p []byte) (int, error) {
			n, err := rc.Read(p)
			return n, hide(req.Context(), err)
		})
	}
	return resp, nil
}

func sleepsSoundly(_ context.Context, wait time.Duration) error {
	time.Sleep(wait)
	return nil
}

// goesOn waits as long as the server asks for, and asks again without the caller if
// he leaves.
func goesOn(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	wait := delay(resp)
	if wait < time.Second || !fits(req.Context(), wait) {
		return resp, err
	}
	again, cannot := replay(req)
	if cannot != nil {
		return resp, err
	}
	resp.Body.Close()
	if err := sleep(req.Context(), wait); err != nil {
		time.AfterFunc(wait, func() {
			if resp, err := next.RoundTrip(again.WithContext(context.Background())); err == nil {
				resp.Body.Close()
			}
		})
		return nil, err
	}
	return next.RoundTrip(again)
}

func renamesDeadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return flat{"too late", true}
	}
	return err
}

func recovers(next http.RoundTripper, req *http.Request) (resp *http.Response, err error) {
	defer func() {
		if value := recover(); value != nil {
			body.CloseRequest(req)
			err = fmt.Errorf("panic: %v", value)
		}
	}()
	return next.RoundTrip(req)
}

// permits returns a layer that takes one of ninety permits for each request, and
// frees it after a panic. After that it is up to held.
func permits(held func(resp *http.Response, err error, free func())) transporttest.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		permits := make(chan struct{}, 90)
		return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			select {
			case permits <- struct{}{}:
			case <-req.Context().Done():
				body.CloseRequest(req)
				return nil, context.Cause(req.Context())
			}
			free := sync.OnceFunc(func() { <-permits })
			returned := false
			defer func() {
				if !returned {
					free()
				}
			}()
			resp, err := next.RoundTrip(req)
			returned = true
			held(resp, err, free)
			return resp, err
		})(next)
	}
}

func freesAtEnd(resp *http.Response, err error, free func()) {
	if err != nil {
		free()
		return
	}
	body.Watch(resp, body.EndFunc(func(err error) {
		if errors.Is(err, io.EOF) {
			free()
		}
	}))
}

func freesUnlessLeft(_ *http.Response, err error, free func()) {
	if !errors.Is(err, context.DeadlineExceeded) {
		free()
	}
}

func keepsPermit(next http.RoundTripper) http.RoundTripper {
	permits := make(chan struct{}, 100)
	return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		select {
		case permits <- struct{}{}:
		case <-req.Context().Done():
			body.CloseRequest(req)
			return nil, context.Cause(req.Context())
		}
		resp, err := next.RoundTrip(req)
		<-permits
		return resp, err
	})(next)
}

// open is a transport that does nothing about panics.
type open struct{ *roundTrip }

func (o open) RoundTrip(req *http.Request) (*http.Response, error) { return o.f(req) }

func leavesBodyOpen(next http.RoundTripper) http.RoundTripper {
	return open{&roundTrip{next.RoundTrip, next}}
}

func closesIdle(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	if err != nil {
		closeIdle(next)
	}
	return resp, err
}

func hidesCloseIdle(next http.RoundTripper) http.RoundTripper {
	return struct{ http.RoundTripper }{layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		return next.RoundTrip(req)
	})(next)}
}

func mixesUp(next http.RoundTripper) http.RoundTripper {
	var latest atomic.Int64
	return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		number := latest.Add(1)
		resp, err := next.RoundTrip(req)
		if err == nil && latest.Load() != number && req.URL.Path != "" {
			resp.Body = io.NopCloser(bytes.NewReader([]byte("another's answer")))
		}
		return resp, err
	})(next)
}

func forgetsToCancel(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	_ = cancel
	return ctx
}

func keepsContexts(next http.RoundTripper) http.RoundTripper {
	var mu sync.Mutex
	kept := make(map[context.Context]bool)
	return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		mu.Lock()
		kept[req.Context()] = true
		mu.Unlock()
		return next.RoundTrip(req)
	})(next)
}

func leavesGoroutine(req *http.Request) {
	if req.Method == http.MethodHead { // one is enough to be found, and is there for good
		go func() { select {} }()
	}
}
