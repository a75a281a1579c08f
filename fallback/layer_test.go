package fallback_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// transportFunc is a func as a transport.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// answers is a service that always gives the same answer.
func answers(status int, text string) transportFunc {
	return func(req *http.Request) (*http.Response, error) {
		closeBody(req)
		return &http.Response{
			StatusCode: status, Header: http.Header{}, Request: req,
			Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)),
		}, nil
	}
}

// fails is a service that cannot be talked to.
func fails(err error) transportFunc {
	return func(req *http.Request) (*http.Response, error) {
		closeBody(req)
		return nil, err
	}
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

const invokeURL = "https://www.nyckel.com/v1/functions/f1/invoke"

// invoke returns the request of a prediction with a JSON body.
func invoke(t testing.TB, document string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, invokeURL, strings.NewReader(document))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	return req
}

// ticketRules has a rule, and a static answer for the rest.
func ticketRules() policy.Fallback {
	cfg := rules(policy.Rule{
		Name: "refunds", Any: list(words("refund")),
		Answer: policy.Answer{Label: "billing", Confidence: 0.5},
	})
	cfg.Static = &policy.Answer{Label: "general", Confidence: 0.2}
	cfg.Fidelity.Share = -1
	return cfg
}

func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(text)
}

func TestLayerClasses(t *testing.T) {
	answered := map[policy.Class]bool{
		policy.RateLimited: true, policy.QuotaExceeded: true, policy.Unauthenticated: true,
		policy.Overloaded: true, policy.TimedOut: true, policy.Unreachable: true,
		policy.Interrupted: true, policy.Truncated: true, policy.Internal: true, policy.Refused: true,
	}
	broken := errors.New("broken")
	for _, class := range policy.Classes() {
		cfg := ticketRules()
		cfg.Classify = func(policy.Outcome) policy.Verdict { return policy.Verdict{Class: class} }
		f := mustNew(t, cfg)
		t.Run(class.String()+" response", func(t *testing.T) {
			resp, err := f.Wrap(answers(http.StatusTeapot, "tea")).RoundTrip(invoke(t, `{"data":"refund"}`))
			require.NoError(t, err)
			if answered[class] {
				assert.Equal(t, http.StatusOK, resp.StatusCode)
				assert.JSONEq(t, `{"labelName":"billing","confidence":0.5}`, readAll(t, resp))
				assert.Equal(t, "rule;rule=\"refunds\";confidence=0.500;cause="+class.String(), resp.Header.Get(telemetry.HeaderName))
			} else {
				assert.Equal(t, http.StatusTeapot, resp.StatusCode)
				assert.Equal(t, "tea", readAll(t, resp))
				assert.Empty(t, resp.Header)
			}
		})
		t.Run(class.String()+" error", func(t *testing.T) {
			resp, err := f.Wrap(fails(broken)).RoundTrip(invoke(t, `{"data":"refund"}`))
			if answered[class] || class == policy.Unknown || class == policy.Canceled { // the caller is still there
				require.NoError(t, err)
				assert.JSONEq(t, `{"labelName":"billing","confidence":0.5}`, readAll(t, resp))
			} else {
				assert.Same(t, broken, err)
				assert.Nil(t, resp)
			}
		})
	}
}

func TestLayerOutcomes(t *testing.T) {
	timeout := &policy.TimeoutError{Scope: "attempt", Phase: "first byte", Limit: time.Second}
	refusal := &policy.Refusal{Layer: "breaker", Reason: "breaker_open", Err: errors.New("open")}
	tests := []struct {
		name      string
		next      transportFunc
		wantCause policy.Class // OK if the outcome passes
	}{
		{"200", answers(200, "{}"), policy.OK},
		{"204", answers(204, ""), policy.OK},
		{"304", answers(304, ""), policy.OK},
		{"400", answers(400, `{"message":"no data"}`), policy.OK},
		{"403", answers(403, ""), policy.OK},
		{"404", answers(404, ""), policy.OK},
		{"409", answers(409, ""), policy.OK},
		{"501", answers(501, ""), policy.OK},
		{"401", answers(401, ""), policy.Unauthenticated},
		{"402", answers(402, ""), policy.QuotaExceeded},
		{"403 for the quota", answers(403, `{"message":"Quota exceeded."}`), policy.QuotaExceeded},
		{"429", answers(429, ""), policy.RateLimited},
		{"500", answers(500, ""), policy.Internal},
		{"503", answers(503, ""), policy.Overloaded},
		{"504", answers(504, ""), policy.TimedOut},
		{"connection refused", fails(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), policy.Unreachable},
		{"connection reset", fails(syscall.ECONNRESET), policy.Interrupted},
		{"timeout", fails(timeout), policy.TimedOut},
		{"refusal", fails(refusal), policy.Refused},
		{"typed error", fails(&policy.Error{Verdict: policy.Verdict{Class: policy.Overloaded}}), policy.Overloaded},
		{"unknown error", fails(errors.New("?")), policy.Unknown},
		{"cancelled, but not by the caller", fails(context.Canceled), policy.Canceled},
	}
	f := mustNew(t, ticketRules())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := invoke(t, `{"data":"hello"}`)
			ctx, trail := telemetry.NewContext(req.Context())
			req = req.WithContext(ctx)
			resp, err := f.Wrap(tt.next).RoundTrip(req)
			if tt.wantCause == policy.OK {
				wantResp, wantErr := tt.next(req)
				assert.Equal(t, wantErr, err)
				assert.Equal(t, wantResp == nil, resp == nil)
				assert.Zero(t, trail.Answer())
				return
			}
			require.NoError(t, err)
			assert.Equal(t, telemetry.Answer{Source: telemetry.Static, Confidence: 0.2, Cause: tt.wantCause}, trail.Answer())
			assert.Same(t, trail, telemetry.TrailOf(resp))
		})
	}
}

func TestLayerAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // for the date
		req := invoke(t, `{"data":"refund"}`)
		resp, err := mustNew(t, ticketRules()).Wrap(answers(503, "down")).RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, "200 OK", resp.Status)
		assert.Equal(t, "HTTP/1.1", resp.Proto)
		assert.Equal(t, [2]int{1, 1}, [2]int{resp.ProtoMajor, resp.ProtoMinor})
		assert.Same(t, req, resp.Request)
		assert.Equal(t, http.Header{
			"Content-Type":       {"application/json"},
			"Content-Length":     {"40"},
			"Date":               {"Sat, 01 Jan 2000 00:00:00 GMT"},
			telemetry.HeaderName: {`rule;rule="refunds";confidence=0.500;cause=overloaded`},
		}, resp.Header)
		assert.EqualValues(t, 40, resp.ContentLength)
		assert.Equal(t, `{"labelName":"billing","confidence":0.5}`, readAll(t, resp))
	})
}

func TestLayerNoAnswer(t *testing.T) {
	cfg := ticketRules()
	cfg.Static = nil
	f := mustNew(t, cfg)

	resp, err := f.Wrap(answers(503, "down")).RoundTrip(invoke(t, `{"data":"hello"}`))
	require.NoError(t, err)
	assert.Equal(t, 503, resp.StatusCode)
	assert.Equal(t, "down", readAll(t, resp))
	assert.Empty(t, resp.Header)

	_, err = f.Wrap(fails(syscall.ECONNRESET)).RoundTrip(invoke(t, `{"data":"hello"}`))
	assert.Equal(t, syscall.ECONNRESET, err)
}

// What a rule or the static answer makes is a document, which a client that wants an
// event stream would take for an empty one.
func TestLayerWantsStream(t *testing.T) {
	accept := func(req *http.Request, types string) *http.Request {
		req.Header.Set("Accept", types)
		return req
	}
	twice := func(req *http.Request, types string) *http.Request {
		req.Header.Add("Accept", types)
		return req
	}
	asked := func(req *http.Request, query string) *http.Request {
		req.URL.RawQuery = query
		return req
	}
	long := strings.Repeat("A", 3<<20)
	for name, req := range map[string]*http.Request{
		"in the body":             invoke(t, `{"data":"refund","stream":true}`),
		"for the static":          invoke(t, `{"data":"hello","stream": true}`),
		"by the header":           accept(invoke(t, `{"data":"refund"}`), " Text/Event-Stream; charset=utf-8"),
		"rather than JSON":        accept(invoke(t, `{"data":"refund"}`), "application/json;q=0.9, text/event-stream"),
		"in another line":         twice(accept(invoke(t, `{"data":"refund"}`), "text/plain"), "text/event-stream"),
		"beside anything":         accept(invoke(t, `{"data":"refund"}`), "text/event-stream, */*"),
		"as the best":             accept(invoke(t, `{"data":"refund"}`), "text/event-stream, text/event-stream;q=0.1, application/json;q=0.5"),
		"with another parameter":  accept(invoke(t, `{"data":"refund"}`), "text/event-stream;level=0.1, application/json;q=0.5"),
		"with no number":          accept(invoke(t, `{"data":"refund"}`), "text/event-stream;q=high, application/json;q=0.5"),
		"in the query":            asked(invoke(t, `{"data":"refund"}`), "alt=sse"),
		"in the body beside both": accept(invoke(t, `{"data":"refund","stream":true}`), "application/json, text/event-stream"),

		"at the end of a long body": invoke(t, `{"image":"`+long+`","stream" : true}`),
		"at the beginning of one":   invoke(t, " {\"stream\":true,\"image\":\""+long+`"}`),
	} {
		resp, err := mustNew(t, ticketRules()).Wrap(answers(503, "down")).RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, 503, resp.StatusCode, name)
		assert.Equal(t, "down", readAll(t, resp), name)
	}
	for at := 32<<10 - 30; at < 32<<10; at++ { // where two of the parts meet in which a long body is searched
		req := invoke(t, `{"image":"`+long[:at]+`","stream":true,"other":"`+long[:1<<20]+`"}`)
		resp, err := mustNew(t, ticketRules()).Wrap(answers(503, "down")).RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, 503, resp.StatusCode, at)
	}
	for name, req := range map[string]*http.Request{
		"not in the body":   invoke(t, `{"data":"refund","stream":false}`),
		"not by the header": accept(invoke(t, `{"data":"refund"}`), "*/*"),
		"either":            accept(invoke(t, `{"data":"refund"}`), "application/json, text/event-stream"),
		"rather JSON":       accept(invoke(t, `{"data":"refund"}`), "text/event-stream;q=0.5, application/json; Q = 0.8"),
		"JSON as the best":  accept(invoke(t, `{"data":"refund"}`), "application/json, application/json;q=0.1, text/event-stream;q=0.5"),
		"in a row":          invoke(t, `{"data":{"text":"refund","stream":true}}`),
		"never":             accept(invoke(t, `{"data":"refund"}`), "text/event-stream;q=0"),
		"not in the query":  asked(invoke(t, `{"data":"refund"}`), "alt=json"),
		"not a long one":    invoke(t, `{"image":"`+long+`","stream":false}`),
		"in a text of one":  invoke(t, `{"text":"\"stream\":true`+long+`"}`),
	} {
		resp, err := mustNew(t, ticketRules()).Wrap(answers(503, "down")).RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, 200, resp.StatusCode, name)
		require.NoError(t, resp.Body.Close())
	}
}

// A live answer is not touched: the very same response and body come back.
func TestLayerStreams(t *testing.T) {
	live, stream := io.Pipe()
	want := &http.Response{StatusCode: 200, Header: http.Header{}, Body: live}
	next := transportFunc(func(*http.Request) (*http.Response, error) { return want, nil })
	got, err := mustNew(t, ticketRules()).Wrap(next).RoundTrip(invoke(t, `{"data":"refund"}`))
	require.NoError(t, err)
	require.Same(t, want, got)
	require.Same(t, live, got.Body)
	stream.Close()
}

// A live answer that a layer below found broken is no answer.
func TestLayerBufferedBody(t *testing.T) {
	next := transportFunc(func(req *http.Request) (*http.Response, error) {
		resp, err := answers(200, "")(req)
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"lab`), failingReader{io.ErrUnexpectedEOF}))
		resp.ContentLength = 40
		_ = body.Buffer(resp, 1<<10) // Judge finds the error
		return resp, err
	})
	resp, err := mustNew(t, ticketRules()).Wrap(next).RoundTrip(invoke(t, `{"data":"refund"}`))
	require.NoError(t, err)
	assert.Equal(t, `rule;rule="refunds";confidence=0.500;cause=truncated`, resp.Header.Get(telemetry.HeaderName))
}

// http.Client puts its timeout into the request as a deadline. The answer can be
// read after it.
func TestLayerClientTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := transportFunc(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		client := &http.Client{Transport: mustNew(t, ticketRules()).Wrap(waits), Timeout: time.Second}
		resp, err := client.Do(invoke(t, `{"data":"refund"}`))
		require.NoError(t, err)
		assert.Equal(t, `{"labelName":"billing","confidence":0.5}`, readAll(t, resp))
	})
}

func TestLayerMethods(t *testing.T) {
	f := mustNew(t, ticketRules())
	for method, want := range map[string]int{
		"": 200, "GET": 200, "POST": 200,
		"HEAD": 503, "PUT": 503, "PATCH": 503, "DELETE": 503, "OPTIONS": 503,
	} {
		req := invoke(t, `{"data":"refund"}`)
		req.Method = method
		resp, err := f.Wrap(answers(503, "")).RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, want, resp.StatusCode, "method %q", method)
	}
}

// A part of an answer and another protocol are nothing that can be made up.
func TestLayerWholeAnswersOnly(t *testing.T) {
	f := mustNew(t, ticketRules())
	for _, name := range []string{"Range", "Upgrade"} {
		req := invoke(t, `{"data":"refund"}`)
		req.Header.Set(name, "x")
		resp, err := f.Wrap(answers(503, "")).RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, 503, resp.StatusCode, name)
	}
}

func TestLayerContext(t *testing.T) {
	waits := transportFunc(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, context.Cause(req.Context())
	})
	fixed := errors.New("no longer needed")
	after := func(d time.Duration, cancel func()) { time.AfterFunc(d, cancel) }
	tests := []struct {
		name    string
		context func(context.Context) (context.Context, func())
		next    transportFunc
		wantErr error // nil if there is an answer
		want    int
	}{
		{"deadline", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			return ctx, cancel
		}, waits, nil, 200},
		{"deadline with a cause", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithTimeoutCause(ctx, time.Second, &policy.TimeoutError{})
			return ctx, cancel
		}, waits, nil, 200},
		{"cancelled", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancel(ctx)
			after(time.Second, cancel)
			return ctx, cancel
		}, waits, context.Canceled, 0},
		{"cancelled with a cause", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(ctx)
			after(time.Second, func() { cancel(fixed) })
			return ctx, func() { cancel(nil) }
		}, waits, fixed, 0},
		{"cancelled, with a response", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		}, answers(503, "down"), nil, 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := tt.context(t.Context())
				defer cancel()
				resp, err := mustNew(t, ticketRules()).Wrap(tt.next).RoundTrip(invoke(t, `{"data":"x"}`).WithContext(ctx))
				require.Equal(t, tt.wantErr, err)
				if tt.wantErr == nil {
					assert.Equal(t, tt.want, resp.StatusCode)
				}
			})
		})
	}
}

// An observed is a body that says what was done with it.
type observed struct {
	io.Reader
	n      int
	ended  bool
	closed int
}

func (o *observed) Read(p []byte) (int, error) {
	n, err := o.Reader.Read(p)
	o.n += n
	o.ended = o.ended || err == io.EOF
	return n, err
}

func (o *observed) Close() error {
	o.closed++
	return nil
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestLayerDiscards(t *testing.T) {
	f := mustNew(t, ticketRules())
	send := func(t *testing.T, rc io.ReadCloser) {
		next := transportFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 503, Header: http.Header{}, Body: rc, ContentLength: -1}, nil
		})
		resp, err := f.Wrap(next).RoundTrip(invoke(t, `{"data":"x"}`))
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
	}
	t.Run("a body is drained and closed", func(t *testing.T) {
		rc := &observed{Reader: strings.NewReader(strings.Repeat("x", 10_000))}
		send(t, rc)
		assert.True(t, rc.ended)
		assert.Equal(t, 1, rc.closed)
	})
	t.Run("a long one is closed after 64 KiB", func(t *testing.T) {
		rc := &observed{Reader: endless{}}
		send(t, rc)
		assert.LessOrEqual(t, rc.n, 100<<10)
		assert.Equal(t, 1, rc.closed)
	})
	t.Run("a slow one costs 50 ms after the look at it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			rc, stalled := io.Pipe()
			start := time.Now()
			send(t, rc)
			const look = 100 * time.Millisecond // of telemetry.Judge
			assert.Equal(t, look+50*time.Millisecond, time.Since(start))
			_, err := stalled.Write([]byte("x"))
			assert.ErrorIs(t, err, io.ErrClosedPipe)
		})
	})
}

func TestLayerLeavesTheRequest(t *testing.T) {
	const text = `{"data":"refund","externalId":"e"}`
	req := invoke(t, text)
	before := req.Clone(req.Context())
	rc := &observed{Reader: strings.NewReader(text)}
	req.Body = rc
	copies := 0
	getBody := req.GetBody
	req.GetBody = func() (io.ReadCloser, error) {
		copies++
		return getBody()
	}
	status := 200
	next := transportFunc(func(got *http.Request) (*http.Response, error) {
		assert.Same(t, req, got)
		assert.Zero(t, rc.n, "the body is not read ahead")
		assert.Zero(t, copies, "no copy is made ahead")
		return answers(status, "")(got)
	})
	rt := mustNew(t, ticketRules()).Wrap(next)

	_, err := rt.RoundTrip(req)
	require.NoError(t, err)
	assert.Zero(t, copies, "a live answer needs no copy")

	status = 503
	_, err = rt.RoundTrip(req)
	require.NoError(t, err)
	assert.Equal(t, 1, copies)
	assert.Zero(t, rc.n)
	assert.Equal(t, before.Header, req.Header)
	assert.Equal(t, before.URL, req.URL)
	assert.Equal(t, before.Method, req.Method)
}

func TestLayerForwardsCloseIdleConnections(t *testing.T) {
	next := &idleCounter{transportFunc: answers(200, "")}
	f := mustNew(t, ticketRules())
	(&http.Client{Transport: f.Wrap(next)}).CloseIdleConnections()
	assert.Equal(t, 1, next.closed)
	(&http.Client{Transport: f.Wrap(answers(200, ""))}).CloseIdleConnections() // nothing to forward to
}

type idleCounter struct {
	transportFunc
	closed int
}

func (c *idleCounter) CloseIdleConnections() { c.closed++ }

func TestLayerConcurrently(t *testing.T) {
	f := mustNew(t, ticketRules())
	clients := [2]*http.Client{
		{Transport: f.Wrap(answers(503, "down"))},
		{Transport: f.Wrap(fails(syscall.ECONNRESET))},
	}
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			want, text := "general", "hello"
			if i%3 == 0 {
				want, text = "billing", "REFUND"
			}
			for range 20 {
				resp, err := clients[i%2].Post(invokeURL, "application/json", strings.NewReader(fmt.Sprintf(`{"data":%q}`, text)))
				if !assert.NoError(t, err) {
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				assert.NoError(t, err)
				assert.Contains(t, string(got), want)
			}
		})
	}
	wg.Wait()
}
