package plan_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/plan"
)

// wholePlan returns the plan of a file with everything, all of whose references are
// secrets but for one that nobody has set.
func wholePlan(t *testing.T) *plan.Plan {
	t.Helper()
	data, err := os.ReadFile("testdata/whole.yaml")
	require.NoError(t, err)
	p, err := plan.Parse("whole.yaml", data, func(name string) (string, bool, error) {
		return "canary-" + name, name != "NYCKEL_BASE_URL", nil
	})
	require.NoError(t, err)
	return p
}

func TestSettings(t *testing.T) {
	got := map[string]string{}
	for _, s := range wholePlan(t).Settings() {
		got[s.Owner+" "+s.Key] = fmt.Sprintf("%s, %s %d", s.Value, s.Origin, s.Line)
	}
	for setting, want := range map[string]string{
		"accounts.main client_id":                                      "${NYCKEL_CLIENT_ID}, file 6",
		"accounts.main client_secret":                                  "********, file 7",
		"accounts.main base_url":                                       "${NYCKEL_BASE_URL:-https://www.nyckel.com}, file 8",
		"accounts.main limit.per_second":                               "25, file 9",
		"endpoints.us header.Authorization":                            "********, file 12",
		"endpoints.us weight":                                          "3, file 12",
		"functions.ticket_routing id":                                  "function_0123456789abcdef, file 44",
		"functions.ticket_routing account":                             "main, built-in 0",
		"functions.ticket_routing total":                               "10s, defaults 16",
		"functions.ticket_routing hedge":                               "null, file 47",
		"functions.ticket_routing retry.attempts":                      "2, file 48",
		"functions.ticket_routing retry.backoff.base":                  "200ms, defaults 22",
		"functions.ticket_routing retry.backoff.factor":                "2, built-in 0",
		"functions.ticket_routing fallback.rules[0].label":             "billing, file 55",
		"functions.ticket_routing fallback.labels":                     "[billing, triage], file 50",
		"functions.ticket_routing retry.classes.rate_limited.attempts": "5, defaults 24",
		"functions.ticket_routing throttle":                            "null, built-in 0",
		"functions.chat classify":                                      "openai, file 59",
		"functions.chat retry.attempts":                                "4, defaults 21",
		"functions.chat failover.endpoints[0]":                         "us, file 64",
		"functions.chat failover.endpoints[2].header.Api-Key":          "********, file 66",
		"functions.chat failover.strategy":                             "round_robin, file 62",
		"functions.chat breaker.window":                                "1m, defaults 25",
		"queue workers":                                                "8, file 31",
		"functions.ticket_routing queue.max_attempts":                  "3, file 46",
		"functions.ticket_routing queue.backoff.max":                   "5m, defaults 40",
		"functions.chat queue.priority":                                "-1, defaults 38",
		"functions.chat limit.max_wait":                                "2s, built-in 0", // of the total
	} {
		assert.Equal(t, want, got[setting], setting)
	}
}

// No secret is among the settings, wherever it came from.
func TestSettingsSecrets(t *testing.T) {
	assert.NotContains(t, fmt.Sprint(wholePlan(t).Settings()), "canary")

	p, err := plan.Parse("literal.yaml", []byte(`
version: 1
accounts: {main: {client_id: me, client_secret: canary-1}}
endpoints:
  a: {url: "https://a.test/?key=canary-2", header: {X-Api-Key: canary-3}}
  c: {url: "https://${HOST:-c.test}/v1?key=canary-5&at=${AT:-1}"}
  d: {url: "${GIVEN:-https://ann:canary-6@d.test/v1}"}
functions:
  f: {failover: {endpoints: [a, {name: b, url: "https://b.test", header: {Authorization: canary-4}}]}}
`), func(name string) (string, bool, error) { return "https://d.test/v1", name == "GIVEN", nil })
	require.NoError(t, err)
	settings := fmt.Sprint(p.Settings())
	assert.NotContains(t, settings, "canary")
	assert.Equal(t, 6, strings.Count(settings, "********"), settings)
	assert.Contains(t, settings, "https://${HOST:-c.test}/v1?********")
}

// What a terminal would obey is quoted.
func TestSettingsStayOnOneLine(t *testing.T) {
	for _, region := range []string{"a\nb", "a\x1b[2Jb", "a\x7fb"} {
		p, err := plan.New(plan.File{Version: 1, Endpoints: map[string]policy.Endpoint{"a": {URL: "https://a.test", Region: region}}})
		require.NoError(t, err)
		assert.Contains(t, fmt.Sprint(p.Settings()), strconv.Quote(region))
	}
}

// A secret of four letters is hidden wherever it stands; a shorter one is in many words.
func TestSettingsHideShortSecrets(t *testing.T) {
	p, err := plan.Parse("short.yaml", []byte(`
version: 1
endpoints:
  a: {url: "https://a.test", region: four, header: {X-Api-Key: four}}
  b: {url: "https://a.test", region: one, header: {X-Api-Key: one}}
`), nil)
	require.NoError(t, err)
	settings := fmt.Sprint(p.Settings())
	assert.NotContains(t, settings, "four")
	assert.Contains(t, settings, "region one")

	_, err = plan.Parse("short.yaml", []byte(`
version: 1
endpoints:
  a: {url: "https://a.test", weight: -1, header: {X-Api-Key: four}}
functions: {four: {retry: {attempts: -1}}}
`), nil)
	require.ErrorContains(t, err, "functions.****.retry.attempts")
}

// What a reference stands for is not shown, be it in an item of a list: where it is from
// is, if that is said in one place.
func TestSettingsReferences(t *testing.T) {
	p, err := plan.Parse("references.yaml", []byte(`
version: 1
endpoints:
  a:
    url: https://a.test
    header: {X-Plain: [gold, silver], X-One: "${ONE}", X-First: ["${ONE}", silver], X-Last: [gold, "${ONE}"], X-Api-Key: ["${ONE}"]}
`), func(string) (string, bool, error) { return "canary-1", true, nil })
	require.NoError(t, err)
	got := map[string]string{}
	for _, s := range p.Settings() {
		got[s.Key] = s.Value
	}
	assert.Equal(t, map[string]string{
		"url": "https://a.test", "header.X-Plain": "[gold, silver]", "header.X-One": "${ONE}",
		"header.X-First": "********", "header.X-Last": "********", "header.X-Api-Key": "********",
	}, got)
}

// A document reads as in the file, and not at all if it has something from elsewhere.
func TestSettingsDocuments(t *testing.T) {
	p, err := plan.Parse("documents.yaml", []byte(`
version: 1
functions:
  a: {fallback: {static: {document: {labelName: other}}}}
  b: {fallback: {static: {document: {labelName: other, token: "${TOKEN}"}}}}
`), func(string) (string, bool, error) { return "canary-1", true, nil })
	require.NoError(t, err)
	got := map[string]string{}
	for _, s := range p.Settings() {
		got[s.Owner+" "+s.Key] = s.Value
	}
	assert.Equal(t, `{"labelName":"other"}`, got["functions.a fallback.static.document"])
	assert.Equal(t, "********", got["functions.b fallback.static.document"])
}

// Of a plan in Go it is known what was set, but not where.
func TestSettingsInGo(t *testing.T) {
	p, err := plan.New(plan.File{Version: 1, Functions: map[string]plan.Function{
		"f": {Stack: policy.Stack{Retry: policy.Retry{Attempts: 7}}},
	}})
	require.NoError(t, err)
	got := map[string]plan.Setting{}
	for _, s := range p.Settings() {
		got[s.Key] = s
	}
	assert.Equal(t, plan.Setting{Owner: "functions.f", Key: "retry.attempts", Value: "7", Origin: plan.FromOwner}, got["retry.attempts"])
	assert.Equal(t, plan.Setting{Owner: "functions.f", Key: "total", Value: "30s", Origin: plan.BuiltIn}, got["total"])
	assert.Equal(t, `""`, got["model"].Value, "nothing at all would not be seen")
}
