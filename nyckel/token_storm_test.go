package nyckel_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// TestTokenNoStorm: an account that is refused with every token does not make
// the client ask for tokens without end.
func TestTokenNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(answer(http.StatusUnauthorized, `{"message":"revoked"}`))
		client := s.client(t, policy.Stack{})
		for range 50 {
			_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
			require.ErrorContains(t, err, "revoked")
		}
		assert.Equal(t, 2, s.tokens.Calls(), "the first token and one in its place")
	})
}

// TestTokenExchangeIsNotTheCall: what the client says of a prediction, that it
// may be repeated and remembered, does not hold for the exchange of credentials.
func TestTokenExchangeIsNotTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(predict("spam", 0.75))
		var calls []policy.Call
		spy := transport.Func(func(req *http.Request) (*http.Response, error) {
			if req.URL.Path == "/connect/token" {
				calls = append(calls, policy.CallOf(req.Context()))
			}
			return s.RoundTrip(req)
		})
		client, err := nyckel.New(
			nyckel.WithBaseURL("https://api.test"), nyckel.WithCredentials(clientID, clientSecret),
			nyckel.WithHTTPClient(&http.Client{Transport: spy}),
			nyckel.WithFunction("tickets", nyckel.Function{ID: "f"}))
		require.NoError(t, err)
		_, err = client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
		require.NoError(t, err)
		assert.Equal(t, []policy.Call{{}}, calls)
	})
}

// TestTokenPanic: a panic below the exchange reaches the caller, who can recover
// from it, and not a goroutine on which nobody can.
func TestTokenPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := nyckel.New(
			nyckel.WithBaseURL("https://api.test"), nyckel.WithCredentials(clientID, clientSecret),
			nyckel.WithHTTPClient(&http.Client{Transport: transporttest.NewUpstream(transporttest.Panic("below"))}),
			nyckel.WithFunction("tickets", nyckel.Function{ID: "f"}))
		require.NoError(t, err)
		assert.PanicsWithValue(t, "below", func() {
			_, _ = client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
		})
	})
}

// TestTokenExchangeEndsItsGoroutine: nobody waits for an exchange whose transport has
// ended its goroutine, as a test that fails does, and the next call starts another.
func TestTokenExchangeEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.tokens = transporttest.NewUpstream(func(*http.Request) (*http.Response, error) {
			runtime.Goexit()
			return nil, nil
		}, grant(3600))
		client, start := s.client(t, once), time.Now()
		_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
		assert.ErrorContains(t, err, "no access token")
		assert.Zero(t, time.Since(start))
		invoke(t, client)
	})
}

func gzipped(t *testing.T, text string) string {
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	_, err := io.WriteString(w, text)
	require.NoError(t, errors.Join(err, w.Close()))
	return compressed.String()
}

// TestSecretEchoed: a page that repeats what it was sent, in whatever spelling,
// does not bring it into an error.
func TestSecretEchoed(t *testing.T) {
	tests := []struct {
		name  string
		token transporttest.Step
		call  transporttest.Step
	}{
		{"the token endpoint, escaped for JSON", answer(http.StatusBadRequest, `{"error":"cannot use CAN\"ARY\\SEC"}`), nil},
		{"the service, in its message", grant(3600), answer(http.StatusForbidden, `{"message":"not for Bearer token-1"}`)},
		{"the service, escaped for JSON", grant(3600), answer(http.StatusForbidden, `{"message":"not for Bearer token\u002d1"}`)},
		{"the service, slowly", grant(3600), transporttest.Stream(http.StatusForbidden, []transporttest.Chunk{
			{Data: `{"message":"not for `}, {After: 150 * time.Millisecond, Data: `Bearer token-1"}`},
		})},
		{"the service, slower", grant(3600), transporttest.Stream(http.StatusForbidden, []transporttest.Chunk{
			{Data: `{"message":"not for `}, {After: 250 * time.Millisecond, Data: `Bearer token-1"}`},
		})},
		{"the service, of a conflict", grant(3600), transporttest.Stream(http.StatusConflict, []transporttest.Chunk{
			{Data: `{"message":"not for `}, {After: 250 * time.Millisecond, Data: `Bearer token-1"}`},
		})},
		{"the service, of a conflict that does not end", grant(3600), transporttest.Stall(http.StatusConflict, `{"message":"not for Bearer token-1`)},
		{"the service, compressed", grant(3600), answer(http.StatusForbidden, gzipped(t, `{"message":"not for Bearer token-1"}`), "Content-Encoding", "gzip")},
	}
	long := strings.Repeat("token-1.", 1000) // longer than what is read of a page
	tests = append(tests, struct {
		name  string
		token transporttest.Step
		call  transporttest.Step
	}{
		"the service, the beginning of a long one", answer(http.StatusOK, `{"access_token":"`+long+`"}`),
		answer(http.StatusForbidden, `{"message":"not for Bearer `+long+`"}`),
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(tt.call)
				s.tokens = transporttest.NewUpstream(tt.token)
				_, err := s.client(t, policy.Stack{}).Invoke(t.Context(), "tickets", nyckel.Text("hello"))
				require.Error(t, err)
				assert.NotContains(t, err.Error(), "ARY")
				assert.NotContains(t, err.Error(), "token-1")
			})
		})
	}
}
