package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const dashboards = "../../telemetry/dashboard/"

// start returns the service on loopback and what it observes.
func start(t *testing.T, spans io.Writer) (*service, *httptest.Server, *observed) {
	t.Helper()
	o, err := startTelemetry(spans)
	require.NoError(t, err)
	s, err := newService("", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	server := httptest.NewServer(s.handler(o.metrics))
	t.Cleanup(func() {
		server.Close()
		s.close()
		o.stop()
	})
	return s, server, o
}

// ask sends a ticket and returns its route.
func ask(t *testing.T, server *httptest.Server, text string) (int, route) {
	t.Helper()
	resp, err := http.Post(server.URL+"/tickets", "application/json", strings.NewReader(`{"text":"`+text+`"}`))
	if !assert.NoError(t, err) {
		return 0, route{}
	}
	defer resp.Body.Close()
	var answer route
	if resp.StatusCode == http.StatusOK {
		assert.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	}
	return resp.StatusCode, answer
}

// reload changes the configuration.
func reload(t *testing.T, s *service) {
	t.Helper()
	require.NoError(t, os.WriteFile(s.file, append(builtIn, "# changed\n"...), 0o600))
	s.plan.Poll(t.Context())
	s.plan.Poll(t.Context()) // it is believed when it stays as it is
}

func TestConsole(t *testing.T) {
	s, server, _ := start(t, io.Discard)
	ask(t, server, "refund, please")
	reload(t, s)
	resp, err := http.Get(server.URL + "/console/snapshot.json")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	page, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Contains(t, string(page), function)
	assert.Contains(t, string(page), "sparekey.yaml is in force")
}

// TestScrapeHasEveryMetric takes the service through a good and a bad time, and
// looks for each metric of the dashboard and the rules in what Prometheus would read.
func TestScrapeHasEveryMetric(t *testing.T) {
	s, server, _ := start(t, io.Discard)
	for i := range 40 {
		status, answer := ask(t, server, fmt.Sprint("refund, please ", i))
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "billing", answer.Label)
	}
	_, answer := ask(t, server, "refund, please 0")
	assert.EqualValues(t, "cache", answer.Source)

	reload(t, s)
	s.regions.us.slow.Store(int64(600 * time.Millisecond))
	s.regions.eu.slow.Store(int64(600 * time.Millisecond))
	var group sync.WaitGroup
	for i := range 12 { // more than the limit lets through, and hedged
		group.Go(func() {
			_, answer := ask(t, server, fmt.Sprint("a slow parcel ", i))
			assert.Equal(t, "delivery", answer.Label)
		})
	}
	group.Wait()
	s.regions.us.slow.Store(0)
	s.regions.eu.slow.Store(0)

	s.regions.us.down.Store(true)
	_, answer = ask(t, server, "another parcel")
	assert.EqualValues(t, "eu", answer.Source)
	s.regions.eu.down.Store(true)
	failed := 0
	for i := range 60 {
		if status, _ := ask(t, server, fmt.Sprint("hello ", i)); status != http.StatusOK { // no rule for it
			failed++
		}
	}
	assert.Positive(t, failed)
	_, answer = ask(t, server, "a lost parcel")
	assert.EqualValues(t, "rule", answer.Source)

	doJobs(t)
	var missing []string
	assert.Eventually(t, func() bool {
		missing = missingIn(scrape(t, server), wanted(t))
		return len(missing) == 0
	}, 5*time.Second, 50*time.Millisecond)
	assert.Empty(t, missing)
}

// wanted returns the metrics that the dashboard and the rules name.
func wanted(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, file := range []string{"dashboard.json", "rules.yml"} {
		text, err := os.ReadFile(dashboards + file)
		require.NoError(t, err)
		names = append(names, regexp.MustCompile(`sparekey_(client|jobs)_[a-z_]+`).FindAllString(string(text), -1)...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	require.Greater(t, len(names), 35)
	return names
}

func missingIn(scraped string, names []string) (missing []string) {
	for _, name := range names {
		if !strings.Contains(scraped, "\n"+name+"{") {
			missing = append(missing, name)
		}
	}
	return missing
}

func scrape(t *testing.T, server *httptest.Server) string {
	t.Helper()
	resp, err := http.Get(server.URL + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}

// TestDashboard: it is JSON, its panels have a place of their own, what they ask
// Prometheus for can be read, and every variable in that is one of the dashboard's.
func TestDashboard(t *testing.T) {
	dashboard, text := readDashboard(t)
	places, ids := map[[2]int]bool{}, map[int]bool{}
	variables := map[string]bool{"__rate_interval": true, "__rate_interval_ms": true}
	for _, v := range dashboard.Templating.List {
		variables[v.Name] = true
	}
	for _, used := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(text, -1) {
		assert.True(t, variables[used[1]] || used[1] == "__all", "variable %s", used[1])
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for _, p := range dashboard.Panels {
		assert.False(t, ids[p.ID], p.Title)
		ids[p.ID] = true
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				place := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				assert.False(t, places[place], "%s lies on another panel", p.Title)
				places[place] = true
			}
		}
		assert.True(t, p.Type == "row" || len(p.Targets) > 0 && p.Datasource.UID == "${datasource}", p.Title)
		for _, target := range p.Targets {
			quoted, err := json.Marshal(overFiveMinutes(target.Expr))
			require.NoError(t, err)
			fmt.Fprintf(&rules, "  - {record: 'dashboard:p%d:%d', expr: %s}\n", p.ID, rules.Len(), quoted)
		}
	}
	name := filepath.Join(t.TempDir(), "rules.yml")
	require.NoError(t, os.WriteFile(name, []byte(rules.String()), 0o600))
	promtool(t, "check", "rules", name)
}

// The tests below have promtool evaluate what panels ask for.
type (
	series struct {
		Series string `json:"series"`
		Values string `json:"values"`
	}
	sample struct {
		Labels string  `json:"labels"`
		Value  float64 `json:"value"`
	}
	expectation struct {
		Expr     string   `json:"expr"`
		EvalTime string   `json:"eval_time"`
		Samples  []sample `json:"exp_samples"`
	}
	promTest struct {
		Interval string        `json:"interval"`
		Series   []series      `json:"input_series"`
		Expect   []expectation `json:"promql_expr_test"`
	}
)

func evaluate(t *testing.T, tests ...promTest) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"tests": tests})
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "test.yml")
	require.NoError(t, os.WriteFile(name, text, 0o600))
	promtool(t, "test", "rules", name)
}

// A rung that never agrees is shown as that, and one that was not compared is not.
func TestDashboardShowsNoAgreement(t *testing.T) {
	const compared = `sparekey_client_fidelity_comparisons_total{sparekey_function_name="f",`
	evaluate(t, promTest{
		"1m",
		[]series{
			{compared + `sparekey_rung_name="static",sparekey_fidelity_result="differed"}`, "0+9x60"},
			{compared + `sparekey_rung_name="stale",sparekey_fidelity_result="differed"}`, "0+1x60"},
			{compared + `sparekey_rung_name="stale",sparekey_fidelity_result="agreed"}`, "0+3x60"},
			{compared + `sparekey_rung_name="idle",sparekey_fidelity_result="agreed"}`, "5x60"},
		},
		[]expectation{{firstExpr(t, "Share of a rung's answers that agreed with live ones"), "30m", []sample{
			{`{sparekey_function_name="f",sparekey_rung_name="stale"}`, 0.75},
			{`{sparekey_function_name="f",sparekey_rung_name="static"}`, 0},
		}}},
	})
}

// Who left without an answer is not among the answers.
func TestDashboardAnswers(t *testing.T) {
	const answered = `sparekey_client_prediction_duration_seconds_count{sparekey_function_name="f"`
	evaluate(t, promTest{
		"1m",
		[]series{{answered + `,sparekey_answer_source="live"}`, "0+60x20"}, {answered + `}`, "0+6x20"}},
		[]expectation{{firstExpr(t, "Answers by source"), "10m", []sample{{`{sparekey_answer_source="live"}`, 1}}}},
	})
}

// A limiter that functions share, as that of an account is, counts once.
func TestDashboardSharedLimiter(t *testing.T) {
	for panel, metric := range map[string]string{
		"In flight, and how many may be": "sparekey_client_limiter_usage", "Requests that wait": "sparekey_client_queue_usage",
	} {
		const f, g = `{sparekey_function_name="f",sparekey_limiter_name="account"}`, `{sparekey_function_name="g",sparekey_limiter_name="account"}`
		evaluate(t, promTest{"1m", []series{{metric + f, "25x5"}, {metric + g, "25x5"}}, []expectation{
			{firstExpr(t, panel), "5m", []sample{{f, 25}, {g, 25}}},
		}})
	}
}

// Where several processes take jobs of a queue, the share of the time for which it was
// closed is that of the one whose gate was closed for longest, and never above 1.
func TestDashboardClosedGates(t *testing.T) {
	dashboard, _ := readDashboard(t)
	i := slices.IndexFunc(dashboard.Panels, func(p panel) bool { return strings.Contains(p.Title, "closed gate") })
	require.GreaterOrEqual(t, i, 0)
	const closed = `sparekey_jobs_gate_closed_seconds_total{sparekey_queue_name="q",instance=`
	evaluate(t, promTest{
		"1m",
		[]series{{closed + `"i"}`, "0+60x20"}, {closed + `"j"}`, "0+30x20"}},
		[]expectation{{overFiveMinutes(dashboard.Panels[i].Targets[1].Expr), "10m", []sample{{`{sparekey_queue_name="q"}`, 1}}}},
	})
}

// A counter is not there until it counts. What begins with 3 is shown as 3, once, and
// not what was there all the time and comes back after Prometheus was away.
func TestDashboardShowsFirstEvents(t *testing.T) {
	var tests []promTest
	dashboard, _ := readDashboard(t)
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, " unless ") { // it is about what goes on all the time
				continue
			}
			name := regexp.MustCompile(`sparekey_\w+_(count|total)`).FindString(target.Expr)
			seen := 3.0
			if strings.Contains(target.Expr, "rate(") {
				seen /= 300
			}
			expr := "sum(" + overFiveMinutes(target.Expr) + ") > 0"
			labels := `{sparekey_function_name="f",sparekey_queue_name="q",error_type="e"}`
			tests = append(tests,
				promTest{"1m", []series{{name + labels, "_x30 3x90"}}, []expectation{
					{expr, "29m", nil}, {expr, "32m", []sample{{"{}", seen}}}, {expr, "40m", nil},
				}},
				promTest{"1m", []series{{name + labels, "3x30 _x30 3x60"}}, []expectation{{expr, "10m", nil}, {expr, "62m", nil}, {expr, "66m", nil}}})
		}
	}
	assert.Len(t, tests, 2*10)
	evaluate(t, tests...)
}

// firstExpr returns what a panel asks for first.
func firstExpr(t *testing.T, title string) string {
	t.Helper()
	dashboard, _ := readDashboard(t)
	i := slices.IndexFunc(dashboard.Panels, func(p panel) bool { return p.Title == title })
	require.GreaterOrEqual(t, i, 0, title)
	return overFiveMinutes(dashboard.Panels[i].Targets[0].Expr)
}

func readDashboard(t *testing.T) (d dashboard, text string) {
	t.Helper()
	content, err := os.ReadFile(dashboards + "dashboard.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &d))
	return d, string(content)
}

// What is looked at of a dashboard.
type (
	dashboard struct {
		Templating struct{ List []struct{ Name string } }
		Panels     []panel
	}
	panel struct {
		ID         int
		Type       string
		Title      string
		GridPos    struct{ X, Y, W, H int }
		Datasource struct{ UID string }
		Targets    []struct{ Expr string }
	}
)

// overFiveMinutes returns an expression as Grafana would have it.
func overFiveMinutes(expr string) string {
	return strings.NewReplacer("$__rate_interval_ms", "300000", "$__rate_interval", "5m", "$function", ".*", "$queue", ".*").Replace(expr)
}

func TestRules(t *testing.T) {
	promtool(t, "check", "rules", dashboards+"rules.yml")
	promtool(t, "test", "rules", dashboards+"rules_test.yml")
}

// promtool runs the program of that name, which must succeed. Where there is none the
// test is skipped, unless SPAREKEY_REQUIRE_PROMTOOL is set.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil && os.Getenv("SPAREKEY_REQUIRE_PROMTOOL") == "" {
		t.Skip("there is no promtool")
	}
	require.NoError(t, err)
	output, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	assert.NoError(t, err, "%s", output)
}

// TestTraces: what comes in, the call and its attempt are one trace, which goes on
// from the caller's.
func TestTraces(t *testing.T) {
	var spans bytes.Buffer
	_, server, o := start(t, &spans)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/tickets", strings.NewReader(`{"text":"refund"}`))
	require.NoError(t, err)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	req.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	server.Close() // waits for the handler, which ends its span
	o.stop()
	type span struct {
		Name        string
		SpanContext struct{ TraceID, SpanID string }
		Parent      struct{ SpanID string }
	}
	byName := map[string]span{}
	for decoder := json.NewDecoder(&spans); decoder.More(); {
		var s span
		require.NoError(t, decoder.Decode(&s))
		assert.Equal(t, trace, s.SpanContext.TraceID)
		byName[s.Name] = s
	}
	require.Len(t, byName, 3)
	incoming, call, attempt := byName["POST /tickets"], byName["predict ticket_routing"], byName["POST"]
	assert.Equal(t, "b7ad6b7169203331", incoming.Parent.SpanID)
	assert.Equal(t, incoming.SpanContext.SpanID, call.Parent.SpanID)
	assert.Equal(t, call.SpanContext.SpanID, attempt.Parent.SpanID)
}

// TestNoAnswerIsLogged: the log says what went wrong, and nothing of what was asked.
func TestNoAnswerIsLogged(t *testing.T) {
	var log bytes.Buffer
	s, err := newService("", slog.New(slog.NewTextHandler(&log, nil)))
	defer s.close()
	require.NoError(t, err)
	s.regions.us.down.Store(true)
	s.regions.eu.down.Store(true)
	asked := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/tickets", strings.NewReader(`{"text":"hello, it is Jane"}`))
	said := httptest.NewRecorder()
	s.route(said, asked)
	assert.Equal(t, http.StatusBadGateway, said.Code)
	assert.Contains(t, log.String(), `level=WARN msg="no answer" error="the API says 500 Internal Server Error"`)
	assert.NotContains(t, log.String(), "Jane")
}

// TestBadTicket: what is no ticket is the caller's mistake.
func TestBadTicket(t *testing.T) {
	_, server, _ := start(t, io.Discard)
	status, _ := ask(t, server, "")
	assert.Equal(t, http.StatusBadRequest, status)
}

// TestRun: the program answers until it is told to end, and then ends well.
func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out := make(lines, 8)
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"-addr", "127.0.0.1:0"}, out, io.Discard) }()
	url := strings.TrimSpace(strings.TrimPrefix(<-out, "listening on "))
	resp, err := http.Get(url + "/healthz")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusNoContent, resp.StatusCode)
	stop()
	require.NoError(t, <-ended)
}

// TestRunLeavesNothing: whatever ends the program, nobody reads its file behind it.
func TestRunLeavesNothing(t *testing.T) {
	t.Setenv("US_URL", "http://us.test")
	t.Setenv("EU_URL", "http://eu.test")
	synctest.Test(t, func(t *testing.T) {
		ctx := context.WithoutCancel(t.Context())
		assert.ErrorContains(t, run(ctx, []string{"-addr", "127.0.0.1:none"}, io.Discard, io.Discard), "unknown port")
	})
}

// TestRunRefuses: a file that cannot be, and an argument that is none.
func TestRunRefuses(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparekey.yaml")
	require.NoError(t, os.WriteFile(name, []byte("version: 1\nfunctions: {ticket_routing: {retry: {atempts: 2}}}\n"), 0o600))
	err := run(t.Context(), []string{"-config", name}, io.Discard, io.Discard)
	assert.ErrorContains(t, err, `:2:38: functions.ticket_routing.retry: has the unknown key "atempts"; did you mean attempts?`)
	require.NoError(t, os.WriteFile(name, []byte("version: 1\n"), 0o600))
	assert.ErrorContains(t, run(t.Context(), []string{"-config", name}, io.Discard, io.Discard), "has no function ticket_routing")
	assert.Error(t, run(t.Context(), []string{"-nonsense"}, io.Discard, io.Discard))
	assert.ErrorContains(t, run(t.Context(), []string{"serve", "-addr", "127.0.0.1:0"}, io.Discard, io.Discard), `unexpected argument "serve"`)
	assert.NoError(t, run(t.Context(), []string{"-h"}, io.Discard, io.Discard), "to be told the flags is no error")
}

// lines passes on what is written.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}
