package transport_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// What the translation of an answer finds decides whether another endpoint is
// asked: content that was refused stays so, a form that nobody knows may be read
// elsewhere.
func TestFailoverVerdictOfTranslation(t *testing.T) {
	filtered := &policy.Error{Verdict: policy.Verdict{Class: policy.Filtered, Again: policy.Nobody, Executed: policy.Executed}}
	for _, tt := range []struct {
		name  string
		err   error
		asked int
	}{
		{"refused content", filtered, 1},
		{"unknown form", errors.New("no label"), 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			upstream := transporttest.NewUpstream(transporttest.Reply(200, "{}"), transporttest.Reply(200, "{}"))
			rt := transport.NewFailover(policy.Failover{Endpoints: []policy.Endpoint{
				{Name: "a", URL: "https://a.test", ResponseBody: func([]byte) ([]byte, error) { return nil, tt.err }},
				{Name: "b", URL: "https://b.test"},
			}}, nil).Wrap(upstream)
			req, err := http.NewRequestWithContext(policy.WithCall(t.Context(), policy.Call{Replayable: true}), http.MethodPost, "https://a.test/x", strings.NewReader("{}"))
			require.NoError(t, err)
			resp, err := rt.RoundTrip(req)
			if tt.asked == 1 {
				require.ErrorIs(t, err, tt.err)
			} else {
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
			}
			assert.Equal(t, tt.asked, upstream.Calls())
		})
	}
}

// An answer that a classifier takes for a refusal ends once, whatever comes after it.
func TestFailoverRefusingAnswer(t *testing.T) {
	cfg := policy.Failover{Endpoints: regions()[:2], Budget: policy.Budget{Off: true}}
	cfg.Classify = func(o policy.Outcome) policy.Verdict {
		if o.Status == http.StatusNonAuthoritativeInfo {
			return policy.Verdict{Class: policy.Refused, Again: policy.Elsewhere, Executed: policy.NotExecuted}
		}
		return policy.Classify(o)
	}
	failover := transport.NewFailover(cfg, nil)
	rt := failover.Wrap(transport.Func(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "a.test" {
			return replied(req, http.StatusNonAuthoritativeInfo, "no"), nil
		}
		return replied(req, http.StatusOK, "fine"), nil
	}))
	_, text, err := send(t, rt, newRegional(t))
	require.NoError(t, err)
	assert.Equal(t, "fine", text)
	for _, s := range failover.State() {
		assert.Zero(t, s.InFlight, s.Name)
	}
}
