package plan_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/plan"
)

// environment knows what testdata/whole.yaml refers to.
func environment(reference string) (string, bool, error) {
	value, ok := map[string]string{
		"NYCKEL_CLIENT_ID": "me", "file:secret": "hunter2", "US_TOKEN": "us-token", "EU_KEY": "eu-key", "COUNT": "7",
	}[reference]
	return value, ok, nil
}

func parseWhole(t *testing.T) *plan.Plan {
	t.Helper()
	data, err := os.ReadFile("testdata/whole.yaml")
	require.NoError(t, err)
	p, err := plan.Parse("whole.yaml", data, environment)
	require.NoError(t, err)
	return p
}

func TestParse(t *testing.T) {
	p := parseWhole(t)
	assert.Equal(t, []string{"chat", "ticket_routing"}, p.Functions())
	account := p.File().Accounts["main"]
	assert.Equal(t, "me", account.ClientID)
	assert.Equal(t, "hunter2", account.ClientSecret.Reveal())
	assert.Equal(t, "https://www.nyckel.com", account.BaseURL)
	assert.Equal(t, &policy.Limit{PerSecond: 25, InFlight: 25}, account.Limit)
	assert.Equal(t, []string{"Bearer us-token"}, p.File().Endpoints["us"].Header["Authorization"])
	assert.Equal(t, "eu", p.File().Endpoints["eu"].Name)

	f, ok := p.Function("ticket_routing")
	require.True(t, ok)
	assert.Equal(t, "function_0123456789abcdef", f.ID)
	assert.Equal(t, "main", f.Account, "the only one")
	assert.Equal(t, "model_2", f.Model)
	assert.Equal(t, "ticket_routing", f.Function)
	assert.Equal(t, 10*time.Second, f.Total, "of the defaults")
	assert.Nil(t, f.Hedge, "taken away")
	assert.Equal(t, 2, f.Retry.Attempts, "its own")
	assert.Equal(t, policy.LinearBackoff, f.Retry.Backoff.Kind, "beside a key of its own")
	assert.Equal(t, policy.ClassRetry{Attempts: 5, Backoff: policy.Backoff{Base: time.Second, Max: time.Minute}}, f.Retry.Classes[policy.RateLimited])
	assert.Equal(t, 2500*time.Millisecond, f.Attempt.FirstByte)
	assert.Equal(t, 0.95, f.Cache.Similar.Target)
	assert.Equal(t, "refunds", f.Fallback.Rules[0].Name)
	assert.Equal(t, policy.Classification{}, f.Fallback.Codec)

	chat, ok := p.Function("chat")
	require.True(t, ok)
	assert.True(t, chat.Cache.Off)
	assert.Equal(t, time.Minute, chat.Cache.TTL)
	assert.False(t, p.File().Defaults.Cache.Off, "a function does not change what others have")
	require.Len(t, chat.Failover.Endpoints, 3)
	assert.Equal(t, policy.RoundRobin, chat.Failover.Strategy)
	assert.Equal(t, "https://eu.example.com/v1", chat.Failover.Endpoints[1].URL)
	assert.Equal(t, "own", chat.Failover.Endpoints[2].Name)
	verdict := chat.Classify(policy.Outcome{Status: 429, Body: []byte(`{"error":{"code":"insufficient_quota"}}`)})
	assert.Equal(t, policy.QuotaExceeded, verdict.Class)

	other, ok := p.Function("other")
	assert.False(t, ok)
	assert.Equal(t, 4, other.Retry.Attempts, "the defaults")
	assert.Equal(t, "other", other.Function)

	for _, name := range []string{"ticket_routing", "chat", "other"} {
		f, _ := p.Function(name)
		_, err := transport.Build(f.Stack)
		assert.NoError(t, err, name)
	}
}

func TestPlanShowsNoSecret(t *testing.T) {
	p := parseWhole(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(verb, p) + fmt.Sprintf(verb, p.File())
		for _, secret := range []string{"hunter2", "us-token", "eu-key"} {
			assert.False(t, strings.Contains(text, secret), "%s shows %s", verb, secret)
		}
	}
}

// A name may stand for something that never ends, or never begins. Nobody waits for
// it, be it the file, a secret, or what took the place of the file.
func TestLoadRegularFilesOnly(t *testing.T) {
	folder := t.TempDir()
	pipe, stdin := filepath.Join(folder, "pipe"), filepath.Join(folder, "stdin")
	if err := exec.CommandContext(t.Context(), "mkfifo", pipe).Run(); err != nil {
		t.Skip("no pipe can be made: ", err)
	}
	require.NoError(t, os.Symlink(pipe, stdin))
	for name, want := range map[string]string{"/dev/zero": "a device", folder: "a directory", pipe: "a pipe", stdin: "a pipe"} {
		_, err := plan.Load(name)
		require.EqualError(t, err, "plan: read "+name+": is "+want+", want a regular file")
		_, err = plan.Open(name, plan.Options{})
		require.EqualError(t, err, "plan: read "+name+": is "+want+", want a regular file")
		_, err = plan.Parse("f.yaml", []byte("version: 1\ndefaults: {total: '${file:"+name+"}'}\n"), plan.Environment(folder))
		require.EqualError(t, err, "f.yaml:2:19: defaults.total: has ${file:"+name+"}, which cannot be read: read "+name+": is "+want+", want a regular file")
	}

	name := filepath.Join(folder, "sparekey.yaml")
	put(t, filepath.Join(folder, "real.yaml"), withTotal("5s"))
	require.NoError(t, os.Symlink("real.yaml", name))
	live, err := plan.Open(name, plan.Options{})
	require.NoError(t, err, "a link to a file is one")
	require.NoError(t, os.Remove(name))
	require.NoError(t, os.Symlink("pipe", name))
	live.Poll(t.Context())
	live.Poll(t.Context())
	assert.Contains(t, live.Status().Problems, "is a pipe, want a regular file")
	assert.Equal(t, 5*time.Second, total(live))
}

func TestLoadIsBounded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large")
	require.NoError(t, os.WriteFile(name, nil, 0o600))
	require.NoError(t, os.Truncate(name, 1<<40)) // it takes no room
	_, err := plan.Load(name)
	assert.EqualError(t, err, name+": has more than 1048576 bytes")
	_, err = plan.Open(name, plan.Options{})
	assert.EqualError(t, err, name+": has more than 1048576 bytes")
	_, _, err = plan.Environment("")("file:" + name)
	assert.EqualError(t, err, "has more than 65536 bytes")
}

// One secret may be a part of another.
func TestSecretsWithinSecrets(t *testing.T) {
	for range 20 { // maps have no order
		_, err := plan.Parse("f.yaml", []byte("version: 1\naccounts:\n  a: {client_id: me, client_secret: hunter}\n"+
			"  b: {client_id: me, client_secret: hunter-and-gatherer}\ndefaults: {hunter-and-gatherer: 1}\n"), nil)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "gatherer")
	}
}

// What a reference stands for may be a secret that got to the wrong place.
func TestProblemsShowNothingPutIn(t *testing.T) {
	const text = "version: 1\naccounts: {a: {client_id: me, client_secret: x}}\nfunctions:\n  f:\n    id: f\n    account: ${S}\n" +
		"    fallback: {rules: [{name: '${S}', any: [{words: ['']}], label: x}]}\n"
	_, err := plan.Parse("f.yaml", []byte(text), func(string) (string, bool, error) { return "hunter2", true, nil })
	require.ErrorContains(t, err, "f.yaml:6:14: functions.f.account: is *********, which is not known; known are a")
	require.ErrorContains(t, err, "rules[0] *********: ")
	assert.NotContains(t, err.Error()+excerpts(err), "hunter2")

	const parts = "version: 1\ndefaults:\n  fallback: {rules: [{name: a, any: [{regex: '(${S}'}, {regex: '(hunter3'}], label: x}]}\n" +
		"functions: {f: {failover: {endpoints: [{name: '${S}'}, {name: '${S}'}]}}}\n"
	_, err = plan.Parse("f.yaml", []byte(parts), func(string) (string, bool, error) { return "hunter2", true, nil })
	require.ErrorContains(t, err, "any[0].regex: error parsing regexp: missing closing ): **********; its syntax")
	require.ErrorContains(t, err, "any[1].regex: error parsing regexp: missing closing ): `(hunter3`; its syntax")
	require.ErrorContains(t, err, "endpoints[1].name: is *********, want one that no other has")
	assert.NotContains(t, err.Error()+excerpts(err), "hunter2")
}

// Who has no lookup has no references that stand for something.
func TestParseNoLookup(t *testing.T) {
	_, err := plan.Parse("f.yaml", []byte("version: 1\ndefaults: {classify: '${C}'}\n"), nil)
	assert.ErrorContains(t, err, "f.yaml:2:22: defaults.classify: has ${C}, which is not set")
}

// Of a file that is referred to, all counts but one line break at its end.
func TestEnvironmentFiles(t *testing.T) {
	folder := t.TempDir()
	lookup := plan.Environment(folder)
	for content, want := range map[string]string{
		"secret": "secret", "secret\n": "secret", "secret\r\n": "secret", "secret\n\n": "secret\n", " secret ": " secret ", "\n": "", "": "",
	} {
		put(t, filepath.Join(folder, "name"), content)
		value, ok, err := lookup("file:name")
		require.NoError(t, err)
		assert.True(t, ok)
		assert.Equal(t, want, value)
	}
	_, ok, err := lookup("file:missing")
	require.NoError(t, err)
	assert.False(t, ok)
	put(t, filepath.Join(folder, "name"), "again")
	value, ok, err := plan.Environment("elsewhere")("file:" + filepath.Join(folder, "name"))
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, "again", value)
	t.Setenv("SPAREKEY_TEST", "${SPAREKEY_TEST}")
	value, ok, err = lookup("SPAREKEY_TEST")
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Equal(t, "${SPAREKEY_TEST}", value, "it is not looked at again")
}

// New changes nothing in the maps that it is given.
func TestNewLeavesMaps(t *testing.T) {
	f := plan.File{
		Version:   1,
		Accounts:  map[string]plan.Account{"main": {ClientID: "me", ClientSecret: policy.NewSecret("hunter2")}},
		Endpoints: map[string]policy.Endpoint{"eu": {URL: "http://eu.test"}},
		Functions: map[string]plan.Function{"search": {ID: "function_1"}},
	}
	p, err := plan.New(f)
	require.NoError(t, err)
	assert.Equal(t, "eu", p.File().Endpoints["eu"].Name)
	assert.Equal(t, "main", p.File().Functions["search"].Account)
	assert.Empty(t, f.Endpoints["eu"].Name)
	assert.Empty(t, f.Functions["search"].Account)
}
