package telemetry_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// TestSecretsStayInside sends requests full of canaries through every outcome
// and looks for them in all that comes out.
func TestSecretsStayInside(t *testing.T) {
	const canary = "canary"
	refusal := &policy.Refusal{Layer: "breaker", Reason: "breaker_open", Err: errors.New("open")}
	outcomes := map[string]roundTrip{
		"answer":        upstream(200, "canary-answer"),
		"error answer":  upstream(401, `{"message":"Token expired","detail":"canary-detail"}`),
		"redirect":      upstream(302, ""),
		"refusal":       failing(refusal),
		"broken":        failing(errors.New("boom")),
		"nested client": failing(fmt.Errorf("token: %w", &url.Error{Op: "Post", URL: "https://auth.test?secret=canary", Err: errors.New("boom")})),
		"timeout":       failing(&policy.TimeoutError{Scope: "attempt", Phase: "idle", Limit: time.Second}),
		"spare answer": func(req *http.Request) (*http.Response, error) {
			resp := answer(200, "canary-answer")
			telemetry.Mark(req, resp.Header, telemetry.Answer{Source: telemetry.Static, Cause: policy.Internal})
			return resp, nil
		},
	}
	for name, next := range outcomes {
		t.Run(name, func(t *testing.T) {
			sdk := install(t)
			var log strings.Builder
			ctx, trail := telemetry.NewContext(t.Context())
			req, err := http.NewRequestWithContext(ctx, http.MethodPost,
				"https://canary-user:canary-password@api.test/v1/predict?externalId=canary%40doe.test#canary", strings.NewReader("canary-input"))
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer canary-token")
			req.Header.Set("Cookie", "session=canary")
			req.Header.Set("X-Api-Key", "canary-key")

			rt := stack(telemetry.Config{Function: "f", Logger: newLogger(&log)}, next)
			resp, err := rt.RoundTrip(req)
			if err == nil {
				require.NoError(t, resp.Body.Close())
			} else {
				assert.NotContains(t, err.Error(), canary)
				assert.NotContains(t, fmt.Sprintf("%v", err), canary)
			}
			for _, span := range sdk.spans.GetSpans() {
				assert.NotContains(t, fmt.Sprintf("%+v", span), canary)
			}
			assert.NotContains(t, sdk.measured(t), canary)
			newLogger(&log).Info("called", "trail", trail)
			assert.NotContains(t, log.String(), canary)
			assert.NotContains(t, trail.String(), canary)
		})
	}
}
