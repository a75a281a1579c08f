package telemetry_test

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/telemetry"
)

// TestRequestDuration: whoever asks for it has the conventions' metric of HTTP
// clients, one for each attempt and of the same time and error as its span. Nobody
// else has it.
func TestRequestDuration(t *testing.T) {
	asked := telemetry.Config{RequestDuration: true}
	tests := []struct {
		name     string
		cfg      telemetry.Config
		method   string
		url      string
		upstream http.RoundTripper
		want     string
	}{
		{"not asked for", telemetry.Config{}, "POST", "https://api.test/v1/x", slow(200, io.EOF), ""},
		{
			"to the end of the body", asked, "POST", "https://api.test/v1/x?q=1", slow(200, io.EOF),
			"http.client.request.duration s http.request.method=POST http.response.status_code=200 server.address=api.test server.port=443 1 in 3s",
		},
		{
			"a body that breaks", asked, "GET", "http://api.test:8080/v1/x", slow(200, io.ErrUnexpectedEOF),
			"http.client.request.duration s error.type=truncated http.request.method=GET http.response.status_code=200 server.address=api.test server.port=8080 1 in 3s",
		},
		{
			"a status", asked, "", "http://api.test", upstream(503, ""),
			"http.client.request.duration s error.type=503 http.request.method=GET http.response.status_code=503 server.address=api.test server.port=80 1 in 0s",
		},
		{
			"no connection", asked, "BREW", "http://[::1]", failing(syscall.ECONNREFUSED),
			"http.client.request.duration s error.type=connect http.request.method=_OTHER server.address=::1 server.port=80 1 in 0s",
		},
		{
			"a panic", asked, "GET", "http://api.test", roundTrip(func(*http.Request) (*http.Response, error) { panic("boom") }),
			"http.client.request.duration s error.type=_OTHER http.request.method=GET server.address=api.test server.port=80 1 in 0s",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sdk := install(t)
				req, err := http.NewRequestWithContext(t.Context(), tt.method, tt.url, nil)
				require.NoError(t, err)
				req.Method = tt.method
				func() {
					defer func() { _ = recover() }()
					if resp, err := stack(tt.cfg, tt.upstream).RoundTrip(req); err == nil {
						_, _ = io.ReadAll(resp.Body)
						require.NoError(t, resp.Body.Close())
					}
				}()
				var got []string
				for line := range strings.Lines(sdk.measured(t)) {
					if strings.HasPrefix(line, "http.") {
						got = append(got, strings.TrimSpace(line))
					}
				}
				assert.Equal(t, tt.want, strings.Join(got, "\n"))
			})
		})
	}
}

// TestRequestDurationOfReusedURL: what is recorded is where the request went to,
// whatever becomes of its URL: one that lost to a hedge ends behind its caller.
func TestRequestDurationOfReusedURL(t *testing.T) {
	sdk := install(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.test/v1/x", nil)
	require.NoError(t, err)
	resp, err := stack(telemetry.Config{RequestDuration: true}, upstream(200, "{}")).RoundTrip(req)
	require.NoError(t, err)
	req.Method, req.URL.Scheme, req.URL.Host = http.MethodPost, "http", "other.test:8080"
	require.NoError(t, resp.Body.Close())
	assert.Contains(t, sdk.measured(t), "http.request.method=GET http.response.status_code=200 server.address=api.test server.port=443")
}
