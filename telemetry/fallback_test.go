package telemetry_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

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

// broken is a body that ends with an error.
type broken struct{ err error }

func (b *broken) Read([]byte) (int, error) { return 0, b.err }
