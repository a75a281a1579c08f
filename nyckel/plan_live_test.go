package nyckel_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/plan"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A client goes by the file as it is: models, stacks, and what it shows of itself.
func TestWithLive(t *testing.T) {
	a := newAccount(t, nyckelsim.Config{})
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	write := func(function string) {
		text := fmt.Sprintf("version: 1\naccounts: {main: {client_id: %s, client_secret: %s, base_url: %s, limit: {off: true}}}\nfunctions: {tickets: %s}\n",
			clientID, clientSecret, a.server.URL, function)
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	write("{id: " + a.function + "}")
	live, err := plan.Open(name, plan.Options{})
	require.NoError(t, err)
	client, err := nyckel.New(nyckel.WithLive(live, ""), nyckel.WithHTTPClient(a.server.Client()))
	require.NoError(t, err)
	ask := func() (*nyckel.Prediction, error) {
		return client.Invoke(context.Background(), "tickets", nyckel.Text("where is my parcel"))
	}
	prediction, err := ask()
	require.NoError(t, err)
	assert.Equal(t, telemetry.Live, prediction.Answer.Source)

	reload := func() {
		live.Poll(t.Context())
		live.Poll(t.Context()) // a file is believed when it stays as it is
	}
	write("{id: " + a.function + ", model: model_of_last_year}")
	reload()
	_, err = ask()
	require.ErrorContains(t, err, `no model "model_of_last_year"`, "the pin")
	assert.Empty(t, client.Snapshot().Config.Problems)

	write("{id: " + a.function + ", model: model_of_last_year, fallback: {static: {label: triage}}, totl: 1s}")
	reload()
	_, err = ask()
	require.Error(t, err, "a file with problems changes nothing")
	assert.Contains(t, client.Snapshot().Config.Problems, `has the unknown key "totl"`)

	require.NoError(t, a.SetFaults(nyckelsim.Faults{Unavailable: 1}))
	write("{id: " + a.function + ", fallback: {static: {label: triage, confidence: 0.1}}, retry: {attempts: 1}}")
	reload()
	prediction, err = ask()
	require.NoError(t, err)
	assert.Equal(t, telemetry.Static, prediction.Answer.Source, "the stack")
	assert.Equal(t, "triage", prediction.LabelName)
}

func TestWithLiveErrors(t *testing.T) {
	_, err := nyckel.New(nyckel.WithLive(nil, ""))
	assert.ErrorContains(t, err, "nyckel: WithLive: the plan is nil")
}

// What a client takes once is not changed behind its back: the file is refused.
func TestWithLiveFixed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	const text = "version: 1\naccounts: {main: {client_id: me, client_secret: early}, other: {client_id: you, client_secret: x}}\n" +
		"functions: {tickets: {id: f1, account: main}, theirs: {id: f2, account: other}}\n"
	write := func(change ...string) {
		require.NoError(t, os.WriteFile(name, []byte(strings.NewReplacer(change...).Replace(text)), 0o600))
	}
	write()
	live, err := plan.Open(name, plan.Options{})
	require.NoError(t, err)
	_, err = nyckel.New(nyckel.WithLive(live, "main"))
	require.NoError(t, err)
	for _, tt := range []struct{ name, from, to, want string }{
		{"client id", "client_id: me", "client_id: we", "accounts.main.client_id: has changed"},
		{"secret", "early", "later", ""},
		{"base URL", "early", "early, base_url: 'http://a.test'", "accounts.main.base_url: has changed"},
		{"limit", "early", "early, limit: {off: true}", "accounts.main.limit: has changed"},
		{"id", "f1", "f3", "functions.tickets.id: has changed"},
		{"account", "id: f1, account: main", "id: f1, account: other", "functions.tickets.account: has changed"},
		{"those of other accounts", "f2", "f4, total: 3s", ""},
		{"the secret of another", "secret: x", "secret: y", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			write(tt.from, tt.to)
			live.Poll(t.Context())
			live.Poll(t.Context())
			if tt.want == "" {
				assert.Empty(t, live.Status().Problems)
				return
			}
			assert.Contains(t, live.Status().Problems, tt.want)
		})
	}
}

// The next token is asked for with the secret of then, of the account itself and not of
// one that was the same; a token that is good serves on. A secret that the program gave
// stays.
func TestWithLiveSecret(t *testing.T) {
	for name, tt := range map[string]struct {
		options []nyckel.Option
		want    []string // the secrets that tokens were asked for with
	}{
		"of the file":    {nil, []string{"early", "later"}},
		"of the program": {[]nyckel.Option{nyckel.WithCredentials("me", "own")}, []string{"own", "own"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "sparekey.yaml")
				write := func(secret string) {
					text := "version: 1\naccounts: {main: {client_id: me, client_secret: " + secret + "}, other: {client_id: me, client_secret: early}}\n" +
						"functions: {tickets: {id: f1, account: main}}\n"
					require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
				}
				write("early")
				live, err := plan.Open(file, plan.Options{})
				require.NoError(t, err)
				var secrets []string
				base := transport.Func(func(req *http.Request) (*http.Response, error) {
					answer := `{"labelName":"a","confidence":0.9}`
					if strings.HasSuffix(req.URL.Path, "/connect/token") {
						secrets = append(secrets, req.PostFormValue("client_secret"))
						answer = `{"access_token":"t","token_type":"Bearer","expires_in":60}`
					}
					return transporttest.Reply(http.StatusOK, answer, "Content-Type", "application/json")(req)
				})
				options := append([]nyckel.Option{nyckel.WithLive(live, "main"), nyckel.WithHTTPClient(&http.Client{Transport: base})}, tt.options...)
				client, err := nyckel.New(options...)
				require.NoError(t, err)
				ask := func() {
					_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("x"))
					require.NoError(t, err)
				}
				ask()
				write("later")
				live.Poll(t.Context())
				live.Poll(t.Context())
				require.Empty(t, live.Status().Problems)
				ask()
				assert.Equal(t, tt.want[:1], secrets, "the token is good")
				time.Sleep(2 * time.Minute)
				ask()
				assert.Equal(t, tt.want, secrets)
			})
		})
	}
}

// The file says the models of its own functions, and of no others: what the program says
// of those that the file leaves open, of others and by pins holds in any order.
func TestWithLiveModels(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	write := func(model string) {
		text := "version: 1\naccounts: {main: {client_id: me, client_secret: s}, other: {client_id: you, client_secret: s}}\n" +
			"functions: {open: {id: f1, account: main}, pinned: {id: f2, account: main" + model + "}, theirs: {id: f3, account: other, model: of_theirs}}\n"
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	write(", model: first")
	live, err := plan.Open(name, plan.Options{})
	require.NoError(t, err)
	base := transport.Func(transporttest.Reply(http.StatusOK, `{"labelName":"a","confidence":0.9,"access_token":"t","token_type":"Bearer","expires_in":60}`,
		"Content-Type", "application/json"))
	source := &pins{}
	options := []nyckel.Option{
		nyckel.WithHTTPClient(&http.Client{Transport: base}),
		nyckel.ModelID("of_client"), nyckel.WithPins(source),
		nyckel.WithFunction("theirs", nyckel.Function{ID: "f4", Model: "of_program"}),
	}
	before, err := nyckel.New(append([]nyckel.Option{nyckel.WithLive(live, "main")}, options...)...)
	require.NoError(t, err)
	after, err := nyckel.New(append(options, nyckel.WithLive(live, "main"))...)
	require.NoError(t, err)
	check := func(function, want string) {
		t.Helper()
		for _, client := range []*nyckel.Client{before, after} {
			p, err := client.Invoke(t.Context(), function, nyckel.Text("x"))
			require.NoError(t, err)
			assert.Equal(t, want, p.Model)
		}
	}
	check("open", "of_client")
	check("theirs", "of_program")
	check("pinned", "first")
	write(", model: second")
	live.Poll(t.Context())
	live.Poll(t.Context())
	check("pinned", "second")
	source.Store("pinned", "by_pin")
	check("pinned", "by_pin")
	source.Clear()
	write("")
	live.Poll(t.Context())
	live.Poll(t.Context())
	check("pinned", "of_client")
}
