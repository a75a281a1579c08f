package fallback_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// tracked is a body that knows whether it is closed.
type tracked struct {
	io.Reader
	closed atomic.Bool
}

func (b *tracked) Close() error {
	b.closed.Store(true)
	return nil
}

// bursting is a reader that panics.
type bursting struct{}

func (bursting) Read([]byte) (int, error) { panic("burst") }

// ended calls f on a goroutine of its own and reports whether that came back from
// it, rather than by a panic or by runtime.Goexit.
func ended(f func()) (normally bool) {
	done := make(chan bool)
	go func() {
		returned := false
		defer func() {
			_ = recover()
			done <- returned
		}()
		f()
		returned = true
	}()
	return <-done
}

// Whatever a rung or a hook does, the live response that it was called about is
// handed on, or closed.
func TestLadderHoldsNoResponse(t *testing.T) {
	exits := fallback.Rung{Name: "exits", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
		runtime.Goexit()
		return nil, telemetry.Answer{}, false
	}}
	always := policy.Fidelity{Share: 1}
	random := func(f func() float64) policy.Fidelity { return policy.Fidelity{Share: 0.5, Random: f} }
	tests := []struct {
		name     string
		status   int
		cfg      fallback.LadderConfig
		normally bool
	}{
		{"a rung exits", 503, fallback.LadderConfig{Rungs: []fallback.Rung{exits}}, false},
		{"the hook panics", 503, fallback.LadderConfig{
			Rungs: []fallback.Rung{panics("a", 1)}, OnPanic: func(string, any) { panic("hook") },
		}, false},
		{"the hook exits", 503, fallback.LadderConfig{
			Rungs: []fallback.Rung{panics("a", 1)}, OnPanic: func(string, any) { runtime.Goexit() },
		}, false},
		{"the random number panics", 200, fallback.LadderConfig{
			Rungs: []fallback.Rung{says("a", "b")}, Fidelity: random(func() float64 { panic("random") }),
		}, false},
		{"the random number exits", 200, fallback.LadderConfig{
			Rungs: []fallback.Rung{says("a", "b")}, Fidelity: random(func() float64 { runtime.Goexit(); return 0 }),
		}, false},
		{"a rung exits in shadow", 200, fallback.LadderConfig{Rungs: []fallback.Rung{exits}, Fidelity: always}, true},
		{"a rung panics in shadow", 200, fallback.LadderConfig{Rungs: []fallback.Rung{panics("a", 1)}, Fidelity: always}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				live := &tracked{Reader: strings.NewReader(`{"labelName":"b"}`)}
				next := transportFunc(func(req *http.Request) (*http.Response, error) {
					closeBody(req)
					return &http.Response{StatusCode: tt.status, Header: http.Header{}, Body: live, ContentLength: -1}, nil
				})
				var resp *http.Response
				start := time.Now()
				normally := ended(func() { resp, _ = fallback.NewLadder(tt.cfg).Wrap(next).RoundTrip(invoke(t, `{}`)) })
				assert.Equal(t, tt.normally, normally)
				assert.Zero(t, time.Since(start), "nobody waits for what has ended")
				if resp != nil {
					require.Equal(t, `{"labelName":"b"}`, readAll(t, resp))
				}
				assert.True(t, live.closed.Load(), "the body of the live response is closed")
			})
		})
	}
}

// What a rung would have answered is closed once it was looked at, even if it bursts.
func TestShadowClosesWhatItReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, content := range []io.Reader{strings.NewReader(`{"labelName":"b"}`), bursting{}} {
			spare := &tracked{Reader: content}
			rung := fallback.Rung{Name: "a", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
				return &http.Response{StatusCode: 200, Body: spare}, telemetry.Answer{}, true
			}}
			calls(t, compared(rung), "b")
			assert.True(t, spare.closed.Load())
		}
	})
}

// A caller who leaves while a rung is asked gets no answer from the next, and the
// failure as it came.
func TestCallerLeavesDuringTheLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		leaves := fallback.Rung{Name: "leaves", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
			cancel()
			return nil, telemetry.Answer{}, false
		}}
		down := errors.New("down")
		ladder := fallback.NewLadder(uncompared(leaves, says("a", "b")))
		resp, err := ladder.Wrap(fails(down)).RoundTrip(invoke(t, `{}`).WithContext(ctx))
		require.Nil(t, resp)
		assert.ErrorIs(t, err, down)
	})
}
