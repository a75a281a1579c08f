package transport_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// summed is a body whose trailer is known at its end, as net/http has it.
type summed struct {
	io.Reader
	trailer http.Header
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		s.trailer["Sum"], s.trailer["X-Signature"] = []string{"42"}, []string{"secret"}
	}
	return n, err
}

// TestFailoverTrailerOfTheBody: what a trailer says once the body has been read reaches
// each endpoint, but for what is secret.
func TestFailoverTrailerOfTheBody(t *testing.T) {
	var heard []http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Equal(t, "hello", string(text))
		if heard = append(heard, r.Trailer); len(heard) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	rt := transport.NewFailover(policy.Failover{Endpoints: []policy.Endpoint{
		{Name: "a", URL: server.URL + "/a"}, {Name: "b", URL: server.URL + "/b"}, {Name: "c", URL: "http://c.test"},
	}}, nil).Wrap(base)

	trailer := http.Header{"Sum": nil, "X-Signature": nil}
	req, err := http.NewRequestWithContext(replayable(t.Context()), http.MethodPost, "http://c.test/v1/x", io.NopCloser(&summed{strings.NewReader("hello"), trailer}))
	require.NoError(t, err)
	req.Trailer = trailer
	status, _, err := send(t, rt, req)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, []http.Header{{"Sum": {"42"}}, {"Sum": {"42"}}}, heard)
}
