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

// A sharer sends one request for all equal GETs of a time.
type sharer struct {
	each func(*http.Response) *http.Response // what each caller after the first gets of its answer
	fate bool                                // its error is that of all; else one of the others sends another
}

// layer returns the sharer as a layer.
func (s sharer) layer() transporttest.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		var mu sync.Mutex
		flights := make(map[string]*flight)
		return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			if req.Method != http.MethodGet {
				return next.RoundTrip(req)
			}
			mu.Lock()
			for f := flights[wholeKey(req)]; f != nil; f = flights[wholeKey(req)] {
				mu.Unlock()
				select {
				case <-f.done:
				case <-req.Context().Done():
					return nil, context.Cause(req.Context())
				}
				switch {
				case f.err == nil:
					return s.each(f.resp), nil
				case s.fate:
					return nil, f.err
				}
				mu.Lock()
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
			if f.err == nil && f.resp.Header.Get("X-Field") != "" { // those of the rule, of which none is a stream
				var data taken
				data, f.err = take(f.resp)
				f.resp.Body = &shared{ReadCloser: data.open(), text: data.text}
			}
			return f.resp, f.err
		})(next)
	}
}

// A shared body is read by one at a time.
type shared struct {
	io.ReadCloser
	text []byte
	mu   sync.Mutex
}

func (s *shared) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ReadCloser.Read(p)
}

// sharesAll gives the answer itself.
func sharesAll(resp *http.Response) *http.Response { return resp }

// sharesHeader gives a body of its own.
func sharesHeader(resp *http.Response) *http.Response {
	own := *resp
	if whole, ok := resp.Body.(*shared); ok {
		own.Body = taken{text: whole.text}.open()
	}
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
