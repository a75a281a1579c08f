package transporttest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// What does nothing breaks no rule.
func TestCheckNoLayer(t *testing.T) {
	transporttest.Check(t, func(next http.RoundTripper) http.RoundTripper { return next })
}

// pass is a layer that keeps every rule.
var pass = layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) { return next.RoundTrip(req) })

func TestCheckLayer(t *testing.T) { transporttest.Check(t, pass) }

func TestRules(t *testing.T) {
	var names []string
	for _, rule := range transporttest.Rules() {
		require.NotEmpty(t, rule.Name)
		require.NotEmpty(t, rule.Text, "the rule %q", rule.Name)
		require.NotEmpty(t, rule.Source, "the rule %q", rule.Name)
		require.NotContains(t, names, rule.Name)
		names = append(names, rule.Name)
	}
}

// A layer may be as bad as it likes, and is told so.
func TestRunSurvives(t *testing.T) {
	tests := []struct {
		name  string
		layer transporttest.Layer
		want  string // in what was seen, for each rule
	}{
		{"no transport", func(http.RoundTripper) http.RoundTripper { return nil }, "no transport"},
		{"a panic in the layer", func(http.RoundTripper) http.RoundTripper { panic("boom") }, "panicked: boom"},
		{"no outcome at all", layerOf(func(_ http.RoundTripper, req *http.Request) (*http.Response, error) {
			body.CloseRequest(req)
			return nil, nil
		}), "neither an answer nor an error"},
		{"no body", answers(noBody), ""},
		{"an error and no more", layerOf(func(_ http.RoundTripper, req *http.Request) (*http.Response, error) {
			body.CloseRequest(req)
			return nil, errors.New("no credentials")
		}), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			failures := transporttest.Run(tt.layer)
			if len(failures) < 20 {
				t.Errorf("Run() = %d failures, want most of %d", len(failures), len(transporttest.Rules()))
			}
			for _, f := range failures {
				if !strings.Contains(f.String(), tt.want) || !strings.HasPrefix(f.String(), f.Name) {
					t.Errorf("%q was seen to break with %v, want %q", f.Name, f, tt.want)
				}
				if strings.Contains(f.Got, "runtime error") || strings.Contains(f.Got, "%!") || strings.Contains(f.Got, "left behind") {
					t.Errorf("what is the suite's own was blamed on the layer: %v", f)
				}
			}
		})
	}
}

func noBody(resp *http.Response) {
	if resp.Body != nil {
		resp.Body.Close()
		resp.Body = nil
	}
}

// That an answer has no body at all is said, since an empty one would look the same.
func TestRunTellsNilFromEmpty(t *testing.T) {
	failures := transporttest.Run(answers(noBody))
	require.Contains(t, gotBy(t, failures, "an answer may be empty"), "a status of 200 without a body has an answer whose body is nil")
}

// gotBy returns what the rule of that name has found, which must be something.
func gotBy(t *testing.T, failures []transporttest.Failure, name string) string {
	t.Helper()
	i := slices.IndexFunc(failures, func(f transporttest.Failure) bool { return f.Name == name })
	require.GreaterOrEqual(t, i, 0, "%s is not among the findings", name)
	return failures[i].Got
}

// Over HTTP/2 a body that is never read breaks all the same.
func TestRunMissesNoBreak(t *testing.T) {
	unread := reads(func(rc io.ReadCloser) io.ReadCloser {
		rc.Close()
		return http.NoBody
	})
	got := gotBy(t, transporttest.Run(unread), "h2/the error that ends a body arrives")
	require.Equal(t, 4, strings.Count(got, "and then"), got)
}

// A mistake that shows as a panic is found by where it is, and not blamed on what it
// ended: the rules that are broken are those in which it happened.
func TestRunSaysWherePanicked(t *testing.T) {
	failures := transporttest.Run(layerOf(takesErrorForAnswer))
	require.Greater(t, len(failures), 10)
	for _, f := range failures {
		require.Contains(t, f.Got, "runtime error", f.Name)
		require.Contains(t, f.Got, "transporttest_test.takesErrorForAnswer\n", f.Name)
		require.Equal(t, 1, strings.Count(f.Got, "runtime error"), "it is told once")
	}
}

func takesErrorForAnswer(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	resp.Header.Set("X-Seen", "1")
	return resp, err
}

// A layer that panics where there are many calls ends neither the program nor the
// other rules.
func TestRunSurvivesMany(t *testing.T) {
	crowded := func(next http.RoundTripper) http.RoundTripper {
		var inside atomic.Int64
		return layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			defer inside.Add(-1)
			if inside.Add(1) > 55 {
				panic("too many")
			}
			return next.RoundTrip(req)
		})(next)
	}
	var names []string
	for _, f := range transporttest.Run(crowded) {
		require.Contains(t, f.Got, "panicked: too many")
		names = append(names, strings.TrimPrefix(f.Name, "h2/"))
	}
	require.Equal(t, []string{
		"cancellation ends every other wait", "cancellation ends every other wait", "what a call held is free again",
	}, names)
}

// upgrading returns a layer that does something with each request for an upgrade,
// which is made by one rule only.
func upgrading(do func()) transporttest.Layer {
	return sends(func(req *http.Request) {
		if req.Header.Get("Upgrade") != "" {
			do()
		}
	})
}

// A call that never ends fails its rule, and the others are checked all the same.
func TestRunEndsWaits(t *testing.T) {
	failures := transporttest.Run(upgrading(lingers))
	require.Len(t, failures, 1)
	require.Equal(t, "an upgraded connection works both ways", failures[0].Name)
	require.Contains(t, failures[0].Got, "everything waits")
	require.Contains(t, failures[0].Got, "transporttest_test.lingers()", "where it waits")
}

// Where nobody but the check is left, nobody else is looked for.
func TestRunEndsWaitsOfOne(t *testing.T) {
	failures := transporttest.Run(sends(func(req *http.Request) {
		if req.URL.Fragment != "" { // which one rule has
			lingers()
		}
	}))
	require.Len(t, failures, 1)
	require.Contains(t, failures[0].Got, "transporttest_test.lingers(", "where it waits")
	require.Contains(t, failures[0].Got, "others were started by: nobody")
}

// What is left behind is found wherever it is, and named.
func TestRunNamesGoroutines(t *testing.T) {
	failures := transporttest.Run(upgrading(func() {
		for range 3 {
			go lingers()
		}
	}))
	require.Len(t, failures, 1)
	require.Equal(t, "no goroutine outlives its call", failures[0].Name)
	require.Contains(t, failures[0].Got, `left behind in "an upgraded connection works both ways"`)
	require.Equal(t, 1, strings.Count(failures[0].Got, "TestRunNamesGoroutines"), failures[0].Got)
}

func lingers() { select {} }

func TestExcept(t *testing.T) {
	broken := layerOf(addsField)
	require.Len(t, transporttest.Run(broken), 1)
	require.Empty(t, transporttest.Run(broken, transporttest.Except("the request is not changed", "it is known")))
	require.PanicsWithValue(t, `transporttest: no rule has the name "be nice"`, func() {
		transporttest.Except("be nice", "there is no such rule")
	})
}

// Every request of the suite passes the func, but for those that ask what an
// unprepared one comes to.
func TestRequests(t *testing.T) {
	type key struct{}
	prepare := func(req *http.Request) *http.Request {
		return req.WithContext(context.WithValue(req.Context(), key{}, true))
	}
	unprepared := layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		if req.Context().Value(key{}) == nil {
			panic("a request that was not prepared")
		}
		return next.RoundTrip(req)
	})
	var names []string
	for _, f := range transporttest.Run(unprepared, transporttest.Requests(prepare)) {
		names = append(names, f.Name)
	}
	refusing := layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		if req.Context().Value(key{}) == nil {
			body.CloseRequest(req)
			return nil, errors.New("no credentials")
		}
		return next.RoundTrip(req)
	})
	require.Empty(t, transporttest.Run(refusing, transporttest.Requests(prepare)), "to refuse is not to repeat")
	if want := []string{"only what is safe is repeated", "h2/only what is safe is repeated"}; !slices.Equal(names, want) {
		t.Errorf("the rules %q have requests that were not prepared, want %q", names, want)
	}
}

// A layer that never gives up is told so, be it that it does not even wait.
func TestRunEndsRepetition(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Second} {
		failures := transporttest.Run(layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			for {
				resp, err := next.RoundTrip(req)
				if err != nil || resp.StatusCode != 599 { // which one rule has
					return resp, err
				}
				resp.Body.Close()
				time.Sleep(wait)
			}
		}), transporttest.MayRepeat())
		require.Len(t, failures, 1)
		require.Equal(t, "every status is an answer", failures[0].Name)
		require.Contains(t, failures[0].Got, "more than 5000 requests came, and no end")
	}
}

// A body that never ends, and gives nothing, is not read for ever.
func TestRunEndsReads(t *testing.T) {
	failures := transporttest.Run(reads(func(rc io.ReadCloser) io.ReadCloser {
		return readBy(rc, func(p []byte) (int, error) {
			n, err := rc.Read(p)
			if err == io.EOF {
				err = nil
			}
			return n, err
		})
	}))
	require.Contains(t, gotBy(t, failures, "the answer's body reads in any way"), io.ErrNoProgress.Error())
}

// Two layers with the same mistake are told the same, though the fields of a header have
// no order.
func TestRunIsTheSameEachTime(t *testing.T) {
	noHeader := answers(func(resp *http.Response) { resp.Header = nil })
	failures := transporttest.Run(noHeader)
	require.Equal(t, failures, transporttest.Run(noHeader))
	for _, f := range failures {
		require.NotContains(t, f.Got, "panicked", "what the suite does to a header is not the layer's mistake")
	}
	require.Contains(t, gotBy(t, failures, "an answer is to its own request"), `a GET came with the field X-Own "", which was "value"`)
}

// What the suite itself ends when a layer does not send an upload is not blamed on it.
func TestRunBlamesNoBodyThatWasNotSent(t *testing.T) {
	for _, f := range transporttest.Run(layerOf(func(_ http.RoundTripper, req *http.Request) (*http.Response, error) {
		return transporttest.Reply(http.StatusTeapot, "no")(req)
	})) {
		require.NotContains(t, f.Got, "closed before its end", f.Name)
	}
}

// Whether the layer closed the upload is known before the caller says how it ended.
func TestRunFindsWhoClosesAnUpload(t *testing.T) {
	failures := transporttest.Run(layerOf(func(_ http.RoundTripper, req *http.Request) (*http.Response, error) {
		body.CloseRequest(req)
		return nil, errors.New("no credentials")
	}))
	for _, name := range []string{"an upload is not held back", "h2/an upload is not held back"} {
		require.Contains(t, gotBy(t, failures, name), "the body was closed before its end, when part 0 was written", name)
	}
}

// Of calls at the same time the first is told first, though it ended last.
func TestRunTellsCallersInOrder(t *testing.T) {
	failures := transporttest.Run(layerOf(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		if !strings.HasPrefix(req.URL.Path, "/caller/") { // which one rule has
			return next.RoundTrip(req)
		}
		time.Sleep(time.Second - time.Duration(req.ContentLength)*time.Millisecond) // a later caller sends more
		body.CloseRequest(req)
		return nil, errors.New("no credentials")
	}))
	require.Len(t, failures, 2)
	for _, f := range failures {
		require.True(t, strings.HasPrefix(f.Got, "/caller/0/call/0 came to"), f)
	}
}
