package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// upload is the body of a request, of a type that nobody knows, that counts how
// often it is closed and finds reads that come at the same time.
type upload struct {
	io.Reader
	closed  atomic.Int64
	ended   chan struct{} // is closed with it
	reading atomic.Bool
	t       testing.TB
}

func newUpload(t testing.TB, r io.Reader) *upload {
	return &upload{Reader: r, ended: make(chan struct{}), t: t}
}

func (u *upload) Read(p []byte) (int, error) {
	if !u.reading.CompareAndSwap(false, true) {
		u.t.Error("the body is read by two at once")
	}
	defer u.reading.Store(false)
	return u.Reader.Read(p)
}

func (u *upload) Close() error {
	if u.closed.Add(1) == 1 {
		close(u.ended)
	}
	if c, ok := u.Reader.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// uploading returns a request with u as its body, of a length that is not known
// unless it is given.
func uploading(t testing.TB, ctx context.Context, u *upload, length int64) *http.Request {
	t.Helper()
	req := newRequest(t, ctx, http.MethodPut, "")
	req.Body, req.ContentLength = u, length
	return req
}

// numbered returns size bytes that tell their place.
func numbered(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*31 + i>>8)
	}
	return data
}

// What is sent without GetBody is recorded up to a bound.
func TestRetryRecordsBody(t *testing.T) {
	const kib = 1 << 10
	tests := []struct {
		name      string
		cfg       policy.Retry
		size      int
		wantAgain bool // for a known and an unknown length alike
	}{
		{"one byte", policy.Retry{}, 1, true},
		{"some", policy.Retry{}, 100 * kib, true},
		{"as long as the bound", policy.Retry{}, 1 << 20, true},
		{"over the bound", policy.Retry{}, 1<<20 + 1, false},
		{"a bound of one's own", policy.Retry{ReplayBytes: 10}, 10, true},
		{"over it", policy.Retry{ReplayBytes: 10}, 11, false},
		{"no recording", policy.Retry{ReplayBytes: -1}, 1, false},
		{"only one attempt", policy.Retry{Attempts: 1}, 1, false},
		{"a file, not needed", policy.Retry{ReplayBytes: 10, SpillBytes: 20}, 10, true},
		{"a file", policy.Retry{ReplayBytes: 10, SpillBytes: 20}, 11, true},
		{"as much as a file may hold", policy.Retry{ReplayBytes: 10, SpillBytes: 100 * kib}, 100 * kib, true},
		{"more than a file may hold", policy.Retry{ReplayBytes: 10, SpillBytes: 20}, 21, false},
		{"far more than a file may hold", policy.Retry{ReplayBytes: 10, SpillBytes: 200 * kib}, 1 << 20, false},
		{"a large file", policy.Retry{SpillBytes: 2 << 20}, 2 << 20, true},
	}
	for _, tt := range tests {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, length known: %v", tt.name, known), func(t *testing.T) {
				dir := t.TempDir()
				t.Setenv("TMPDIR", dir)
				synctest.Test(t, func(t *testing.T) {
					data := numbered(tt.size)
					upstream := transporttest.NewUpstream(transporttest.Reply(503, "busy"), transporttest.Fail(errReset), transporttest.Reply(503, "why"))
					ctx, trail := traced(t)
					body := newUpload(t, bytes.NewReader(data))
					length := int64(-1)
					if known {
						length = int64(tt.size)
					}
					status, text, err := send(t, transport.Retry(tt.cfg)(upstream), uploading(t, ctx, body, length))
					wantText, wantCalls, wantNote := "busy", 1, telemetry.NoReplay
					if tt.wantAgain {
						wantText, wantCalls, wantNote = "why", 3, telemetry.NoneLeft
					}
					if tt.cfg.Attempts == 1 {
						wantNote = telemetry.NoneLeft
					}
					if status != 503 || text != wantText || err != nil {
						t.Errorf("got %d %q, %v, want the last answer, %q", status, text, err, wantText)
					}
					assert.Equal(t, wantCalls, upstream.Calls())
					assert.Equal(t, []string{wantNote}, notes(trail))
					assert.EqualValues(t, 1, body.closed.Load(), "closed so many times")
					for i, r := range upstream.Requests() {
						if r.Body != string(data) {
							t.Errorf("attempt %d got a body of %d bytes that is not the caller's of %d", i+1, len(r.Body), tt.size)
						}
					}
				})
				left, err := os.ReadDir(dir)
				require.NoError(t, err)
				assert.Empty(t, left, "temporary files")
			})
		}
	}
}

// That a body cannot be had again is said before what else is in the way: it does not
// pass.
func TestRetryTellsOfBodyFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, trail := traced(t)
		busy := transporttest.NewUpstream(transporttest.Reply(503, "busy", "Retry-After", "3600"))
		_, _, err := send(t, transport.Retry(policy.Retry{ReplayBytes: 1})(busy), uploading(t, ctx, newUpload(t, strings.NewReader("hello")), -1))
		require.NoError(t, err)
		assert.Equal(t, []string{telemetry.NoReplay}, notes(trail))
	})
}

// A body that is surely too long is not touched.
func TestRetryLeavesLongBodyAlone(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cfg    policy.Retry
		length int64
	}{
		{"too long", policy.Retry{}, 1<<20 + 1},
		{"no recording", policy.Retry{ReplayBytes: -1}, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sent io.ReadCloser
			rt := transport.Retry(tt.cfg)(transport.Func(func(req *http.Request) (*http.Response, error) {
				sent = req.Body
				return transporttest.NewUpstream().RoundTrip(req)
			}))
			body := newUpload(t, strings.NewReader("hello"))
			_, _, err := send(t, rt, uploading(t, t.Context(), body, tt.length))
			require.NoError(t, err)
			assert.Same(t, body, sent, "the transport got another body")
		})
	}
}

// partial is a transport that reads so much of a body, answers 503 and closes the
// body, until the last attempt, which it reads whole.
type partial struct {
	read     []int // of each attempt but the last
	attempts int
	got      string
}

func (p *partial) RoundTrip(req *http.Request) (*http.Response, error) {
	defer req.Body.Close()
	p.attempts++
	if p.attempts > len(p.read) {
		data, err := io.ReadAll(req.Body)
		p.got = string(data)
		if err != nil {
			return nil, err
		}
		return transporttest.Reply(200, "fine")(req)
	}
	if _, err := io.CopyN(io.Discard, req.Body, int64(p.read[p.attempts-1])); err != nil {
		return nil, err
	}
	return transporttest.Reply(503, "busy")(req)
}

// What an attempt left unread is there for the next.
func TestRetryPartlySentBody(t *testing.T) {
	const text = "0123456789"
	for _, read := range [][]int{{0}, {1}, {5}, {10}, {0, 0}, {3, 7}, {7, 3}, {10, 0}, {10, 10}} {
		for _, spill := range []int64{0, 20} {
			t.Run(fmt.Sprintf("%v, spill %d", read, spill), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := policy.Retry{SpillBytes: spill}
					if spill > 0 {
						cfg.ReplayBytes = 2
					}
					upstream := &partial{read: read}
					body := newUpload(t, iotest.OneByteReader(strings.NewReader(text)))
					_, answer, err := send(t, transport.Retry(cfg)(upstream), uploading(t, t.Context(), body, -1))
					if answer != "fine" || err != nil || upstream.got != text {
						t.Errorf("got %q, %v, sent %q, want %q after %q", answer, err, upstream.got, "fine", text)
					}
					assert.EqualValues(t, 1, body.closed.Load(), "closed so many times")
				})
			})
		}
	}
}

// lingering is a transport that goes on reading and closes bodies after its round
// trip has returned, as net/http's does.
type lingering struct {
	reads  []int    // of each attempt, after which it is answered
	header []string // of the answers but the last, as for transporttest.Reply

	after sync.WaitGroup // what goes on
	mu    sync.Mutex
	got   [][]byte // guarded by mu
	errs  []error  // guarded by mu
}

func (l *lingering) RoundTrip(req *http.Request) (*http.Response, error) {
	l.mu.Lock()
	n := len(l.got)
	l.got, l.errs = append(l.got, nil), append(l.errs, nil)
	l.mu.Unlock()
	answered := make(chan struct{})
	l.after.Go(func() {
		defer req.Body.Close()
		answer := sync.OnceFunc(func() { close(answered) })
		defer answer()
		var data []byte
		var err error
		for p := make([]byte, 3); err == nil; {
			if len(data) >= l.reads[n] {
				answer()
			}
			var read int
			read, err = req.Body.Read(p)
			data = append(data, p[:read]...)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.got[n], l.errs[n] = data, err
	})
	<-answered
	if n+1 < len(l.reads) {
		return transporttest.Reply(503, "busy", l.header...)(req)
	}
	return transporttest.Reply(200, "fine")(req)
}

// A transport that is still sending when the next attempt begins takes nothing
// away from it, and stops.
func TestRetryLingeringTransport(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			size := 1 + random.IntN(200)
			cfg := policy.Retry{Attempts: 9, ReplayBytes: int64(size), Budget: policy.Budget{Off: true}}
			if random.IntN(2) == 0 {
				cfg.ReplayBytes, cfg.SpillBytes = int64(1+random.IntN(size)), int64(size+1)
			}
			upstream := &lingering{header: []string{"Retry-After-Ms", "1"}}
			for range 1 + random.IntN(4) {
				upstream.reads = append(upstream.reads, random.IntN(size))
			}
			data := numbered(size)
			body := newUpload(t, &slow{bytes.NewReader(data), random})
			_, _, err := send(t, transport.Retry(cfg)(upstream), uploading(t, t.Context(), body, -1))
			require.NoError(t, err)
			upstream.after.Wait()
			last := len(upstream.reads) - 1
			if len(upstream.got) != last+1 {
				t.Fatalf("seed %d: %d attempts, want %d", seed, len(upstream.got), last+1)
			}
			for i, got := range upstream.got {
				whole := bytes.Equal(got, data) && errors.Is(upstream.errs[i], io.EOF)
				if i == last && !whole || i < last && !bytes.HasPrefix(data, got) {
					t.Fatalf("seed %d: attempt %d of %d got %d bytes of %d, then %v", seed, i+1, last+1, len(got), size, upstream.errs[i])
				}
			}
			assert.EqualValues(t, 1, body.closed.Load(), "closed so many times")
		})
	}
}

// slow is a reader that takes its time.
type slow struct {
	io.Reader
	random *rand.Rand
}

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(time.Duration(s.random.IntN(3)) * time.Millisecond / 2)
	return s.Reader.Read(p[:1+s.random.IntN(len(p))])
}

// A transport that goes on reading what is wanted again does not make it too
// long: it has to wait until it is told to stop.
func TestRetryHoldsBodyBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 10
		upstream := &lingering{reads: []int{bound - 1, 1 << 20}}
		source, sink := io.Pipe()
		go func() {
			for range 100 {
				_, _ = io.WriteString(sink, "x")
				time.Sleep(time.Millisecond) // the bound is reached during the wait
			}
			_ = sink.Close()
		}()
		body := newUpload(t, source)
		cfg := policy.Retry{ReplayBytes: bound, Throttled: policy.Backoff{Base: time.Second, Jitter: policy.NoJitter}}
		_, text, err := send(t, transport.Retry(cfg)(upstream), uploading(t, t.Context(), body, -1))
		require.NoError(t, err)
		require.Equal(t, "fine", text)
		upstream.after.Wait()
		assert.Len(t, upstream.got[0], bound)
		assert.Len(t, upstream.got[1], 100)
		assert.EqualValues(t, 1, body.closed.Load(), "closed so many times")
	})
}

// A server that answers before it has the whole body gets all of it in the next
// attempt, from a producer who notices nothing.
func TestRetryEarlyAnswerOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests int
		var got []byte
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests++; requests == 1 {
				_, _ = io.CopyN(io.Discard, r.Body, 3)
				w.Header().Set("Connection", "close")
				http.Error(w, "busy", http.StatusServiceUnavailable)
				return
			}
			got, _ = io.ReadAll(r.Body)
		}))
		source, sink := io.Pipe()
		written := make(chan error, 1)
		data := numbered(500)
		go func() {
			for chunk := range slices.Chunk(data, 7) {
				time.Sleep(50 * time.Millisecond) // the answer comes long before the end
				if _, err := sink.Write(chunk); err != nil {
					written <- err
					return
				}
			}
			written <- sink.Close()
		}()
		body := newUpload(t, source)
		req := uploading(t, t.Context(), body, -1)
		status, _, err := send(t, transport.Retry(policy.Retry{})(server.Transport()), req)
		require.NoError(t, err)
		assert.Equal(t, 200, status)
		assert.Equal(t, 2, requests)
		assert.Equal(t, data, got)
		assert.NoError(t, <-written, "the producer")
		synctest.Wait()
		assert.EqualValues(t, 1, body.closed.Load(), "closed so many times")
	})
}

// A body that is still being sent when the answer has come goes on to its end,
// and takes no more memory.
func TestRetryAnswerBeforeTheEndOfTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 4 << 20
		got := make(chan int64, 1)
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			control := http.NewResponseController(w)
			_ = control.EnableFullDuplex()
			w.WriteHeader(http.StatusOK)
			_ = control.Flush()
			n, _ := io.Copy(io.Discard, r.Body)
			got <- n
		}))
		source, sink := io.Pipe()
		body := newUpload(t, source)
		resp, err := transport.Retry(policy.Retry{})(server.Transport()).RoundTrip(uploading(t, t.Context(), body, -1))
		require.NoError(t, err)
		go func() {
			for range size / 1024 {
				_, _ = sink.Write(make([]byte, 1024))
			}
			_ = sink.Close()
		}()
		assert.EqualValues(t, size, <-got)
		require.NoError(t, resp.Body.Close())
		synctest.Wait()
		assert.EqualValues(t, 1, body.closed.Load(), "closed so many times")
	})
}

// The body is closed once whatever happens.
func TestRetryClosesRecordedBody(t *testing.T) {
	outcomes := map[string][]transporttest.Step{
		"answer":            {transporttest.Reply(200, "fine")},
		"wrong request":     {transporttest.Reply(400, "no")},
		"retries":           {transporttest.Reply(503, "busy"), transporttest.Fail(errReset), transporttest.Reply(200, "fine")},
		"no answer":         {transporttest.Fail(errReset)},
		"broken body":       {transporttest.Cut(200, "hel")},
		"caller leaves":     {transporttest.Hang()},
		"leaves in a wait":  {transporttest.Reply(503, "busy", "Retry-After", "30")},
		"leaves in a retry": {transporttest.Reply(503, "busy"), transporttest.Hang()},
		"panic":             {transporttest.Panic("boom")},
		"panic at a retry":  {transporttest.Reply(503, "busy"), transporttest.Panic("boom")},
	}
	for name, steps := range outcomes {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(10*time.Second, cancel)
				body := newUpload(t, strings.NewReader("hello"))
				req := uploading(t, ctx, body, -1)
				rt := transport.Retry(policy.Retry{ReplayBytes: 1, SpillBytes: 10})(transporttest.NewUpstream(steps...))
				func() {
					defer func() { _ = recover() }()
					_, _, _ = send(t, rt, req)
				}()
				assert.EqualValues(t, 1, body.closed.Load(), "closed so many times")
				assert.Same(t, body, req.Body, "the caller's request was changed")
			})
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Empty(t, left, "temporary files")
		})
	}
	t.Run("panic before the transport", func(t *testing.T) {
		body := newUpload(t, strings.NewReader("hello"))
		rt := transport.Retry(policy.Retry{})(transport.Func(func(*http.Request) (*http.Response, error) { panic("boom") }))
		mustPanic(t, func() { _, _ = rt.RoundTrip(uploading(t, t.Context(), body, -1)) })
		assert.EqualValues(t, 1, body.closed.Load(), "closed so many times")
	})
	t.Run("panic of the body", func(t *testing.T) {
		body := newUpload(t, readFunc(func([]byte) (int, error) { panic("boom") }))
		rt := transport.Retry(policy.Retry{})(transporttest.NewUpstream())
		mustPanic(t, func() { _, _ = rt.RoundTrip(uploading(t, t.Context(), body, -1)) })
		assert.EqualValues(t, 1, body.closed.Load(), "closed so many times")
	})
}

// readFunc is a func as a reader.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// A body that failed is not sent again: it would fail again.
func TestRetryBodyThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts int
		rt := transport.Retry(policy.Retry{})(transport.Func(func(req *http.Request) (*http.Response, error) {
			attempts++
			_, err := io.ReadAll(req.Body)
			assert.ErrorIs(t, err, io.ErrNoProgress)
			_ = req.Body.Close()
			return transporttest.Reply(503, "half of it")(req) // that is what it got
		}))
		ctx, trail := traced(t)
		body := newUpload(t, io.MultiReader(strings.NewReader("hel"), iotest.ErrReader(io.ErrNoProgress)))
		status, _, err := send(t, rt, uploading(t, ctx, body, -1))
		require.NoError(t, err)
		assert.Equal(t, 503, status)
		assert.Equal(t, 1, attempts)
		assert.Equal(t, []string{telemetry.NoReplay}, notes(trail))
	})
}

// A disk that is full costs the retries, not the upload.
func TestRetryWithoutDisk(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("temporary files are found in another way")
	}
	t.Setenv("TMPDIR", "/nowhere/at/all")
	synctest.Test(t, func(t *testing.T) {
		ctx, trail := traced(t)
		upstream := transporttest.NewUpstream(transporttest.Reply(503, "busy"))
		body := newUpload(t, strings.NewReader("hello"))
		cfg := policy.Retry{ReplayBytes: 1, SpillBytes: 10}
		_, _, err := send(t, transport.Retry(cfg)(upstream), uploading(t, ctx, body, -1))
		require.NoError(t, err)
		require.Equal(t, 1, upstream.Calls())
		assert.Equal(t, "hello", upstream.Requests()[0].Body)
		assert.Equal(t, []string{telemetry.NoReplay}, notes(trail))
	})
}

func ExampleRetry_upload() {
	upstream := transporttest.NewUpstream(
		transporttest.Reply(http.StatusServiceUnavailable, "busy"), transporttest.Reply(http.StatusOK, "fine"))
	client := transport.Wrap(&http.Client{Transport: upstream}, transport.Retry(policy.Retry{
		Throttled:   policy.Backoff{Base: time.Millisecond},
		ReplayBytes: 64 << 10, // in memory
		SpillBytes:  64 << 20, // and beyond that, in a file
	}))
	source, sink := io.Pipe()
	go func() {
		_, err := io.WriteString(sink, "made while it is sent")
		_ = sink.CloseWithError(err)
	}()
	req, err := http.NewRequest(http.MethodPut, "http://up.test/", source)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	for _, r := range upstream.Requests() {
		fmt.Println(r.Body)
	}
	fmt.Println(resp.Status)
	// Output:
	// made while it is sent
	// made while it is sent
	// 200 OK
}
