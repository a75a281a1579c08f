package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// Two endpoints at one host: what the second one's answer says of places is as the
// second one means it, and shows none of its credentials.
func TestFailoverAtOneHost(t *testing.T) {
	for _, tt := range []struct{ location, want string }{
		{"new", "http://one.test/b/new"},
		{"/there", "http://one.test/there"},
		{"http://else.test/", "http://else.test/"},
		{"#part", "http://one.test/b/old#part"},
		{"", ""},
	} {
		wire := transport.Func(func(req *http.Request) (*http.Response, error) {
			if strings.HasPrefix(req.URL.Path, "/a/") {
				return nil, errDial
			}
			resp := replied(req, 307, "")
			resp.Header["Location"] = []string{tt.location}
			return resp, nil
		})
		rt := transport.NewFailover(policy.Failover{Endpoints: []policy.Endpoint{
			{Name: "a", URL: "http://one.test/a"}, {Name: "b", URL: "http://one.test/b?key=SECRET"},
		}}, nil).Wrap(wire)
		resp, err := rt.RoundTrip(to(t, "GET", "http://one.test/a/old", ""))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, tt.want, resp.Header.Get("Location"), "%q", tt.location)
		assert.NotContains(t, resp.Header.Get("Location"), "SECRET")
	}
}

// The addressed endpoint's own answers stay as they are, though it has a header of
// its own.
func TestFailoverLeavesTheAddressedOnesAnswers(t *testing.T) {
	wire := transport.Func(func(req *http.Request) (*http.Response, error) {
		resp := replied(req, 307, "")
		resp.Header.Set("Location", "new")
		resp.Header.Set("Set-Cookie", "session=a")
		return resp, nil
	})
	rt := transport.NewFailover(policy.Failover{Endpoints: []policy.Endpoint{
		{Name: "a", URL: "http://a.test", Header: http.Header{"Api-Key": {"x"}}}, {Name: "b", URL: "http://b.test"},
	}}, nil).Wrap(wire)
	resp, err := rt.RoundTrip(to(t, "GET", "http://a.test/old", ""))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, "new", resp.Header.Get("Location"))
	assert.Equal(t, "session=a", resp.Header.Get("Set-Cookie"))
}

// translating returns a failover of one endpoint that understands nothing but OK.
func translating(next http.RoundTripper) (http.RoundTripper, *transport.Failover) {
	f := transport.NewFailover(policy.Failover{Endpoints: []policy.Endpoint{{Name: "a", ResponseBody: func(data []byte) ([]byte, error) {
		if string(data) != "OK" {
			return nil, errors.New("no answer")
		}
		return []byte("fine"), nil
	}}}}, nil)
	return f.Wrap(next), f
}

// What has no body that stands for an answer is not translated.
func TestFailoverTranslatesAnswersAlone(t *testing.T) {
	for _, tt := range []struct {
		method string
		status int
		text   string
	}{{"HEAD", 200, ""}, {"GET", 204, ""}, {"GET", 304, ""}, {"GET", 307, "<a>moved</a>"}, {"GET", 404, "none"}} {
		rt, _ := translating(transport.Func(func(req *http.Request) (*http.Response, error) { return replied(req, tt.status, tt.text), nil }))
		status, text, err := send(t, rt, to(t, tt.method, "http://a.test/", ""))
		require.NoError(t, err, "%s %d", tt.method, tt.status)
		assert.Equal(t, tt.status, status)
		assert.Equal(t, tt.text, text)
	}
}

// An answer that is to be translated is asked for in a form that can be read, also
// of the endpoint that the caller addresses.
func TestFailoverTranslatesWhatItCanRead(t *testing.T) {
	rt, _ := translating(transport.Func(func(req *http.Request) (*http.Response, error) {
		if req.Header.Get("Accept-Encoding") != "" {
			return replied(req, 200, "\x1f\x8b"), nil
		}
		resp := replied(req, 200, "OK")
		resp.Header = nil
		return resp, nil
	}))
	req := to(t, "GET", "http://a.test/", "")
	req.Header.Set("Accept-Encoding", "gzip")
	_, text, err := send(t, rt, req)
	require.NoError(t, err)
	assert.Equal(t, "fine", text)
	assert.Equal(t, "gzip", req.Header.Get("Accept-Encoding"), "the caller's request")
}

// A caller who leaves while an answer is read for its translation is no fault of the
// endpoint's; a connection that breaks then is one.
func TestFailoverJudgesWhatItReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, f := translating(transport.Func(transporttest.Stall(200, "O")))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, _, err := send(t, rt, to(t, "GET", "http://a.test/", "").WithContext(ctx))
		require.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, f.State()[0].Faults)
	})
	rt, f := translating(transport.Func(transporttest.Stream(200, []transporttest.Chunk{{Data: "O"}, {Err: io.ErrUnexpectedEOF}})))
	_, _, err := send(t, rt, to(t, "GET", "http://a.test/", ""))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorIs(t, err, transport.ErrNotTranslated)
	assert.EqualValues(t, 1, f.State()[0].Faults)
}

// Hedges and failovers that go on side by side count each other's requests while
// they are under way.
func TestFailoverBelowHedges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		slow := transport.Func(func(req *http.Request) (*http.Response, error) {
			sent.Add(1)
			return transporttest.After(time.Second, again)(req)
		})
		hedge := eager(policy.Hedge{Delay: 100 * time.Millisecond, Max: 3})
		rt := transport.Chain(slow, hedge, transport.NewFailover(policy.Failover{Endpoints: regions()}, nil).Wrap)
		worst := transport.Explain(rt)
		status, _, err := send(t, rt, to(t, "GET", "http://a.test/v1/x", ""))
		require.NoError(t, err)
		assert.Equal(t, 500, status)
		time.Sleep(time.Minute)
		assert.LessOrEqual(t, sent.Load(), int64(worst.Calls))
		assert.Equal(t, 6, worst.Calls)
	})
}

// What was held for a request that was refused in the end is given back.
func TestFailoverGivesBackWhatItHeld(t *testing.T) {
	bucket := policy.NewBucket(policy.Budget{Burst: 5, Ratio: -1, PerSecond: -1})
	closed := func(name string) transport.Layer {
		if name == "a" {
			return nil
		}
		b := transport.NewBreaker(policy.Breaker{})
		b.Isolate("drill", time.Time{})
		return b.Wrap
	}
	s := &sites{status: map[string]int{"a.test": 503}}
	rt := transport.Chain(s, transport.Retry(policy.Retry{Attempts: 1, Bucket: bucket}),
		transport.NewFailover(policy.Failover{Endpoints: regions()}, closed).Wrap)
	status, _, err := send(t, rt, to(t, "GET", "http://a.test/v1/x", ""))
	require.NoError(t, err)
	assert.Equal(t, 503, status)
	assert.Len(t, s.asked, 1)
	assert.InDelta(t, 5, bucket.Tokens(time.Now()), 0.01)
}

// A caller whose upload stalls while it is read to be translated may leave, and his
// deadline counts. It is nobody's fault.
func TestFailoverStalledUpload(t *testing.T) {
	for name, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"the caller leaves": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		},
		"his time is up": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				endpoints := regions()[:2]
				endpoints[0].RequestBody = func(text []byte) ([]byte, error) { return text, nil }
				failover := transport.NewFailover(policy.Failover{Endpoints: endpoints, Ejection: policy.Ejection{Faults: 1}}, nil)
				s := &sites{}
				ctx, cancel := end(t.Context())
				defer cancel()
				upload, source := io.Pipe()
				req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://a.test/v1/x", upload)
				require.NoError(t, err)
				passed := elapsed()
				_, _, err = send(t, failover.Wrap(s), req)
				require.ErrorIs(t, err, ctx.Err())
				assert.Equal(t, time.Second, passed())
				assert.Empty(t, s.asked)
				assert.Zero(t, failover.State()[0].Faults)
				_, err = source.Write([]byte("late"))
				require.ErrorIs(t, err, io.ErrClosedPipe, "the upload is closed")
			})
		})
	}
}

// A panic of the upload is the caller's to recover.
func TestFailoverPanickingUpload(t *testing.T) {
	endpoints := regions()[:1]
	endpoints[0].RequestBody = func(text []byte) ([]byte, error) { return text, nil }
	req := to(t, "PUT", "http://a.test/v1/x", "text")
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader("te"), panicking{}))
	assert.PanicsWithValue(t, "the source", func() { _, _, _ = send(t, over(&sites{}, policy.Failover{Endpoints: endpoints}), req) })
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("the source") }
