package transport_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

const target = "http://up.test/"

var (
	errDial  = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED} // surely not processed
	errReset = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}   // nobody can tell
)

// fixed returns a source of jitter that is no such thing.
func fixed(random float64) func() float64 { return func() float64 { return random } }

// almostOne is the greatest number that a source of jitter may return.
var almostOne = math.Nextafter(1, 0)

// newRequest returns a request with ctx. A body of "" is none.
func newRequest(t testing.TB, ctx context.Context, method, body string) *http.Request {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, r)
	require.NoError(t, err)
	return req
}

// get sends a GET and returns what came of it, the body read to its end.
func get(t testing.TB, rt http.RoundTripper) (status int, text string, err error) {
	t.Helper()
	return send(t, rt, newRequest(t, t.Context(), http.MethodGet, ""))
}

// send sends req and returns what came of it, the body read to its end and
// closed.
func send(t testing.TB, rt http.RoundTripper, req *http.Request) (status int, text string, err error) {
	t.Helper()
	resp, err := rt.RoundTrip(req)
	if err != nil {
		if resp != nil {
			t.Errorf("RoundTrip returned both a response and the error %v", err)
		}
		return 0, "", err
	}
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, string(data), err
}

// traced returns a context with a trail, and the trail.
func traced(t testing.TB) (context.Context, *telemetry.Trail) {
	t.Helper()
	return telemetry.NewContext(t.Context())
}

// notes returns why the retry layer stopped.
func notes(trail *telemetry.Trail) []string {
	var reasons []string
	for _, n := range trail.Notes() {
		reasons = append(reasons, n.Reason)
	}
	return reasons
}

// replayable returns ctx for a request that may be sent more than once.
func replayable(ctx context.Context) context.Context {
	return policy.WithCall(ctx, policy.Call{Function: "fn", Replayable: true})
}

// mustPanic fails the test unless f panics, and returns with what.
func mustPanic(t testing.TB, f func()) (value any) {
	t.Helper()
	defer func() {
		if value = recover(); value == nil {
			t.Error("did not panic")
		}
	}()
	f()
	return nil
}

// elapsed returns the time since the last call of it, or since it was made.
func elapsed() func() time.Duration {
	last := time.Now()
	return func() time.Duration {
		now := time.Now()
		defer func() { last = now }()
		return now.Sub(last)
	}
}

// sameError reports whether err matches want, nil only nil.
func sameError(err, want error) bool {
	return errors.Is(err, want) && (err == nil) == (want == nil)
}
