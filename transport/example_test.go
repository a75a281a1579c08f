package transport_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// Layers are put around a transport from the outside in. One of one's own is a
// func.
func ExampleChain() {
	upstream := transporttest.NewUpstream(
		transporttest.Reply(http.StatusBadGateway, "oops"),
		transporttest.Reply(http.StatusOK, "hello"),
	)
	logged := func(next http.RoundTripper) http.RoundTripper {
		return transport.Func(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err == nil {
				fmt.Println(req.Method, req.URL, resp.Status)
			}
			return resp, err
		})
	}
	rt := transport.Chain(upstream,
		transport.Retry(policy.Retry{Backoff: policy.Backoff{Base: time.Millisecond}}),
		logged, // below the retries, so it sees every attempt
		transport.Timeout(policy.Timeout{FirstByte: 5 * time.Second}),
	)
	req, err := http.NewRequest(http.MethodGet, "http://up.test/greet", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	fmt.Println(string(text), err)
	// Output:
	// GET http://up.test/greet 502 Bad Gateway
	// GET http://up.test/greet 200 OK
	// hello <nil>
}

// The client that a program has already stays as it is.
func ExampleWrap() {
	upstream := transporttest.NewUpstream(
		transporttest.Reply(http.StatusBadGateway, "oops"),
		transporttest.Reply(http.StatusOK, "hello"),
	)
	client := &http.Client{Transport: upstream, Timeout: 10 * time.Second}

	client = transport.Wrap(client, transport.Retry(policy.Retry{}))
	resp, err := client.Get("http://up.test/greet")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status, "after", upstream.Calls(), "attempts, timeout still", client.Timeout)
	// Output:
	// 200 OK after 2 attempts, timeout still 10s
}

// A POST is repeated when the server says that it did not process it, or when an
// Idempotency-Key makes repeating it harmless.
func ExampleRetry() {
	upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusBadGateway, "oops"))
	client := transport.Wrap(&http.Client{Transport: upstream}, transport.Retry(policy.Retry{
		Attempts: 4,
		Backoff:  policy.Backoff{Base: time.Millisecond},
	}))
	for _, key := range []string{"", "order-17"} {
		req, err := http.NewRequest(http.MethodPost, "http://up.test/orders", strings.NewReader(`{"item":"key"}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		before := upstream.Calls()
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("key %q: %d attempts, then %s: %s %v\n", key, upstream.Calls()-before, resp.Status, text, err)
	}
	// Output:
	// key "": 1 attempts, then 502 Bad Gateway: oops <nil>
	// key "order-17": 4 attempts, then 502 Bad Gateway: oops <nil>
}

// A breaker stops asking a server that is down.
func ExampleNewBreaker() {
	upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusInternalServerError, "oops"))
	breaker := transport.NewBreaker(policy.Breaker{Name: "up.test", MinCalls: 3})
	client := transport.Wrap(&http.Client{Transport: upstream}, breaker.Wrap)

	for range 5 {
		resp, err := client.Get("http://up.test/")
		if refusal, ok := errors.AsType[*policy.Refusal](err); ok {
			fmt.Println(breaker.State(), errors.Is(err, transport.ErrOpen),
				"ask again in", time.Until(refusal.RetryAt).Round(time.Second))
			continue
		}
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(breaker.State(), resp.Status)
		resp.Body.Close()
	}
	fmt.Println(upstream.Calls(), "requests")
	// Output:
	// closed 500 Internal Server Error
	// closed 500 Internal Server Error
	// open 500 Internal Server Error
	// open true ask again in 5s
	// open true ask again in 5s
	// 3 requests
}

// A timeout covers the body, too, and says which limit was passed.
func ExampleTimeout() {
	upstream := transporttest.NewUpstream(
		transporttest.Hang(),
		transporttest.Stall(http.StatusOK, "hel"),
	)
	client := transport.Wrap(&http.Client{Transport: upstream}, transport.Timeout(policy.Timeout{
		FirstByte: 20 * time.Millisecond,
		Idle:      10 * time.Millisecond,
	}))
	_, err := client.Get("http://up.test/")
	fmt.Println(err)

	resp, err := client.Get("http://up.test/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	fmt.Println(string(text), err)
	limit, _ := errors.AsType[*policy.TimeoutError](err)
	fmt.Println(limit.Phase, limit.Limit)
	// Output:
	// Get "http://up.test/": sparekey: attempt timeout: first byte exceeded 20ms
	// hel sparekey: attempt timeout: idle exceeded 10ms
	// idle 10ms
}

// One host that is down does not cut off the others.
func ExamplePerKey() {
	upstream := transport.Func(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "down.test" {
			return transporttest.Reply(http.StatusInternalServerError, "oops")(req)
		}
		return transporttest.Reply(http.StatusOK, "hello")(req)
	})
	perHost := transport.PerKey(transport.Authority, func(authority string) transport.Layer {
		return transport.NewBreaker(policy.Breaker{Name: authority, MinCalls: 1}).Wrap
	})
	client := transport.Wrap(&http.Client{Transport: upstream}, perHost)
	for _, host := range []string{"down.test", "down.test", "up.test"} {
		resp, err := client.Get("http://" + host)
		if err != nil {
			fmt.Println(host, "refused:", errors.Is(err, transport.ErrOpen))
			continue
		}
		fmt.Println(host, resp.Status)
		resp.Body.Close()
	}
	// Output:
	// down.test 500 Internal Server Error
	// down.test refused: true
	// up.test 200 OK
}
