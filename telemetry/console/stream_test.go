package console_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/telemetry/console"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// anybody lets in all.
func anybody(*http.Request) (string, bool) { return "ann", true }

// counted is a source that counts how often it is asked, and says when.
func counted(asked *atomic.Int64) func() telemetry.Snapshot {
	return func() telemetry.Snapshot {
		asked.Add(1)
		return telemetry.Snapshot{At: time.Now()}
	}
}

func watchers(t *testing.T, server *transporttest.Server, n int) []*http.Response {
	t.Helper()
	all := make([]*http.Response, n)
	for i := range all {
		resp, err := server.Client().Get(server.URL + "/events")
		require.NoError(t, err)
		require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
		require.Equal(t, "no", resp.Header.Get("X-Accel-Buffering"), "or nginx keeps events back")
		all[i] = resp
	}
	return all
}

func TestStreamOneSnapshotForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		watch := console.New(counted(&asked), console.Options{Authorize: anybody})
		server := transporttest.NewServer(t, watch)
		time.Sleep(time.Minute)
		require.Zero(t, asked.Load(), "nobody watches")

		var events atomic.Int64
		all := watchers(t, server, 100)
		for _, resp := range all {
			go func() {
				lines := bufio.NewScanner(resp.Body)
				for lines.Scan() {
					if strings.HasPrefix(lines.Text(), `data: {"at":`) {
						events.Add(1)
					}
				}
			}()
		}
		time.Sleep(10*time.Second + 500*time.Millisecond)
		assert.Equal(t, int64(11), asked.Load(), "one at once, and one a second")
		assert.Equal(t, int64(11*100), events.Load())

		for _, resp := range all {
			_ = resp.Body.Close()
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		assert.Equal(t, int64(11), asked.Load(), "all have gone")

		again := watchers(t, server, 1)
		synctest.Wait()
		assert.Equal(t, int64(12), asked.Load(), "it begins again")
		_ = again[0].Body.Close()
	})
	// A goroutine that were left would fail the bubble.
}

// A source that hangs is asked by one goroutine only, however often somebody comes again.
func TestStreamSlowSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, asking, most atomic.Int64
		server := transporttest.NewServer(t, console.New(func() telemetry.Snapshot {
			most.Store(max(most.Load(), asking.Add(1)))
			defer asking.Add(-1)
			if asked.Add(1) == 1 {
				time.Sleep(time.Minute)
			}
			return telemetry.Snapshot{At: time.Now()}
		}, console.Options{Authorize: anybody}))
		start := time.Now()
		for range 10 {
			resp := watchers(t, server, 1)[0]
			time.Sleep(time.Second)
			_ = resp.Body.Close()
			synctest.Wait()
		}
		last := watchers(t, server, 1)[0]
		defer last.Body.Close()
		line, err := bufio.NewReader(last.Body).ReadString('\n')
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(line, "data: "))
		assert.Equal(t, time.Minute, time.Since(start))
		assert.Equal(t, int64(1), most.Load())
	})
}

func TestStreamSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := strings.Repeat("x", 1<<20)
		watch := console.New(func() telemetry.Snapshot {
			return telemetry.Snapshot{Events: []telemetry.Event{{Text: big}}}
		}, console.Options{Authorize: anybody})
		server := transporttest.NewServer(t, watch)
		stuck := watchers(t, server, 1)[0] // reads nothing
		defer stuck.Body.Close()
		swift := watchers(t, server, 1)[0]
		defer swift.Body.Close()

		start := time.Now()
		lines := bufio.NewReader(swift.Body)
		for i := range 5 {
			for {
				line, err := lines.ReadString('\n')
				require.NoError(t, err)
				if strings.HasPrefix(line, "data: ") {
					break
				}
			}
			assert.Equal(t, time.Duration(i)*time.Second, time.Since(start), "snapshot %d", i)
		}
		go func() { _, _ = io.Copy(io.Discard, lines) }()
		time.Sleep(10 * time.Second)
		_, err := io.Copy(io.Discard, stuck.Body)
		assert.Error(t, err, "let go")
	})
}

func TestStreamGivesTheNewestToWhoComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		server := transporttest.NewServer(t, console.New(counted(&asked), console.Options{Authorize: anybody}))
		first := watchers(t, server, 1)[0]
		defer first.Body.Close()
		go func() { _, _ = io.Copy(io.Discard, first.Body) }()
		time.Sleep(500 * time.Millisecond)

		start := time.Now()
		second := watchers(t, server, 1)[0]
		defer second.Body.Close()
		_, err := bufio.NewReader(second.Body).ReadString('\n')
		require.NoError(t, err)
		assert.Zero(t, time.Since(start), "it waits for no tick")
		assert.Equal(t, int64(1), asked.Load())
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		watch := console.New(counted(&asked), console.Options{Authorize: anybody})
		server := transporttest.NewServer(t, watch)
		resp := watchers(t, server, 1)[0]
		defer resp.Body.Close()
		require.NoError(t, watch.Close())
		require.NoError(t, watch.Close())
		_, err := io.Copy(io.Discard, resp.Body)
		require.NoError(t, err, "it ends as it should")
		late, err := server.Client().Get(server.URL + "/events")
		require.NoError(t, err)
		_ = late.Body.Close()
		assert.Equal(t, http.StatusServiceUnavailable, late.StatusCode)
	})
}

// What cannot flush cannot stream, and says so.
type unflushing struct{ http.ResponseWriter }

func TestStreamWithoutFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watch := console.New(source, console.Options{Authorize: anybody})
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			watch.ServeHTTP(unflushing{w}, r)
		}))
		resp, err := server.Client().Get(server.URL + "/events")
		require.NoError(t, err)
		defer resp.Body.Close()
		assert.Equal(t, http.StatusNotImplemented, resp.StatusCode)
	})
}

// unread takes down until when a request may be read.
type unread struct {
	http.ResponseWriter
	until []time.Time
}

func (u *unread) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func (u *unread) SetReadDeadline(until time.Time) error {
	u.until = append(u.until, until)
	return nil
}

// A server's ReadTimeout, which counts from the request on, does not end what viewers
// watch.
func TestStreamOutlivesReadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watch := console.New(source, console.Options{Authorize: anybody})
		var seen *unread
		server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = &unread{ResponseWriter: w}
			watch.ServeHTTP(seen, r)
		}))
		resp := watchers(t, server, 1)[0]
		defer resp.Body.Close()
		synctest.Wait()
		assert.Equal(t, []time.Time{{}}, seen.until)
	})
}

// A source that panics once costs a snapshot, not the program.
func TestStreamOutlivesPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		server := transporttest.NewServer(t, console.New(func() telemetry.Snapshot {
			if asked.Add(1) == 1 {
				panic("oops")
			}
			return telemetry.Snapshot{At: time.Now()}
		}, console.Options{Authorize: anybody}))
		start := time.Now()
		resp := watchers(t, server, 1)[0]
		defer resp.Body.Close()
		line, err := bufio.NewReader(resp.Body).ReadString('\n')
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(line, "data: "))
		assert.Equal(t, time.Second, time.Since(start))
	})
}

// What somebody isolates on the console ends by itself.
func TestIsolationEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusOK, "hello"))
		client := transport.Wrap(&http.Client{Transport: upstream}, transport.Standard(policy.Stack{Function: "search"}))
		watch := console.New(func() telemetry.Snapshot { return transport.Snapshot(client.Transport) }, console.Options{
			Authorize: console.Local, Actions: transport.Operator{client.Transport},
		})
		call := func() error {
			resp, err := client.Get("http://up.test/")
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			return err
		}
		require.NoError(t, call())

		const body = `{"function": "search", "breaker": "up.test:80", "reason": "moving house"}`
		require.Equal(t, http.StatusNoContent, answer(watch, request(http.MethodPost, "/isolate", body)).StatusCode)
		isolated := time.Now()
		s := snapshotOf(t, watch)
		assert.Equal(t, "isolated", s.Functions[0].Breakers[0].State)
		require.Len(t, s.Events, 2, "who did it, and what became of it")
		assert.Equal(t, "local: isolate up.test:80 until "+isolated.Add(15*time.Minute).UTC().Format("15:04:05Z")+" (moving house)", s.Events[0].Text)

		time.Sleep(15*time.Minute - time.Nanosecond)
		assert.True(t, errors.Is(call(), transport.ErrIsolated))
		time.Sleep(2 * time.Nanosecond)
		require.NoError(t, call())
		for range 5 {
			require.NoError(t, call())
		}
		assert.Equal(t, "closed", snapshotOf(t, watch).Functions[0].Breakers[0].State)
	})
}

// While a source takes its time, those who watch wait, however long: they are let go
// only if they do not read.
func TestStreamWaitsForSlowSource(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				server := transporttest.NewServer(t, console.New(func() telemetry.Snapshot {
					if asked.Add(1) == 2 {
						time.Sleep(time.Minute)
					}
					return telemetry.Snapshot{At: time.Now()}
				}, console.Options{Authorize: anybody}))
				if protocol == "HTTP/2.0" {
					server.UseHTTP2()
				}
				start := time.Now()
				resp := watchers(t, server, 1)[0]
				defer func() {
					_ = resp.Body.Close()
					time.Sleep(2 * time.Minute) // for a snapshot that is under way
				}()
				require.Equal(t, protocol, resp.Proto)
				lines := bufio.NewReader(resp.Body)
				for _, at := range []time.Duration{0, time.Second + time.Minute} {
					line, err := lines.ReadString('\n')
					require.NoError(t, err)
					assert.True(t, strings.HasPrefix(line, "data: "))
					assert.Equal(t, at, time.Since(start))
					_, err = lines.ReadString('\n')
					require.NoError(t, err)
				}
			})
		})
	}
}

// Who comes sees nothing of what was taken for those who have gone, be it under way still.
func TestStreamShowsNothingOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		server := transporttest.NewServer(t, console.New(func() telemetry.Snapshot {
			at := time.Now()
			if asked.Add(1) == 2 {
				time.Sleep(time.Minute)
			}
			return telemetry.Snapshot{At: at}
		}, console.Options{Authorize: anybody}))
		for range 2 { // the second one does not wait for what he asked for
			resp := watchers(t, server, 1)[0]
			time.Sleep(500 * time.Millisecond)
			_ = resp.Body.Close()
			synctest.Wait()
		}
		for _, resp := range watchers(t, server, 2) {
			line, err := bufio.NewReader(resp.Body).ReadString('\n')
			require.NoError(t, err)
			assert.Contains(t, line, `"at":"`+time.Now().Format(time.RFC3339Nano)+`"`)
			defer resp.Body.Close()
		}
	})
}
