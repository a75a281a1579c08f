package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A key is minted once for a call that needs one, and is the same in all its
// attempts.
func TestRetryIdempotencyKey(t *testing.T) {
	tests := []struct {
		name      string
		method    string
		header    http.Header
		wantCalls int
		wantKey   string // "" for a new one, "-" for none
	}{
		{"POST", http.MethodPost, http.Header{"X-A": {"b"}}, 3, ""},
		{"PATCH", http.MethodPatch, http.Header{}, 3, ""},
		{"no header at all", http.MethodPost, nil, 3, ""},
		{"a method of one's own", "PURGE", http.Header{}, 3, ""},
		{"one's own key", http.MethodPost, http.Header{"Idempotency-Key": {"mine"}}, 3, "mine"},
		{"one's own key, empty", http.MethodPost, http.Header{"Idempotency-Key": {""}}, 3, "-"},
		{"one's own key by the other name", http.MethodPost, http.Header{"X-Idempotency-Key": {"mine"}}, 3, "-"},
		{"one's own key, not in canonical form", http.MethodPost, http.Header{"idempotency-key": {"mine"}}, 3, "-"},
		{"GET", http.MethodGet, http.Header{}, 3, "-"},
		{"PUT", http.MethodPut, http.Header{}, 3, "-"},
		{"DELETE", http.MethodDelete, http.Header{}, 3, "-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := transporttest.NewUpstream(transporttest.Reply(500, "oops"))
				layer := transport.Retry(policy.Retry{IdempotencyKey: true, Budget: policy.Budget{Off: true}})
				rt := transport.Chain(upstream, layer, layer) // the inner one finds the key of the outer one
				last := ""
				for range 2 {
					req := newRequest(t, t.Context(), tt.method, "hello")
					req.Header = tt.header.Clone()
					before := upstream.Calls()
					_, _, err := send(t, rt, req)
					require.NoError(t, err)
					assert.Equal(t, tt.header, req.Header, "the caller's request was changed")
					requests := upstream.Requests()[before:]
					require.Len(t, requests, tt.wantCalls)
					key := requests[0].Header.Get("Idempotency-Key")
					for _, r := range requests {
						assert.Equal(t, key, r.Header.Get("Idempotency-Key"))
						assert.Equal(t, tt.header.Get("X-A"), r.Header.Get("X-A"))
					}
					switch tt.wantKey {
					case "":
						assert.GreaterOrEqual(t, len(key), 26)
						assert.NotEqual(t, last, key, "two calls have one key")
					case "-":
						assert.Empty(t, key)
					default:
						assert.Equal(t, tt.wantKey, key)
					}
					last = key
				}
			})
		})
	}
	t.Run("not by default", func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Reply(500, "oops"))
		_, _, err := send(t, transport.Retry(policy.Retry{})(upstream), newRequest(t, t.Context(), http.MethodPost, "hello"))
		require.NoError(t, err)
		require.Equal(t, 1, upstream.Calls())
		assert.Empty(t, upstream.Requests()[0].Header)
	})
}

func TestReplayable(t *testing.T) {
	call := policy.Call{Function: "tickets", Model: "m1", Identity: "acme", Priority: 3}
	ctx, cancel := context.WithCancel(policy.WithCall(t.Context(), call))
	defer cancel()
	req := newRequest(t, ctx, http.MethodPost, "hello")
	marked := transport.Replayable(req)

	assert.Equal(t, call, policy.CallOf(req.Context()), "the caller's request was changed")
	call.Replayable = true
	assert.Equal(t, call, policy.CallOf(marked.Context()), "the call lost something")
	assert.Equal(t, call, policy.CallOf(transport.Replayable(marked).Context()))
	assert.Equal(t, ctx.Done(), marked.Context().Done())
}

func ExampleReplayable() {
	upstream := transporttest.NewUpstream(
		transporttest.Reply(http.StatusBadGateway, "oops"), transporttest.Reply(http.StatusOK, "billing"))
	client := transport.Wrap(&http.Client{Transport: upstream}, transport.Retry(policy.Retry{
		Backoff: policy.Backoff{Base: time.Millisecond},
	}))
	req, err := http.NewRequest(http.MethodPost, "http://up.test/classify", strings.NewReader("where is my invoice?"))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(transport.Replayable(req)) // a prediction changes nothing
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status, "after", upstream.Calls(), "attempts")
	// Output: 200 OK after 2 attempts
}

// Nobody has to think of a key: the server, which honours it, makes the order
// once.
func ExampleRetry_idempotencyKey() {
	orders := map[string]bool{}
	server := transport.Func(func(req *http.Request) (*http.Response, error) {
		key := req.Header.Get("Idempotency-Key")
		again := orders[key]
		orders[key] = true
		if !again {
			return transporttest.Reply(http.StatusBadGateway, "the answer was lost")(req)
		}
		return transporttest.Reply(http.StatusOK, "your order")(req)
	})
	client := transport.Wrap(&http.Client{Transport: server}, transport.Retry(policy.Retry{
		IdempotencyKey: true,
		Backoff:        policy.Backoff{Base: time.Millisecond},
	}))
	resp, err := client.Post("http://up.test/orders", "application/json", strings.NewReader(`{"item":"key"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status, len(orders), "order")
	// Output: 200 OK 1 order
}
