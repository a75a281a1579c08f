package console_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/telemetry/console"
)

func source() telemetry.Snapshot {
	return telemetry.Snapshot{At: time.Unix(1_800_000_000, 0), Functions: []telemetry.FunctionSnapshot{{
		Name:     "search",
		P95:      250 * time.Millisecond,
		Breakers: []policy.BreakerSnapshot{{Name: "one.test:443", State: policy.HalfOpen}},
		Limiters: []telemetry.LimiterSnapshot{{Name: "one.test:443", PerSecond: math.Inf(1)}},
	}}}
}

// hand does what operators ask for, and remembers it. It knows one breaker.
type hand struct {
	asked []string
	until time.Time
}

func (h *hand) Isolate(function, breaker, reason string, until time.Time) bool {
	h.asked, h.until = append(h.asked, "isolate "+function+" "+breaker+" "+reason), until
	return function == "search" && breaker == "one.test:443"
}

func (h *hand) Release(function, breaker string) bool {
	h.asked = append(h.asked, "release "+function+" "+breaker)
	return function == "search" && breaker == "one.test:443"
}

func (h *hand) Purge(function string) bool {
	h.asked = append(h.asked, "purge "+function)
	return function == "search"
}

// request is one from a browser on the same machine.
func request(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host, r.RemoteAddr = "localhost:8080", "127.0.0.1:5000"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return r
}

func answer(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestLocal(t *testing.T) {
	tests := []struct {
		name       string
		peer, host string
		header     string
		want       bool
	}{
		{"same machine", "127.0.0.1:5000", "localhost:8080", "", true},
		{"IPv6", "[::1]:5000", "[::1]:8080", "", true},
		{"IPv6 without a port", "[::1]:5000", "[::1]", "", true},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:5000", "127.0.0.1", "", true},
		{"a name below localhost", "127.0.0.1:5000", "App.Localhost:8080", "", true},
		{"foreign peer", "192.0.2.7:5000", "localhost:8080", "", false},
		{"no peer", "@", "localhost", "", false},
		{"name that was rebound", "127.0.0.1:5000", "evil.test:8080", "", false},
		{"name that only begins well", "127.0.0.1:5000", "localhost.evil.test", "", false},
		{"name that only ends well", "127.0.0.1:5000", "evil-localhost:8080", "", false},
		{"foreign address as the host", "127.0.0.1:5000", "192.0.2.7:8080", "", false},
		{"no host", "127.0.0.1:5000", "", "", false},
		{"Forwarded", "127.0.0.1:5000", "localhost", "Forwarded", false},
		{"X-Forwarded-For", "127.0.0.1:5000", "localhost", "X-Forwarded-For", false},
		{"X-Forwarded-Host", "127.0.0.1:5000", "localhost", "X-Forwarded-Host", false},
		{"Via", "127.0.0.1:5000", "localhost", "Via", false},
		{"X-Real-IP", "127.0.0.1:5000", "localhost", "X-Real-IP", false},
	}
	watch := console.New(source, console.Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range []string{"", "snapshot.json", "app.js"} {
				r := request(http.MethodGet, "/debug/"+name, "")
				r.Host, r.RemoteAddr = tt.host, tt.peer
				if tt.header != "" {
					r.Header.Set(tt.header, "")
				}
				resp := answer(watch, r)
				want := http.StatusForbidden
				if tt.want {
					want = http.StatusOK
				}
				assert.Equal(t, want, resp.StatusCode, name)
			}
		})
	}
}

func TestAuthorizeDecidesAlone(t *testing.T) {
	watch := console.New(source, console.Options{Authorize: func(r *http.Request) (string, bool) {
		return "ann", r.Header.Get("X-User") == "ann"
	}})
	r := request(http.MethodGet, "/", "")
	assert.Equal(t, http.StatusForbidden, answer(watch, r).StatusCode, "even on the same machine")
	r.RemoteAddr, r.Host = "192.0.2.7:5000", "ops.test"
	r.Header.Set("X-User", "ann")
	assert.Equal(t, http.StatusOK, answer(watch, r).StatusCode)
}

func TestNewWantsAuthorizeForActions(t *testing.T) {
	assert.Panics(t, func() { console.New(source, console.Options{Actions: &hand{}}) })
	assert.Panics(t, func() { console.New(source, console.Options{Reload: func(context.Context) error { return nil }}) })
}

const isolation = `{"function": "search", "breaker": "one.test:443", "reason": "moving house"}`

func TestActionsGuards(t *testing.T) {
	tests := []struct {
		name   string
		method string
		path   string
		body   string
		change func(*http.Request)
		want   int
	}{
		{"foreign peer", "POST", "/isolate", isolation, func(r *http.Request) { r.RemoteAddr = "192.0.2.7:1" }, 403},
		{"rebound name", "POST", "/isolate", isolation, func(r *http.Request) { r.Host = "evil.test" }, 403},
		{"through a proxy", "POST", "/isolate", isolation, func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.0.0.1") }, 403},
		{"cross-site", "POST", "/isolate", isolation, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"same-site", "POST", "/isolate", isolation, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, 403},
		{"an old browser's origin", "POST", "/isolate", isolation, func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "http://evil.test")
		}, 403},
		{"what a form sends", "POST", "/isolate", isolation, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415},
		{"no type", "POST", "/isolate", isolation, func(r *http.Request) { r.Header.Del("Content-Type") }, 415},
		{"GET that acts", "GET", "/isolate?function=search&breaker=one.test:443&reason=x", "", nil, 405},
		{"HEAD that acts", "HEAD", "/purge", "", nil, 405},
		{"PUT", "PUT", "/isolate", isolation, nil, 405},
		{"POST to the page", "POST", "/", isolation, nil, 405},
		{"too large", "POST", "/isolate", `{"reason": "` + strings.Repeat("x", 1024) + `"}`, nil, 413},
		{"long reason", "POST", "/isolate", `{"reason": "` + strings.Repeat("x", 201) + `"}`, nil, 400},
		{"reason of two lines", "POST", "/isolate", `{"function": "search", "breaker": "one.test:443", "reason": "a\nb"}`, nil, 400},
		{"no reason", "POST", "/isolate", `{"function": "search", "breaker": "one.test:443", "reason": " "}`, nil, 400},
		{"too long", "POST", "/isolate", `{"function": "search", "breaker": "one.test:443", "reason": "x", "for": "24h0m1s"}`, nil, 400},
		{"for no time", "POST", "/isolate", `{"function": "search", "breaker": "one.test:443", "reason": "x", "for": "0s"}`, nil, 400},
		{"unknown key", "POST", "/purge", `{"functions": "search"}`, nil, 400},
		{"no JSON", "POST", "/purge", `function=search`, nil, 400},
		{"two objects", "POST", "/purge", `{"function": "search"} {}`, nil, 400},
		{"no file to reload", "POST", "/reload", `{}`, nil, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			h := &hand{}
			watch := console.New(source, console.Options{Authorize: console.Local, Actions: h, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			r := request(tt.method, tt.path, tt.body)
			if tt.change != nil {
				tt.change(r)
			}
			resp := answer(watch, r)
			assert.Equal(t, tt.want, resp.StatusCode)
			assert.Equal(t, tt.want == http.StatusMethodNotAllowed, resp.Header.Get("Allow") != "", "RFC 9110 section 15.5.6")
			assert.Empty(t, h.asked, "nothing was done")
			assert.Empty(t, log.String())
		})
	}
}

func TestUnknownChangesNothing(t *testing.T) {
	var log bytes.Buffer
	watch := console.New(source, console.Options{Authorize: console.Local, Actions: &hand{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for path, body := range map[string]string{
		"/isolate": `{"function": "nothing", "breaker": "one.test:443", "reason": "x"}`,
		"/release": `{"function": "search", "breaker": "nobody.test:443"}`,
		"/purge":   `{"function": "nothing"}`,
	} {
		assert.Equal(t, http.StatusNotFound, answer(watch, request(http.MethodPost, path, body)).StatusCode, path)
	}
	assert.Empty(t, log.String())
	assert.Empty(t, snapshotOf(t, watch).Events)
}

func TestReadOnly(t *testing.T) {
	watch := console.New(source, console.Options{})
	for _, path := range []string{"/isolate", "/release", "/purge", "/reload"} {
		assert.Equal(t, http.StatusForbidden, answer(watch, request(http.MethodPost, path, isolation)).StatusCode)
	}
	assert.Empty(t, snapshotOf(t, watch).Actions)
}

// A console that can do nothing but reload does that.
func TestReloadAlone(t *testing.T) {
	reloads := 0
	watch := console.New(source, console.Options{Authorize: console.Local, Reload: func(context.Context) error {
		reloads++
		return nil
	}})
	assert.Equal(t, []string{"reload"}, snapshotOf(t, watch).Actions)
	assert.Equal(t, http.StatusNoContent, answer(watch, request(http.MethodPost, "/reload", "{}")).StatusCode)
	assert.Equal(t, http.StatusForbidden, answer(watch, request(http.MethodPost, "/purge", `{"function": "search"}`)).StatusCode)
	assert.Equal(t, 1, reloads)
}

// shown is what scripts read.
type shown struct {
	At        time.Time
	Actions   []string
	Functions []struct {
		Name     string
		P95      float64
		Breakers []struct{ Name, State string }
		Limiters []struct{ PerSecond float64 }
		Budget   struct {
			Tokens int
			Burst  float64
		}
	}
	Events []struct{ Function, Kind, Text string }
}

func snapshotOf(t *testing.T, h http.Handler) (s shown) {
	t.Helper()
	resp := answer(h, request(http.MethodGet, "/snapshot.json", ""))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&s))
	return s
}

func TestSnapshotForScripts(t *testing.T) {
	s := snapshotOf(t, console.New(source, console.Options{}))
	require.Len(t, s.Functions, 1)
	f := s.Functions[0]
	assert.Equal(t, int64(1_800_000_000), s.At.Unix())
	assert.Equal(t, "search", f.Name)
	assert.Equal(t, 0.25, f.P95, "in seconds")
	assert.Equal(t, "half_open", f.Breakers[0].State)
	assert.Zero(t, f.Limiters[0].PerSecond, "JSON has no infinity")
}

// A source need not say when, and what it says need be no number that JSON has.
func TestSnapshotOfAnOddSource(t *testing.T) {
	before := time.Now()
	s := snapshotOf(t, console.New(func() telemetry.Snapshot {
		return telemetry.Snapshot{Functions: []telemetry.FunctionSnapshot{{
			Throttles: []telemetry.ThrottleSnapshot{{Refused: math.NaN()}}, Budget: &telemetry.BudgetSnapshot{Tokens: 7, Burst: math.Inf(1)},
		}}}
	}, console.Options{}))
	require.Len(t, s.Functions, 1)
	assert.Equal(t, 7, s.Functions[0].Budget.Tokens)
	assert.Zero(t, s.Functions[0].Budget.Burst)
	assert.False(t, s.At.Before(before.Truncate(time.Second)))
}

func TestAudit(t *testing.T) {
	var log bytes.Buffer
	h, broken := &hand{}, errors.New("sparekey.yaml:3:1: no such key")
	reloads := 0
	watch := console.New(source, console.Options{
		Authorize: func(*http.Request) (string, bool) { return "ann", true },
		Actions:   h,
		Reload: func(context.Context) error {
			if reloads++; reloads == 1 {
				return broken
			}
			return nil
		},
		Logger: slog.New(slog.NewJSONHandler(&log, nil)),
	})
	act := func(path, body string, want int) {
		t.Helper()
		resp := answer(watch, request(http.MethodPost, "/debug"+path, body))
		text, _ := io.ReadAll(resp.Body)
		require.Equal(t, want, resp.StatusCode, string(text))
		if want == http.StatusUnprocessableEntity {
			assert.Contains(t, string(text), broken.Error())
		}
	}
	before := time.Now()
	act("/isolate", isolation, http.StatusNoContent)
	assert.WithinRange(t, h.until, before.Add(15*time.Minute), time.Now().Add(15*time.Minute))
	act("/isolate", strings.Replace(isolation, "}", `, "for": "2h"}`, 1), http.StatusNoContent)
	assert.WithinRange(t, h.until, before.Add(2*time.Hour), time.Now().Add(2*time.Hour))
	until := h.until
	act("/release", `{"function": "search", "breaker": "one.test:443"}`, http.StatusNoContent)
	act("/purge", `{"function": "search", "reason": "labels changed"}`, http.StatusNoContent)
	act("/reload", `{}`, http.StatusUnprocessableEntity)
	act("/reload", `{"function": "search"}`, http.StatusNoContent)
	assert.Equal(t, []string{
		"isolate search one.test:443 moving house", "isolate search one.test:443 moving house",
		"release search one.test:443", "purge search",
	}, h.asked)

	s := snapshotOf(t, watch)
	assert.Equal(t, []string{"isolate", "release", "purge", "reload"}, s.Actions)
	texts := make([]string, len(s.Events))
	for i, e := range s.Events {
		assert.Equal(t, "action", e.Kind)
		texts[i] = e.Text
	}
	assert.Empty(t, s.Events[0].Function, "a file is that of all functions")
	assert.Equal(t, "search", s.Events[2].Function)
	assert.Equal(t, []string{
		"ann: reload",
		"ann: reload, which failed",
		"ann: purge (labels changed)",
		"ann: release one.test:443",
		"ann: isolate one.test:443 until " + until.UTC().Format("15:04:05Z") + " (moving house)",
	}, texts[:5])

	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 6)
	var record struct {
		Level, Actor, Action, Function, Breaker, Reason string
		Event                                           string `json:"event.name"`
		Until                                           time.Time
	}
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &record))
	assert.Equal(t, "WARN sparekey.action ann isolate search one.test:443 moving house",
		strings.Join([]string{record.Level, record.Event, record.Actor, record.Action, record.Function, record.Breaker, record.Reason}, " "))
	assert.True(t, until.Equal(record.Until))
	assert.Contains(t, lines[4], `"error":"sparekey.yaml:3:1: no such key"`)
}

func TestPages(t *testing.T) {
	watch := console.New(source, console.Options{})
	tests := []struct {
		path       string
		want       int
		kind, goes string
	}{
		{"/", 200, "text/html; charset=utf-8", ""},
		{"/debug/sparekey/", 200, "text/html; charset=utf-8", ""},
		{"/debug/sparekey/style.css", 200, "text/css; charset=utf-8", ""},
		{"/debug/sparekey/app.js", 200, "text/javascript; charset=utf-8", ""},
		{"/debug/sparekey/icon.svg", 200, "image/svg+xml", ""},
		{"/debug/sparekey/snapshot.json", 200, "application/json", ""},
		{"/debug/sparekey/secret.txt", 404, "text/plain; charset=utf-8", ""},
		{"/debug/sparekey", 301, "", "./sparekey/"},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			resp := answer(watch, request(http.MethodGet, tt.path, ""))
			assert.Equal(t, tt.want, resp.StatusCode)
			assert.Equal(t, tt.kind, resp.Header.Get("Content-Type"))
			assert.Equal(t, tt.goes, resp.Header.Get("Location"))

			csp := resp.Header.Get("Content-Security-Policy")
			assert.True(t, strings.HasPrefix(csp, "default-src 'none'; "), csp)
			assert.NotContains(t, csp, "unsafe")
			assert.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
			assert.Equal(t, "DENY", resp.Header.Get("X-Frame-Options"))
			assert.Equal(t, "same-origin", resp.Header.Get("Cross-Origin-Opener-Policy"))
			assert.Equal(t, "same-origin", resp.Header.Get("Cross-Origin-Resource-Policy"))
			assert.Equal(t, "no-referrer", resp.Header.Get("Referrer-Policy"))
			assert.Contains(t, []string{"no-store", "no-cache"}, resp.Header.Get("Cache-Control"))
			assert.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
		})
	}
	t.Run("a prefix that was stripped", func(t *testing.T) {
		resp := answer(http.StripPrefix("/debug/sparekey", watch), request(http.MethodGet, "/debug/sparekey", ""))
		assert.Equal(t, "./sparekey/", resp.Header.Get("Location"))
		resp = answer(http.StripPrefix("/debug/sparekey/", watch), request(http.MethodGet, "/debug/sparekey/", ""))
		assert.Equal(t, 200, resp.StatusCode)
		resp = answer(http.StripPrefix("/", watch), request(http.MethodGet, "/", ""))
		assert.Equal(t, 200, resp.StatusCode)
		resp = answer(http.StripPrefix("/debug/sparekey", watch), request(http.MethodGet, "/debug/sparekey/", ""))
		assert.Equal(t, http.StatusOK, resp.StatusCode)
	})
	t.Run("what no server has read", func(t *testing.T) {
		r := request(http.MethodGet, "/debug/sparekey", "")
		r.RequestURI = ""
		assert.Equal(t, "./sparekey/", answer(watch, r).Header.Get("Location"))
	})
	t.Run("kept by the browser", func(t *testing.T) {
		r := request(http.MethodGet, "/app.js", "")
		first := answer(watch, request(http.MethodGet, "/app.js", ""))
		assert.Equal(t, "no-cache", first.Header.Get("Cache-Control"))
		r.Header.Set("If-None-Match", first.Header.Get("Etag"))
		assert.Equal(t, http.StatusNotModified, answer(watch, r).StatusCode)
	})
}

func TestSourceThatPanics(t *testing.T) {
	watch := console.New(func() telemetry.Snapshot { panic("oops") }, console.Options{})
	resp := answer(watch, request(http.MethodGet, "/snapshot.json", ""))
	assert.Equal(t, http.StatusInternalServerError, resp.StatusCode)
}

// The page is small, and has nothing inline that its policy would forbid, nor
// anything of another site.
func TestAssets(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	err := fs.WalkDir(os.DirFS("page"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile("page/" + name)
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(string(data), "http://www.w3.org/2000/svg", "")
		for _, foreign := range []string{"http:", "https:", "//cdn", "innerHTML", "eval(", "<style", "style=\"", " onclick=\""} {
			assert.NotContains(t, text, foreign, name)
		}
		assert.NotRegexp(t, `<script(?:[^>]*)>[^<]`, text, name)
		_, err = w.Write(data)
		return err
	})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	assert.Less(t, packed.Len(), 30<<10)
}

// What is exactly as long as it may be is done.
func TestLongestIsolation(t *testing.T) {
	h := &hand{}
	watch := console.New(source, console.Options{Authorize: console.Local, Actions: h})
	reason := strings.Repeat("x", 200)
	body := `{"function": "search", "breaker": "one.test:443", "for": "24h", "reason": "` + reason + `"}`
	require.Equal(t, http.StatusNoContent, answer(watch, request(http.MethodPost, "/isolate", body)).StatusCode)
	assert.Equal(t, []string{"isolate search one.test:443 " + reason}, h.asked)
}
