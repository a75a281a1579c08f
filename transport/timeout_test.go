package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

func TestTimeoutLimits(t *testing.T) {
	const (
		firstByte = 10 * time.Second
		idle      = 30 * time.Second
		total     = time.Minute
		none      = time.Duration(-1)
	)
	reply := transporttest.Reply(http.StatusOK, "hello")
	after := transporttest.After
	// chunks is a body of three parts, with a wait before each but the first.
	chunks := func(gap time.Duration) transporttest.Step {
		return transporttest.Stream(http.StatusOK, []transporttest.Chunk{
			{Data: "a"}, {After: gap, Data: "b"}, {After: gap, Data: "c"},
		})
	}
	tests := []struct {
		name      string
		cfg       policy.Timeout
		step      transporttest.Step
		want      string               // what can be read of the body
		wantErr   *policy.TimeoutError // nil if the exchange ends well
		wantAfter time.Duration
	}{
		{
			"first byte just in time",
			policy.Timeout{FirstByte: firstByte},
			after(firstByte-1, reply),
			"hello", nil, firstByte - 1,
		},
		{
			"first byte too late",
			policy.Timeout{FirstByte: firstByte},
			after(firstByte+1, reply),
			"", &policy.TimeoutError{Scope: "attempt", Phase: "first byte", Limit: firstByte}, firstByte,
		},
		{
			"no byte ever",
			policy.Timeout{Scope: "mine", FirstByte: time.Second},
			transporttest.Hang(),
			"", &policy.TimeoutError{Scope: "mine", Phase: "first byte", Limit: time.Second}, time.Second,
		},
		{
			"zero is ten seconds to the first byte",
			policy.Timeout{},
			transporttest.Hang(),
			"", &policy.TimeoutError{Scope: "attempt", Phase: "first byte", Limit: 10 * time.Second}, 10 * time.Second,
		},
		{
			"no bound on the first byte",
			policy.Timeout{FirstByte: none},
			after(time.Hour, reply),
			"hello", nil, time.Hour,
		},
		{
			"the first byte's limit does not bound the body",
			policy.Timeout{FirstByte: time.Second, Idle: idle},
			chunks(2 * time.Second),
			"abc", nil, 4 * time.Second,
		},
		{
			"bytes just in time",
			policy.Timeout{Idle: idle},
			chunks(idle - 1),
			"abc", nil, 2*idle - 2,
		},
		{
			"bytes too late",
			policy.Timeout{Idle: idle},
			chunks(idle + 1),
			"a", &policy.TimeoutError{Scope: "attempt", Phase: "idle", Limit: idle}, idle,
		},
		{
			"a stall after the header",
			policy.Timeout{Idle: time.Second},
			after(time.Second, transporttest.Stall(http.StatusOK, "hel")),
			"hel", &policy.TimeoutError{Scope: "attempt", Phase: "idle", Limit: time.Second}, 2 * time.Second,
		},
		{
			"a stall without a limit on the first byte",
			policy.Timeout{FirstByte: none, Idle: time.Second},
			transporttest.Stall(http.StatusOK, "hel"),
			"hel", &policy.TimeoutError{Scope: "attempt", Phase: "idle", Limit: time.Second}, time.Second,
		},
		{
			"zero is thirty seconds of silence",
			policy.Timeout{},
			transporttest.Stall(http.StatusOK, ""),
			"", &policy.TimeoutError{Scope: "attempt", Phase: "idle", Limit: 30 * time.Second}, 30 * time.Second,
		},
		{
			"no bound on silence",
			policy.Timeout{Idle: none},
			chunks(time.Hour),
			"abc", nil, 2 * time.Hour,
		},
		{
			"the whole just in time",
			policy.Timeout{Total: total, Idle: none},
			chunks(total/2 - 1),
			"abc", nil, total - 2,
		},
		{
			"the whole too late in the body",
			policy.Timeout{Total: total, Idle: none},
			chunks(total/2 + 1),
			"ab", &policy.TimeoutError{Scope: "attempt", Phase: "exchange", Limit: total}, total,
		},
		{
			"the whole too late before the header",
			policy.Timeout{Scope: "total", Total: total, FirstByte: none},
			after(total+1, reply),
			"", &policy.TimeoutError{Scope: "total", Phase: "exchange", Limit: total}, total,
		},
		{
			"the whole is the shortest limit",
			policy.Timeout{Total: time.Second},
			transporttest.Hang(),
			"", &policy.TimeoutError{Scope: "attempt", Phase: "exchange", Limit: time.Second}, time.Second,
		},
		{
			"the whole is the shortest limit, in the body",
			policy.Timeout{Total: time.Second},
			transporttest.Stall(http.StatusOK, "hel"),
			"hel", &policy.TimeoutError{Scope: "attempt", Phase: "exchange", Limit: time.Second}, time.Second,
		},
		{
			"a drip that is never idle for long",
			policy.Timeout{Total: total, Idle: idle},
			transporttest.Drip(http.StatusOK, ".", 25*time.Second),
			"..", &policy.TimeoutError{Scope: "attempt", Phase: "exchange", Limit: total}, total,
		},
		{
			"no bound at all",
			policy.Timeout{Total: none, FirstByte: none, Idle: none},
			after(time.Hour, chunks(time.Hour)),
			"abc", nil, 3 * time.Hour,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := transport.Timeout(tt.cfg)(transporttest.NewUpstream(tt.step))
				for name, rt := range map[string]http.RoundTripper{
					"bare":        rt,
					"http.Client": viaClient{&http.Client{Transport: rt}},
				} {
					since := elapsed()
					_, got, err := get(t, rt)
					if took := since(); took != tt.wantAfter {
						t.Errorf("%s: took %v, want %v", name, took, tt.wantAfter)
					}
					if got != tt.want {
						t.Errorf("%s: body = %q, want %q", name, got, tt.want)
					}
					checkTimeout(t, name, err, tt.wantErr)
				}
			})
		})
	}
}

// checkTimeout fails the test unless err is want, in every way in which callers
// look for a timeout.
func checkTimeout(t *testing.T, name string, err error, want *policy.TimeoutError) {
	t.Helper()
	if want == nil {
		if err != nil {
			t.Errorf("%s: error = %v, want none", name, err)
		}
		return
	}
	got, ok := errors.AsType[*policy.TimeoutError](err)
	if !ok || *got != *want {
		t.Errorf("%s: error = %v, want %v", name, err, want)
		return
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s: error %v does not match context.DeadlineExceeded", name, err)
	}
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("%s: error %v has no Timeout() that is true", name, err)
	}
}

// A transport need not know causes: the error that ends the exchange says which
// limit it was all the same, before the header and after it.
func TestTimeoutNamesLimit(t *testing.T) {
	tests := []struct {
		name   string
		cfg    policy.Timeout
		phase  string
		inBody bool
	}{
		{"total, before the header", policy.Timeout{Total: time.Second, FirstByte: -1, Idle: -1}, "exchange", false},
		{"total, in the body", policy.Timeout{Total: time.Second, FirstByte: -1, Idle: -1}, "exchange", true},
		{"first byte", policy.Timeout{FirstByte: time.Second, Idle: -1}, "first byte", false},
		{"idle", policy.Timeout{FirstByte: -1, Idle: time.Second}, "idle", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := transport.Timeout(tt.cfg)(transport.Func(func(req *http.Request) (*http.Response, error) {
					hang := hanging{req.Context()}
					if !tt.inBody {
						_, err := hang.Read(nil)
						return nil, err
					}
					return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(hang), ContentLength: -1}, nil
				}))
				since := elapsed()
				_, _, err := get(t, rt)
				if took := since(); took != time.Second {
					t.Errorf("took %v, want %v", took, time.Second)
				}
				checkTimeout(t, "bare", err, &policy.TimeoutError{Scope: "attempt", Phase: tt.phase, Limit: time.Second})
			})
		})
	}
}

// hanging is a body that says nothing but that its context has ended.
type hanging struct{ ctx context.Context }

func (h hanging) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

// viaClient is a client as a transport.
type viaClient struct{ *http.Client }

func (c viaClient) RoundTrip(req *http.Request) (*http.Response, error) { return c.Do(req) }

// What the caller set ends the request under the caller's name.
func TestTimeoutCallersOwn(t *testing.T) {
	mine := errors.New("mine")
	cfg := policy.Timeout{Total: time.Minute, FirstByte: time.Minute, Idle: time.Minute}
	tests := []struct {
		name    string
		context func(context.Context) (context.Context, context.CancelFunc)
		wantErr error
	}{
		{"deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, context.DeadlineExceeded},
		{"deadline with a cause", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, time.Second, mine)
		}, mine},
		{"cancellation", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, context.Canceled},
		{"cancellation with a cause", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(mine) })
			return ctx, func() { cancel(nil) }
		}, mine},
	}
	for _, tt := range tests {
		for phase, step := range map[string]transporttest.Step{
			"before the header": transporttest.Hang(),
			"in the body":       transporttest.Stall(http.StatusOK, "hel"),
		} {
			t.Run(tt.name+" "+phase, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := tt.context(t.Context())
					defer cancel()
					rt := transport.Timeout(cfg)(transporttest.NewUpstream(step))
					since := elapsed()
					_, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
					if !errors.Is(err, tt.wantErr) {
						t.Errorf("error = %v, want %v", err, tt.wantErr)
					}
					if e, ok := errors.AsType[*policy.TimeoutError](err); ok {
						t.Errorf("error = %v, want the caller's own", e)
					}
					if took := since(); took != time.Second {
						t.Errorf("took %v, want 1s", took)
					}
				})
			})
		}
	}
}

// A request that waits for its turn until the time is up was refused, and not sent:
// the error says so, and for want of what.
func TestTimeoutLeavesRefusalsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, policy.Limit{InFlight: 1, MaxWait: time.Minute})
		d.usual()
		rt := transport.Timeout(policy.Timeout{Scope: "total", Total: time.Second})(d.rt)
		since := elapsed()
		req := newRequest(t, t.Context(), http.MethodPost, "x")
		_, _, err := send(t, rt, req)
		assert.Equal(t, time.Second, since())
		require.ErrorIs(t, err, transport.ErrLimited)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		refusal, ok := err.(*policy.Refusal) //nolint:errorlint // as it is
		require.True(t, ok, "error %v", err)
		assert.Equal(t, "deadline", refusal.Reason)
		verdict := telemetry.Judge(req, nil, err, nil)
		assert.Equal(t, policy.Refused, verdict.Class)
		assert.Equal(t, policy.NotExecuted, verdict.Executed)
	})
}

// The idle limit counts while the caller reads, not while the caller thinks.
func TestTimeoutSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := transporttest.Stream(http.StatusOK, []transporttest.Chunk{{Data: "a"}, {Data: "b"}, {After: time.Second - 1, Data: "c"}})
		rt := transport.Timeout(policy.Timeout{Idle: time.Second})(transporttest.NewUpstream(step))
		resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		defer resp.Body.Close()
		for _, want := range []string{"a", "b", "c"} {
			time.Sleep(time.Hour)
			p := make([]byte, 1)
			n, err := resp.Body.Read(p)
			require.NoError(t, err)
			require.Equal(t, want, string(p[:n]))
		}
	})
}

// Each of two layers keeps to its own limits.
func TestTimeoutNested(t *testing.T) {
	tests := []struct {
		name         string
		outer, inner time.Duration // of silence
		wantScope    string
	}{
		{"the inner limit is shorter", time.Minute, time.Second, "attempt"},
		{"the outer limit is shorter", time.Second, time.Minute, "total"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := transport.Chain(transporttest.NewUpstream(transporttest.Stall(http.StatusOK, "hel")),
					transport.Timeout(policy.Timeout{Scope: "total", Idle: tt.outer}),
					transport.Timeout(policy.Timeout{Idle: tt.inner}))
				since := elapsed()
				_, _, err := get(t, rt)
				checkTimeout(t, "nested", err, &policy.TimeoutError{Scope: tt.wantScope, Phase: "idle", Limit: time.Second})
				if took := since(); took != time.Second {
					t.Errorf("took %v, want 1s", took)
				}
			})
		})
	}
}

// family is a context that counts its children.
type family struct {
	context.Context
	children atomic.Int64
}

// Value hides the context inside, so that the children register here.
func (f *family) Value(any) any { return nil }

func (f *family) AfterFunc(fn func()) func() bool {
	f.children.Add(1)
	stop := context.AfterFunc(f.Context, fn)
	leave := sync.OnceFunc(func() { f.children.Add(-1) })
	return func() bool {
		leave()
		return stop()
	}
}

// A server's requests often share one context that lives as long as the server.
func TestTimeoutLeavesNothingInLongLivedContext(t *testing.T) {
	const calls = 1000
	readToEnd := func(resp *http.Response) { _, _ = io.Copy(io.Discard, resp.Body) }
	tests := []struct {
		name string
		step transporttest.Step
		use  func(*http.Response)
	}{
		{"read to its end", transporttest.Reply(http.StatusOK, "hello"), readToEnd},
		{"closed early", transporttest.Stall(http.StatusOK, "hel"), func(resp *http.Response) { _ = resp.Body.Close() }},
		{"empty body", transporttest.Reply(http.StatusNoContent, ""), func(*http.Response) {}},
		{"broken body", transporttest.Cut(http.StatusOK, "hel"), readToEnd},
		{"stalled body", transporttest.Stall(http.StatusOK, "hel"), readToEnd},
		{"upgrade", transporttest.Stall(http.StatusSwitchingProtocols, ""), func(resp *http.Response) { _ = resp.Body.Close() }},
		{"error", transporttest.Fail(errReset), nil},
		{"timeout", transporttest.Hang(), nil},
		{"panic", transporttest.Panic("boom"), nil},
	}
	for _, cfg := range []policy.Timeout{
		{Total: time.Second, FirstByte: -1, Idle: -1},
		{FirstByte: time.Second, Idle: time.Second},
	} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, total %v", tt.name, cfg.Total), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent := &family{Context: t.Context()}
					rt := transport.Timeout(cfg)(watching(transporttest.NewUpstream(tt.step)))
					for range calls {
						func() {
							defer func() { _ = recover() }()
							resp, err := rt.RoundTrip(newRequest(t, parent, http.MethodGet, ""))
							if err == nil {
								tt.use(resp)
							}
						}()
					}
					if got := parent.children.Load(); got != 0 {
						t.Errorf("%d children are left after %d calls, want none", got, calls)
					}
				})
			})
		}
	}
}

// net/http lets a body be closed while it is read. Both touch the idle limit.
func TestTimeoutCloseDuringRead(t *testing.T) {
	for name, firstByte := range map[string]time.Duration{"with a limit on the first byte": time.Second, "without": -1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := transport.Timeout(policy.Timeout{FirstByte: firstByte, Idle: time.Hour})(
					transporttest.NewUpstream(transporttest.Stall(http.StatusOK, "")))
				resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
				require.NoError(t, err)
				go resp.Body.Close()
				if _, err := io.ReadAll(resp.Body); err == nil {
					t.Error("read of a body that is closed meanwhile: no error")
				}
			})
		})
	}
}

// After a 101 the connection is the caller's, and no limit counts.
func TestTimeoutUpgrade(t *testing.T) {
	cfg := policy.Timeout{Total: time.Minute, FirstByte: time.Second, Idle: time.Second}
	t.Run("silence of the server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			step := transporttest.Stream(http.StatusSwitchingProtocols, []transporttest.Chunk{{After: time.Hour, Data: "hello"}})
			_, got, err := get(t, transport.Timeout(cfg)(transporttest.NewUpstream(step)))
			if got != "hello" || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, "hello")
			}
		})
	})
	t.Run("silence of the caller", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := transporttest.NewServer(t, http.HandlerFunc(serveEcho))
			conn := upgrade(t, transport.Timeout(cfg)(server.Transport()), server.URL)
			for range 3 {
				time.Sleep(time.Hour)
				checkEcho(t, conn)
			}
			require.NoError(t, conn.Close())
		})
	})
}

// What ends an upgraded connection after longer than any limit is not a limit.
func TestStandardUpgradeEnds(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	for name, layer := range map[string]transport.Layer{
		"standard stack": transport.Standard(policy.Default()),
		"total alone":    transport.Timeout(policy.Timeout{Total: 30 * time.Second}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := transport.Chain(transport.Func(func(req *http.Request) (*http.Response, error) {
					ctx := req.Context()
					_ = ctx.Done() // as net/http does, so that there is a timer
					conn := &upgraded{end: reset, after: time.Hour}
					time.AfterFunc(time.Minute, func() {
						_, bounded := ctx.Deadline()
						assert.False(t, bounded, "there is a deadline")
						assert.NoError(t, ctx.Err())
					})
					return &http.Response{StatusCode: http.StatusSwitchingProtocols, Header: http.Header{}, Body: conn, Request: req}, nil
				}), layer)
				ctx, trail := telemetry.NewContext(t.Context())
				resp, err := rt.RoundTrip(newRequest(t, ctx, http.MethodGet, ""))
				require.NoError(t, err)
				_, err = resp.Body.Read(make([]byte, 1))
				assert.Equal(t, error(reset), err)
				require.NoError(t, resp.Body.Close())
				for _, attempt := range trail.Attempts() {
					assert.Equal(t, policy.Interrupted, attempt.Verdict.Class)
				}
			})
		})
	}
}

// upgraded is a connection that ends after a while.
type upgraded struct {
	end   error
	after time.Duration
}

func (u *upgraded) Read([]byte) (int, error) {
	time.Sleep(u.after)
	return 0, u.end
}

func (*upgraded) Write(p []byte) (int, error) { return len(p), nil }
func (*upgraded) Close() error                { return nil }

// serveEcho upgrades the connection and sends back each line.
func serveEcho(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	for lines := bufio.NewScanner(rw); lines.Scan(); {
		_, _ = conn.Write(append(lines.Bytes(), '\n'))
	}
}

// upgrade asks a [serveEcho] for the connection.
func upgrade(t *testing.T, rt http.RoundTripper, to string) io.ReadWriteCloser {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
	require.NoError(t, err)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	conn, ok := resp.Body.(io.ReadWriteCloser)
	require.True(t, ok, "the body of a 101 is a %T, want an io.ReadWriteCloser", resp.Body)
	return conn
}

// checkEcho sends a line and wants it back.
func checkEcho(t *testing.T, conn io.ReadWriter) {
	t.Helper()
	const line = "hello\n"
	_, err := io.WriteString(conn, line)
	require.NoError(t, err)
	p := make([]byte, len(line))
	_, err = io.ReadFull(conn, p)
	require.NoError(t, err)
	require.Equal(t, line, string(p))
}
