package transporttest_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sparekey/sparekey/transport/transporttest"
)

// roundTrip is a func as a transport that forwards CloseIdleConnections, as a
// layer must.
type roundTrip struct {
	f    func(*http.Request) (*http.Response, error)
	next http.RoundTripper
}

func (r *roundTrip) RoundTrip(req *http.Request) (*http.Response, error) {
	defer func() {
		if value := recover(); value != nil {
			if req.Body != nil {
				req.Body.Close()
			}
			panic(value)
		}
	}()
	return r.f(req)
}

func (r *roundTrip) CloseIdleConnections() { closeIdle(r.next) }

func closeIdle(rt http.RoundTripper) {
	if c, ok := rt.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// layerOf returns a layer of a func that is good but for what the func does.
func layerOf(f func(next http.RoundTripper, req *http.Request) (*http.Response, error)) transporttest.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		return &roundTrip{func(req *http.Request) (*http.Response, error) { return f(next, req) }, next}
	}
}

// sends returns a layer that does something to a request, which is a copy.
func sends(change func(*http.Request)) transporttest.Layer {
	return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		req = req.WithContext(req.Context())
		change(req)
		return next.RoundTrip(req)
	})
}

// answers returns a layer that does something to each answer.
func answers(change func(*http.Response)) transporttest.Layer {
	return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err == nil {
			change(resp)
		}
		return resp, err
	})
}

// reads returns a layer that puts something around the body of each answer that
// has one, except for that of an upgrade.
func reads(wrap func(io.ReadCloser) io.ReadCloser) transporttest.Layer {
	return answers(func(resp *http.Response) {
		if resp.Body != nil && resp.Body != http.NoBody && resp.StatusCode != http.StatusSwitchingProtocols {
			resp.Body = wrap(resp.Body)
		}
	})
}

// fails returns a layer that does something to each error.
func fails(change func(error) error) transporttest.Layer {
	return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err != nil {
			err = change(err)
		}
		return resp, err
	})
}

// The suite bites: each rule is broken by a layer that breaks no other, unless it
// is the same over another protocol.
func TestRulesBite(t *testing.T) {
	var unbroken sync.Map
	for _, rule := range transporttest.Rules() {
		unbroken.Store(rule.Name, true)
	}
	t.Run("broken", func(t *testing.T) {
		for _, tt := range broken() {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				failures := transporttest.Run(tt.layer, tt.may...)
				if len(failures) == 0 {
					t.Errorf("Run() = no failure, want one of %q", tt.rule)
				}
				for _, f := range failures {
					if strings.TrimPrefix(f.Name, "h2/") != strings.TrimPrefix(tt.rule, "h2/") {
						t.Errorf("Run() has a failure of another rule than %q: %v", tt.rule, f)
					}
					unbroken.Delete(f.Name)
				}
			})
		}
	})
	unbroken.Range(func(rule, _ any) bool {
		t.Errorf("no layer here breaks the rule %q", rule)
		return true
	})
}
