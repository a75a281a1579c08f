package nyckelsim_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// A client calls a Server in memory, one call at a time on the caller's
// goroutine. It keeps the token it was given.
type client struct {
	t     testing.TB
	sim   *nyckelsim.Server
	token string
}

// An answer is a recorded response. Its body was JSON, or aborted is true.
type answer struct {
	status  int
	header  http.Header
	body    map[string]any   // of an object
	list    []map[string]any // of an array
	raw     string
	aborted bool // the handler gave up on the connection
}

func (a answer) message() string {
	message, _ := a.body["message"].(string)
	return message
}

// newClient returns a client with a token.
func newClient(t testing.TB, cfg nyckelsim.Config) *client {
	t.Helper()
	c := &client{t: t, sim: nyckelsim.New(cfg)}
	c.token = requestToken(t, c.sim, "sim-client", "sim-secret").body["access_token"].(string)
	return c
}

func requestToken(t testing.TB, sim http.Handler, id, secret string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	req := httptest.NewRequest("POST", "/connect/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return serve(t, sim, req)
}

// do makes a call; body may be empty.
func (c *client) do(method, path, body string) answer {
	c.t.Helper()
	return c.doContext(context.Background(), method, path, body)
}

func (c *client) doContext(ctx context.Context, method, path, body string) answer {
	c.t.Helper()
	req := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	return serve(c.t, c.sim, req)
}

// must makes a call that is to be answered 200.
func (c *client) must(method, path, body string) answer {
	c.t.Helper()
	got := c.do(method, path, body)
	require.Equal(c.t, http.StatusOK, got.status, "%s %s: %s", method, path, got.raw)
	return got
}

// invoke asks the function for the text's label.
func (c *client) invoke(function, text string) answer {
	c.t.Helper()
	return c.do("POST", invokePath(function), `{"data":`+quote(text)+`}`)
}

func invokePath(function string) string { return "/v1/functions/" + function + "/invoke" }

func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}

// serve records the answer to a request.
func serve(t testing.TB, sim http.Handler, req *http.Request) (got answer) {
	t.Helper()
	rec := httptest.NewRecorder()
	defer func() {
		if err := recover(); err == http.ErrAbortHandler { //nolint:errorlint // a panic's value, as it is
			got = answer{aborted: true, raw: rec.Body.String()}
		} else if err != nil {
			panic(err)
		}
	}()
	sim.ServeHTTP(rec, req)
	resp := rec.Result()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	got = answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	if strings.HasPrefix(got.raw, "[") {
		err = json.Unmarshal(raw, &got.list)
	} else if resp.Header.Get("Content-Type") == "application/json" {
		err = json.Unmarshal(raw, &got.body)
	}
	require.NoError(t, err, got.raw)
	return got
}

// tickets are enough to train a function with.
var tickets = []nyckelsim.Sample{
	{Text: "Where is my parcel?", Label: "delivery"},
	{Text: "The parcel has not arrived yet", Label: "delivery"},
	{Text: "When will my order be delivered?", Label: "delivery"},
	{Text: "Please refund my money", Label: "refund"},
	{Text: "I want my money back", Label: "refund"},
	{Text: "How do I get a refund for this order?", Label: "refund"},
}

// newTrained returns a client and the id of a function that knows tickets.
func newTrained(t testing.TB, cfg nyckelsim.Config) (*client, string) {
	t.Helper()
	c := newClient(t, cfg)
	function := c.sim.AddFunction("tickets")
	require.NoError(t, c.sim.Import(function, tickets))
	return c, function
}

// pluck returns one field of each item.
func pluck(list []map[string]any, field string) []any {
	var values []any
	for _, item := range list {
		values = append(values, item[field])
	}
	return values
}
