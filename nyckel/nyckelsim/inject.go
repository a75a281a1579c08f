package nyckelsim

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"
)

// gatewayPage is what a proxy sends when it cannot reach the service.
const gatewayPage = `<html>
<head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center></body>
</html>
`

// strike carries out a fault that takes the place of an answer. It returns the
// error to answer with, or panics once the connection is done for.
func strike(w http.ResponseWriter, r *http.Request, kind FaultKind) error {
	switch kind {
	case FaultRateLimited:
		return failf(http.StatusTooManyRequests, "Too many requests.")
	case FaultUnavailable:
		return failf(http.StatusServiceUnavailable, "The service is unavailable.")
	case FaultInternal:
		return failf(http.StatusInternalServerError, "An internal error occurred.")
	case FaultBadGateway:
		return htmlPage{http.StatusBadGateway, gatewayPage}
	case FaultStall:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case FaultReset:
		reset(w)
	}
	panic("nyckelsim: no such fault: " + kind)
}

// An htmlPage is an answer from something in front of the service, as an error.
type htmlPage struct {
	status int
	html   string
}

func (p htmlPage) Error() string { return http.StatusText(p.status) }

// truncate answers 200 with the first half of the answer under a Content-Length that
// promises all of it, then drops the connection. It does not return.
func truncate(w http.ResponseWriter, answer any) {
	body, err := marshal(answer)
	if err != nil { // the simulator's own types always marshal
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush() // else the half would be dropped as well
	panic(http.ErrAbortHandler)
}

// reset drops the connection, by a TCP reset where there is a TCP connection to
// be had. It does not return.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		if tcp, ok := underlying(conn).(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // makes Close send RST
		}
		_ = conn.Close()
	}
	panic(http.ErrAbortHandler)
}

// underlying returns the connection below TLS.
func underlying(conn net.Conn) net.Conn {
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return c.NetConn()
	}
	return conn
}

// wait returns after d. If the client leaves before, it panics with
// [http.ErrAbortHandler]: nobody is left to answer.
func wait(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	}
}
