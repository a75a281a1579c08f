package telemetry

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// TestErrorType: every outcome there may be has one of the values that are known
// beforehand.
func TestErrorType(t *testing.T) {
	vocabulary := map[string]bool{"": true, otherError: true}
	for _, class := range policy.Classes() {
		vocabulary[class.String()] = true
	}
	delete(vocabulary, "unknown")
	delete(vocabulary, "ok")
	delete(vocabulary, "canceled")
	for _, reason := range reasons {
		vocabulary[reason] = true
	}
	for status := 400; status < 600; status++ {
		vocabulary[statusText(status)] = true
	}
	details := []string{policy.StepDNS, policy.StepConnect, policy.StepTLS, attemptTimeout, totalTimeout}
	for _, detail := range details {
		vocabulary[detail] = true
	}
	assert.Len(t, vocabulary, 2+15+len(reasons)+200+len(details), "no two are called the same")
	failures := []error{
		nil, errors.New("boom"), &net.DNSError{}, syscall.ECONNREFUSED,
		tls.RecordHeaderError{},
		&policy.TimeoutError{Scope: "attempt"}, &policy.TimeoutError{Scope: "mine"}, &policy.Refusal{Reason: "mine", Err: errors.New("no")},
	}
	for _, status := range []int{0, 200, 302, 400, 404, 429, 503, 599, 600, 999} {
		for _, class := range append(policy.Classes(), 200) {
			for _, reason := range append([]string{"", "made up"}, reasons...) {
				for _, err := range failures {
					got := errorType(t.Context(), status, class, err, reason)
					assert.True(t, vocabulary[got], "%d %v %v %q: %q", status, class, err, reason, got)
					noError := class == policy.OK || class == policy.Canceled
					assert.Equal(t, noError, got == "")
				}
			}
		}
	}
	hidden, cancel := context.WithCancelCause(t.Context())
	cancel(&policy.TimeoutError{Scope: "total"})
	for _, tt := range []struct {
		status int
		class  policy.Class
		err    error
		reason string
		want   string
	}{
		{http.StatusServiceUnavailable, policy.Overloaded, nil, "", "503"},
		{http.StatusGatewayTimeout, policy.TimedOut, io.EOF, "", "504"},
		{400, policy.Invalid, nil, "", "400"},
		{599, policy.Internal, nil, "", "599"},
		{600, policy.Internal, nil, "", "_OTHER"},
		{399, policy.Invalid, nil, "", "invalid"},
		{http.StatusOK, policy.Truncated, io.ErrUnexpectedEOF, "", "truncated"},
		{0, policy.TimedOut, nil, "", "timed_out"},
		{0, policy.TimedOut, &policy.TimeoutError{Scope: "attempt"}, "", "timeout_attempt"},
		{http.StatusOK, policy.TimedOut, &policy.TimeoutError{Scope: "attempt"}, "", "timeout_attempt"},
		{0, policy.TimedOut, context.Canceled, "", "timeout_total"}, // by the context's cause
		{0, policy.TimedOut, &policy.TimeoutError{Scope: "mine"}, "", "timed_out"},
		{0, policy.Unreachable, &url.Error{Err: &net.OpError{Op: "dial", Err: &net.DNSError{}}}, "", "dns"},
		{0, policy.Unreachable, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "", "connect"},
		{0, policy.Unreachable, &tls.CertificateVerificationError{}, "", "tls"},
		{0, policy.Unreachable, errors.New("said so by a classifier"), "", "unreachable"},
		{0, policy.Internal, &net.DNSError{}, "", "internal"}, // likewise
		{0, policy.Refused, nil, "queue_full", "queue_full"},
		{0, policy.Refused, &policy.Refusal{Reason: "deadline"}, "queue_full", "deadline"},
		{0, policy.Refused, &policy.Refusal{}, "", "refused"},
		{0, policy.Refused, nil, "made up", "_OTHER"},
		{0, policy.Internal, nil, "queue_full", "internal"},
		{0, policy.Unknown, nil, "", "_OTHER"},
		{999, policy.Unknown, nil, "", "_OTHER"},
	} {
		assert.Equal(t, tt.want, errorType(hidden, tt.status, tt.class, tt.err, tt.reason), "%+v", tt)
	}
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = errorType(ctx, 503, policy.Overloaded, nil, "") }))
}

// TestReasonsAreTheDocumented: the list here is the one that policy.Refusal has.
func TestReasonsAreTheDocumented(t *testing.T) {
	source, err := os.ReadFile("../policy/error.go")
	require.NoError(t, err)
	_, list, _ := strings.Cut(string(source), "Reason is one of a closed set of words")
	list, _, _ = strings.Cut(list, "Reason string")
	var documented []string
	for line := range strings.Lines(list) {
		if word, isItem := strings.CutPrefix(line, "\t//\t"); isItem {
			documented = append(documented, strings.Fields(word)[0])
		}
	}
	assert.Equal(t, reasons, documented)
}
