package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/transport/transporttest"
)

var forAll = func(*http.Response) bool { return true }

func ask(t testing.TB, ctx context.Context) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.test/invoke", strings.NewReader("{}"))
	require.NoError(t, err)
	return req
}

// do has the request sent once for all that ask k at the same time, and waits for what
// comes of it.
func (fs *flights) do(req *http.Request, k key, send sendFunc, share shareFunc) (resp *http.Response, joined bool, err error) {
	return fs.board(&seat{req: req, send: send}, k, share).wait(req.Context())
}

// outcome is what came of a call.
type outcome struct {
	resp   *http.Response
	joined bool
	text   string
	err    error
	took   time.Duration
}

// fly asks once and reads all of the answer.
func fly(t testing.TB, fs *flights, ctx context.Context, up *transporttest.Upstream, share shareFunc) outcome {
	t.Helper()
	start := time.Now()
	resp, joined, err := fs.do(ask(t, ctx), key{}, up.RoundTrip, share)
	if err != nil {
		return outcome{joined: joined, err: err, took: time.Since(start)}
	}
	text, err := io.ReadAll(resp.Body)
	assert.NoError(t, resp.Body.Close())
	return outcome{resp, joined, string(text), err, time.Since(start)}
}

// requireEmpty fails the test if something is left of the flights.
func requireEmpty(t *testing.T, fs *flights) {
	t.Helper()
	synctest.Wait()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	require.Empty(t, fs.table)
}

// purse is a home with a budget that counts.
type purse struct {
	held, most atomic.Int64
	purges     atomic.Uint64
}

func newPurse() *purse {
	p := &purse{}
	p.most.Store(1 << 20)
	return p
}

func (p *purse) epoch() epoch { return epoch(p.purges.Load()) }

func (p *purse) reserve(n int64) bool {
	if held := p.held.Add(n); held > p.most.Load() {
		p.held.Add(-n)
		return false
	}
	return true
}

func (p *purse) release(n int64) { p.held.Add(-n) }

func TestFlightMerges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := transporttest.NewUpstream(transporttest.After(time.Second, transporttest.Reply(200, "yes", "X-Mine", "0")))
		fs := newFlights(1<<10, newPurse())
		var group sync.WaitGroup
		var joined atomic.Int64
		for range 50 {
			group.Go(func() {
				o := fly(t, fs, t.Context(), up, forAll)
				assert.NoError(t, o.err)
				assert.Equal(t, "yes", o.text)
				assert.Equal(t, time.Second, o.took)
				assert.Equal(t, "0", o.resp.Header.Get("X-Mine"))
				o.resp.Header.Set("X-Mine", "1") // each has his own
				if o.joined {
					joined.Add(1)
				}
			})
		}
		group.Wait()
		assert.Equal(t, 1, up.Calls())
		assert.EqualValues(t, 49, joined.Load())
		requireEmpty(t, fs)
	})
}

// What one caller does to his response is nothing to the others.
func TestFlightResponsesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		send := func(req *http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			resp, err := transporttest.Reply(200, "yes", "X-Mine", "0")(req)
			resp.Trailer, resp.TransferEncoding = http.Header{"X-End": {"0"}}, []string{"chunked"}
			return resp, err
		}
		fs := newFlights(1<<10, newPurse())
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				resp, _, err := fs.do(ask(t, t.Context()), key{}, send, forAll)
				if !assert.NoError(t, err) {
					return
				}
				for _, h := range []http.Header{resp.Header, resp.Trailer} {
					for name := range h {
						assert.Equal(t, "0", h.Get(name))
						h.Set(name, "1")
					}
				}
				assert.Equal(t, []string{"chunked"}, resp.TransferEncoding)
				resp.TransferEncoding[0] = "another"
				assert.NoError(t, resp.Body.Close())
			})
		}
		group.Wait()
		requireEmpty(t, fs)
	})
}

// TestFlightLeaving has callers of one flight leave at random, before and after
// the header, by their contexts and by closing.
func TestFlightLeaving(t *testing.T) {
	const seeds, callers, header, between, chunks = 1000, 6, 5, 5, 4
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			var canceled atomic.Int64
			var parts []transporttest.Chunk
			for range chunks {
				parts = append(parts, transporttest.Chunk{After: between * time.Second, Data: "12345678"})
			}
			stream := transporttest.After(header*time.Second, transporttest.Stream(200, parts))
			var calls atomic.Int64
			send := func(req *http.Request) (*http.Response, error) {
				calls.Add(1)
				context.AfterFunc(req.Context(), func() { canceled.Add(1) })
				return stream(req)
			}
			held := newPurse()
			fs := newFlights(1<<10, held)
			const whole = (header + between*chunks) * time.Second
			var group sync.WaitGroup
			last := time.Duration(0)
			stays := false
			for range callers {
				leaves := time.Duration(1+random.IntN(60))*time.Second/2 + time.Millisecond // never at the same time as anything else
				closes := random.IntN(2) == 0
				last = max(last, leaves)
				stays = stays || leaves > whole
				group.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					var body io.ReadCloser
					var mu sync.Mutex
					time.AfterFunc(leaves, func() {
						mu.Lock()
						defer mu.Unlock()
						if closes && body != nil {
							_ = body.Close()
						} else {
							cancel()
						}
					})
					resp, _, err := fs.do(ask(t, ctx), key{}, send, forAll)
					if err != nil {
						assert.ErrorIs(t, err, context.Canceled)
						assert.Less(t, leaves, header*time.Second+2*time.Millisecond)
						return
					}
					mu.Lock()
					body = resp.Body
					mu.Unlock()
					text, err := io.ReadAll(resp.Body)
					if leaves > whole {
						assert.NoError(t, err)
						assert.Equal(t, strings.Repeat("12345678", chunks), string(text))
					} else {
						assert.Error(t, err)
						assert.Len(t, text, 8*int((leaves-header*time.Second)/(between*time.Second)))
					}
					assert.NoError(t, resp.Body.Close())
				})
			}
			if !stays { // one who asks after all have left gets a live flight
				time.Sleep(last)
				synctest.Wait()
				assert.EqualValues(t, 1, canceled.Load(), "the last one out ends it")
				resp, joined, err := fs.do(ask(t, t.Context()), key{}, send, forAll)
				require.NoError(t, err)
				assert.False(t, joined)
				text, err := io.ReadAll(resp.Body)
				assert.NoError(t, err)
				assert.Len(t, text, 8*chunks)
			}
			group.Wait()
			if stays {
				assert.EqualValues(t, 1, calls.Load(), "calls")
			}
			requireEmpty(t, fs)
			assert.Zero(t, held.held.Load(), "reserved")
			if t.Failed() {
				t.Fatal("seed", seed)
			}
		})
	}
}

// TestFlightSettledWithoutTheFirstCaller: the body that a caller keeps is closed if he
// has left.
func TestFlightSettledWithoutTheFirstCaller(t *testing.T) {
	for name, leaves := range map[string]bool{"stays": false, "leaves": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := newFlights(1<<10, newPurse())
				settled := func(*http.Request) (*http.Response, error) {
					time.Sleep(time.Second)
					return nil, errSettled
				}
				ctx, leave := context.WithCancel(t.Context())
				if leaves {
					time.AfterFunc(time.Millisecond, leave)
				}
				closed := false
				req := ask(t, ctx)
				req.Body = &toldOfClose{req.Body, &closed}
				_, _, err := fs.do(req, key{}, settled, forAll)
				if leaves {
					assert.ErrorIs(t, err, context.Canceled)
				} else {
					assert.ErrorIs(t, err, errSettled)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				assert.Equal(t, leaves, closed)
				leave()
			})
		})
	}
}

// TestFlightClosesWhatItDoesNotSend: the body of one who joined is closed whatever comes,
// unless he is to look again.
func TestFlightClosesWhatItDoesNotSend(t *testing.T) {
	failing := func(err error) sendFunc {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	for name, tt := range map[string]struct {
		send sendFunc
		stay time.Duration
		want bool
	}{
		"an answer":     {transporttest.Reply(200, "yes"), time.Hour, true},
		"an error":      {failing(io.ErrUnexpectedEOF), time.Hour, true},
		"he leaves":     {transporttest.Reply(200, "yes"), time.Millisecond, true},
		"to look again": {failing(errSettled), time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := newFlights(1<<10, newPurse())
				up := transporttest.NewUpstream(transporttest.After(time.Second, tt.send))
				go fly(t, fs, t.Context(), up, forAll)
				synctest.Wait()
				ctx, leave := context.WithTimeout(t.Context(), tt.stay)
				defer leave()
				closed := false
				req := ask(t, ctx)
				req.Body = &toldOfClose{req.Body, &closed}
				resp, joined, err := fs.do(req, key{}, up.RoundTrip, forAll)
				assert.True(t, joined)
				if err == nil {
					assert.NoError(t, resp.Body.Close())
				}
				assert.Equal(t, tt.want, closed)
				time.Sleep(time.Second)
				requireEmpty(t, fs)
				assert.Equal(t, 1, up.Calls())
			})
		})
	}
}

func TestFlightErrorsAreForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errDown := errors.New("down")
		up := transporttest.NewUpstream(transporttest.After(time.Second, transporttest.Fail(errDown)))
		fs := newFlights(1<<10, newPurse())
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() { assert.ErrorIs(t, fly(t, fs, t.Context(), up, forAll).err, errDown) })
		}
		group.Wait()
		assert.Equal(t, 1, up.Calls())
		requireEmpty(t, fs)
	})
}

func TestFlightNotForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := transporttest.NewUpstream(transporttest.After(200*time.Millisecond, transporttest.Reply(200, "mine")))
		fs := newFlights(1<<10, newPurse())
		herd := func(want time.Duration) {
			start := time.Now()
			var group sync.WaitGroup
			for range 50 {
				group.Go(func() {
					o := fly(t, fs, t.Context(), up, func(*http.Response) bool { return false })
					assert.NoError(t, o.err)
					assert.Equal(t, "mine", o.text)
					assert.False(t, o.joined)
				})
			}
			group.Wait()
			assert.Equal(t, want, time.Since(start))
		}
		herd(400 * time.Millisecond) // the followers go on side by side
		herd(200 * time.Millisecond) // and the next ones do not wait at all
		time.Sleep(apartFor)
		herd(400 * time.Millisecond)
		assert.Equal(t, 150, up.Calls())
		requireEmpty(t, fs)
	})
}

func TestFlightFirstByteReachesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := transporttest.NewUpstream(transporttest.Stream(200, []transporttest.Chunk{
			{After: time.Second, Data: "a"}, {After: time.Second, Data: "b"},
		}))
		fs := newFlights(1<<10, newPurse())
		leader, _, err := fs.do(ask(t, t.Context()), key{}, up.RoundTrip, forAll) // never reads
		require.NoError(t, err)
		start := time.Now()
		resp, joined, err := fs.do(ask(t, t.Context()), key{}, up.RoundTrip, forAll)
		require.NoError(t, err)
		assert.True(t, joined)
		p := make([]byte, 10)
		for i, want := range []string{"a", "b"} {
			n, err := resp.Body.Read(p)
			assert.NoError(t, err)
			assert.Equal(t, want, string(p[:n]))
			assert.Equal(t, time.Duration(i+1)*time.Second, time.Since(start))
		}
		_, err = resp.Body.Read(p)
		assert.Equal(t, io.EOF, err)
		require.NoError(t, resp.Body.Close())
		text, err := io.ReadAll(leader.Body)
		assert.NoError(t, err)
		assert.Equal(t, "ab", string(text))
		require.NoError(t, leader.Body.Close())
		requireEmpty(t, fs)
	})
}

func TestFlightOverTheBound(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 1<<10) // 16 KiB
	for _, most := range []int64{1 << 20, 100} {      // of the budget
		t.Run(fmt.Sprint("budget ", most), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := transporttest.NewUpstream(transporttest.Stream(200, []transporttest.Chunk{{After: time.Second, Data: text}}))
				held := &purse{}
				held.most.Store(most)
				fs := newFlights(5<<10, held)
				leader, _, err := fs.do(ask(t, t.Context()), key{}, up.RoundTrip, forAll)
				require.NoError(t, err)
				var group sync.WaitGroup
				for range 3 {
					group.Go(func() {
						o := fly(t, fs, t.Context(), up, forAll)
						assert.NoError(t, o.err)
						assert.Equal(t, text, o.text)
						assert.GreaterOrEqual(t, o.took, time.Second+patience, "they wait for the one who does not read")
					})
				}
				time.Sleep(time.Second + 1)
				synctest.Wait()
				late, joined, err := fs.do(ask(t, t.Context()), key{}, up.RoundTrip, forAll)
				require.NoError(t, err)
				assert.False(t, joined, "nobody joins any more")
				require.NoError(t, late.Body.Close())
				group.Wait()
				_, err = io.ReadAll(leader.Body)
				assert.ErrorIs(t, err, errLagging)
				require.NoError(t, leader.Body.Close())
				assert.Equal(t, 2, up.Calls())
				requireEmpty(t, fs)
				assert.Zero(t, held.held.Load(), "reserved")
			})
		})
	}
}

// Nor does anybody join an answer whose readers are so quick that it never had to wait
// for them.
func TestFlightOverTheBoundOfTheQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunk, chunks = 32, 6
		parts := slices.Repeat([]transporttest.Chunk{{After: time.Second, Data: strings.Repeat("x", chunk)}}, chunks)
		up := transporttest.NewUpstream(transporttest.Stream(200, parts))
		fs := newFlights(2*chunk, newPurse())
		var group sync.WaitGroup
		for comes := range chunks {
			group.Go(func() {
				time.Sleep(time.Duration(comes) * (time.Second + time.Millisecond)) // never together with a chunk
				o := fly(t, fs, t.Context(), up, forAll)
				assert.NoError(t, o.err)
				assert.Len(t, o.text, chunk*chunks)
				assert.Equal(t, comes == 1 || comes == 2 || comes == 4 || comes == 5, o.joined, "the one who came at %d s", comes)
			})
		}
		group.Wait()
		assert.Equal(t, 2, up.Calls())
		requireEmpty(t, fs)
	})
}

// Who waits for one who does not read goes on as soon as that one leaves.
func TestFlightOverTheBoundOfOneWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.Repeat("0123456789abcdef", 1<<10)
		up := transporttest.NewUpstream(transporttest.Stream(200, []transporttest.Chunk{{After: time.Second, Data: text}}))
		fs := newFlights(1<<10, newPurse())
		leader, _, err := fs.do(ask(t, t.Context()), key{}, up.RoundTrip, forAll)
		require.NoError(t, err)
		time.AfterFunc(time.Second+patience/2, func() { _ = leader.Body.Close() })
		o := fly(t, fs, t.Context(), up, forAll)
		assert.True(t, o.joined)
		assert.NoError(t, o.err)
		assert.Equal(t, text, o.text)
		assert.Equal(t, time.Second+patience/2, o.took)
		requireEmpty(t, fs)
	})
}

// One who is alone reads an answer of any length at his own pace.
func TestFlightAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.Repeat("0123456789abcdef", 1<<10)
		up := transporttest.NewUpstream(transporttest.Reply(200, text))
		fs := newFlights(1<<10, newPurse())
		resp, _, err := fs.do(ask(t, t.Context()), key{}, up.RoundTrip, forAll)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		got, err := io.ReadAll(resp.Body)
		assert.NoError(t, err)
		assert.Equal(t, text, string(got))
		require.NoError(t, resp.Body.Close())
		requireEmpty(t, fs)
	})
}

// lasting is a context that outlives its requests, and counts what waits for its end.
type lasting struct {
	context.Context
	done    chan struct{}
	waiting atomic.Int64
}

func (c *lasting) Done() <-chan struct{} { return c.done }

func (c *lasting) AfterFunc(func()) (stop func() bool) {
	c.waiting.Add(1)
	return sync.OnceValue(func() bool { c.waiting.Add(-1); return true })
}

// A body that was read or closed leaves nothing in its caller's context.
func TestFlightLeavesTheContextAlone(t *testing.T) {
	for _, shared := range []bool{true, false} {
		for _, reads := range []bool{true, false} {
			t.Run(fmt.Sprintf("for all %v, read %v", shared, reads), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx := &lasting{Context: t.Context(), done: make(chan struct{})}
					fs := newFlights(1<<10, newPurse())
					up := transporttest.NewUpstream(transporttest.Reply(200, "yes"))
					resp, _, err := fs.do(ask(t, ctx), key{}, up.RoundTrip, func(*http.Response) bool { return shared })
					require.NoError(t, err)
					require.EqualValues(t, 1, ctx.waiting.Load())
					if reads {
						_, err = io.ReadAll(resp.Body)
						require.NoError(t, err)
					} else {
						require.NoError(t, resp.Body.Close())
					}
					assert.Zero(t, ctx.waiting.Load())
					requireEmpty(t, fs)
				})
			})
		}
	}
}

// What is there of one caller's answer he gets as it is, though his context has ended.
func TestFlightNotForAllEndsAsItDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		fs := newFlights(1<<10, newPurse())
		up := transporttest.NewUpstream(transporttest.Reply(200, "yes"))
		resp, _, err := fs.do(ask(t, ctx), key{}, up.RoundTrip, func(*http.Response) bool { return false })
		require.NoError(t, err)
		cancel()
		synctest.Wait()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "yes", string(text))
		require.NoError(t, resp.Body.Close())
	})
}

// Who reads on after his context has ended gets the reason of that, and not the one of
// whoever was the last to leave.
func TestFlightLeftForOnesOwnReason(t *testing.T) {
	for _, closes := range []bool{true, false} {
		t.Run(fmt.Sprintf("the last one closes %v", closes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				text, w := io.Pipe()
				up := func(req *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, ContentLength: 100, Body: text, Request: req}, nil
				}
				fs := newFlights(1<<10, newPurse())
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				others, leave := context.WithCancel(t.Context())
				defer leave()
				one, _, err := fs.do(ask(t, ctx), key{}, up, forAll)
				require.NoError(t, err)
				last, _, err := fs.do(ask(t, others), key{}, up, forAll)
				require.NoError(t, err)
				_, err = io.WriteString(w, "begun")
				require.NoError(t, err)
				time.Sleep(2 * time.Second)
				if closes {
					require.NoError(t, last.Body.Close())
				}
				leave()
				synctest.Wait()
				_, err = io.ReadAll(one.Body)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NoError(t, one.Body.Close())
				require.NoError(t, last.Body.Close())
				requireEmpty(t, fs)
			})
		})
	}
}

func TestFlightPanics(t *testing.T) {
	for _, where := range []string{"send", "share", "body"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := newFlights(1<<10, newPurse())
				var calls, open atomic.Int64
				send := func(req *http.Request) (*http.Response, error) {
					first := calls.Add(1) == 1
					time.Sleep(time.Second)
					if where == "send" && first {
						panic("below")
					}
					resp, err := transporttest.Reply(200, "yes")(req)
					open.Add(1)
					resp.Body = opened{resp.Body, &open}
					if where == "body" && first {
						resp.Body = opened{panicking{}, &open}
					}
					return resp, err
				}
				share := func(*http.Response) bool {
					if where == "share" {
						panic("below")
					}
					return true
				}
				var group sync.WaitGroup
				group.Go(func() {
					assert.PanicsWithValue(t, "below", func() {
						resp, _, err := fs.do(ask(t, t.Context()), key{}, send, share)
						if assert.NoError(t, err) {
							_, _ = io.ReadAll(resp.Body)
						}
					})
				})
				synctest.Wait()
				for range 5 {
					group.Go(func() {
						resp, _, err := fs.do(ask(t, t.Context()), key{}, send, share)
						if !assert.NoError(t, err) {
							return
						}
						text, err := io.ReadAll(resp.Body)
						if where == "body" {
							assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
						} else {
							assert.NoError(t, err)
							assert.Equal(t, "yes", string(text))
						}
						assert.NoError(t, resp.Body.Close())
					})
				}
				group.Wait()
				requireEmpty(t, fs)
				assert.Zero(t, open.Load(), "bodies that nobody closed")
			})
		})
	}
}

// opened is a body that counts itself out when it is closed.
type opened struct {
	io.ReadCloser
	open *atomic.Int64
}

func (b opened) Close() error {
	b.open.Add(-1)
	return b.ReadCloser.Close()
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("below") }
func (panicking) Close() error             { return nil }

// A body that panics when it is closed does so where nobody could recover it.
func TestFlightPanicsOnClose(t *testing.T) {
	for _, read := range []int64{0, 3, 8} {
		for _, leaves := range []string{"closes", "cancels", "is gone at the header"} {
			synctest.Test(t, func(t *testing.T) {
				held := newPurse()
				fs := newFlights(1<<10, held)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				send := func(req *http.Request) (*http.Response, error) {
					resp, err := transporttest.Reply(200, "12345678")(req)
					resp.Body = panickingOnClose{io.MultiReader(resp.Body, endless{req.Context()})}
					resp.ContentLength = -1
					if leaves == "is gone at the header" {
						cancel()
						time.Sleep(time.Nanosecond)
					}
					return resp, err
				}
				resp, _, err := fs.do(ask(t, ctx), key{}, send, forAll)
				if leaves == "is gone at the header" {
					require.ErrorIs(t, err, context.Canceled)
					time.Sleep(2 * time.Nanosecond)
				} else {
					require.NoError(t, err)
					_, err = io.CopyN(io.Discard, resp.Body, read)
					require.NoError(t, err)
					if leaves == "cancels" {
						cancel()
						synctest.Wait()
					}
					_ = resp.Body.Close()
				}
				requireEmpty(t, fs)
				assert.Zero(t, held.held.Load(), "reserved")
			})
		}
	}
}

func TestFlightPanicsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFlights(1<<10, newPurse())
		send := func(req *http.Request) (*http.Response, error) {
			resp, err := transporttest.Reply(200, "yes")(req)
			resp.Body = panickingOnClose{resp.Body}
			return resp, err
		}
		assert.PanicsWithValue(t, "first", func() {
			_, _, _ = fs.do(ask(t, t.Context()), key{}, send, func(*http.Response) bool { panic("first") })
		})
		requireEmpty(t, fs)
	})
}

type panickingOnClose struct{ io.Reader }

func (panickingOnClose) Close() error { panic("below") }

// endless is a body whose next byte never comes.
type endless struct{ ctx context.Context }

func (e endless) Read([]byte) (int, error) {
	<-e.ctx.Done()
	return 0, e.ctx.Err()
}

// The layers below see the latest deadline of those who wait.
func TestFlightDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newFlights(1<<10, newPurse())
		start := time.Now()
		var seen []time.Duration
		send := func(req *http.Request) (*http.Response, error) {
			for range 3 {
				deadline, ok := req.Context().Deadline()
				if !ok {
					deadline = start
				}
				seen = append(seen, deadline.Sub(start))
				time.Sleep(time.Second)
			}
			return transporttest.Reply(200, "yes")(req)
		}
		var group sync.WaitGroup
		for i, limit := range []time.Duration{10 * time.Second, 20 * time.Second, 0} {
			group.Go(func() {
				time.Sleep(time.Duration(i) * 900 * time.Millisecond)
				ctx := t.Context()
				if limit > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithDeadline(ctx, start.Add(limit))
					defer cancel()
				}
				resp, _, err := fs.do(ask(t, ctx), key{}, send, forAll)
				if assert.NoError(t, err) {
					assert.NoError(t, resp.Body.Close())
				}
			})
		}
		group.Wait()
		assert.Equal(t, []time.Duration{10 * time.Second, 20 * time.Second, 0}, seen)
	})
}

func TestFlightEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := transporttest.NewUpstream(transporttest.Hang())
		start := time.Now()
		_, _, err := newFlights(1<<10, newPurse()).do(ask(t, t.Context()), key{}, up.RoundTrip, forAll)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, maxFlight, time.Since(start))
	})
}

// An answer that has come is given to those who ask within a second.
func TestFlightIsNewsForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := transporttest.NewUpstream(transporttest.Reply(200, "yes"))
		fs := newFlights(1<<10, newPurse())
		idle, _, err := fs.do(ask(t, t.Context()), key{}, up.RoundTrip, forAll)
		require.NoError(t, err)
		time.Sleep(newsFor - 1)
		resp, joined, err := fs.do(ask(t, t.Context()), key{}, up.RoundTrip, forAll)
		require.NoError(t, err)
		assert.True(t, joined)
		require.NoError(t, resp.Body.Close())
		time.Sleep(2 * time.Nanosecond)
		assert.False(t, fly(t, fs, t.Context(), up, forAll).joined)
		require.NoError(t, idle.Body.Close())
		requireEmpty(t, fs)
	})
}

// What was asked for before a purge is nothing for those who ask after it.
func TestFlightEndsWithItsEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := transporttest.NewUpstream(transporttest.After(time.Second, transporttest.Reply(200, "yes")))
		home := newPurse()
		fs := newFlights(1<<10, home)
		var group sync.WaitGroup
		for i := range 4 {
			if i == 2 {
				home.purges.Add(1)
			}
			group.Go(func() { assert.Equal(t, i == 1 || i == 3, fly(t, fs, t.Context(), up, forAll).joined, i) })
			synctest.Wait()
		}
		group.Wait()
		assert.Equal(t, 2, up.Calls())
		requireEmpty(t, fs)
	})
}

// One who comes while a flight that all have left is not over yet gets a live one.
func TestFlightIsNotJoinedOnceAllHaveLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		send := func(req *http.Request) (*http.Response, error) {
			calls.Add(1)
			time.Sleep(10 * time.Second) // whatever happens to the context
			if err := req.Context().Err(); err != nil {
				return nil, err
			}
			return transporttest.Reply(200, "yes")(req)
		}
		fs := newFlights(1<<10, newPurse())
		var group sync.WaitGroup
		for i := range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i)*time.Second)
			defer cancel()
			group.Go(func() {
				_, _, err := fs.do(ask(t, ctx), key{}, send, forAll)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			})
		}
		group.Wait()
		resp, joined, err := fs.do(ask(t, t.Context()), key{}, send, forAll)
		require.NoError(t, err)
		assert.False(t, joined)
		require.NoError(t, resp.Body.Close())
		assert.EqualValues(t, 2, calls.Load(), "calls")
		requireEmpty(t, fs)
	})
}

// forever is a body that gives bytes even once it is closed.
type forever struct{ reads atomic.Int64 }

func (f *forever) Read(p []byte) (int, error) {
	f.reads.Add(1)
	time.Sleep(time.Second)
	return 1, nil
}

func (*forever) Close() error { return nil }

func TestFlightReadsNoFurtherForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := &forever{}
		send := func(req *http.Request) (*http.Response, error) {
			resp, err := transporttest.Reply(200, "")(req)
			resp.Body, resp.ContentLength = body, -1
			return resp, err
		}
		fs := newFlights(1<<10, newPurse())
		resp, _, err := fs.do(ask(t, t.Context()), key{}, send, forAll)
		require.NoError(t, err)
		time.Sleep(2500 * time.Millisecond)
		require.NoError(t, resp.Body.Close())
		time.Sleep(time.Minute)
		assert.EqualValues(t, 3, body.reads.Load(), "reads")
		requireEmpty(t, fs)
	})
}

// Nobody joins for an answer that one reader has had as a whole, since it is in the
// store by then if it is to be, nor for one that broke; both though others still read.
func TestFlightIsNotJoinedAtItsEnd(t *testing.T) {
	for name, failure := range map[string]error{"whole": nil, "broken": errors.New("reset")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := transporttest.NewUpstream(transporttest.Stream(200, []transporttest.Chunk{{Data: "yes", Err: failure}}))
				fs := newFlights(1<<10, newPurse())
				slow, _, err := fs.do(ask(t, t.Context()), key{}, up.RoundTrip, forAll)
				require.NoError(t, err)
				if failure == nil {
					quick, joined, err := fs.do(ask(t, t.Context()), key{}, up.RoundTrip, forAll)
					require.NoError(t, err)
					require.True(t, joined)
					_, err = io.ReadAll(quick.Body)
					require.NoError(t, err)
				}
				synctest.Wait()
				other, joined, err := fs.do(ask(t, t.Context()), key{}, up.RoundTrip, forAll)
				require.NoError(t, err)
				assert.False(t, joined)
				assert.Equal(t, 2, up.Calls())
				require.NoError(t, slow.Body.Close())
				require.NoError(t, other.Body.Close())
				requireEmpty(t, fs)
			})
		})
	}
}
