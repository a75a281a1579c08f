package peers_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// The claims_…_test.go files say what peers do with HTTP and what the toolkit
// does. A claim about a peer fails when a new version of it does something else:
// then the claim has to go.

// An outcome is what a scenario comes to with one stack.
type outcome[T any] struct {
	stack string
	layer func() transport.Layer // made in the scenario's bubble
	want  T
}

func with[T any](stack string, layer func() transport.Layer, want T) outcome[T] {
	return outcome[T]{stack, layer, want}
}

// observe plays a scenario with each stack, in a bubble of its own, and checks
// what it comes to.
func observe[T any](t *testing.T, scenario func(*testing.T, transport.Layer) T, outcomes ...outcome[T]) {
	t.Helper()
	for _, o := range outcomes {
		t.Run(o.stack, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { assert.Equal(t, o.want, scenario(t, o.layer())) })
		})
	}
}

// The stacks that most scenarios are played with.
var (
	failsafeRetry    = func() transport.Layer { return policies(retryOf()) }
	failsafeTimeout  = func() transport.Layer { return policies(timeoutOf(time.Second)) }
	retryableClient  = func() transport.Layer { return retryable(nil) }
	rehttpRetry      = func() transport.Layer { return rehttpLayer(10 * time.Millisecond) }
	sparekeyStandard = func() transport.Layer { return transport.Standard(policy.Stack{}) }

	// sparekeyUnbounded repeats as often as it is asked to.
	sparekeyUnbounded = func() transport.Layer {
		return transport.Standard(policy.Stack{Retry: policy.Retry{Budget: policy.Budget{Off: true}}})
	}
)

// A result is how a call ends and when.
type result struct {
	Status int // zero for an error
	After  time.Duration
}

// call makes a call and reads its answer.
func call(t testing.TB, rt http.RoundTripper, req *http.Request) (result, string, error) {
	t.Helper()
	start := time.Now()
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return result{After: time.Since(start)}, "", err
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return result{resp.StatusCode, time.Since(start)}, string(text), err
}

func newGet(ctx context.Context) *http.Request { return newRequest(ctx, http.MethodGet) }

func newPost(ctx context.Context, text string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://service.test/", strings.NewReader(text))
	if err != nil {
		panic(err) // the URL is right
	}
	return req
}

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

// isTimeout reports what callers ask an error to tell a timeout by.
func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
