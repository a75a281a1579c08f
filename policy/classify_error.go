package policy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"syscall"
)

// ErrTruncated is matched by the error of a body that ended before its
// announced end. It is [io.ErrUnexpectedEOF], which net/http reports.
var ErrTruncated = io.ErrUnexpectedEOF

// classifyError decides on the error of an attempt that got no response. The
// more certain readings come first.
func classifyError(err error) Verdict {
	if own, ok := errors.AsType[*RequestBodyError](err); ok {
		return classifyUpload(err, own)
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return Verdict{Class: Refused, Again: Elsewhere, Executed: NotExecuted, Wait: refusal.wait()}
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Verdict
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Verdict{Class: Canceled}
	case isDial(err), isRefusedStream(err), isUnsent(err):
		return Verdict{Class: Unreachable, Again: Anywhere, Executed: NotExecuted}
	case isHandshake(err):
		return Verdict{Class: Unreachable, Again: Elsewhere, Executed: NotExecuted}
	case isTimeout(err):
		return Verdict{Class: TimedOut, Again: Anywhere}
	case isBroken(err):
		return Verdict{Class: Interrupted, Again: Anywhere}
	}
	return Verdict{Class: Unknown, Again: Nobody}
}

// classifyUpload decides on an error that own, the error of a request's body, is part of.
// What that was in turn, another call's error perhaps, says nothing of this call; what
// is around it is the verdict on this one.
func classifyUpload(err error, own *RequestBodyError) Verdict {
	switch e, ok := errors.AsType[*Error](err); {
	case ok && !errors.Is(own.Err, e):
		return e.Verdict
	case errors.Is(own.Err, context.Canceled):
		return Verdict{Class: Canceled}
	}
	return Verdict{Class: Unknown, Again: Nobody}
}

// ClassifyBody decides on the error that ended the body of a response, and on
// nil for one that came whole.
func ClassifyBody(err error) Verdict {
	if event, ok := errors.AsType[*StreamError](err); ok {
		return event.Verdict
	}
	switch {
	case err == nil:
		return Verdict{Class: OK, Executed: Executed}
	case errors.Is(err, ErrTruncated):
		return Verdict{Class: Truncated, Again: Anywhere, Executed: Executed}
	}
	v := classifyError(err)
	v.Executed = Executed // the answer had begun
	switch v.Class {
	case Unknown:
		v.Class = Interrupted
	case Unreachable: // what it is before an answer, such as a record that is no TLS
		v.Class, v.Again = Interrupted, Anywhere
	}
	return v
}

// isDial reports whether the connection was never made, be it to a proxy.
func isDial(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		switch op.Op {
		case "dial", "proxyconnect", "socks connect":
			return true
		}
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	// net/http keeps the second one to itself.
	return errors.Is(err, syscall.ECONNREFUSED) || says(err, "net/http: TLS handshake timeout")
}

// isHandshake reports whether TLS failed for a reason that stays. Since Go 1.20
// a bad certificate is a *tls.CertificateVerificationError; the x509 errors are
// there for other TLS stacks.
func isHandshake(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	return isRefusedHandshake(err) || errors.Is(err, http.ErrSchemeMismatch)
}

// isRefusedHandshake reports whether the server said no to our hello or our
// certificate, with one of the alerts of RFC 8446 section 6.2 that are for that.
// crypto/tls keeps their type to itself: a number.
func isRefusedHandshake(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" {
		return false
	}
	alert := reflect.ValueOf(op.Err)
	if alert.Kind() != reflect.Uint8 {
		return false
	}
	switch alert.Uint() {
	case 40, 70, 71: // handshake_failure, protocol_version, insufficient_security
		return true
	case 42, 43, 44, 45, 46, 48: // certificate: bad, unsupported, revoked, expired, unknown; unknown_ca
		return true
	case 49, 115, 116: // access_denied, unknown_psk_identity, certificate_required
		return true
	case 109, 110, 112, 113: // extension: missing, unsupported; unrecognized_name, bad_certificate_status_response
		return true
	case 120: // no_application_protocol
		return true
	}
	return false
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	for { // a *url.Error and a *net.OpError look one level down only
		e, ok := errors.AsType[net.Error](err)
		if !ok || e.Timeout() {
			return ok
		}
		err = errors.Unwrap(e)
	}
}

// isBroken reports whether an established connection ended too early.
func isBroken(err error) bool {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	for _, target := range [...]error{
		io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed,
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	if _, ok := errors.AsType[http2StreamError](err); ok {
		return true
	}
	return isBrokenNetHTTP(err) || isProxyDown(err)
}

// http2StreamError is the reset of an HTTP/2 stream. The type that net/http returns is
// not exported, but fills any struct with the same fields.
type http2StreamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

// Error makes http2StreamError a target for [errors.AsType]. It is never called.
func (http2StreamError) Error() string { return "stream error" }

// isRefusedStream reports whether an HTTP/2 server turned the request away
// before any processing (RFC 9113 section 8.7).
func isRefusedStream(err error) bool {
	const refusedStream = 7
	e, ok := errors.AsType[http2StreamError](err)
	return ok && e.Code == refusedStream
}
