package transport_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// tagged returns a layer that adds name to the request's Path field. It hides
// CloseIdleConnections, as many foreign layers do.
func tagged(name string) transport.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		return transport.Func(func(req *http.Request) (*http.Response, error) {
			req = req.Clone(req.Context())
			req.Header.Add("Path", name)
			return next.RoundTrip(req)
		})
	}
}

// idler is a transport that counts how often it was told to close its idle
// connections.
type idler struct {
	http.RoundTripper
	told int
}

func (i *idler) CloseIdleConnections() { i.told++ }

func TestChain(t *testing.T) {
	tests := []struct {
		name   string
		layers []transport.Layer
		want   string
	}{
		{"no layer", nil, ""},
		{"the first is the outermost", []transport.Layer{tagged("a"), tagged("b"), tagged("c")}, "abc"},
		{"nil layers are left out", []transport.Layer{nil, tagged("a"), nil, tagged("b"), nil}, "ab"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			upstream := transporttest.NewUpstream()
			_, _, err := get(t, transport.Chain(upstream, tt.layers...))
			require.NoError(t, err)
			if got := strings.Join(upstream.Requests()[0].Header["Path"], ""); got != tt.want {
				t.Errorf("the request passed %q, want %q", got, tt.want)
			}
		})
	}
}

func TestChainNilBase(t *testing.T) {
	if got := transport.Chain(nil); got != http.DefaultTransport {
		t.Errorf("Chain(nil) = %v, want http.DefaultTransport", got)
	}
	var base http.RoundTripper
	transport.Chain(nil, func(next http.RoundTripper) http.RoundTripper {
		base = next
		return next
	})
	if base != http.DefaultTransport {
		t.Errorf("the layer wraps %v, want http.DefaultTransport", base)
	}
}

func TestChainCloseIdleConnections(t *testing.T) {
	retry := transport.Retry(policy.Retry{})
	breaker := transport.NewBreaker(policy.Breaker{}).Wrap
	timeout := transport.Timeout(policy.Timeout{})
	perKey := transport.PerKey(transport.Authority, func(string) transport.Layer { return retry })
	bodies := new(transporttest.Bodies).Wrap
	foreign := tagged("a")
	tests := []struct {
		name   string
		layers []transport.Layer
	}{
		{"no layer", nil},
		{"retry", []transport.Layer{retry}},
		{"breaker", []transport.Layer{breaker}},
		{"timeout", []transport.Layer{timeout}},
		{"per key", []transport.Layer{perKey}},
		{"bodies", []transport.Layer{bodies}},
		{"all", []transport.Layer{timeout, retry, perKey, breaker, timeout, bodies}},
		{"a foreign layer", []transport.Layer{foreign}},
		{"a foreign layer outside", []transport.Layer{foreign, retry, breaker}},
		{"a foreign layer between", []transport.Layer{retry, foreign, breaker}},
		{"a foreign layer inside", []transport.Layer{retry, breaker, foreign}},
		{"foreign layers all over", []transport.Layer{foreign, foreign, retry, foreign, perKey, foreign, foreign}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := &idler{RoundTripper: transporttest.NewUpstream()}
			client := transport.Wrap(&http.Client{Transport: base}, tt.layers...)
			client.CloseIdleConnections()
			if base.told != 1 {
				t.Errorf("CloseIdleConnections came %d times to the base, want once", base.told)
			}
		})
	}
	t.Run("a base that has none", func(t *testing.T) {
		client := &http.Client{Transport: transporttest.NewUpstream()}
		transport.Wrap(client, retry, foreign).CloseIdleConnections()
	})
}

func TestWrap(t *testing.T) {
	upstream := transporttest.NewUpstream()
	client := &http.Client{Transport: upstream, Timeout: time.Minute}
	before := *client

	wrapped := transport.Wrap(client, tagged("a"))
	if client.Transport != before.Transport || client.Timeout != before.Timeout || wrapped == client {
		t.Error("Wrap changed the client that it was given")
	}
	if wrapped.Timeout != client.Timeout {
		t.Errorf("the wrapped client's Timeout = %v, want %v", wrapped.Timeout, client.Timeout)
	}
	resp, err := wrapped.Get(target)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	if got := upstream.Requests()[0].Header.Get("Path"); got != "a" {
		t.Errorf("the request passed %q, want %q", got, "a")
	}
}

func TestWrapNilClient(t *testing.T) {
	if got := transport.Wrap(nil); got.Transport != http.DefaultTransport || got == http.DefaultClient {
		t.Errorf("Wrap(nil) = %+v, want a new client with http.DefaultTransport", got)
	}
	var base http.RoundTripper
	transport.Wrap(nil, func(next http.RoundTripper) http.RoundTripper {
		base = next
		return next
	})
	if base != http.DefaultTransport {
		t.Errorf("the layer wraps %v, want http.DefaultTransport", base)
	}
	if http.DefaultClient.Transport != nil {
		t.Error("Wrap changed http.DefaultClient")
	}
}

func TestLayersThatAreOff(t *testing.T) {
	upstream := transporttest.NewUpstream()
	tests := []struct {
		name  string
		layer transport.Layer
	}{
		{"retry", transport.Retry(policy.Retry{Off: true})},
		{"breaker", transport.NewBreaker(policy.Breaker{Off: true}).Wrap},
		{"timeout", transport.Timeout(policy.Timeout{Off: true})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.layer(upstream); got != http.RoundTripper(upstream) {
				t.Errorf("the layer returns %v, want the transport below it", got)
			}
		})
	}
}

func TestLayersRefuseWrongSettings(t *testing.T) {
	tests := []struct {
		name string
		make func()
		want string
	}{
		{"retry", func() { transport.Retry(policy.Retry{Attempts: -1}) }, "Retry.Attempts"},
		{"breaker", func() { transport.NewBreaker(policy.Breaker{Ratio: 2}) }, "Breaker.Ratio"},
		{"timeout", func() { transport.Timeout(policy.Timeout{Total: time.Second, FirstByte: 2 * time.Second}) }, "Timeout.FirstByte"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, _ := mustPanic(t, tt.make).(string)
			if !strings.HasPrefix(text, "transport: ") || !strings.Contains(text, tt.want) {
				t.Errorf("panic says %q, want the package and %s", text, tt.want)
			}
		})
	}
}
