package chat_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/chat"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
	"github.com/sparekey/sparekey/transport/transporttest/providersim"
)

// down returns a client whose service is down, with a model in its place that says
// what is given.
func (p provider) down(t *testing.T, says providersim.Completion, options ...nyckel.Option) (*nyckel.Client, *providersim.Server) {
	t.Helper()
	adapter, err := p.new(question)
	require.NoError(t, err)
	model := providersim.New(providersim.Config{Dialect: p.dialect, Key: "model-key", Complete: func([]byte) providersim.Completion { return says }})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.Handle("model.test/api"+adapter.Path(""), model)
	server := transporttest.NewServer(t, mux)
	client, err := nyckel.New(append(options,
		nyckel.WithBaseURL("http://nyckel.test"),
		nyckel.WithTokenSource(token{}),
		nyckel.WithHTTPClient(server.Client()),
		nyckel.WithFunction("tickets", nyckel.Function{ID: "f"}),
		nyckel.WithStack(policy.Stack{Cache: &policy.Cache{}, Retry: policy.Retry{Attempts: 2}, Failover: &policy.Failover{Endpoints: []policy.Endpoint{
			{Name: "nyckel", URL: "http://nyckel.test"},
			{
				Name: "model", URL: "http://model.test/api",
				Path: adapter.Path, RequestBody: adapter.RequestBody, ResponseBody: adapter.ResponseBody,
				Header: http.Header{"Authorization": {"Bearer model-key"}, "X-Api-Key": {"model-key"}},
			},
		}}}),
	)...)
	require.NoError(t, err)
	return client, model
}

// token is a [nyckel.TokenSource].
type token struct{}

func (token) Token(context.Context, string) (string, error) { return "nyckel-token", nil }

// TestFunctionFailsOver lets a function whose service is down be answered by a
// model of another kind.
func TestFunctionFailsOver(t *testing.T) {
	for _, p := range providers {
		t.Run(string(p.dialect), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, model := p.down(t, providersim.Completion{Text: `{"label":"Shipping","confidence":0.6}`})
				got, err := client.Invoke(t.Context(), "tickets", nyckel.Text("Where is my parcel?"), nyckel.LabelCount(3))
				require.NoError(t, err)
				assert.Equal(t, "Shipping", got.LabelName)
				assert.Equal(t, 0.6, got.Confidence)
				assert.Equal(t, "model", string(got.Answer.Source))
				assert.Equal(t, 1, model.Stats().Billed)

				_, err = client.Invoke(t.Context(), "tickets", nyckel.Text("Where is my parcel?"), nyckel.LabelCount(3))
				require.NoError(t, err)
				assert.Equal(t, 2, model.Stats().Billed, "a guess is not kept in place of an answer")
			})
		})
	}
}

// TestFunctionFailsOverInVain: what a model makes up is no answer; the caller gets
// the service's.
func TestFunctionFailsOverInVain(t *testing.T) {
	for _, p := range providers {
		t.Run(string(p.dialect), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, model := p.down(t, providersim.Completion{Text: `{"label":"Fraud","confidence":0.6}`})
				_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("Where is my parcel?"))
				e := policy.ErrorOf(err)
				require.NotNil(t, e)
				assert.Equal(t, http.StatusBadGateway, e.Status)
				assert.Equal(t, 2, e.Attempts)
				assert.Equal(t, 1, model.Stats().Billed)
			})
		})
	}
}

// TestModelsAreOutsideTheAccount: the limit of the account is the service's, so that
// what it refuses a model may answer.
func TestModelsAreOutsideTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		openai := provider{chat.OpenAI, providersim.OpenAI}
		client, model := openai.down(t, providersim.Completion{Text: `{"label":"Shipping","confidence":0.6}`},
			nyckel.WithLimit(policy.Limit{PerSecond: 0.001, Burst: 1, MaxWait: time.Second}))
		for range 3 {
			got, err := client.Invoke(t.Context(), "tickets", nyckel.Text("Where is my parcel?"))
			require.NoError(t, err)
			assert.Equal(t, "Shipping", got.LabelName)
		}
		assert.Equal(t, 3, model.Stats().Billed)
	})
}

// TestModelsAnswerQuestionsOnly: nothing but the text of an invoke gets to a model.
func TestModelsAnswerQuestionsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, model := provider{chat.OpenAI, providersim.OpenAI}.down(t, providersim.Completion{Text: `{"label":"Shipping","confidence":0.6}`})
		_, err := client.Invoke(t.Context(), "tickets", nyckel.Tabular{"age": 7})
		require.Error(t, err)
		_, err = client.Invoke(t.Context(), "tickets", nyckel.ImageDataURI("data:image/gif;base64,R0lGODlhAQABAAAAACw="))
		require.Error(t, err)
		h, err := client.Function("tickets")
		require.NoError(t, err)
		_, err = h.CreateSample(t.Context(), nyckel.NewSample{Input: nyckel.Text("Where is my parcel?")})
		require.Error(t, err)
		_, err = h.Sample(t.Context(), "s")
		require.Error(t, err)
		assert.Zero(t, model.Stats().Calls)
	})
}

// TestAnotherAccount: an endpoint at the same address shows its own credentials, not
// those of the account that the client is for.
func TestAnotherAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		adapter := chat.Nyckel()
		var shown []string
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shown = append(shown, r.Header.Get("Authorization"))
			if len(shown) == 1 {
				w.WriteHeader(http.StatusPaymentRequired)
				return
			}
			_, _ = w.Write([]byte(`{"labelName":"Billing","confidence":0.9}`))
		}))
		client, err := nyckel.New(
			nyckel.WithBaseURL("http://nyckel.test"),
			nyckel.WithTokenSource(token{}),
			nyckel.WithHTTPClient(server.Client()),
			nyckel.WithFunction("tickets", nyckel.Function{ID: "f"}),
			nyckel.WithStack(policy.Stack{Failover: &policy.Failover{Endpoints: []policy.Endpoint{
				{Name: "ours", URL: "http://nyckel.test"},
				{
					Name: "theirs", URL: "http://nyckel.test", RequestBody: adapter.RequestBody, ResponseBody: adapter.ResponseBody,
					Token: func(context.Context) (string, error) { return "their-token", nil },
				},
			}}}),
		)
		require.NoError(t, err)
		got, err := client.Invoke(t.Context(), "tickets", nyckel.Text("Where is my parcel?"))
		require.NoError(t, err)
		assert.Equal(t, "Billing", got.LabelName)
		assert.Equal(t, []string{"Bearer nyckel-token", "Bearer their-token"}, shown)
	})
}
