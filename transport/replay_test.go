package transport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A body that net/http can replay is the same in every attempt, to the byte.
func TestRetryReplaysBody(t *testing.T) {
	data := make([]byte, 300<<10)
	for i := range data {
		data[i] = byte(i * 31)
	}
	tests := []struct {
		name string
		body io.Reader
	}{
		{"bytes.Reader", bytes.NewReader(data)},
		{"bytes.Buffer", bytes.NewBuffer(slices.Clone(data))},
		{"strings.Reader", strings.NewReader(string(data))},
		{"no body", nil},
		{"http.NoBody", http.NoBody},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var types []reflect.Type
				upstream := transporttest.NewUpstream(
					transporttest.Reply(503, "busy"), transporttest.Fail(errReset), transporttest.Reply(200, "fine"))
				rt := transport.Chain(upstream, transport.Retry(policy.Retry{}), func(next http.RoundTripper) http.RoundTripper {
					return transport.Func(func(req *http.Request) (*http.Response, error) {
						types = append(types, reflect.TypeOf(req.Body))
						return next.RoundTrip(req)
					})
				})
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, target, tt.body)
				require.NoError(t, err)
				if req.Body == http.NoBody {
					req.GetBody = nil // there is nothing to have again
				}
				_, text, err := send(t, rt, req)
				require.NoError(t, err)
				require.Equal(t, "fine", text)

				want := ""
				if req.ContentLength > 0 {
					want = string(data)
				}
				for i, r := range upstream.Requests() {
					if r.Body != want {
						t.Errorf("attempt %d got a body of %d bytes that is not the caller's of %d", i+1, len(r.Body), len(want))
					}
					// net/http sends a body of a type that it knows with the header.
					if types[i] != types[0] {
						t.Errorf("attempt %d has a body of type %v, want %v as in the first", i+1, types[i], types[0])
					}
				}
			})
		})
	}
}

// foreign is a body of a type that nobody knows.
func foreign(body string) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{strings.NewReader(body), io.NopCloser(nil)}
}

// replays is a GetBody that counts.
type replays struct {
	body  string
	err   error // of every call
	calls atomic.Int64
}

func (r *replays) getBody() (io.ReadCloser, error) {
	r.calls.Add(1)
	return foreign(r.body), r.err // both, as some SDKs have it
}

// GetBody is asked when there is a retry, not before.
func TestRetryGetBody(t *testing.T) {
	boom := errors.New("boom")
	nothing := errors.New("neither a body nor an error")
	tests := []struct {
		name      string
		err       error
		steps     []transporttest.Step
		wantCalls int
		wantAsked int64
		wantNotes []string
	}{
		{"success", nil, []transporttest.Step{transporttest.Reply(200, "a")}, 1, 0, nil},
		{"a wrong request", nil, []transporttest.Step{transporttest.Reply(400, "a")}, 1, 0, nil},
		{"a wait that is too long", nil, []transporttest.Step{transporttest.Reply(503, "a", "Retry-After", "3600")}, 1, 0, []string{telemetry.NoPatience}},
		{"one retry", nil, []transporttest.Step{transporttest.Reply(503, "b"), transporttest.Reply(200, "a")}, 2, 1, nil},
		{"attempts used up", nil, []transporttest.Step{transporttest.Reply(503, "a")}, 3, 2, []string{telemetry.NoneLeft}},
		{"an error", boom, []transporttest.Step{transporttest.Reply(503, "a")}, 1, 1, []string{telemetry.NoReplay}},
		{"neither a body nor an error", nothing, []transporttest.Step{transporttest.Reply(503, "a")}, 1, 1, []string{telemetry.NoReplay}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bucket := policy.NewBucket(policy.Budget{PerSecond: -1, Ratio: -1})
				replays := &replays{body: "hello", err: tt.err}
				upstream := transporttest.NewUpstream(tt.steps...)
				ctx, trail := traced(t)
				req := newRequest(t, ctx, http.MethodPut, "hello")
				req.Body, req.GetBody = foreign("hello"), replays.getBody
				if tt.err == nothing { //nolint:errorlint // the very same
					req.GetBody = func() (io.ReadCloser, error) { _, _ = replays.getBody(); return nil, nil }
				}
				_, text, err := send(t, transport.Retry(policy.Retry{Bucket: bucket})(upstream), req)
				if text != "a" || err != nil {
					t.Errorf("got %q, %v, want %q", text, err, "a")
				}
				if upstream.Calls() != tt.wantCalls || replays.calls.Load() != tt.wantAsked {
					t.Errorf("%d attempts, GetBody called %d times, want %d and %d",
						upstream.Calls(), replays.calls.Load(), tt.wantCalls, tt.wantAsked)
				}
				if got := notes(trail); !slices.Equal(got, tt.wantNotes) {
					t.Errorf("notes = %v, want %v", got, tt.wantNotes)
				}
				if got, want := bucket.Tokens(time.Now()), 20-(tt.wantCalls-1); got != want {
					t.Errorf("%d tokens are left, want %d", got, want)
				}
			})
		})
	}
}

// A body in memory is read again from where it was, whatever GetBody says and if
// there is none.
func TestRetrySnapshot(t *testing.T) {
	shared := bytes.NewReader([]byte("skip hello"))
	rewind := func() (io.ReadCloser, error) { // as some SDKs have it
		_, err := shared.Seek(0, io.SeekStart)
		return io.NopCloser(shared), err
	}
	skipped := strings.NewReader("skip hello")
	for _, r := range []io.Seeker{shared, skipped} {
		_, err := r.Seek(5, io.SeekStart)
		require.NoError(t, err)
	}
	tests := []struct {
		name    string
		body    io.Reader
		getBody func() (io.ReadCloser, error)
	}{
		{"bytes.Reader that GetBody rewinds", shared, rewind},
		{"bytes.Reader", bytes.NewReader([]byte("hello")), nil},
		{"bytes.Buffer", bytes.NewBufferString("hello"), nil},
		{"strings.Reader that was read from", skipped, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := transporttest.NewUpstream(transporttest.Reply(503, "busy"))
				req := newRequest(t, t.Context(), http.MethodPut, "hello")
				req.Body, req.GetBody = io.NopCloser(tt.body), tt.getBody
				_, _, err := send(t, transport.Retry(policy.Retry{ReplayBytes: -1})(upstream), req)
				require.NoError(t, err)
				require.Equal(t, 3, upstream.Calls())
				for i, r := range upstream.Requests() {
					if r.Body != "hello" {
						t.Errorf("attempt %d got the body %q, want %q", i+1, r.Body, "hello")
					}
				}
			})
		})
	}
}

// A replay costs the reader, not what it reads.
func TestRetrySnapshotMemory(t *testing.T) {
	const size, most = 10 << 20, 4 << 10
	data := make([]byte, size)
	failing := transport.Func(func(req *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, req.Body)
		return transporttest.Reply(503, "")(req)
	})
	for _, tt := range []struct {
		name    string
		getBody bool
	}{{"with GetBody", true}, {"without", false}} {
		t.Run(tt.name, func(t *testing.T) {
			allocated := func(rt http.RoundTripper) uint64 {
				const calls = 20
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range calls {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, target, bytes.NewReader(data))
					require.NoError(t, err)
					if !tt.getBody {
						req.GetBody = nil
					}
					_, _, _ = send(t, rt, req)
				}
				runtime.ReadMemStats(&after)
				return (after.TotalAlloc - before.TotalAlloc) / calls
			}
			retry := transport.Retry(policy.Retry{Throttled: policy.Backoff{Base: -1}, Budget: policy.Budget{Off: true}})
			const attempts = 3
			if with, bare := allocated(retry(failing)), allocated(failing); with > attempts*bare+most {
				t.Errorf("a call of %d attempts allocates %d bytes, a bare attempt %d: want at most %d more", attempts, with, bare, most)
			}
		})
	}
}

// stacks returns the layers, alone and together, made anew.
func stacks() map[string][]transport.Layer {
	retry := transport.Retry(policy.Retry{})
	timeout := transport.Timeout(policy.Timeout{Total: time.Minute})
	breaker := transport.NewBreaker(policy.Breaker{MinCalls: 1000})
	perKey := transport.PerKey(transport.Authority, func(string) transport.Layer {
		return transport.NewBreaker(policy.Breaker{MinCalls: 1000}).Wrap
	})
	return map[string][]transport.Layer{
		"retry":   {retry},
		"timeout": {timeout},
		"breaker": {breaker.Wrap},
		"per key": {perKey},
		"all":     {transport.Timeout(policy.Timeout{Scope: "total", Total: time.Hour}), retry, perKey, breaker.Wrap, timeout},
	}
}

// The caller's request stays as it is, and its body is closed whatever happens.
func TestLayersLeaveRequestAlone(t *testing.T) {
	outcomes := map[string][]transporttest.Step{
		"answer":           {transporttest.Reply(200, "fine")},
		"wrong request":    {transporttest.Reply(400, "no")},
		"retries":          {transporttest.Reply(503, "busy"), transporttest.Fail(errReset), transporttest.Reply(200, "fine")},
		"no answer":        {transporttest.Fail(errReset)},
		"broken body":      {transporttest.Cut(200, "hel")},
		"timeout":          {transporttest.Hang()},
		"panic":            {transporttest.Panic("boom")},
		"panic at a retry": {transporttest.Reply(503, "busy"), transporttest.Panic("boom")},
	}
	for stack := range stacks() {
		for outcome, steps := range outcomes {
			t.Run(stack+", "+outcome, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var bodies transporttest.Bodies
					layers := append([]transport.Layer{bodies.Wrap}, stacks()[stack]...)
					rt := transport.Chain(transporttest.NewUpstream(steps...), layers...)
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
					defer cancel()

					req := newRequest(t, ctx, http.MethodPut, "hello")
					req.Header.Set("Authorization", "secret")
					req.Header["X-Many"] = []string{"a", "b"}
					before, header := *req, req.Header.Clone()
					func() {
						defer func() { _ = recover() }()
						_, _, _ = send(t, rt, req)
					}()
					checkUnchanged(t, req, &before, header)
					bodies.Check(t)
				})
			})
		}
	}
}

func checkUnchanged(t *testing.T, req, before *http.Request, header http.Header) {
	t.Helper()
	if !maps.EqualFunc(req.Header, header, slices.Equal) {
		t.Errorf("the request's header = %v, was %v", req.Header, header)
	}
	now, then := reflect.ValueOf(req).Elem(), reflect.ValueOf(before).Elem()
	for i := range now.NumField() {
		field := now.Type().Field(i)
		if field.Type.Kind() == reflect.Func { // cannot be compared but by address
			if now.Field(i).Pointer() != then.Field(i).Pointer() {
				t.Errorf("the request's %s is another one", field.Name)
			}
			continue
		}
		if field.IsExported() && !reflect.DeepEqual(now.Field(i).Interface(), then.Field(i).Interface()) {
			t.Errorf("the request's %s = %v, was %v", field.Name, now.Field(i), then.Field(i))
		}
	}
	if req.Context() != before.Context() {
		t.Error("the request's context is another one")
	}
}

// A panic between the layers and the transport leaves a body that nobody else
// closes.
func TestLayersCloseBodyOnPanic(t *testing.T) {
	for stack := range stacks() {
		t.Run(stack, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies transporttest.Bodies
				layers := append([]transport.Layer{bodies.Wrap}, stacks()[stack]...)
				rt := transport.Chain(transport.Func(func(*http.Request) (*http.Response, error) { panic("boom") }), layers...)
				req := newRequest(t, t.Context(), http.MethodPut, "hello")
				if got := mustPanic(t, func() { _, _ = rt.RoundTrip(req) }); got != "boom" {
					t.Errorf("panic = %v, want the one below", got)
				}
				bodies.Check(t)
			})
		})
	}
}
