package policy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// TestErrorTextOfAnAnswerThatCannotBeRead: net/http shows what it cannot read, which may
// be a cookie, or what was said to somebody else. A text of ours does not.
func TestErrorTextOfAnAnswerThatCannotBeRead(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	for answer, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nSet-Cookie sid=hunter2\r\n\r\n":                       "malformed MIME header: missing colon",
		"HTTP/1.1 200 OK\r\n Set-Cookie: sid=hunter2\r\n\r\n":                     "malformed MIME header initial line",
		"HTTP/1.1 200 OK\r\nSet-Cookie: hunter2\x00\r\n\r\n":                      "malformed MIME header line",
		"HTTP/1.1 200 OK\r\nContent-Length: hunter2\r\n\r\n":                      "bad Content-Length",
		"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n":                              "invalid empty Content-Length",
		"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: hunter2\r\n\r\n": "http: message cannot contain multiple Content-Length headers",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: hunter2\r\n\r\n":                   "unsupported transfer encoding",
		chunked + "Transfer-Encoding: hunter2\r\n\r\n":                            "too many transfer encodings",
		chunked + "Trailer: Content-Length\r\n\r\n":                               "bad trailer key",
		"HTTP/1.1 2hunter2\r\n\r\n":                                               "malformed HTTP status code",
		"HTTP/hunter2 200 OK\r\n\r\n":                                             "malformed HTTP version",
		strings.Repeat("hunter2", 1000) + "\r\n":                                  "malformed HTTP response",
	} {
		_, err := transportThatGets(answer).RoundTrip(getRequest(t))
		require.Error(t, err, answer)
		want := "net/http: HTTP/1.x transport connection broken: " + want
		text := (&policy.Error{Verdict: policy.Classify(policy.Outcome{Err: err}), Err: err}).Error()
		assert.Equal(t, "sparekey: interrupted: "+want, text, answer)
		assert.Equal(t, want, policy.Outcome{Err: err}.String())
		failure, ok := policy.Responses{Errors: true}.Failure(err, policy.Verdict{}, time.Time{}, noon)
		assert.True(t, ok)
		assert.Equal(t, want, failure.Message)
	}

	resp, err := transportThatGets(chunked + "Trailer: Sum\r\n\r\n0\r\nSum hunter2\r\n\r\n").RoundTrip(getRequest(t))
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	assert.ErrorContains(t, err, "hunter2", "net/http shows it")
	assert.Equal(t, "sparekey: unknown: malformed MIME header: missing colon", (&policy.Error{Err: err}).Error())

	moved := errors.New(`failed to parse Location header "https://a.test/%zz?key=hunter2": invalid URL escape "%zz"`)
	assert.Equal(t, "sparekey: unknown: failed to parse Location header", (&policy.Error{Err: moved}).Error())
}

// transportThatGets returns a transport whose server answers with that text.
func transportThatGets(answer string) *http.Transport {
	return &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if _, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
				fmt.Fprint(server, answer)
			}
		}()
		return client, nil
	}}
}

func getRequest(t *testing.T) *http.Request {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.test/", nil)
	require.NoError(t, err)
	return req
}
