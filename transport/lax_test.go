package transport_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// Every layer makes up for a transport that does not keep to the contract of
// http.RoundTripper: neither an answer nor an error is an error, and an answer
// without a body has an empty one.
func TestLayersAboveLaxTransport(t *testing.T) {
	neither := transport.Func(func(*http.Request) (*http.Response, error) { return nil, nil })
	bodiless := transport.Func(func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, nil })
	layers := map[string]transport.Layer{
		"retry":        transport.Retry(policy.Retry{}),
		"timeout":      transport.Timeout(policy.Timeout{}),
		"breaker":      transport.NewBreaker(policy.Breaker{}).Wrap,
		"limiter":      transport.NewLimiter(policy.Limit{}).Wrap,
		"per key":      transport.PerKey(keyed, func(string) transport.Layer { return nil }),
		"no fault":     transport.NewFaults(policy.Faults{}).Wrap,
		"late":         always(policy.Fault{Kind: policy.FaultLatency, Delay: time.Nanosecond}),
		"cut short":    always(policy.Fault{Kind: policy.FaultTruncate}),
		"wrong length": always(policy.Fault{Kind: policy.FaultLength, Bytes: -1}),
	}
	for name, layer := range layers {
		t.Run(name, func(t *testing.T) {
			_, err := layer(neither).RoundTrip(newRequest(t, t.Context(), http.MethodPost, "hello"))
			require.Error(t, err)
			resp, err := layer(bodiless).RoundTrip(newRequest(t, t.Context(), http.MethodPost, "hello"))
			require.NoError(t, err)
			require.NotNil(t, resp.Body)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Empty(t, text)
			require.NoError(t, resp.Body.Close())
		})
	}
}
