package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// secretNames are where callers of the first endpoint have their secrets.
var (
	secretHeaders = []string{
		"Authorization", "authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "x-api-key", "Api-Key", "X-Goog-Api-Key",
		"Ocp-Apim-Subscription-Key", "OpenAI-Organization", "OpenAI-Project", "Anthropic-Organization-Id", "X-Auth-Token",
		"X-Amz-Security-Token", "X-Goog-User-Project", "X-Session-Id", "X-Client-Secret", "Referer", "X-Functions-Key", "X-Account", "X_Api_Key",
	}
	secretQueries = []string{
		"key", "KEY", "api_key", "api-key", "apiKey", "k%65y", "access_token", "sig", "X-Amz-Signature", "X-Goog-Credential",
		"subscription-key", "code", "auth", "token", "client_secret", "a=b;key",
	}
)

// wiretap notes all that each host is sent, and answers at random.
type wiretap struct {
	random *rand.Rand
	heard  map[string]*bytes.Buffer
}

func (w *wiretap) RoundTrip(req *http.Request) (*http.Response, error) {
	heard := w.heard[req.URL.Host]
	if heard == nil {
		heard = &bytes.Buffer{}
		w.heard[req.URL.Host] = heard
	}
	_ = req.Header.Write(heard)
	_ = req.Trailer.Write(heard)
	fmt.Fprintln(heard, req.URL, req.Host, req.Form, req.PostForm)
	if req.Body != nil {
		_, _ = io.Copy(heard, req.Body)
		_ = req.Body.Close()
	}
	var resp *http.Response
	switch w.random.IntN(6) {
	case 0:
		return nil, errDial
	case 1:
		resp = replied(req, []int{401, 403, 429, 500, 503}[w.random.IntN(5)], "no")
	case 2, 3:
		resp = replied(req, []int{302, 307, 308}[w.random.IntN(3)], "")
		resp.Header.Set("Location", []string{"/v1/else", "http://a.test/v1/there", "http://b.test/api/v1/x?z=1", "https://a.test/v1/", "http://evil.test/"}[w.random.IntN(5)])
	default:
		resp = replied(req, 200, "yes")
	}
	resp.Header.Set("Set-Cookie", "from="+strings.ToUpper(req.URL.Hostname())+"-cookie; Path=/")
	return resp, nil
}

// No byte of the secret that is meant for one endpoint reaches another one, or
// whoever is redirected to, an error, the log: whatever the strategy is, whoever
// answers, whatever is sent.
func TestFailoverKeepsSecrets(t *testing.T) {
	const ofA, ofB, ofC = "SECRET-OF-A", "SECRET-OF-B", "SECRET-OF-C"
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 1))
		tap := &wiretap{random: random, heard: map[string]*bytes.Buffer{}}
		endpoints := regions()
		endpoints[1].Header = http.Header{"X-Api-Key": {ofB}}
		endpoints[2].Token = func(context.Context) (string, error) {
			if random.IntN(4) == 0 {
				return "", errors.New("no token now")
			}
			return ofC, nil
		}
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		failover := transport.NewFailover(policy.Failover{
			Endpoints: endpoints, Strategy: policy.Strategy(seed % 5), Random: random.Float64,
			Key: func(req *http.Request) string { return req.Method },
		}, func(string) transport.Layer { return telemetry.ObserveAttempt(telemetry.Config{Logger: logger}) })
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		client := &http.Client{Jar: jar, Transport: transport.Chain(tap,
			telemetry.ObserveCall(telemetry.Config{Logger: logger}),
			transport.Retry(policy.Retry{Attempts: 4, Backoff: policy.Backoff{Base: 1}, Throttled: policy.Backoff{Base: 1}, Budget: policy.Budget{Off: true}}),
			failover.Wrap)}
		jar.SetCookies(&url.URL{Scheme: "http", Host: "a.test"}, []*http.Cookie{{Name: "session", Value: ofA}})

		for range 5 {
			resp, err := client.Do(secretRequest(t, random, ofA))
			if err != nil {
				// The client itself puts the URL that it was given into its error.
				inner, _ := errors.AsType[*url.Error](err)
				assert.NotContains(t, inner.Err.Error(), "SECRET")
				continue
			}
			dump, err := httputil.DumpResponse(resp, true)
			require.NoError(t, err)
			assert.NotContains(t, string(dump), "SECRET")
			for _, foreign := range []string{ofB, ofC} {
				assert.NotContains(t, fmt.Sprint(resp.Request.Header, resp.Request.URL), foreign, "the caller sees the credentials of another endpoint")
			}
		}
		for host, heard := range tap.heard {
			for owner, secret := range map[string]string{"a.test": ofA, "b.test": ofB, "c.test": ofC, "A": "A.TEST-cookie", "B": "B.TEST-cookie", "C": "C.TEST-cookie"} {
				if host != owner && strings.ToUpper(host[:1]) != owner {
					assert.NotContains(t, heard.String(), secret, "seed %d: %s gets a secret of %s", seed, host, owner)
				}
			}
		}
		for host, heard := range tap.heard {
			if host != "a.test" {
				assert.NotContains(t, heard.String(), "U0VDUkVU", "seed %d: %s gets the user of the first endpoint's URL", seed, host)
			}
		}
		assert.NotContains(t, log.String(), "SECRET")
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", transport.Inspect(client.Transport), endpoints[1], endpoints), "SECRET")
		if t.Failed() {
			return
		}
	}
}

// secretRequest returns a request to the first endpoint with the secret in some of
// the places where secrets are.
func secretRequest(t *testing.T, random *rand.Rand, secret string) *http.Request {
	query := "q=1"
	for range random.IntN(3) {
		query += "&" + secretQueries[random.IntN(len(secretQueries))] + "=" + secret
	}
	user := []string{"", secret + ":" + secret + "@"}[random.IntN(2)]
	var text io.Reader
	if random.IntN(2) == 0 {
		text = strings.NewReader("hello")
	}
	req, err := http.NewRequestWithContext(t.Context(), []string{"GET", "PUT", "POST"}[random.IntN(3)], "http://"+user+"a.test/v1/x?"+query, text)
	require.NoError(t, err)
	for range random.IntN(4) {
		req.Header[secretHeaders[random.IntN(len(secretHeaders))]] = []string{"Bearer " + secret}
	}
	if random.IntN(2) == 0 {
		req.Trailer = http.Header{"X-Signature": {secret}}
	}
	if random.IntN(8) == 0 {
		req.URL.Opaque = "//a.test/v1/x?key=" + secret
	}
	req.Form = url.Values{"key": {secret}}
	return req
}
