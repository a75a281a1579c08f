package peers_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A hedge sends a second request when the first one takes long.
//
// hedgedhttp keeps goroutines of its own, which outlast a bubble, so these
// claims take real time.
var hedges = []struct {
	name  string
	layer transport.Layer
	fails bool     // a 503 to the second request beats the answer to the first
	posts []string // the bodies of the requests that a slow POST makes
}{
	{"failsafehttp", policies(hedgepolicy.NewWithDelay[*http.Response](20 * time.Millisecond)), true, []string{"order", "order"}},
	{"hedgedhttp", hedged(20 * time.Millisecond), true, []string{"order", ""}},
	{"sparekey", sparekeyHedge(20 * time.Millisecond), false, []string{"order"}},
}

// sparekeyHedge has had the good answer that its first hedge takes.
func sparekeyHedge(delay time.Duration) transport.Layer {
	h := transport.NewHedge(policy.Hedge{Delay: delay, Ratio: 1})
	resp, err := h.Wrap(transport.Func(transporttest.Reply(http.StatusOK, ""))).RoundTrip(newGet(context.Background()))
	if err != nil {
		panic(err) // the answer is good
	}
	_ = resp.Body.Close()
	return h.Wrap
}

func TestFailedHedgeLoses(t *testing.T) {
	for _, h := range hedges {
		t.Run(h.name, func(t *testing.T) {
			upstream := transporttest.NewUpstream(
				transporttest.After(200*time.Millisecond, transporttest.Reply(http.StatusOK, "")),
				transporttest.Reply(http.StatusServiceUnavailable, ""))
			got, _, err := call(t, transport.Chain(upstream, h.layer), newGet(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, h.fails, got.Status == http.StatusServiceUnavailable)
			assert.Equal(t, 2, upstream.Calls(), "each has sent a second one")
		})
	}
}

func TestPostIsNotHedged(t *testing.T) {
	for _, h := range hedges {
		t.Run(h.name, func(t *testing.T) {
			upstream := transporttest.NewUpstream(
				transporttest.After(200*time.Millisecond, transporttest.Reply(http.StatusOK, "")))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://service.test/",
				&shared{r: strings.NewReader("order")})
			require.NoError(t, err)
			_, _, err = call(t, transport.Chain(upstream, h.layer), req)
			require.NoError(t, err)
			var posts []string
			for _, r := range upstream.Requests() {
				posts = append(posts, r.Body)
			}
			assert.Equal(t, h.posts, posts)
		})
	}
}

// shared is a reader that hedgedhttp may read from two goroutines.
type shared struct {
	mu sync.Mutex
	r  io.Reader // guarded by mu
}

func (s *shared) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.Read(p)
}
