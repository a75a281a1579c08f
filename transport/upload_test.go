package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A request's own body that cannot be read is no fault of the server: whatever the
// error is, it opens no breaker, is not repeated, and comes back as what it is.
func TestUploadFails(t *testing.T) {
	alone := transport.NewBreaker(policy.Breaker{})
	long := policy.Default()
	long.Retry.ReplayBytes = -1
	once := policy.Default()
	once.Retry.Off = true
	for name, layer := range map[string]transport.Layer{
		"recorded":      transport.Standard(policy.Default()),
		"not recorded":  transport.Standard(long),
		"without retry": transport.Standard(once),
		"breaker alone": alone.Wrap,
	} {
		for _, cause := range []error{
			io.ErrUnexpectedEOF, // which a reverse proxy gets whose client hangs up
			&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
			&net.OpError{Op: "read", Err: syscall.ECONNRESET},
			context.DeadlineExceeded,
			&policy.Error{Verdict: policy.Verdict{Class: policy.Internal, Again: policy.Anywhere}}, // of another call, whose answer it was
			&policy.Refusal{Layer: "breaker", Reason: "breaker_open"},
		} {
			for _, http2 := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %T, HTTP/2 %v", name, cause, http2), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { failUploads(t, layer, cause, http2) })
				})
			}
		}
	}
	assert.Equal(t, policy.Closed, alone.State())
}

func failUploads(t *testing.T, layer transport.Layer, cause error, http2 bool) {
	server := transporttest.NewServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	if http2 {
		server.UseHTTP2()
	}
	reads := 0
	rt := transport.Chain(server.Transport(), layer)
	for range 30 {
		req := newRequest(t, replayable(t.Context()), http.MethodPost, "")
		req.Body = io.NopCloser(io.MultiReader(strings.NewReader("hello"), countReads(&reads), iotest.ErrReader(cause)))
		_, err := rt.RoundTrip(req)
		require.ErrorIs(t, err, cause)
		own, ok := errors.AsType[*policy.RequestBodyError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, cause, own.Err)
		assert.Equal(t, policy.Verdict{Class: policy.Unknown, Again: policy.Nobody}, policy.Classify(policy.Outcome{Err: err}))
	}
	assert.Equal(t, 30, reads, "attempts")
	for _, b := range transport.Breakers(rt) {
		assert.Equal(t, policy.Closed, b.State())
	}
}

// Nor is one that is not as long as the request says, which HTTP/1 finds out when it has
// sent it. Now and then net/http tells of the connection first, which it closes over that:
// such an attempt is made again.
func TestUploadOfAnotherLength(t *testing.T) {
	for _, length := range []int64{3, 10} {
		t.Run(fmt.Sprintf("%d bytes said of 5", length), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := transporttest.NewServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					<-r.Context().Done() // an answer could come before the error
				}))
				rt := transport.Chain(server.Transport(), transport.Standard(policy.Default()))
				for range 30 {
					req := newRequest(t, replayable(t.Context()), http.MethodPost, "")
					req.Body, req.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("hello"))), length
					_, err := rt.RoundTrip(req)
					require.ErrorContains(t, err, fmt.Sprintf("ContentLength=%d with Body length 5", length))
					assert.Equal(t, policy.Unknown, policy.ErrorOf(err).Verdict.Class) // of the last attempt
				}
				for _, b := range transport.Breakers(rt) {
					assert.Equal(t, policy.Closed, b.State())
				}
			})
		})
	}
}

// countReads is an empty reader that counts how often it is read.
func countReads(n *int) io.Reader {
	return readerFunc(func([]byte) (int, error) {
		*n++
		return 0, io.EOF
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
