package policy_test

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// TestClassifyTLSAlert lets servers say no to a handshake: it fails for a reason
// that stays, and nothing was processed.
func TestClassifyTLSAlert(t *testing.T) {
	tests := []struct {
		name           string
		server, client *tls.Config
	}{
		{"version", &tls.Config{MinVersion: tls.VersionTLS13}, &tls.Config{MaxVersion: tls.VersionTLS12}},
		{"protocol", &tls.Config{NextProtos: []string{"a"}}, &tls.Config{NextProtos: []string{"b"}}},
		{"no client certificate", &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, &tls.Config{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.TLS = tt.server
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			t.Cleanup(server.Close)
			tt.client.InsecureSkipVerify = true
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: tt.client}}
			resp, err := client.Get(server.URL)
			if err == nil {
				_ = resp.Body.Close()
			}
			require.Error(t, err)
			if got := policy.Classify(policy.Outcome{Err: err}); got != untrusted {
				t.Errorf("Classify(%v) = %+v, want %+v", err, got, untrusted)
			}
		})
	}
}

// TestClassifyRefusedUpload: an HTTP/2 server turns away a stream whose body
// net/http cannot send again by itself. Then its error says so in words only.
func TestClassifyRefusedUpload(t *testing.T) {
	for code, want := range map[uint32]policy.Verdict{7: unreachable, 8: interrupted} {
		url := resettingHTTP2(t, code)
		client := &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true,
		}}
		t.Cleanup(client.CloseIdleConnections)
		// The type hides that the body is in memory, so there is no GetBody.
		resp, err := client.Post(url, "text/plain", struct{ io.Reader }{strings.NewReader("hello")})
		if err == nil {
			_ = resp.Body.Close()
		}
		require.Error(t, err)
		if got := policy.Classify(policy.Outcome{Err: err}); got != want {
			t.Errorf("Classify(%v) = %+v, want %+v", err, got, want)
		}
	}
}

// resettingHTTP2 returns the address of a server that resets each HTTP/2 stream
// with a code once it has data.
func resettingHTTP2(t *testing.T, code uint32) string {
	t.Helper()
	lent := httptest.NewTLSServer(nil) // for its certificate
	config := &tls.Config{Certificates: lent.TLS.Certificates, NextProtos: []string{"h2"}}
	lent.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go resetStreams(conn, code)
		}
	}()
	return "https://" + listener.Addr().String()
}

func resetStreams(conn net.Conn, code uint32) {
	defer func() { _ = conn.Close() }()
	const data, settings, resetStream = 0, 4, 3
	_, _ = conn.Write([]byte{0, 0, 0, settings, 0, 0, 0, 0, 0})
	if _, err := io.CopyN(io.Discard, conn, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return
	}
	for header := make([]byte, 9); ; {
		if _, err := io.ReadFull(conn, header); err != nil {
			return
		}
		length := int64(header[0])<<16 | int64(header[1])<<8 | int64(header[2])
		if _, err := io.CopyN(io.Discard, conn, length); err != nil {
			return
		}
		if header[3] == data && length > 0 {
			reset := append([]byte{0, 0, 4, resetStream, 0}, header[5:]...)
			_, _ = conn.Write(binary.BigEndian.AppendUint32(reset, code))
		}
	}
}
