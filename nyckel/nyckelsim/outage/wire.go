package outage

import (
	"context"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A wire is the way to a simulator. It counts the calls of the model that it takes
// there, and each is under way for a time of its own, so that no two calls are served
// at the same moment: which of them came first would be chance.
type wire struct {
	*http.Transport

	mu   sync.Mutex
	sent map[string]uint64 // by body; guarded by mu, as what follows
	all  int64
}

// longest is how long a call is under way at most.
const longest = 4 * time.Millisecond

// newWire returns a wire that finds nobody listening while refused says so.
func newWire(t *http.Transport, refused func() bool) *wire {
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if refused() {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		return dial(ctx, network, address)
	}
	return &wire{Transport: t, sent: map[string]uint64{}}
}

// calls returns how many calls were sent.
func (w *wire) calls() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/invoke") {
		if err := sleep(req.Context(), w.underWay(req)); err != nil {
			_ = req.Body.Close()
			return nil, err
		}
	}
	return w.Transport.RoundTrip(req)
}

// underWay counts the call and returns how long it is under way, which depends on what
// it asks and how often that was asked.
func (w *wire) underWay(req *http.Request) time.Duration {
	body, err := req.GetBody()
	if err != nil {
		return 0
	}
	defer body.Close()
	asked, _ := io.ReadAll(body) // of memory
	hash := fnv.New64a()
	hash.Write(asked)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all++
	w.sent[string(asked)]++
	return time.Duration(rand.New(rand.NewPCG(hash.Sum64(), w.sent[string(asked)])).Int64N(int64(longest)))
}
