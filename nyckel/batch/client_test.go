package batch_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/batch"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// newClient returns a client whose calls upstream answers.
func newClient(t *testing.T, upstream http.RoundTripper) *nyckel.Client {
	t.Helper()
	client, err := nyckel.New(
		nyckel.WithBaseURL("https://api.test"),
		nyckel.WithTokenSource(token{}),
		nyckel.WithLimit(policy.Limit{Off: true}),
		nyckel.WithHTTPClient(&http.Client{Transport: upstream}),
		nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
		nyckel.WithFunction("mail", nyckel.Function{ID: "function_2"}),
	)
	require.NoError(t, err)
	return client
}

type token struct{}

func (token) Token(context.Context, string) (string, error) { return "token", nil }

func TestClientMergesWhatIsTheSameCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusOK,
			`{"labelName":"delivery","confidence":0.9,"labelMetadata":{"team":"a"},"labelConfidences":[{"labelName":"delivery","confidence":0.9}]}`,
			"Content-Type", "application/json"))
		b := batch.NewClient(newClient(t, upstream), batch.Config{})
		options := []nyckel.InvokeOption{nyckel.Capture(false)}
		requests := []batch.Request{
			{Function: "tickets", Input: nyckel.Text("where is it")},
			{Function: "tickets", Input: nyckel.Text("where are they")},
			{Function: "mail", Input: nyckel.Text("where is it")},
			{Function: "tickets", Input: nyckel.Text("where is it"), Options: options},
			{Function: "tickets", Input: nyckel.Text("where is it"), Options: []nyckel.InvokeOption{nyckel.NewestModel()}},
		}
		contexts := []context.Context{
			t.Context(),
			policy.Strict(t.Context()),
			policy.Without(t.Context(), policy.RungRules),
			policy.Without(t.Context(), policy.Rungs()...), // a ladder may have others
			policy.WithCall(t.Context(), policy.Call{Priority: 1}),
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var metadata []map[string]string
		for range 3 {
			for _, request := range requests {
				for _, ctx := range contexts {
					wg.Go(func() {
						p, err := b.Submit(ctx, request)
						if err != nil {
							t.Error(err)
							return
						}
						p.LabelMetadata["touched"] += "x" // its own
						p.Labels[0].LabelName += "x"
						mu.Lock()
						defer mu.Unlock()
						metadata = append(metadata, p.LabelMetadata)
						if p.Labels[0].LabelName != "deliveryx" {
							t.Errorf("label %q", p.Labels[0].LabelName)
						}
					})
				}
			}
		}
		wg.Wait()
		different := len(requests) * len(contexts)
		require.Equal(t, different, upstream.Calls())
		require.Equal(t, 2*different, b.Stats().Merged)
		for _, m := range metadata {
			require.Equal(t, map[string]string{"team": "a", "touched": "x"}, m)
		}
	})
}

// Rows cannot be compared, and so each is asked about.
func TestClientAsksAboutEachRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusOK, `{"labelName":"delivery","confidence":0.9}`))
		b := batch.NewClient(newClient(t, upstream), batch.Config{})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				_, err := b.Submit(t.Context(), batch.Request{Function: "tickets", Input: nyckel.Tabular{"subject": "where is it"}})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 2, upstream.Calls())
		require.Zero(t, b.Stats().Merged)
	})
}

func TestClientRefusalsReachTheirCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := batch.NewClient(newClient(t, transporttest.NewUpstream(func(req *http.Request) (*http.Response, error) {
			if strings.HasSuffix(req.URL.Path, "function_2/invoke") {
				return transporttest.Reply(http.StatusBadRequest, `{"message":"no such thing"}`)(req)
			}
			return transporttest.Reply(http.StatusOK, `{"labelName":"delivery","confidence":0.9}`)(req)
		})), batch.Config{Delay: time.Second})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := b.Submit(t.Context(), batch.Request{Function: "mail", Input: nyckel.Text("hello")})
			require.Equal(t, policy.Invalid, policy.ErrorOf(err).Verdict.Class)
		})
		wg.Go(func() {
			_, err := b.Submit(t.Context(), batch.Request{Function: "other", Input: nyckel.Text("hello")})
			require.ErrorContains(t, err, `no function "other" is configured`)
		})
		wg.Go(func() {
			_, err := b.Submit(t.Context(), batch.Request{Function: "tickets"})
			require.ErrorContains(t, err, "the input is nil")
		})
		wg.Go(func() {
			_, err := b.Submit(t.Context(), batch.Request{Function: "tickets", Input: nyckel.Text("hello")})
			require.NoError(t, err)
		})
		wg.Wait()
	})
}
