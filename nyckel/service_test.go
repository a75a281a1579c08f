package nyckel_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// The credentials of every account in the tests.
const clientID, clientSecret = "client-5f1c", "s3cr3t+canary/9d41"

// once is a stack that makes a single attempt.
var once = policy.Stack{Retry: policy.Retry{Off: true}, Breaker: policy.Breaker{Off: true}}

// A service is a scripted API without a wire. Its token endpoint plays one
// script, everything else another.
type service struct{ tokens, calls *transporttest.Upstream }

// newService returns a service that gives out token-1, token-2 and so on, each
// good for an hour, and plays calls.
func newService(calls ...transporttest.Step) *service {
	if len(calls) == 0 {
		calls = append(calls, predict("spam", 0.75))
	}
	return &service{tokens: transporttest.NewUpstream(grant(3600)), calls: transporttest.NewUpstream(calls...)}
}

func (s *service) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/connect/token") {
		return s.tokens.RoundTrip(req)
	}
	return s.calls.RoundTrip(req)
}

// client returns a client of the service with a function "tickets" in stack. The
// account has no limit.
func (s *service) client(t *testing.T, stack policy.Stack, options ...nyckel.Option) *nyckel.Client {
	t.Helper()
	client, err := nyckel.New(append([]nyckel.Option{
		nyckel.WithBaseURL("https://api.test"),
		nyckel.WithCredentials(clientID, clientSecret),
		nyckel.WithHTTPClient(&http.Client{Transport: s}),
		nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
		nyckel.WithStack(stack),
		nyckel.WithLimit(policy.Limit{Off: true}),
	}, options...)...)
	require.NoError(t, err)
	return client
}

// bearers returns the tokens that came with the calls.
func (s *service) bearers() []string {
	var tokens []string
	for _, r := range s.calls.Requests() {
		tokens = append(tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}
	return tokens
}

// grant gives out token-1, token-2 and so on, each with the lifetime, as JSON.
func grant(lifetime any) transporttest.Step {
	var n atomic.Int64
	return func(req *http.Request) (*http.Response, error) {
		body := fmt.Sprintf(`{"access_token":"token-%d","token_type":"Bearer","expires_in":%v}`, n.Add(1), lifetime)
		return transporttest.Reply(http.StatusOK, body, "Content-Type", "application/json")(req)
	}
}

// predict answers with a label.
func predict(label string, confidence float64) transporttest.Step {
	return answer(http.StatusOK, fmt.Sprintf(`{"labelName":%q,"labelId":"label_1","confidence":%v}`, label, confidence))
}

func answer(status int, body string, header ...string) transporttest.Step {
	return transporttest.Reply(status, body, append(header, "Content-Type", "application/json")...)
}

// An account is a simulated one with a trained function, reached over
// connections in memory.
type account struct {
	*nyckelsim.Server
	function string // its id
	server   *transporttest.Server
}

func newAccount(t *testing.T, cfg nyckelsim.Config) *account {
	t.Helper()
	cfg.ClientID, cfg.ClientSecret = clientID, clientSecret
	sim := nyckelsim.New(cfg)
	a := &account{Server: sim, function: sim.AddFunction("mail"), server: transporttest.NewServer(t, sim)}
	require.NoError(t, sim.Import(a.function, []nyckelsim.Sample{
		{Text: "where is my parcel", Label: "delivery"},
		{Text: "the parcel has not arrived", Label: "delivery"},
		{Text: "my parcel is late", Label: "delivery"},
		{Text: "I want my money back", Label: "refund"},
		{Text: "please refund my money", Label: "refund"},
		{Text: "the refund did not come", Label: "refund"},
	}))
	_, err := sim.Train(a.function)
	require.NoError(t, err)
	return a
}

// client returns a client of the account with a function "tickets".
func (a *account) client(t *testing.T, options ...nyckel.Option) *nyckel.Client {
	t.Helper()
	client, err := nyckel.New(append([]nyckel.Option{
		nyckel.WithBaseURL(a.server.URL),
		nyckel.WithCredentials(clientID, clientSecret),
		nyckel.WithHTTPClient(a.server.Client()),
		nyckel.WithFunction("tickets", nyckel.Function{ID: a.function}),
	}, options...)...)
	require.NoError(t, err)
	return client
}
