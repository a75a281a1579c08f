package transport_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// TestExplainCallsAreReached: as many calls as Explain says are made of one request
// where retries, hedges and endpoints are around each other, and none more.
func TestExplainCallsAreReached(t *testing.T) {
	again := func(attempts int) transport.Layer {
		return transport.Retry(policy.Retry{Attempts: attempts, Backoff: policy.Backoff{Base: time.Second, Jitter: policy.NoJitter}})
	}
	aside := func() transport.Layer {
		return transport.NewHedge(policy.Hedge{Delay: time.Second, Ratio: 1}).Wrap
	}
	to := func(layer transport.Layer, hosts ...string) transport.Layer {
		var cfg policy.Failover
		for _, host := range hosts {
			cfg.Endpoints = append(cfg.Endpoints, policy.Endpoint{Name: host, URL: "http://" + host})
		}
		return transport.NewFailover(cfg, func(string) transport.Layer { return layer }).Wrap
	}
	tests := []struct {
		name   string
		layers []transport.Layer
		want   int
	}{
		{"a hedge between retries", []transport.Layer{again(5), aside(), again(2)}, 5 + 1},
		{"a hedge below a retry", []transport.Layer{again(3), aside()}, 3 + 1},
		{"another host below a retry", []transport.Layer{again(2), to(nil, "a.test"), again(3), again(2)}, 2 * 3 * 2},
		{"other hosts", []transport.Layer{to(nil, "a.test", "b.test"), again(3), again(2)}, 2 * 3 * 2},
		{"other hosts below a retry", []transport.Layer{again(3), to(again(2), "a.test", "b.test"), again(2)}, 3 * 2 * 2},
		{"a hedge around other hosts", []transport.Layer{again(3), aside(), to(again(2), "a.test"), again(2)}, (3 + 1) * 2 * 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fails := false
				upstream := transporttest.NewUpstream(func(req *http.Request) (*http.Response, error) {
					if !fails {
						return transporttest.Reply(http.StatusOK, "")(req)
					}
					return transporttest.After(90*time.Second, transporttest.Fail(errReset))(req)
				})
				rt := transport.Chain(upstream, tt.layers...)
				for range 10 { // for which there may be hedges
					_, _, err := send(t, rt, newRequest(t, replayable(t.Context()), http.MethodPost, "hello"))
					require.NoError(t, err)
				}
				fails = true
				before := upstream.Calls()
				_, _, err := send(t, rt, newRequest(t, replayable(t.Context()), http.MethodPost, "hello"))
				require.ErrorIs(t, err, errReset)
				assert.Equal(t, tt.want, upstream.Calls()-before)
				assert.Equal(t, tt.want, transport.Explain(rt).Calls)
				time.Sleep(time.Hour) // who has lost comes to his end
			})
		})
	}
}

// TestExplainCountsCallsOfRefusedEndpoints: an endpoint whose retries end in a refusal
// is not counted, and another one is asked instead.
func TestExplainCountsCallsOfRefusedEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		breakers := map[string]*transport.Breaker{}
		calls := map[string]int{}
		upstream := transporttest.NewUpstream(func(req *http.Request) (*http.Response, error) {
			host := req.URL.Host
			calls[host]++
			if host != "c.test" && calls[host] == 2 {
				breakers[host].Isolate("enough", time.Time{})
			}
			if calls["c.test"] == 3 {
				breakers["a.test"].Close("again")
				breakers["b.test"].Close("again")
			}
			return transporttest.Fail(errReset)(req)
		})
		retry := transport.Retry(policy.Retry{Backoff: policy.Backoff{Base: -1}})
		endpoints := transport.NewFailover(policy.Failover{Ejection: policy.Ejection{Off: true}, Endpoints: []policy.Endpoint{
			{Name: "a.test", URL: "http://a.test"}, {Name: "b.test", URL: "http://b.test"}, {Name: "c.test", URL: "http://c.test"},
		}}, func(name string) transport.Layer {
			breakers[name] = transport.NewBreaker(policy.Breaker{MinCalls: 1000})
			return func(next http.RoundTripper) http.RoundTripper {
				return transport.Chain(next, retry, breakers[name].Wrap)
			}
		})
		rt := transport.Chain(upstream, retry, endpoints.Wrap)
		_, _, err := send(t, rt, newRequest(t, replayable(t.Context()), http.MethodPost, "hello"))
		require.ErrorIs(t, err, errReset)
		assert.Equal(t, 3*3+2*(3-1), upstream.Calls(), "%v", calls)
		assert.Equal(t, upstream.Calls(), transport.Explain(rt).Calls)
	})
}
