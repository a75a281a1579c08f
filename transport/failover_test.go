package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// sites is a transport that answers by host, and what it was asked.
type sites struct {
	status map[string]int           // by host; zero is 200, below zero a refused connection
	delay  map[string]time.Duration // by host
	asked  []string                 // method, URL and body
	last   *http.Request
}

func (s *sites) RoundTrip(req *http.Request) (*http.Response, error) {
	var text []byte
	if req.Body != nil {
		text, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
	}
	s.asked, s.last = append(s.asked, strings.TrimSpace(req.Method+" "+req.URL.String()+" "+string(text))), req
	if d := s.delay[req.URL.Host]; d > 0 {
		select {
		case <-time.After(d):
		case <-req.Context().Done():
			return nil, context.Cause(req.Context())
		}
	}
	status := s.status[req.URL.Host]
	switch {
	case status < 0:
		return nil, errDial
	case status == 0:
		status = http.StatusOK
	}
	return replied(req, status, req.URL.Host), nil
}

// replied returns a response to req.
func replied(req *http.Request, status int, text string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: req,
	}
}

// regions are three endpoints; requests address the first.
func regions() []policy.Endpoint {
	return []policy.Endpoint{
		{Name: "a", URL: "http://a.test/v1"},
		{Name: "b", URL: "http://b.test/api/v1/"},
		{Name: "c", URL: "http://c.test"},
	}
}

// over returns a failover among regions on s.
func over(s *sites, cfg policy.Failover) http.RoundTripper {
	if cfg.Endpoints == nil {
		cfg.Endpoints = regions()
	}
	return transport.NewFailover(cfg, nil).Wrap(s)
}

// to returns a request with what a caller of the first region would send.
func to(t testing.TB, method, url, text string) *http.Request {
	t.Helper()
	var r io.Reader
	if text != "" {
		r = strings.NewReader(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, r)
	require.NoError(t, err)
	return req
}

func TestFailoverAsksTheNextAtOnce(t *testing.T) {
	tests := []struct {
		name   string
		status map[string]int
		method string
		want   []string
		answer int
	}{
		{"the first is well", nil, "GET", []string{"GET http://a.test/v1/x?q=1"}, 200},
		{
			"the first cannot be reached",
			map[string]int{"a.test": -1},
			"POST",
			[]string{"POST http://a.test/v1/x?q=1 body", "POST http://b.test/api/v1/x?q=1 body"},
			200,
		},
		{
			"only elsewhere",
			map[string]int{"a.test": 401, "b.test": 402},
			"POST",
			[]string{"POST http://a.test/v1/x?q=1 body", "POST http://b.test/api/v1/x?q=1 body", "POST http://c.test/x?q=1 body"},
			200,
		},
		{"a wrong request", map[string]int{"a.test": 400}, "POST", []string{"POST http://a.test/v1/x?q=1 body"}, 400},
		{"perhaps executed", map[string]int{"a.test": 500}, "POST", []string{"POST http://a.test/v1/x?q=1 body"}, 500},
		{
			"perhaps executed, and harmless",
			map[string]int{"a.test": 500},
			"PUT",
			[]string{"PUT http://a.test/v1/x?q=1 body", "PUT http://b.test/api/v1/x?q=1 body"},
			200,
		},
		{
			"the last real answer",
			map[string]int{"a.test": 429, "b.test": -1, "c.test": -1},
			"POST",
			[]string{"POST http://a.test/v1/x?q=1 body", "POST http://b.test/api/v1/x?q=1 body", "POST http://c.test/x?q=1 body"},
			429,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &sites{status: tt.status}
			text := "body"
			if tt.method == "GET" {
				text = ""
			}
			status, _, err := send(t, over(s, policy.Failover{}), to(t, tt.method, "http://a.test/v1/x?q=1", text))
			require.NoError(t, err)
			assert.Equal(t, tt.answer, status)
			assert.Equal(t, tt.want, s.asked)
		})
	}
}

// A call that goes elsewhere waits for nothing, and says where its answer is from.
func TestFailoverSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sites{status: map[string]int{"a.test": 429}}
		passed := elapsed()
		ctx, trail := traced(t)
		resp, err := over(s, policy.Failover{}).RoundTrip(to(t, "GET", "http://a.test/v1/x", "").WithContext(ctx))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Zero(t, passed())
		assert.Equal(t, telemetry.Answer{Source: "b", Cause: policy.RateLimited}, trail.Answer())
		assert.Equal(t, "b;cause=rate_limited", resp.Header.Get(telemetry.HeaderName))
		assert.Equal(t, "a.test", resp.Request.URL.Host, "the response's request is the caller's")
	})
}

// The retry layer's next attempt goes to an endpoint that did not just fail.
func TestFailoverExcludesWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sites{status: map[string]int{"a.test": 503, "b.test": 401, "c.test": 503}}
		failover := transport.NewFailover(policy.Failover{Endpoints: regions()}, nil)
		retry := transport.Retry(policy.Retry{Attempts: 6, Throttled: policy.Backoff{Base: time.Second, Jitter: policy.NoJitter}})
		status, _, err := send(t, transport.Chain(s, retry, failover.Wrap), to(t, "GET", "http://a.test/v1/x", ""))
		require.NoError(t, err)
		assert.Equal(t, 503, status)
		var hosts []string
		for _, asked := range s.asked {
			hosts = append(hosts, strings.Split(asked, "/")[2])
		}
		// All at once; then those that may have recovered, by turns.
		assert.Equal(t, []string{"a.test", "b.test", "c.test", "a.test", "c.test", "a.test"}, hosts)
	})
}

// An endpoint that one of our own layers said no to may be asked by the next attempt.
func TestFailoverRefusalsPass(t *testing.T) {
	var asked []string
	failover := transport.NewFailover(policy.Failover{Endpoints: regions()[:2]}, nil)
	rt := transport.Chain(transport.Func(func(req *http.Request) (*http.Response, error) {
		asked = append(asked, req.URL.Host)
		switch {
		case req.URL.Host == "b.test":
			return replied(req, 500, "oops"), nil
		case len(asked) == 1:
			return nil, &policy.Refusal{Layer: "breaker", Reason: "breaker_open", Err: transport.ErrOpen}
		}
		return replied(req, 200, "fine"), nil
	}), transport.Retry(policy.Retry{Backoff: policy.Backoff{Base: -1}}), failover.Wrap)
	status, _, err := send(t, rt, to(t, "GET", "http://a.test/v1/x", ""))
	require.NoError(t, err)
	assert.Equal(t, 200, status)
	assert.Equal(t, []string{"a.test", "b.test", "a.test"}, asked)
}

func TestFailoverDrawsOnTheBudget(t *testing.T) {
	empty := policy.Budget{Ratio: -1, PerSecond: -1, Burst: 1}
	for name, rt := range map[string]func(*sites) http.RoundTripper{
		"its own": func(s *sites) http.RoundTripper { return over(s, policy.Failover{Budget: empty}) },
		"the retry layer's": func(s *sites) http.RoundTripper {
			return transport.Retry(policy.Retry{Budget: empty})(over(s, policy.Failover{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sites{status: map[string]int{"a.test": 401}}
				rt := rt(s)
				for range 3 {
					_, _, err := send(t, rt, to(t, "GET", "http://a.test/v1/x", ""))
					require.NoError(t, err)
				}
				assert.Len(t, s.asked, 4)
			})
		})
	}
}

// An endpoint whose breaker is open costs no token, and no attempt.
func TestFailoverPassesRefusalsOver(t *testing.T) {
	s := &sites{}
	isolated := transport.NewBreaker(policy.Breaker{})
	isolated.Isolate("moving house", time.Time{})
	failover := transport.NewFailover(policy.Failover{
		Endpoints: regions(), Budget: policy.Budget{Ratio: -1, PerSecond: -1, Burst: 0.5},
	}, func(name string) transport.Layer {
		if name == "a" {
			return isolated.Wrap
		}
		return nil
	})
	for range 3 {
		_, text, err := send(t, failover.Wrap(s), to(t, "POST", "http://a.test/v1/x", "body"))
		require.NoError(t, err)
		assert.Equal(t, "b.test", text)
	}
}

// The endpoints that are asked count among the retry layer's attempts, and what an
// SDK above repeats is sent once.
func TestFailoverMultipliesNothing(t *testing.T) {
	bad := map[string]int{"a.test": 503, "b.test": 503, "c.test": 503}
	for _, tt := range []struct {
		name      string
		attempts  int
		endpoints int
		sdk       bool
		want      int
	}{
		{"more endpoints", 2, 3, false, 3},
		{"as many", 3, 3, false, 3},
		{"more attempts", 5, 2, false, 5},
		{"an SDK's retry", 5, 3, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sites{status: bad}
				failover := transport.NewFailover(policy.Failover{Endpoints: regions()[:tt.endpoints]}, nil)
				req := to(t, "GET", "http://a.test/v1/x", "")
				if tt.sdk {
					req.Header.Set("X-Stainless-Retry-Count", "1")
				}
				_, _, err := send(t, transport.Chain(s, transport.Retry(policy.Retry{Attempts: tt.attempts}), failover.Wrap), req)
				require.NoError(t, err)
				assert.Len(t, s.asked, tt.want)
			})
		})
	}
}

// If all refuse, the caller learns when the first of them is back.
func TestFailoverEarliestRefusal(t *testing.T) {
	later := time.Now().Add(time.Hour)
	refuse := func(at time.Time) transport.Layer {
		return func(http.RoundTripper) http.RoundTripper {
			return transport.Func(func(req *http.Request) (*http.Response, error) {
				return nil, &policy.Refusal{Layer: "test", RetryAt: at, Err: transport.ErrOpen}
			})
		}
	}
	layers := map[string]transport.Layer{"a": refuse(later.Add(time.Minute)), "b": refuse(later), "c": refuse(time.Time{})}
	failover := transport.NewFailover(policy.Failover{Endpoints: regions()}, func(name string) transport.Layer { return layers[name] })
	_, _, err := send(t, failover.Wrap(&sites{}), to(t, "GET", "http://a.test/v1/x", ""))
	refusal, ok := errors.AsType[*policy.Refusal](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, later, refusal.RetryAt)
}

// Of endpoints in order, those of our region are asked first: an answer of the first of
// them stands in for nobody's, one from elsewhere does.
func TestFailoverSourceOfOurRegion(t *testing.T) {
	far := regions()
	far[0].Region, far[1].Region, far[2].Region = "us", "eu", "eu"
	for _, tt := range []struct {
		name   string
		cfg    policy.Failover
		status map[string]int
		want   telemetry.Answer
	}{
		{"the first of ours", policy.Failover{Region: "eu"}, nil, telemetry.Answer{}},
		{"the next of ours", policy.Failover{Region: "eu"}, map[string]int{"b.test": 429}, telemetry.Answer{Source: "c", Cause: policy.RateLimited}},
		{"the first of all", policy.Failover{}, nil, telemetry.Answer{}},
		{"the first of theirs", policy.Failover{Region: "eu"}, map[string]int{"b.test": 429, "c.test": 429}, telemetry.Answer{Source: "a", Cause: policy.RateLimited}},
		{"none is of ours", policy.Failover{Region: "asia"}, nil, telemetry.Answer{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Endpoints = far
			ctx, trail := traced(t)
			resp, err := over(&sites{status: tt.status}, tt.cfg).RoundTrip(to(t, "GET", "http://a.test/v1/x", "").WithContext(ctx))
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, tt.want, trail.Answer())
			assert.Equal(t, tt.want.Degraded(), resp.Header.Get(telemetry.HeaderName) != "")
		})
	}
}
