package transport_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

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

// A spare endpoint that cannot help, as its credentials are wrong, does not keep the
// retry layer from asking again where the trouble may pass.
func TestFailoverLeavesWhatMayPassToTheRetry(t *testing.T) {
	const refused, untrusted = -1, -2 // a connection, a certificate
	for _, tt := range []struct {
		name   string
		status [3]int // of a, b and c, where the first one that may pass is well when it is asked again
		want   []string
	}{
		{"the first", [3]int{503, 401}, []string{"a", "b", "a"}},
		{"the first cannot be reached", [3]int{refused, 401}, []string{"a", "b", "a"}},
		{"the second", [3]int{401, 503}, []string{"a", "b", "b"}},
		{"the second cannot be reached", [3]int{401, refused}, []string{"a", "b", "b"}},
		{"the first cannot be reached, nor the second trusted", [3]int{refused, untrusted}, []string{"a", "b", "a"}},
		{"between two", [3]int{401, 503, 402}, []string{"a", "b", "c", "b"}},
		{"before two", [3]int{503, 401, 402}, []string{"a", "b", "c", "a"}},
		{"before two, out of reach", [3]int{refused, 401, 402}, []string{"a", "b", "c", "a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				endpoints := regions()[:len(tt.want)-1]
				var asked []string
				wire := transport.Func(func(req *http.Request) (*http.Response, error) {
					host, _, _ := strings.Cut(req.URL.Host, ".")
					asked = append(asked, host)
					status := tt.status[host[0]-'a']
					switch {
					case len(asked) > len(endpoints) && (status == 503 || status == refused):
						return replied(req, http.StatusOK, "fine"), nil
					case status == refused:
						return nil, errDial
					case status == untrusted:
						return nil, x509.UnknownAuthorityError{}
					}
					return replied(req, status, "no"), nil
				})
				failover := transport.NewFailover(policy.Failover{Endpoints: endpoints}, nil)
				rt := transport.Chain(wire, transport.Retry(policy.Retry{Attempts: 4}), failover.Wrap)
				_, text, err := send(t, rt, newRegional(t))
				require.NoError(t, err)
				assert.Equal(t, "fine", text)
				assert.Equal(t, tt.want, asked)
				for _, s := range failover.State() {
					assert.Zero(t, s.InFlight, s.Name)
				}
			})
		})
	}
}

// It makes no difference that the answer which may pass is too long to be kept.
func TestFailoverLeavesALongAnswerToTheRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		rt := transport.Chain(transport.Func(func(req *http.Request) (*http.Response, error) {
			asked = append(asked, req.URL.Host)
			switch {
			case req.URL.Host == "b.test":
				return replied(req, http.StatusUnauthorized, "no"), nil
			case len(asked) == 1:
				return replied(req, http.StatusServiceUnavailable, strings.Repeat("busy ", 1<<20)), nil
			}
			return replied(req, http.StatusOK, "fine"), nil
		}), transport.Retry(policy.Retry{}), transport.NewFailover(policy.Failover{Endpoints: regions()[:2]}, nil).Wrap)
		_, text, err := send(t, rt, newRegional(t))
		require.NoError(t, err)
		assert.Equal(t, "fine", text)
		assert.Equal(t, []string{"a.test", "b.test", "a.test"}, asked)
	})
}

// That another endpoint may be asked again is said of one answer only: of what a layer in
// between comes to when it sends the request again, as with a new token, it says nothing.
func TestFailoverVerdictIsOfOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		wire := transport.Func(func(req *http.Request) (*http.Response, error) {
			asked = append(asked, req.URL.Host)
			switch {
			case req.URL.Host == "b.test":
				return replied(req, http.StatusUnauthorized, "no"), nil
			case len(asked) == 1:
				return nil, errDial
			}
			return replied(req, http.StatusNotFound, "none"), nil
		})
		renew := func(next http.RoundTripper) http.RoundTripper {
			return transport.Func(func(req *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(req)
				if err == nil && resp.StatusCode == http.StatusUnauthorized {
					_ = resp.Body.Close()
					resp, err = next.RoundTrip(req)
				}
				return resp, err
			})
		}
		rt := transport.Chain(wire, transport.Retry(policy.Retry{}), renew, transport.NewFailover(policy.Failover{Endpoints: regions()[:2]}, nil).Wrap)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.test/x", nil)
		require.NoError(t, err)
		status, _, err := send(t, rt, req)
		require.NoError(t, err)
		assert.Equal(t, http.StatusNotFound, status)
		assert.Equal(t, []string{"a.test", "b.test", "a.test"}, asked)
	})
}

// When the attempts run out, the caller gets the real answer that there was.
func TestFailoverAnswersWhenTheRetriesAreSpent(t *testing.T) {
	for name, status := range map[string]map[string]int{
		"of the spare one": {"a.test": -1, "b.test": 401},
		"of the first":     {"a.test": 401, "b.test": -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sites{status: status}
				rt := transport.Chain(s, transport.Retry(policy.Retry{Attempts: 3}), transport.NewFailover(policy.Failover{Endpoints: regions()[:2]}, nil).Wrap)
				got, text, err := send(t, rt, newRegional(t))
				require.NoError(t, err)
				assert.Equal(t, 401, got)
				assert.NotEmpty(t, text)
				assert.Len(t, s.asked, 3, "the one that may pass is asked twice")
			})
		})
	}
}

// Without a retry layer there is nobody to ask again: the caller gets a real answer.
func TestFailoverPrefersAnswersWithoutRetry(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status map[string]int
		want   int
	}{
		{"the one that may pass", map[string]int{"a.test": 503, "b.test": 401}, 503},
		{"of the second", map[string]int{"a.test": -1, "b.test": 401}, 401},
		{"of the first", map[string]int{"a.test": 401, "b.test": -1}, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rt := over(&sites{status: tt.status}, policy.Failover{Endpoints: regions()[:2]})
			status, text, err := send(t, rt, newRegional(t))
			require.NoError(t, err)
			assert.Equal(t, tt.want, status)
			assert.NotEmpty(t, text)
		})
	}
}

// An endpoint that the call need not ask again is left alone even if the only other
// one is out.
func TestFailoverLeavesAloneWhatIsOfNoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sites{status: map[string]int{"a.test": 401, "b.test": 500}}
		failover := transport.NewFailover(policy.Failover{Endpoints: regions()[:2], Ejection: policy.Ejection{Faults: 1}}, nil)
		_, _, err := send(t, transport.Chain(s, transport.Retry(policy.Retry{Attempts: 4}), failover.Wrap), newRegional(t))
		require.NoError(t, err)
		var hosts []string
		for _, asked := range s.asked {
			hosts = append(hosts, strings.Split(asked, "/")[2])
		}
		assert.Equal(t, []string{"a.test", "b.test", "b.test", "b.test"}, hosts)
	})
}
