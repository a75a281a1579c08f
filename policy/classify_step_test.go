package policy_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

// TestStepOf: each step is told apart from the others, however deep its error is, and
// all of them are of what was not reached.
func TestStepOf(t *testing.T) {
	dial := func(err error) error {
		return &url.Error{Op: "Post", URL: "https://api.test", Err: &net.OpError{Op: "dial", Net: "tcp", Err: err}}
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{dial(&net.DNSError{Err: "no such host", IsNotFound: true}), policy.StepDNS},
		{dial(&net.DNSError{Err: "i/o timeout", IsTimeout: true}), policy.StepDNS},
		{dial(syscall.ECONNREFUSED), policy.StepConnect},
		{dial(syscall.EHOSTUNREACH), policy.StepConnect},
		{fmt.Errorf("mine: %w", syscall.ECONNREFUSED), policy.StepConnect},
		{&net.OpError{Op: "proxyconnect", Err: io.EOF}, policy.StepConnect},
		{&tls.CertificateVerificationError{Err: errors.New("expired")}, policy.StepTLS},
		{&net.OpError{Op: "proxyconnect", Err: x509.UnknownAuthorityError{}}, policy.StepTLS},
		{errors.New("net/http: TLS handshake timeout"), policy.StepTLS},
		{http.ErrSchemeMismatch, policy.StepTLS},
	} {
		assert.Equal(t, tt.want, policy.StepOf(tt.err), "%v", tt.err)
		assert.Equal(t, policy.Unreachable, policy.Classify(policy.Outcome{Err: tt.err}).Class, "%v", tt.err)
	}
	for _, err := range []error{nil, io.EOF, syscall.ECONNRESET, errors.New("boom"), errors.New("http2: client conn not usable")} {
		assert.Empty(t, policy.StepOf(err), "%v", err)
	}
}
