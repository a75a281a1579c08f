package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// Each endpoint of a stack has its own breaker: that of one which is down opens, and
// nobody is refused.
func TestStandardFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sites{status: map[string]int{"a.test": -1}}
		rt := transport.Chain(s, transport.Standard(policy.Stack{
			Failover: &policy.Failover{Endpoints: regions(), Ejection: policy.Ejection{Off: true}},
			Retry:    policy.Retry{Off: true},
			Breaker:  policy.Breaker{MinCalls: 3},
		}))
		for range 10 {
			status, text, err := send(t, rt, to(t, "POST", "http://a.test/v1/x", "body"))
			require.NoError(t, err)
			require.Equal(t, 200, status)
			require.Equal(t, "b.test", text)
		}
		assert.Len(t, s.asked, 13, "a until its breaker is open")
		failovers := transport.Failovers(rt)
		require.Len(t, failovers, 1)
		state := failovers[0].State()
		assert.Equal(t, "b", state[1].Name)
		assert.EqualValues(t, 10, state[1].Asked)
		assert.EqualValues(t, 3, state[0].Faults)
	})
}

// Transports that one stack wraps have endpoints of their own.
func TestStandardFailoversAreApart(t *testing.T) {
	stack := transport.Standard(policy.Stack{Failover: &policy.Failover{Endpoints: regions()}})
	first, second := transport.Chain(&sites{}, stack), transport.Chain(&sites{}, stack)
	_, _, err := send(t, first, to(t, "GET", "http://a.test/v1/x", ""))
	require.NoError(t, err)
	assert.EqualValues(t, 1, transport.Failovers(first)[0].State()[0].Asked)
	assert.Zero(t, transport.Failovers(second)[0].State()[0].Asked)
	assert.Empty(t, transport.Failovers(transport.Chain(&sites{}, transport.Standard(policy.Stack{}))))
}

// What an endpoint's answers mean is said by its own classifier, to all layers.
func TestStandardFailoverClassifies(t *testing.T) {
	s := &sites{status: map[string]int{"a.test": 418}}
	endpoints := regions()
	endpoints[0].Classify = func(o policy.Outcome) policy.Verdict {
		if o.Status == 418 {
			return policy.Verdict{Class: policy.QuotaExceeded, Again: policy.Elsewhere}
		}
		return policy.Classify(o)
	}
	ctx, trail := traced(t)
	rt := transport.Chain(s, transport.Standard(policy.Stack{Failover: &policy.Failover{Endpoints: endpoints}, Throttle: &policy.Throttle{}}))
	status, _, err := send(t, rt, to(t, "GET", "http://a.test/v1/x", "").WithContext(ctx))
	require.NoError(t, err)
	assert.Equal(t, 200, status)
	require.Len(t, trail.Attempts(), 2)
	assert.Equal(t, policy.QuotaExceeded, trail.Attempts()[0].Verdict.Class)
}

// A request that a redirect leads to no endpoint has a stack's layers all the same.
func TestStandardFailoverAstray(t *testing.T) {
	wire := transport.Func(func(req *http.Request) (*http.Response, error) {
		resp := replied(req, 200, "there")
		if req.URL.Host == "a.test" {
			resp.StatusCode = 307
			resp.Header.Set("Location", "http://elsewhere.test/")
		}
		return resp, nil
	})
	client := transport.Wrap(&http.Client{Transport: wire}, transport.Standard(policy.Stack{Failover: &policy.Failover{Endpoints: regions()}}))
	resp, err := client.Get("http://a.test/v1/x")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, "http://elsewhere.test/", resp.Request.URL.String())
	assert.Len(t, telemetry.TrailOf(resp).Attempts(), 1)
}

// The clock of the whole call runs while a token is fetched, though no attempt has
// begun.
func TestStandardFailoverBoundsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endpoints := regions()
		for i := range endpoints {
			endpoints[i].Token = func(ctx context.Context) (string, error) {
				<-ctx.Done()
				return "", context.Cause(ctx)
			}
		}
		rt := transport.Chain(&sites{}, transport.Standard(policy.Stack{Failover: &policy.Failover{Endpoints: endpoints}, Total: 3 * time.Second}))
		took := elapsed()
		_, _, err := send(t, rt, to(t, "GET", "http://a.test/v1/x", ""))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second, took())
		limit, ok := errors.AsType[*policy.TimeoutError](err)
		require.True(t, ok)
		assert.Equal(t, "total", limit.Scope)
	})
}

// Failover's own budget is used where no retry has one.
func TestStandardFailoverBudget(t *testing.T) {
	dead := map[string]int{"a.test": -1, "b.test": -1, "c.test": -1}
	asked := func(stack policy.Stack) int {
		s := &sites{status: dead}
		stack.Failover = &policy.Failover{Endpoints: regions(), Budget: policy.Budget{Burst: 1, Ratio: -1, PerSecond: -1}}
		_, _, err := send(t, transport.Chain(s, transport.Standard(stack)), to(t, "GET", "http://a.test/v1/x", ""))
		require.ErrorIs(t, err, errDial)
		return len(s.asked)
	}
	assert.Equal(t, 2, asked(policy.Stack{Retry: policy.Retry{Off: true}}))
	assert.Equal(t, 3, asked(policy.Stack{}))
}

// Two accounts of one provider: a stack goes on with the second key when the first
// one's quota is used up.
func ExampleStandard_failover() {
	wire := transport.Func(func(req *http.Request) (*http.Response, error) {
		status, text := http.StatusOK, "hello"
		if req.Header.Get("Authorization") == "Bearer first" {
			status, text = http.StatusTooManyRequests, `{"error":{"code":"insufficient_quota","message":"You exceeded your current quota"}}`
		}
		header := http.Header{"Content-Type": {"application/json"}}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
	})
	client := transport.Wrap(&http.Client{Transport: wire}, transport.Standard(policy.Stack{
		Failover: &policy.Failover{Endpoints: []policy.Endpoint{
			{Name: "first", Header: http.Header{"Authorization": {"Bearer first"}}},
			{Name: "second", Header: http.Header{"Authorization": {"Bearer second"}}},
		}},
	}))

	resp, err := client.Post("https://api.example.com/v1/chat", "application/json", strings.NewReader("{}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode, resp.Header.Get(telemetry.HeaderName))
	for _, endpoint := range transport.Failovers(client.Transport)[0].State() {
		fmt.Println(endpoint.Name, endpoint.Asked, endpoint.Faults)
	}
	// Output:
	// 200 second;cause=quota_exceeded
	// first 1 1
	// second 1 0
}
