package plan_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/plan"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// reload has live see what is in its file now.
func reload(t *testing.T, live *plan.Live) {
	t.Helper()
	live.Poll(t.Context())
	live.Poll(t.Context()) // a file is believed when it stays as it is
}

// withAccount returns a file with an account and its function.
func withAccount(change ...string) string {
	return strings.NewReplacer(change...).Replace(`version: 1
accounts:
  main: {client_id: me, client_secret: hunter2, limit: {per_second: 5}}
queue: {lease: 10s}
functions:
  search: {id: function_1, account: main, total: 5s}
`)
}

// What somebody has taken for good cannot change: the file is refused.
func TestLiveFixed(t *testing.T) {
	for _, tt := range []struct{ name, from, to, want string }{
		{"the client id", "me", "you", "sparekey.yaml:3:21: accounts.main.client_id: has changed, but is in use as it was; to change it takes a restart"},
		{"the secret", "hunter2", "hunter3", "sparekey.yaml:3:40: accounts.main.client_secret: has changed,"},
		{"the base URL", "hunter2,", "hunter2, base_url: 'http://a.test',", "sparekey.yaml:3:59: accounts.main.base_url: has changed,"},
		{"the limit", "{per_second: 5}", "{per_second: 6}", "sparekey.yaml:3:56: accounts.main.limit: has changed,"},
		{"no limit any more", ", limit: {per_second: 5}", "", "sparekey.yaml:3:9: accounts.main.limit: has changed,"},
		{"an id", "function_1", "function_2", "sparekey.yaml:6:16: functions.search.id: has changed,"},
		{"an account", "main", "other", "accounts.main.client_id: is gone, but in use; without it, it takes a restart"},
		{"another thing", "lease: 10s", "lease: 11s", "sparekey.yaml:4:16: queue.lease: has changed,"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "sparekey.yaml")
			put(t, name, withAccount())
			live, err := plan.Open(name, plan.Options{})
			require.NoError(t, err)
			inForce := live.Fix(func(p *plan.Plan) []string {
				return []string{
					"Accounts[main].ClientID", "Accounts[main].ClientSecret", "Accounts[main].BaseURL", "Accounts[main].Limit",
					"Functions[search].ID", "Functions[search].Account", "Queue.Lease",
				}
			})
			assert.Same(t, live.Plan(), inForce)

			put(t, name, withAccount(tt.from, tt.to, "5s}", "7s}"))
			reload(t, live)
			problems := live.Status().Problems
			assert.Contains(t, problems, tt.want)
			assert.NotContains(t, problems, "hunter")
			assert.Same(t, inForce, live.Plan(), "it changes nothing")

			put(t, name, withAccount("5s}", "7s}"))
			reload(t, live)
			assert.Empty(t, live.Status().Problems)
			assert.Equal(t, "7s", total(live).String())
		})
	}
}

// A limit with a classifier is the same as long as the file says the same of it.
func TestLiveFixedClassifier(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	put(t, name, withAccount("{per_second: 5}", "{classify: nyckel}"))
	live, err := plan.Open(name, plan.Options{})
	require.NoError(t, err)
	live.Fix(func(*plan.Plan) []string { return []string{"Accounts[main].Limit"} })

	put(t, name, withAccount("{per_second: 5}", "{classify: nyckel}", "5s}", "7s}"))
	reload(t, live)
	assert.Empty(t, live.Status().Problems)
	assert.Equal(t, "7s", total(live).String())

	put(t, name, withAccount("{per_second: 5}", "{classify: openai}"))
	reload(t, live)
	assert.Contains(t, live.Status().Problems, "accounts.main.limit: has changed,")
}

// A function may go and come back, as what it was.
func TestLiveFixedFunctions(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	put(t, name, withAccount())
	var records bytes.Buffer
	live, err := plan.Open(name, plan.Options{Logger: slog.New(slog.NewTextHandler(&records, nil))})
	require.NoError(t, err)
	live.Fix(func(*plan.Plan) []string { return []string{"Accounts[main].ClientID", "Functions[search].ID"} })

	put(t, name, withAccount("search:", "added:"))
	reload(t, live)
	assert.Empty(t, live.Status().Problems)
	for _, want := range []string{
		`function=search problem="no longer has it, so it has the default stack"`,
		`function=added problem="has it only now, and the client of accounts.main was made before: it takes a restart"`,
	} {
		assert.Contains(t, records.String(), want)
	}
	events := fmt.Sprint(live.Snapshot().Events)
	assert.Contains(t, events, "has it only now")
	assert.Contains(t, events, "no longer has it")

	records.Reset()
	put(t, name, withAccount("search:", "added:", "5s", "6s"))
	reload(t, live)
	assert.NotContains(t, records.String(), "function=", "it is told once")

	put(t, name, withAccount("function_1", "function_2"))
	reload(t, live)
	assert.Contains(t, live.Status().Problems, "functions.search.id: has changed")
	records.Reset()
	put(t, name, withAccount())
	reload(t, live)
	assert.Empty(t, live.Status().Problems)
	assert.NotContains(t, records.String(), "function=search", "its client is still the one that was made for it")
}

// asking is a log handler that looks at the plan, as one that adds something to all
// records may.
type asking struct {
	slog.Handler
	live **plan.Live
}

func (a asking) Handle(ctx context.Context, r slog.Record) error {
	if *a.live != nil {
		r.AddAttrs(slog.Any("applied", (*a.live).Snapshot().Config.AppliedAt))
	}
	return a.Handler.Handle(ctx, r)
}

// No lock is held while a logger is told.
func TestLiveLoggerMayAsk(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	put(t, name, withTotal("5s")+"  other: {}\n")
	var live *plan.Live
	var records bytes.Buffer
	live, err := plan.Open(name, plan.Options{Logger: slog.New(asking{slog.NewTextHandler(&records, nil), &live})})
	require.NoError(t, err)
	live.Layer("missing")
	put(t, name, withTotal("6s"))
	reload(t, live)
	put(t, name, "nothing")
	reload(t, live)
	assert.Equal(t, 4, strings.Count(records.String(), "applied="), records.String())
}

func TestLiveChanged(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	put(t, name, withTotal("5s"))
	live, err := plan.Open(name, plan.Options{})
	require.NoError(t, err)
	isClosed := func(changed <-chan struct{}) bool {
		select {
		case <-changed:
			return true
		default:
			return false
		}
	}
	first := live.Changed()
	put(t, name, "nothing")
	reload(t, live)
	assert.False(t, isClosed(first), "a file with problems changes nothing")
	put(t, name, withTotal("6s"))
	reload(t, live)
	assert.True(t, isClosed(first))
	assert.False(t, isClosed(live.Changed()))
}

// A function that goes keeps the model that it had last.
func TestLiveModel(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	put(t, name, withAccount())
	live, err := plan.Open(name, plan.Options{})
	require.NoError(t, err)
	for _, tt := range []struct{ to, model string }{{"id: function_1, model: m1", "m1"}, {"id: function_1, model: m2", "m2"}} {
		put(t, name, withAccount("id: function_1", tt.to))
		reload(t, live)
		model, ok := live.Model("search")
		assert.True(t, ok)
		assert.Equal(t, tt.model, model)
	}
	put(t, name, withAccount("search:", "added:"))
	reload(t, live)
	model, ok := live.Model("search")
	assert.True(t, ok)
	assert.Equal(t, "m2", model)
	_, ok = live.Model("nobody")
	assert.False(t, ok)
}

// The logger is that of all stacks, also of those that come later.
func TestLiveLogger(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	put(t, name, withTotal("5s"))
	var records bytes.Buffer
	live, err := plan.Open(name, plan.Options{Logger: slog.New(slog.NewTextHandler(&records, nil))})
	require.NoError(t, err)
	put(t, name, withTotal("6s")+"  added: {retry: {off: true}}\n")
	reload(t, live)
	base := transport.Func(transporttest.Reply(http.StatusUnauthorized, ""))
	for _, function := range []string{"search", "added"} {
		records.Reset()
		call(t, transport.Wrap(&http.Client{Transport: base}, live.Layer(function)))
		assert.Contains(t, records.String(), "function="+function)
	}
}

// Who is asked what to fix may ask the Live in turn. What is fixed is of the plan that
// is returned, be it not the first.
func TestLiveFixAsksAgain(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	put(t, name, withAccount())
	live, err := plan.Open(name, plan.Options{})
	require.NoError(t, err)
	var asked []*plan.Plan
	inForce := live.Fix(func(p *plan.Plan) []string {
		if asked = append(asked, p); len(asked) == 1 {
			put(t, name, withAccount("me", "you"))
			reload(t, live)
			require.Empty(t, live.Status().Problems)
		}
		return []string{"Accounts[main].ClientID"}
	})
	require.Len(t, asked, 2)
	assert.Same(t, inForce, asked[1])
	assert.Equal(t, "you", inForce.File().Accounts["main"].ClientID)

	put(t, name, withAccount())
	reload(t, live)
	assert.Contains(t, live.Status().Problems, "accounts.main.client_id: has changed")
}
