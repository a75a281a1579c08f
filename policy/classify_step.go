package policy

import (
	"errors"
	"net"
)

// The steps of the way to a server, as [StepOf] tells them.
const (
	StepDNS     = "dns"     // the name has no address, or nobody could be asked for it
	StepConnect = "connect" // the address, or the proxy, takes no connection
	StepTLS     = "tls"     // the two ends did not agree on a secure connection
)

// StepOf returns the step at which a request came to an end that never reached a
// server: [StepDNS], [StepConnect] or [StepTLS]. It is "" for other errors, and for
// a request that reached a server which then turned it away unprocessed.
func StepOf(err error) string {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return StepDNS
	}
	switch {
	case err == nil:
		return ""
	case isHandshake(err), says(err, "net/http: TLS handshake timeout"):
		return StepTLS
	case isDial(err):
		return StepConnect
	}
	return ""
}
