package console

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Local is the default of Options.Authorize. It lets in who is on the same machine
// and asks for it by a name of that machine's own, localhost or a loopback address:
// another name that leads here is how web pages elsewhere get in through a browser.
// A request that says that it came through a proxy is not let in, since one on the
// same machine makes everybody look as if they were. Not every proxy says so: nginx
// does only if it is told to. Before the console behind a proxy, put an Authorize of
// your own. The actor is "local".
func Local(r *http.Request) (actor string, ok bool) {
	if proxied(r.Header) || !loopbackHost(r.Host) {
		return "", false
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return "", false
	}
	return "local", true
}

func proxied(h http.Header) bool {
	for name := range h {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return true
		}
	}
	return false
}

func loopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil { // no port
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
