package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/plan"
	"github.com/sparekey/sparekey/transport/transporttest"
)

func TestDoctor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{Latency: 20 * time.Millisecond})
		got := d.run("doctor", "-config", "CONFIG")
		assert.Equal(t, exitOK, got.code)
		assert.Empty(t, got.errOut)
		assert.Regexp(t, `^skipped  dns      .*
ok       connect  to .*
skipped  tls      base_url begins with http://
ok       clock    within 1s of the service's
ok       token    good for 1h0m0s
ok       invoke   tickets answered "(delivery|refund)" with 0\.\d{3} after 20ms
ok       limits   no answer of \d names a rate limit; the client keeps to none by itself
$`, got.out)
	})
}

// A doctored account is one whose answers go through a handler of the test's.
func doctored(t *testing.T, wrap func(http.Handler) http.Handler) *desk {
	d := newDesk(t, nyckelsim.Config{})
	d.wire = transporttest.NewServer(t, wrap(d.Server))
	return d
}

func states(t *testing.T, got result) map[string]finding {
	t.Helper()
	var findings []finding
	require.NoError(t, json.Unmarshal([]byte(got.out), &findings), got)
	all := map[string]finding{}
	for _, f := range findings {
		all[f.Step] = f
	}
	require.Len(t, all, 7, "each step once")
	return all
}

func TestDoctorWrongSecret(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	d.file("secret", "another")
	got := d.run("doctor", "-config", "CONFIG", "-json")
	assert.Equal(t, exitFailed, got.code)
	found := states(t, got)
	assert.Equal(t, stateFailed, found["token"].State)
	assert.Contains(t, found["token"].Hint, "compare client_id and client_secret of account main")
	assert.Equal(t, finding{"invoke", stateSkipped, "without a token there is no call", ""}, found["invoke"])
	assert.NotContains(t, got.out, "another")
}

// A service that repeats the secret does not get it shown; one that names limits is
// heard.
func TestDoctorEcho(t *testing.T) {
	d := doctored(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-RateLimit-Remaining", "7")
			if r.URL.Path == "/connect/token" {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(`{"error":"no\u001b` + clientSecret + ` in ` + url.Values{"client_secret": {clientSecret}}.Encode() + `"}`))
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	found := states(t, d.run("doctor", "-config", "CONFIG", "-json"))
	assert.Equal(t, "400 Bad Request: no\x1b******** in client_secret=********", found["token"].Text)
	assert.Equal(t, finding{"limits", stateOK, "X-Ratelimit-Remaining: 7", ""}, found["limits"])
	assert.Contains(t, d.run("doctor", "-config", "CONFIG").out, "no\uFFFD******** in", "what moves a terminal's cursor")
}

// The limit that is told is the one that the client keeps to.
func TestDoctorOwnLimit(t *testing.T) {
	for _, tt := range []struct {
		limit policy.Limit
		want  string
	}{
		{policy.Limit{}, "25/s and 25 in flight"},
		{policy.Limit{PerSecond: 2.5, InFlight: 4}, "2.5/s and 4 in flight"},
		{policy.Limit{PerSecond: -1}, "25 in flight"},
		{policy.Limit{InFlight: -1}, "25/s"},
		{policy.Limit{PerSecond: -1, InFlight: -1}, "none"},
		{policy.Limit{PerSecond: 10, Off: true}, "none"},
	} {
		assert.Equal(t, tt.want, (&examination{account: plan.Account{Limit: &tt.limit}}).ownLimit())
	}
	assert.Equal(t, "25/s and 25 in flight", (&examination{}).ownLimit())
}

// Without a name it is the account's first function that is called, of those that can be.
func TestDoctorChoosesFunction(t *testing.T) {
	config := newDesk(t, nyckelsim.Config{}).file("two.yaml", `version: 1
accounts:
  one: {client_id: a, client_secret: b}
  two: {client_id: a, client_secret: b}
functions:
  a: {id: function_1, account: one}
  b: {}
  c: {id: function_2, account: two}
  d: {id: function_3, account: two}
`)
	for account, want := range map[string]string{"one": "a", "two": "c"} {
		e, err := (&program{}).newExamination(config, account, "")
		require.NoError(t, err)
		assert.Equal(t, want, e.function)
		assert.Equal(t, nyckel.DefaultBaseURL, e.base)
	}
	for _, account := range []string{"", "two"} {
		e, err := (&program{}).newExamination(config, account, "d")
		require.NoError(t, err)
		assert.Equal(t, []string{"two", "d"}, []string{e.name, e.function}, "the function's account")
	}
}

// An account whose file has no function for it is examined up to its token.
func TestDoctorNoFunction(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	text := read(t, d.config())
	config := d.file("none.yaml", text[:strings.Index(text, "defaults:")])
	got := d.run("doctor", "-config", config, "-json")
	assert.Equal(t, exitOK, got.code)
	found := states(t, got)
	assert.Equal(t, stateOK, found["token"].State)
	assert.Equal(t, finding{"invoke", stateSkipped, "the account has no function in the file", ""}, found["invoke"])
}

// The call of an examination leaves nothing at the service.
func TestDoctorCapturesNothing(t *testing.T) {
	var queries []string
	d := doctored(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/invoke") {
				queries = append(queries, r.URL.RawQuery)
			}
			next.ServeHTTP(w, r)
		})
	})
	assert.Equal(t, exitOK, d.run("doctor", "-config", "CONFIG").code)
	assert.Equal(t, []string{"capture=false"}, queries)
}

// A call that fails is told with what may be done about it.
func TestDoctorCallFails(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	d.file("sparekey.yaml", strings.Replace(read(t, d.config()), d.function, "function_unknown", 1))
	got := d.run("doctor", "-config", "CONFIG", "-json")
	assert.Equal(t, exitFailed, got.code)
	found := states(t, got)
	assert.Equal(t, stateFailed, found["invoke"].State)
	assert.Contains(t, found["invoke"].Hint, "the function's id is not known to this account")
}

func TestDoctorHintOfCall(t *testing.T) {
	for class, want := range map[policy.Class]string{
		policy.NotFound:        "the function's id is not known",
		policy.Forbidden:       "is it of another account?",
		policy.Unauthenticated: "is it of another account?",
		policy.QuotaExceeded:   "the account's quota is used up",
		policy.RateLimited:     "lower limit.per_second",
		policy.Invalid:         "does the function take texts?",
	} {
		assert.Contains(t, hintOfCall(&policy.Error{Verdict: policy.Verdict{Class: class}}), want)
	}
	assert.Empty(t, hintOfCall(&policy.Error{Verdict: policy.Verdict{Class: policy.Overloaded}}))
	assert.Empty(t, hintOfCall(io.EOF))
}

// What a service says of its tokens' lifetime is told as it is meant.
func TestDoctorTokenLifetime(t *testing.T) {
	for answer, want := range map[string]string{
		`{"access_token":"t","expires_in":90}`:    "good for 1m30s",
		`{"access_token":"t","expires_in":"90"}`:  "good for 1m30s",
		`{"access_token":"t","expires_in":""}`:    "the answer does not say for how long it is good",
		`{"access_token":"t"}`:                    "the answer does not say for how long it is good",
		`{"access_token":"t","expires_in":0}`:     "the answer does not say for how long it is good",
		`{"access_token":"t","expires_in":1e300}`: "good for 876000h0m0s",
	} {
		e := &examination{}
		e.tellToken(http.StatusOK, []byte(answer))
		assert.Equal(t, []finding{{stepToken, stateOK, want, ""}}, e.findings, answer)
	}
}

// A page that a proxy sends in the service's place is no token, nor is what is no string.
func TestDoctorNoToken(t *testing.T) {
	const page = "is base_url that of the API, and is there no page of a proxy before it?"
	for _, tt := range []struct {
		status             int
		answer, text, hint string
	}{
		{http.StatusOK, `<html>Please sign in</html>`, "the answer has no token", page},
		{http.StatusOK, `{"error":"later"}`, "the answer has no token", page},
		{http.StatusOK, `{"access_token":"t","error":{}}`, "the answer has no token", page},
		{http.StatusForbidden, `{"access_token":"t"}`, "403 Forbidden", ""},
		{http.StatusUnauthorized, ``, "401 Unauthorized", "compare client_id and client_secret of account main with the service's page"},
	} {
		e := &examination{name: "main"}
		e.tellToken(tt.status, []byte(tt.answer))
		assert.Equal(t, []finding{{stepToken, stateFailed, tt.text, tt.hint}}, e.findings, tt.answer)
	}
}

// Where no name is known, there is nothing to connect to.
func TestDoctorUnknownName(t *testing.T) {
	e := &examination{}
	unknown := &net.DNSError{Err: "no such host", Name: "api.test", IsNotFound: true}
	trace := &wireTrace{host: "api.test", dns: &httptrace.DNSDoneInfo{Err: unknown}}
	e.tellDNS(trace, "api.test")
	e.tellConnection(trace, unknown)
	e.tellTLS(trace, "https")
	assert.Equal(t, []finding{
		{stepDNS, stateFailed, "lookup api.test: no such host", "is base_url right, and is there a resolver that knows the name?"},
		{stepConnect, stateSkipped, "there is no address", ""},
		{stepTLS, stateSkipped, "there is no connection", ""},
	}, e.findings)
}

func TestDoctorHintOfTLS(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{x509.UnknownAuthorityError{}, "an authority that this machine does not know"},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "api.test"}, "the certificate is for another host"},
		{x509.CertificateInvalidError{Reason: x509.Expired}, "the certificate is out of date"},
	} {
		assert.Contains(t, hintOfTLS(&tls.CertificateVerificationError{Err: tt.err}), tt.want)
	}
	assert.Empty(t, hintOfTLS(x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}))
	assert.Empty(t, hintOfTLS(io.EOF))
}

func TestDoctorClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := doctored(t, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", time.Now().Add(-10*time.Minute).UTC().Format(http.TimeFormat))
				next.ServeHTTP(w, r)
			})
		})
		got := d.run("doctor", "-config", "CONFIG", "-json")
		assert.Equal(t, exitFailed, got.code)
		found := states(t, got)
		assert.Equal(t, finding{
			"clock", stateFailed, "this machine is 10m0s ahead of the service",
			"set the clock: certificates, tokens and Retry-After depend on it",
		}, found["clock"])
		assert.Equal(t, stateOK, found["invoke"].State)
	})
}

func TestDoctorClockOf(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, tt := range []struct {
		ahead       time.Duration // of the service
		state, text string
	}{
		{0, stateOK, "within 1s of the service's"},
		{7 * time.Second, stateOK, "within 7s of the service's"},
		{-30 * time.Second, stateOK, "within 30s of the service's"},
		{-31 * time.Second, stateFailed, "this machine is 31s behind the service"},
		{31 * time.Second, stateFailed, "this machine is 31s ahead of the service"},
	} {
		e := &examination{}
		date := now.Add(time.Second - tt.ahead).Format(http.TimeFormat) // sent in the middle of two seconds
		e.tellClock(&http.Response{Header: http.Header{"Date": {date}}}, now, 2*time.Second)
		require.Len(t, e.findings, 1)
		assert.Equal(t, []string{tt.state, tt.text}, []string{e.findings[0].State, e.findings[0].Text})
	}
	e := &examination{}
	e.tellClock(&http.Response{}, now, 0)
	assert.Equal(t, []finding{{stepClock, stateSkipped, "the answer has no date", ""}}, e.findings)
}

// The reason why there is no token is told without the address, which the file has.
func TestDoctorTokenBreaksOff(t *testing.T) {
	d := doctored(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/connect/token" {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	})
	assert.Equal(t, finding{"token", stateFailed, "EOF", ""}, states(t, d.run("doctor", "-config", "CONFIG", "-json"))["token"])
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: io.EOF}
	assert.Equal(t, dial, reasonOf(&url.Error{Op: "Get", URL: "https://api.test", Err: fmt.Errorf("proxy: %w", dial)}))
}

func TestDoctorTLS(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	server := httptest.NewUnstartedServer(d.Server)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that fails
	server.StartTLS()
	defer server.Close()
	d.file("sparekey.yaml", strings.Replace(read(t, d.config()), d.wire.URL, server.URL, 1))
	d.wire = nil

	got := d.runOver(server.Client(), "doctor", "-config", "CONFIG", "-json")
	assert.Equal(t, exitOK, got.code, got.out)
	found := states(t, got)
	assert.Regexp(t, `^TLS 1\.3, certificate good until \d{4}-\d\d-\d\d$`, found["tls"].Text)

	got = d.runOver(&http.Client{Transport: &http.Transport{}}, "doctor", "-config", "CONFIG", "-json")
	assert.Equal(t, exitFailed, got.code)
	found = states(t, got)
	assert.Equal(t, stateFailed, found["tls"].State)
	assert.Contains(t, found["tls"].Hint, "an authority that this machine does not know")
	assert.Equal(t, stateSkipped, found["token"].State)
}

// Through a proxy, it is the proxy's name that is looked up.
func TestDoctorProxy(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	proxy := httptest.NewServer(d.Server)
	defer proxy.Close()
	_, port, err := net.SplitHostPort(proxy.Listener.Addr().String())
	require.NoError(t, err)
	d.file("sparekey.yaml", strings.Replace(read(t, d.config()), d.wire.URL, "http://service.test", 1))
	d.wire = nil
	way := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "localhost:" + port})}
	got := d.runOver(&http.Client{Transport: way}, "doctor", "-config", "CONFIG", "-json")
	assert.Equal(t, exitOK, got.code, got.out)
	assert.Regexp(t, `^localhost is (::1, )?127\.0\.0\.1`, states(t, got)["dns"].Text)
}

func TestDoctorUnreachable(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	sim, err := nyckelsim.Start("127.0.0.1:0", d.Server)
	require.NoError(t, err)
	require.NoError(t, sim.Close())
	d.file("sparekey.yaml", strings.Replace(read(t, d.config()), d.wire.URL, sim.URL(), 1))
	got := d.runOver(&http.Client{Transport: &http.Transport{}}, "doctor", "-config", "CONFIG")
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.out, "failed   connect  dial tcp 127.0.0.1:")
	assert.Contains(t, got.out, "                   is there a firewall")
	for _, step := range []string{"dns", "tls", "clock", "token", "invoke", "limits"} {
		assert.Contains(t, got.out, "skipped  "+step+" ")
	}
}

func TestDoctorMisuse(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	without := d.file("without.yaml", "version: 1\n")
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no file", []string{"-config", "nowhere"}, "open nowhere"},
		{"no account", []string{"-config", without}, "the file has 0 accounts"},
		{"unknown account", []string{"-config", "CONFIG", "-account", "x"}, `no account "x"`},
		{"unknown function", []string{"-config", "CONFIG", "-function", "x"}, `no function "x"`},
		{"of another account", []string{"-config", "CONFIG", "-function", "tickets", "-account", "x"}, `function "tickets" is not of account "x", but of "main"`},
		{"argument", []string{"-config", "CONFIG", "now"}, `unexpected argument "now"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := d.run(append([]string{"doctor"}, tt.args...)...)
			assert.Equal(t, exitMisuse, got.code)
			assert.Contains(t, got.errOut, tt.want)
			assert.Empty(t, got.out)
		})
	}
}
