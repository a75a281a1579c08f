package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// flaky answers 503 with a page of 2 KiB, which is what gateways send, unless
// good says that the nth request is to be answered.
func flaky(good func(n int64) bool) http.Handler {
	page := strings.Repeat("x", 2<<10)
	var requests atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if !good(requests.Add(1)) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, page)
			return
		}
		_, _ = io.WriteString(w, "fine")
	})
}

// Failures cost no connection and leave no body open, however many there are.
func TestRetryKeepsConnections(t *testing.T) {
	t.Parallel()
	const calls = 1000
	tenth := func(n int64) bool { return n%10 != 0 }
	third := func(n int64) bool { return n%3 == 0 }
	endless := policy.Budget{Off: true}
	tests := []struct {
		name     string
		cfg      policy.Retry
		good     func(n int64) bool
		method   string
		workers  int
		maxConns int // per host
	}{
		{"every tenth request fails", policy.Retry{}, tenth, http.MethodGet, 1, 0},
		{"every tenth upload fails", policy.Retry{}, tenth, http.MethodPut, 1, 0},
		{"two failures before each answer", policy.Retry{Budget: endless}, third, http.MethodGet, 1, 0},
		{"many at once over two connections", policy.Retry{Budget: endless, Attempts: 50}, third, http.MethodGet, 20, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies transporttest.Bodies
				server := transporttest.NewServer(t, flaky(tt.good))
				server.Transport().MaxConnsPerHost = tt.maxConns
				client := transport.Wrap(server.Client(), bodies.Wrap, transport.Retry(tt.cfg), bodies.Wrap)

				var workers sync.WaitGroup
				for range tt.workers {
					workers.Go(func() {
						for range calls / tt.workers {
							req, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL, strings.NewReader("hello"))
							if err != nil {
								t.Error(err)
								return
							}
							if status, text, err := send(t, viaClient{client}, req); status != 200 || text != "fine" || err != nil {
								t.Errorf("got %d %q, %v, want 200 %q", status, text, err, "fine")
							}
						}
					})
				}
				workers.Wait()
				want := 1
				if tt.workers > 1 {
					want = tt.maxConns
				}
				if got := server.Conns(); got > want {
					t.Errorf("%d connections, want at most %d", got, want)
				}
				if got := bodies.Responses.Opened(); got < 2*calls {
					t.Errorf("only %d bodies, want 2 for each of %d calls and more for the retries", got, calls)
				}
				synctest.Wait() // net/http closes the bodies of requests a little later
				bodies.Check(t)
			})
		})
	}
}

// What an answer that drips for ever costs is its own connection.
func TestRetryGivesUpOneConnectionForEndlessBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int64
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) > 1 {
				_, _ = io.WriteString(w, "fine")
				return
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}))
		client := transport.Wrap(server.Client(), transport.Retry(policy.Retry{}))
		for range 10 {
			if status, text, err := get(t, viaClient{client}); status != 200 || text != "fine" || err != nil {
				t.Fatalf("got %d %q, %v, want 200 %q", status, text, err, "fine")
			}
		}
		if got := server.Conns(); got != 2 {
			t.Errorf("%d connections, want 2", got)
		}
	})
}

// An upload that is written while it is sent is not read ahead of the wire, and
// not held back either.
func TestLayersStreamUploads(t *testing.T) {
	for stack := range stacks() {
		t.Run(stack, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := make(chan string)
				server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					p := make([]byte, 100)
					for {
						n, err := r.Body.Read(p)
						if n > 0 {
							got <- string(p[:n])
						}
						if err != nil {
							close(got)
							return
						}
					}
				}))
				source, sink := io.Pipe()
				go func() {
					defer sink.Close()
					for i := range 5 {
						part := fmt.Sprint("part ", i)
						_, _ = io.WriteString(sink, part)
						if arrived := <-got; arrived != part { // before there is any more
							t.Errorf("the server got %q, want %q", arrived, part)
						}
					}
				}()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, source)
				require.NoError(t, err)
				status, _, err := send(t, transport.Chain(server.Transport(), stacks()[stack]...), req)
				require.NoError(t, err)
				require.Equal(t, 200, status)
			})
		})
	}
}

// An upgraded connection comes through every layer as what it is.
func TestLayersUpgrade(t *testing.T) {
	for stack := range stacks() {
		t.Run(stack, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := transporttest.NewServer(t, http.HandlerFunc(serveEcho))
				conn := upgrade(t, transport.Chain(server.Transport(), stacks()[stack]...), server.URL)
				checkEcho(t, conn)
				require.NoError(t, conn.Close())
			})
		})
	}
}
