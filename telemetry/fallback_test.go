package telemetry_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// A call counts as answered in the service's place once, by what its caller got, and
// not if that broke.
func TestFallbackCountsOnce(t *testing.T) {
	elsewhere := telemetry.Answer{Source: "b", Cause: policy.Overloaded}
	stale := telemetry.Answer{Source: telemetry.Stale, Cause: policy.Overloaded}
	live := telemetry.Answer{Source: telemetry.Live}
	tests := []struct {
		name string
		said []telemetry.Answer
		end  error
		want string // source, "" for none
	}{
		{"one", []telemetry.Answer{elsewhere}, nil, "b"},
		{"an attempt that was repeated", []telemetry.Answer{elsewhere, elsewhere}, nil, "b"},
		{"two layers", []telemetry.Answer{elsewhere, stale}, nil, "stale"},
		{"live in the end", []telemetry.Answer{elsewhere, live}, nil, ""},
		{"broke", []telemetry.Answer{elsewhere}, io.ErrUnexpectedEOF, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sdk := install(t)
			var log strings.Builder
			cfg := telemetry.Config{Function: "ticket_routing", Logger: newLogger(&log)}
			says := func(next http.RoundTripper) http.RoundTripper {
				return roundTrip(func(req *http.Request) (*http.Response, error) {
					resp, err := next.RoundTrip(req)
					for _, a := range tt.said {
						telemetry.Mark(req, resp.Header, a)
					}
					if tt.end != nil {
						resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("a"), &broken{tt.end}))
					}
					return resp, err
				})
			}
			_, err := send(t, stack(cfg, upstream(200, "abc"), says), t.Context())
			require.ErrorIs(t, err, tt.end)
			const counted = "sparekey.client.fallbacks {fallback}"
			if tt.want == "" {
				assert.NotContains(t, sdk.measured(t), counted)
				assert.NotContains(t, log.String(), "sparekey.fallback")
				return
			}
			assert.Contains(t, sdk.measured(t), counted+" sparekey.answer.source="+tt.want+" sparekey.fallback.cause=overloaded sparekey.function.name=ticket_routing 1\n")
			assert.Equal(t, 1, strings.Count(log.String(), "event.name=sparekey.fallback"))
		})
	}
}

// TestNoAnswerInTheEnd: what a layer said of an answer that nobody got counts for nothing,
// be it that the attempt was repeated in vain, or that the call ended before its next.
func TestNoAnswerInTheEnd(t *testing.T) {
	elsewhere := telemetry.Answer{Source: "b", Cause: policy.Overloaded}
	tests := []struct {
		name string
		ends func(ctx context.Context, leave func()) (*http.Response, error)
		want string // error.type
	}{
		{"an error status", func(context.Context, func()) (*http.Response, error) { return answer(503, ""), nil }, " error.type=overloaded"},
		{"an error", func(context.Context, func()) (*http.Response, error) { return nil, io.EOF }, " error.type=interrupted"},
		{"a panic", func(context.Context, func()) (*http.Response, error) { panic("boom") }, " error.type=_OTHER"},
		{"a caller who leaves", func(ctx context.Context, leave func()) (*http.Response, error) {
			leave()
			return nil, context.Cause(ctx)
		}, ""},
	}
	for _, tt := range tests {
		for _, repeated := range []bool{true, false} {
			if !repeated && tt.name == "an error status" {
				continue // it is the answer
			}
			t.Run(fmt.Sprint(tt.name, ", repeated: ", repeated), func(t *testing.T) {
				sdk := install(t)
				ctx, leave := context.WithCancel(t.Context())
				ctx, trail := telemetry.NewContext(ctx)
				says := roundTrip(func(req *http.Request) (*http.Response, error) {
					telemetry.Mark(req, http.Header{}, elsewhere)
					if repeated {
						trail.Waits(req.Context(), time.Second, policy.Truncated)
					}
					return tt.ends(ctx, leave)
				})
				func() {
					defer func() { _ = recover() }()
					if resp, err := telemetry.ObserveCall(routing)(says).RoundTrip(newRequest(t, ctx)); err == nil {
						require.NoError(t, resp.Body.Close())
					}
				}()
				assert.Empty(t, trail.Answer())
				assert.Contains(t, sdk.measured(t), "sparekey.client.prediction.duration s"+tt.want+" sparekey.function.name=ticket_routing 1 ")
				assert.NotContains(t, sdk.measured(t), "sparekey.client.fallbacks")
			})
		}
	}
}

// broken is a body that ends with an error.
type broken struct{ err error }

func (b *broken) Read([]byte) (int, error) { return 0, b.err }
