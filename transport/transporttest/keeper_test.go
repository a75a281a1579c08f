package transporttest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// keeps returns a layer that keeps short answers to GET by a key.
func keeps(key func(*http.Request) string) transporttest.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		var kept sync.Map
		return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			if req.Method != http.MethodGet || req.Context().Err() != nil {
				return next.RoundTrip(req)
			}
			if was, ok := kept.Load(key(req)); ok {
				resp, err := transporttest.Reply(http.StatusOK, string(was.(taken).text))(req)
				resp.Header = was.(taken).header.Clone()
				return resp, err
			}
			resp, err := next.RoundTrip(req)
			if err != nil || resp.StatusCode != http.StatusOK || resp.ContentLength <= 0 || resp.ContentLength > 20 {
				return resp, err
			}
			data, err := take(resp)
			resp.Body = data.open()
			if err == nil {
				kept.Store(key(req), data)
			}
			return resp, nil
		})(next)
	}
}

func credentials(req *http.Request) string { return req.Header.Get("Authorization") }

func wholeKey(req *http.Request) string {
	return req.Method + req.Host + req.URL.String() + credentials(req)
}

// taken is an answer whose body was read.
type taken struct {
	header http.Header
	text   []byte
	err    error // what broke the body off
}

func take(resp *http.Response) (taken, error) {
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	return taken{resp.Header.Clone(), text, err}, err
}

func (t taken) open() io.ReadCloser {
	if t.err == nil {
		return io.NopCloser(bytes.NewReader(t.text))
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(t.text), brokenOff{t.err}))
}

type brokenOff struct{ error }

func (b brokenOff) Read([]byte) (int, error) { return 0, b.error }

// A flight is a request that several callers wait for.
type flight struct {
	done chan struct{}
	resp *http.Response
	err  error
}

// shares returns a layer that sends one request for all equal GETs of a time, and
// gives each caller after the first what each makes of its answer.
func shares(each func(*http.Response) *http.Response) transporttest.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		var mu sync.Mutex
		flights := make(map[string]*flight)
		return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			if req.Method != http.MethodGet {
				return next.RoundTrip(req)
			}
			mu.Lock()
			if f := flights[wholeKey(req)]; f != nil {
				mu.Unlock()
				select {
				case <-f.done:
				case <-req.Context().Done():
					return nil, context.Cause(req.Context())
				}
				if f.err != nil {
					return nil, f.err
				}
				return each(f.resp), nil
			}
			f := &flight{done: make(chan struct{}), err: errors.New("the first caller panicked")}
			flights[wholeKey(req)] = f
			mu.Unlock()
			defer func() {
				mu.Lock()
				delete(flights, wholeKey(req))
				mu.Unlock()
				close(f.done)
			}()
			f.resp, f.err = next.RoundTrip(req)
			return f.resp, f.err
		})(next)
	}
}

// sharesHeader gives a body of its own.
func sharesHeader(resp *http.Response) *http.Response {
	own := *resp
	own.Body = io.NopCloser(bytes.NewReader([]byte("an answer")))
	return &own
}

// sharesNothing gives an answer of its own.
func sharesNothing(resp *http.Response) *http.Response {
	own := sharesHeader(resp)
	own.Header = resp.Header.Clone()
	return own
}

// A layer that keeps answers as it should breaks no rule.
func TestCheckKeeper(t *testing.T) {
	transporttest.Check(t, keeps(wholeKey), transporttest.MayAnswer())
}

// keepsHeader gives the answers of one rule the header of the first of them.
func keepsHeader(next http.RoundTripper) http.RoundTripper {
	var kept http.Header
	return answers(func(resp *http.Response) {
		if resp.Header.Get("X-Own") == "" {
			return
		}
		if kept == nil {
			kept = resp.Header
		}
		resp.Header = kept
	})(next)
}

// remembers that a POST of a body of unknown length was answered, and then does not
// send another.
func remembers(next http.RoundTripper) http.RoundTripper {
	var fine atomic.Bool
	return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		uploads := req.Method == http.MethodPost && req.Body != nil && req.ContentLength <= 0
		if uploads && fine.Load() {
			return transporttest.Reply(http.StatusOK, "fine")(req)
		}
		resp, err := next.RoundTrip(req)
		if uploads && err == nil && resp.StatusCode == http.StatusOK && resp.ContentLength == 4 {
			fine.Store(true)
		}
		return resp, err
	})(next)
}

// A layer that refuses more than ten requests in a second breaks no rule either.
func TestCheckRefuser(t *testing.T) {
	transporttest.Check(t, func(next http.RoundTripper) http.RoundTripper {
		var mu sync.Mutex
		var second, passed int64
		return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			mu.Lock()
			if now := time.Now().Unix(); now != second {
				second, passed = now, 0
			}
			passed++
			refused := passed > 10 && req.Context().Err() == nil
			mu.Unlock()
			if refused {
				body.CloseRequest(req)
				return nil, errors.New("too many requests")
			}
			return next.RoundTrip(req)
		})(next)
	}, transporttest.MayRefuse())
}
