package policy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// The verdicts on errors.
var (
	unreachable = policy.Verdict{Class: policy.Unreachable, Again: policy.Anywhere, Executed: policy.NotExecuted}
	untrusted   = policy.Verdict{Class: policy.Unreachable, Again: policy.Elsewhere, Executed: policy.NotExecuted}
	timedOut    = policy.Verdict{Class: policy.TimedOut, Again: policy.Anywhere}
	interrupted = policy.Verdict{Class: policy.Interrupted, Again: policy.Anywhere}
	canceled    = policy.Verdict{Class: policy.Canceled}
	refused     = policy.Verdict{Class: policy.Refused, Again: policy.Elsewhere, Executed: policy.NotExecuted}
)

func TestClassifyError(t *testing.T) {
	syscallError := func(name string, errno syscall.Errno) error { return os.NewSyscallError(name, errno) }
	known := policy.Verdict{Class: policy.Filtered, Message: "no"}
	tests := []struct {
		name string
		err  error
		want policy.Verdict
	}{
		{"refused connection", &net.OpError{Op: "dial", Net: "tcp", Err: syscallError("connect", syscall.ECONNREFUSED)}, unreachable},
		{"dial that took too long", &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}, unreachable},
		{"refused proxy", &net.OpError{Op: "proxyconnect", Net: "tcp", Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscallError("connect", syscall.ECONNREFUSED)}}, unreachable},
		{"slow proxy", &net.OpError{Op: "proxyconnect", Net: "tcp", Err: &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}}, unreachable},
		{"SOCKS proxy", &net.OpError{Op: "socks connect", Net: "tcp", Err: errors.New("network unreachable")}, unreachable},
		{"no such host", &net.DNSError{Err: "no such host", Name: "api.test", IsNotFound: true}, unreachable},
		{"slow resolver", &net.DNSError{Err: "i/o timeout", Name: "api.test", IsTimeout: true}, unreachable},
		{"bare ECONNREFUSED", syscall.ECONNREFUSED, unreachable},

		{"stream refused after the upload", errors.New(`http2: Transport: cannot retry err [stream error: stream ID 1; REFUSED_STREAM; received from peer] after Request.Body was written; define Request.GetBody to avoid this error`), unreachable},
		{"GOAWAY before the upload was looked at", errors.New(`http2: Transport: cannot retry err [http2: Transport received Server's graceful shutdown GOAWAY] after Request.Body was written; define Request.GetBody to avoid this error`), unreachable},
		{"GOAWAY instead of an answer", errors.New("http2: Transport received GOAWAY from server ErrCode:ENHANCE_YOUR_CALM"), unreachable},

		{"certificate", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, untrusted},
		{"unknown authority", x509.UnknownAuthorityError{}, untrusted},
		{"wrong host", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "api.test"}, untrusted},
		{"expired certificate", x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}, untrusted},
		{"no TLS", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, untrusted},
		{"HTTP on an HTTPS port", http.ErrSchemeMismatch, untrusted},

		{"deadline", context.DeadlineExceeded, timedOut},
		{"our own limit", &policy.TimeoutError{Scope: "attempt", Phase: "idle", Limit: time.Second}, timedOut},
		{"read that took too long", &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}, timedOut},
		{"timeout two levels down", &url.Error{Op: "Post", URL: "http://api.test", Err: fmt.Errorf("layer: %w", timeoutError{})}, timedOut},

		{"reset", &net.OpError{Op: "read", Net: "tcp", Err: syscallError("read", syscall.ECONNRESET)}, interrupted},
		{"broken pipe", &net.OpError{Op: "write", Net: "tcp", Err: syscallError("write", syscall.EPIPE)}, interrupted},
		{"bare ECONNRESET", syscall.ECONNRESET, interrupted},
		{"bare ECONNABORTED", syscall.ECONNABORTED, interrupted},
		{"EOF before the header", io.EOF, interrupted},
		{"EOF in the header", io.ErrUnexpectedEOF, interrupted},
		{"closed connection", net.ErrClosed, interrupted},
		{"closed pipe", io.ErrClosedPipe, interrupted},
		{"closed idle connection", errors.New("http: server closed idle connection"), interrupted},
		{"lost HTTP/2 connection", errors.New("http2: client connection lost"), interrupted},
		{"GOAWAY", errors.New("http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR, debug=\"\""), interrupted},

		{"GOAWAY that quotes another", errors.New(`http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR, debug="http2: Transport received GOAWAY from server"`), interrupted},

		{"the caller gave up", context.Canceled, canceled},
		{"the caller gave up while dialing", &net.OpError{Op: "dial", Net: "tcp", Err: context.Canceled}, canceled},

		{"our own refusal", &policy.Refusal{Layer: "breaker", Err: errors.New("open")}, refused},
		{"verdict of an inner stack", &policy.Error{Verdict: known, Err: io.EOF}, known},
		{"refusal of an inner stack", &policy.Error{Verdict: known, Err: &policy.Refusal{Err: errors.New("open")}}, refused},

		{"nothing known", errors.New("boom"), policy.Verdict{}},
		{"upload cut off by a protocol error", errors.New(`http2: Transport: cannot retry err [stream error: stream ID 1; PROTOCOL_ERROR; received from peer] after Request.Body was written; define Request.GetBody to avoid this error`), policy.Verdict{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := policy.Classify(policy.Outcome{Err: tt.err}); got != tt.want {
				t.Errorf("Classify(%v) = %+v, want %+v", tt.err, got, tt.want)
			}
			wrapped := &url.Error{Op: "Post", URL: "http://api.test", Err: fmt.Errorf("layer: %w", tt.err)}
			if got := policy.Classify(policy.Outcome{Err: wrapped}); got != tt.want {
				t.Errorf("Classify(%v) = %+v, want %+v", wrapped, got, tt.want)
			}
		})
	}
}

// timeoutError is a net.Error.
type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// TestClassifyNetHTTP lets net/http itself fail.
func TestClassifyNetHTTP(t *testing.T) {
	abort := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	plain := httptest.NewServer(abort)
	t.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(abort)
	secure.EnableHTTP2 = true
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	nobody := "http://" + closed.Addr().String()
	proxy, err := url.Parse(nobody)
	require.NoError(t, err)
	expired, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	t.Cleanup(cancel)
	gone, leave := context.WithCancel(t.Context())
	leave()

	tests := []struct {
		name   string
		ctx    context.Context
		client *http.Client
		url    string
		want   policy.Verdict
	}{
		{"nobody listens", t.Context(), &http.Client{Transport: &http.Transport{}}, nobody, unreachable},
		{"no proxy listens", t.Context(), &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}}, plain.URL, unreachable},
		{"unknown authority", t.Context(), &http.Client{Transport: &http.Transport{}}, secure.URL, untrusted},
		{"no TLS", t.Context(), &http.Client{Transport: &http.Transport{}}, "https" + plain.URL[len("http"):], untrusted},
		{"connection closed before the header", t.Context(), plain.Client(), plain.URL, interrupted},
		{"HTTP/2 stream reset before the header", t.Context(), secure.Client(), secure.URL, interrupted},
		{"deadline", expired, plain.Client(), plain.URL, timedOut},
		{"canceled", gone, plain.Client(), plain.URL, canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(tt.ctx, http.MethodPost, tt.url, nil)
			require.NoError(t, err)
			resp, err := tt.client.Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			require.Error(t, err)
			if got := policy.Classify(policy.Outcome{Err: err}); got != tt.want {
				t.Errorf("Classify(%v) = %+v, want %+v", err, got, tt.want)
			}
		})
	}
}

func TestClassifyRefusedStream(t *testing.T) {
	for code, want := range map[uint32]policy.Verdict{2: interrupted, 7: unreachable, 8: interrupted} {
		if got := policy.Classify(policy.Outcome{Err: streamReset(code)}); got != want {
			t.Errorf("stream reset with code %d = %+v, want %+v", code, got, want)
		}
	}
}

// streamReset is an error code of HTTP/2. Like net/http's error of a stream that
// was reset, it is found as any struct with the fields of that error.
type streamReset uint32

func (e streamReset) Error() string { return fmt.Sprintf("stream error: code %d", uint32(e)) }

func (e streamReset) As(target any) bool {
	dst := reflect.ValueOf(target).Elem()
	if dst.Kind() != reflect.Struct || !dst.FieldByName("StreamID").IsValid() {
		return false
	}
	dst.FieldByName("Code").SetUint(uint64(e))
	return true
}

func TestClassifyRefusalWait(t *testing.T) {
	refusal := &policy.Refusal{RetryAt: time.Now().Add(-time.Hour), Err: errors.New("open")}
	if got := policy.Classify(policy.Outcome{Err: refusal}).Wait; got != 0 {
		t.Errorf("Wait = %v, want 0 for a time that has passed", got)
	}
}

func TestClassifyBody(t *testing.T) {
	tests := []struct {
		name  string
		err   error
		class policy.Class
		again policy.Again
	}{
		{"whole", nil, policy.OK, policy.Nobody},
		{"cut short", io.ErrUnexpectedEOF, policy.Truncated, policy.Anywhere},
		{"cut short, wrapped", fmt.Errorf("gzip: %w", policy.ErrTruncated), policy.Truncated, policy.Anywhere},
		{"reset", syscall.ECONNRESET, policy.Interrupted, policy.Anywhere},
		{"stalled", &policy.TimeoutError{Scope: "attempt", Phase: "idle", Limit: time.Second}, policy.TimedOut, policy.Anywhere},
		{"the caller gave up", context.Canceled, policy.Canceled, policy.Nobody},
		{"anything else", errors.New("gzip: invalid checksum"), policy.Interrupted, policy.Nobody},
		{"bytes that are no TLS", tls.RecordHeaderError{Msg: "unsupported SSLv2 handshake received"}, policy.Interrupted, policy.Anywhere},
		{"a server that takes back what it answers", errors.New("http2: Transport received Server's graceful shutdown GOAWAY"), policy.Interrupted, policy.Anywhere},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := policy.Verdict{Class: tt.class, Again: tt.again, Executed: policy.Executed}
			if got := policy.ClassifyBody(tt.err); got != want {
				t.Errorf("ClassifyBody(%v) = %+v, want %+v", tt.err, got, want)
			}
		})
	}
}

// A stream that says itself what went wrong is believed, whoever looks at its end.
func TestClassifyBodyOfAStream(t *testing.T) {
	said := policy.Verdict{Class: policy.QuotaExceeded, Again: policy.Elsewhere, Code: "insufficient_quota"}
	err := fmt.Errorf("reading: %w", &policy.StreamError{Verdict: said})
	assert.Equal(t, said, policy.ClassifyBody(err))
	assert.Equal(t, said, policy.Classify(policy.Outcome{Status: 200, Err: err}))
}

// A body that breaks turns any answer into a failure but one that is a failure already.
func TestClassifyBrokenAnswer(t *testing.T) {
	for status, want := range map[int]policy.Class{200: policy.Truncated, 302: policy.Truncated, 399: policy.Truncated, 400: policy.Invalid, 503: policy.Overloaded} {
		assert.Equal(t, want, policy.Classify(policy.Outcome{Status: status, Err: policy.ErrTruncated}).Class, status)
	}
}

// TestClassifyHandshake: a request whose TLS handshake fails was never sent.
func TestClassifyHandshake(t *testing.T) {
	slow := policy.Classify(policy.Outcome{Err: errors.New("net/http: TLS handshake timeout")})
	assert.Equal(t, policy.Verdict{Class: policy.Unreachable, Again: policy.Anywhere, Executed: policy.NotExecuted}, slow)
	alert := &net.OpError{Op: "remote error", Err: tls.AlertError(40)}
	no := policy.Classify(policy.Outcome{Err: alert})
	assert.Equal(t, policy.Verdict{Class: policy.Unreachable, Again: policy.Elsewhere, Executed: policy.NotExecuted}, no)
}

// TestClassifyAlerts: of the alerts of TLS, some say no to the two ends as they are, for
// good. The others may be a connection's own trouble.
func TestClassifyAlerts(t *testing.T) {
	refusals := []int{40, 42, 43, 44, 45, 46, 48, 49, 70, 71, 109, 110, 112, 113, 115, 116, 120}
	for alert := range 256 {
		want := policy.Interrupted
		if slices.Contains(refusals, alert) {
			want = policy.Unreachable
		}
		err := &net.OpError{Op: "remote error", Err: tls.AlertError(alert)}
		assert.Equal(t, want, policy.Classify(policy.Outcome{Err: err}).Class, alert)
	}
}

// TestClassifyReset: a rate limit that says when it starts afresh says how long
// to wait.
func TestClassifyReset(t *testing.T) {
	header := http.Header{"X-Ratelimit-Remaining-Requests": {"0"}, "X-Ratelimit-Reset-Requests": {"6m0s"}}
	assert.Equal(t, 6*time.Minute, policy.Classify(policy.Outcome{Status: 429, Header: header}).Wait)
	assert.Zero(t, policy.Classify(policy.Outcome{Status: 503, Header: header}).Wait)
}
