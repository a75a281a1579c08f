package nyckel_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A lockedBuffer is a buffer that several goroutines may write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestSecretsStaySecret makes calls that end in every way and looks for the
// client secret, the access token, the input and the external id wherever
// something is printed, logged, traced or kept.
func TestSecretsStaySecret(t *testing.T) {
	const input, externalID = "input-canary", "external-canary"
	canaries := []string{clientSecret, url.QueryEscape(clientSecret), "token-1", "token-2", input, externalID}

	exporter := tracetest.NewInMemoryExporter()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(exporter)))
	defer otel.SetTracerProvider(before)

	echo := func(status int) transporttest.Step { // as some gateways do
		return func(req *http.Request) (*http.Response, error) {
			return answer(status, "cannot process grant_type=client_credentials&client_secret="+url.QueryEscape(clientSecret)+" or "+clientSecret)(req)
		}
	}
	good := grant(3600)
	tests := []struct {
		name  string
		token transporttest.Step
		call  transporttest.Step
	}{
		{"prediction", good, predict("spam", 0.75)},
		{"page", good, answer(http.StatusOK, "<html>")},
		{"token refused", good, answer(http.StatusUnauthorized, `{"message":"expired"}`)},
		{"quota", good, answer(http.StatusPaymentRequired, `{"message":"used up"}`)},
		{"overloaded", good, answer(http.StatusServiceUnavailable, "")},
		{"redirect", good, answer(http.StatusFound, "", "Location", "https://elsewhere.test/")},
		{"down", good, transporttest.Fail(syscall.ECONNRESET)},
		{"stall", good, transporttest.Hang()},
		{"wrong credentials", answer(http.StatusBadRequest, `{"error":"invalid_client"}`), nil},
		{"token endpoint echoes, final", echo(http.StatusBadRequest), nil},
		{"token endpoint echoes, may pass", echo(http.StatusInternalServerError), nil},
		{"token endpoint answers nonsense", echo(http.StatusOK), nil},
		{"token endpoint down", transporttest.Fail(syscall.ECONNRESET), nil},
		{"token endpoint stalls", transporttest.Hang(), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exporter.Reset()
				var seen lockedBuffer // everything that anybody could see
				show := func(values ...any) {
					for _, v := range values {
						fmt.Fprintf(&seen, "%v %+v %#v %s\n", v, v, v, v)
					}
				}
				s := newService(predict("spam", 0.75))
				if tt.call != nil {
					s = newService(tt.call)
				}
				s.tokens = transporttest.NewUpstream(tt.token)
				spy := transport.Func(func(req *http.Request) (*http.Response, error) {
					show(policy.CallOf(req.Context())) // which goes into cache keys
					return s.RoundTrip(req)
				})
				credentials := nyckel.WithCredentials(clientID, clientSecret)
				logger := slog.New(slog.NewJSONHandler(&seen, &slog.HandlerOptions{Level: slog.LevelDebug}))
				client := s.client(t, policy.Stack{Logger: logger, Cache: &policy.Cache{}}, credentials,
					nyckel.WithHTTPClient(&http.Client{Transport: spy}))
				show(client, *client, credentials)

				ctx, trail := telemetry.NewContext(t.Context())
				prediction, err := client.Invoke(ctx, "tickets", nyckel.Text(input), nyckel.ExternalID(externalID))
				if err != nil {
					show(err, policy.ErrorOf(err), *policy.ErrorOf(err))
					logger.Error("failed", "error", err)
				} else {
					prediction.ExternalID = "" // the caller's own
					show(prediction, *prediction)
				}
				time.Sleep(time.Minute) // an exchange for a token outlives the call
				show(trail, client)
				logger.Info("called", "trail", trail, "client", client)
				spans, jsonErr := json.Marshal(exporter.GetSpans().Snapshots())
				require.NoError(t, jsonErr)
				require.NotEmpty(t, exporter.GetSpans())
				show(string(spans), exporter.GetSpans())

				for _, canary := range canaries {
					if at := strings.Index(seen.String(), canary); at >= 0 {
						assert.Failf(t, "leaked", "%q in %q", canary, seen.String()[max(0, at-80):at+len(canary)])
					}
				}
			})
		})
	}
}

// The client secret goes to the token endpoint and nowhere else.
func TestSecretGoesToTokenEndpointOnly(t *testing.T) {
	s := newService(answer(http.StatusUnauthorized, "{}"), predict("spam", 0.75))
	_, err := s.client(t, once).Invoke(t.Context(), "tickets", nyckel.Text("hello"))
	require.NoError(t, err)
	for _, r := range s.calls.Requests() {
		assert.NotContains(t, fmt.Sprint(r), clientSecret)
		assert.NotContains(t, fmt.Sprint(r), url.QueryEscape(clientSecret))
	}
	for _, r := range s.tokens.Requests() {
		assert.NotContains(t, r.URL, "canary")
		assert.NotContains(t, fmt.Sprint(r.Header), "canary")
	}
}
