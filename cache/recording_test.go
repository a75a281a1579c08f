package cache_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
)

// framings are the ways in which a response says where its body ends.
var framings = map[string]func(*http.Response){
	"length":  func(*http.Response) {},
	"chunked": func(r *http.Response) { r.ContentLength, r.TransferEncoding = -1, []string{"chunked"} },
	"HTTP/2":  func(r *http.Response) { r.ContentLength, r.ProtoMajor, r.ProtoMinor = -1, 2, 0 },
}

// answeredBy returns a transport with a cache around it, its store, and what
// the transport answers with: text, framed, through body.
func answeredBy(text string, frame func(*http.Response), body func(string) io.ReadCloser) (http.RoundTripper, *cache.Store) {
	upstream := transportFunc(func(*http.Request) (*http.Response, error) {
		resp := response(http.StatusOK, text)
		resp.Header.Set("Content-Type", "text/plain") // any part of it would do
		frame(resp)
		resp.Body = body(text)
		return resp, nil
	})
	store := cache.NewStore(cache.StoreConfig{})
	return cache.Predictions(cache.PredictionsConfig{Store: store})(upstream), store
}

func TestRecordingCutAnswers(t *testing.T) {
	errReset := errors.New("connection reset")
	for name, frame := range framings {
		for cut := range len(answer) + 1 {
			t.Run(fmt.Sprintf("%s, cut at %d", name, cut), func(t *testing.T) {
				for _, failure := range []error{io.ErrUnexpectedEOF, errReset} {
					rt, store := answeredBy(answer, frame, func(text string) io.ReadCloser {
						return io.NopCloser(io.MultiReader(strings.NewReader(text[:cut]), iotest.ErrReader(failure)))
					})
					resp, err := rt.RoundTrip(newCall(t, `{}`, policy.Call{}))
					require.NoError(t, err)
					got, err := io.ReadAll(resp.Body)
					assert.Equal(t, answer[:cut], string(got), "what came reaches the reader")
					assert.Equal(t, failure, err, "and so does the error")
					require.NoError(t, resp.Body.Close())
					if name != "length" || cut < len(answer) {
						assert.Zero(t, store.Stats().Entries, "entries of an answer that failed")
					}
				}
			})
		}
	}
}

func TestRecordingEndsEarlyWithoutAnError(t *testing.T) {
	for cut := range len(answer) {
		rt, store := answeredBy(answer, framings["length"], func(text string) io.ReadCloser {
			return io.NopCloser(strings.NewReader(text[:cut]))
		})
		_, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
		assert.Equal(t, answer[:cut], text)
		assert.Zero(t, store.Stats().Entries, "entries after a cut at %d", cut)
	}
}

// trailing is a body that ends in trailers which were not announced, as HTTP/2 and
// chunked bodies can.
type trailing struct {
	io.ReadCloser
	resp *http.Response
}

func (b *trailing) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.resp.Trailer = http.Header{"X-Sum": {"1"}}
	}
	return n, err
}

func TestRecordingEndsInTrailers(t *testing.T) {
	for name, frame := range framings {
		if name == "length" {
			continue
		}
		upstream := transportFunc(func(*http.Request) (*http.Response, error) {
			resp := response(http.StatusOK, answer)
			resp.Header.Set("Cache-Control", "max-age=60")
			frame(resp)
			resp.Body = &trailing{resp.Body, resp}
			return resp, nil
		})
		store := cache.NewStore(cache.StoreConfig{})
		predictions := cache.Predictions(cache.PredictionsConfig{Store: store})(upstream)
		anew := newCall(t, `{}`, policy.Call{})
		anew.Header.Set("Cache-Control", "no-cache")
		for what, got := range map[string]func() (*http.Response, string){
			"merged": func() (*http.Response, string) { return ask(t, predictions, newCall(t, `{}`, policy.Call{})) },
			"alone":  func() (*http.Response, string) { return ask(t, predictions, anew) },
			"GET": func() (*http.Response, string) {
				return ask(t, cache.HTTP(cache.HTTPConfig{Store: store})(upstream), get(t))
			},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				resp, text := got()
				assert.Equal(t, answer, text)
				assert.Equal(t, http.Header{"X-Sum": {"1"}}, resp.Trailer, "trailers reach the caller")
				assert.Zero(t, store.Stats().Entries)
			})
		}
	}
}

func TestRecordingAbandonedAnswers(t *testing.T) {
	for name, frame := range framings {
		for _, contentType := range []string{"text/plain", "application/json"} {
			for taken := range len(answer) + 1 {
				t.Run(fmt.Sprintf("%s, %s, after %d", name, contentType, taken), func(t *testing.T) {
					rt, store := answeredBy(answer, func(resp *http.Response) {
						frame(resp)
						resp.Header.Set("Content-Type", contentType)
					}, func(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) })
					resp, err := rt.RoundTrip(newCall(t, `{}`, policy.Call{}))
					require.NoError(t, err)
					_, err = io.ReadFull(resp.Body, make([]byte, taken))
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
					want := 0
					if taken == len(answer) && (name == "length" || contentType == "application/json") {
						want = 1 // whole, though nobody looked for the end
					}
					assert.Equal(t, want, store.Stats().Entries)
				})
			}
		}
	}
}

// A JSON decoder reads no further than its value.
func TestRecordingIsFedByDecoders(t *testing.T) {
	layers := map[string]func(*cache.Store) cache.Layer{
		"predictions": func(s *cache.Store) cache.Layer { return cache.Predictions(cache.PredictionsConfig{Store: s}) },
		"HTTP":        func(s *cache.Store) cache.Layer { return cache.HTTP(cache.HTTPConfig{Store: s}) },
	}
	for layerName, newLayer := range layers {
		for name, frame := range framings {
			t.Run(layerName+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := cache.NewStore(cache.StoreConfig{})
					rt := newLayer(store)(transportFunc(func(*http.Request) (*http.Response, error) {
						resp := response(http.StatusOK, answer)
						resp.Header.Set("Cache-Control", "max-age=60")
						frame(resp)
						hangs, w := io.Pipe() // where the end, which nobody waits for, does not come
						resp.Body = &struct {
							io.Reader
							io.Closer
						}{io.MultiReader(strings.NewReader(answer), hangs), w}
						return resp, nil
					}))
					req := get(t)
					if layerName == "predictions" {
						req = newCall(t, `{}`, policy.Call{})
					}
					resp, err := rt.RoundTrip(req)
					require.NoError(t, err)
					require.NoError(t, json.NewDecoder(resp.Body).Decode(new(any)))
					require.NoError(t, resp.Body.Close())
					synctest.Wait()
					assert.Equal(t, 1, store.Stats().Entries)
				})
			})
		}
	}
}

func TestRecordingIsFedByAnyReader(t *testing.T) {
	readers := map[string]func(io.Reader) error{
		"ReadAll":    func(r io.Reader) error { _, err := io.ReadAll(r); return err },
		"one byte":   func(r io.Reader) error { _, err := io.ReadAll(iotest.OneByteReader(r)); return err },
		"Copy":       func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err },
		"Copy to":    func(r io.Reader) error { _, err := io.Copy(struct{ io.Writer }{io.Discard}, r); return err },
		"a decoder":  func(r io.Reader) error { return json.NewDecoder(r).Decode(new(any)) },
		"end at EOF": func(r io.Reader) error { _, err := io.ReadAll(iotest.DataErrReader(r)); return err },
	}
	bodies := map[string]func(string) io.ReadCloser{
		"a reader":           func(s string) io.ReadCloser { return io.NopCloser(struct{ io.Reader }{strings.NewReader(s)}) },
		"a WriterTo":         func(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) },
		"data with the end":  func(s string) io.ReadCloser { return io.NopCloser(iotest.DataErrReader(strings.NewReader(s))) },
		"halves of the rest": func(s string) io.ReadCloser { return io.NopCloser(iotest.HalfReader(strings.NewReader(s))) },
	}
	for readerName, read := range readers {
		for bodyName, body := range bodies {
			t.Run(readerName+" from "+bodyName, func(t *testing.T) {
				rt, _ := answeredBy(answer, framings["length"], body)
				resp, err := rt.RoundTrip(newCall(t, `{}`, policy.Call{}))
				require.NoError(t, err)
				require.NoError(t, read(resp.Body))
				require.NoError(t, resp.Body.Close())
				resp, text := ask(t, rt, newCall(t, `{}`, policy.Call{}))
				assert.Equal(t, answer, text)
				assert.Contains(t, resp.Header.Get("Cache-Status"), "sparekey; hit")
			})
		}
	}
}

func TestRecordingKeepsWriterTo(t *testing.T) {
	rt, _ := answeredBy(answer, framings["length"], func(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) })
	for _, how := range []string{"live", "hit"} {
		resp, err := rt.RoundTrip(newCall(t, `{}`, policy.Call{}))
		require.NoError(t, err)
		wt, ok := resp.Body.(io.WriterTo)
		require.True(t, ok, how)
		var buf bytes.Buffer
		n, err := wt.WriteTo(&buf)
		require.NoError(t, err)
		assert.EqualValues(t, len(answer), n)
		assert.Equal(t, answer, buf.String())
	}
}

// limitedWriter takes n bytes.
type limitedWriter struct{ n int }

func (w *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > w.n {
		return w.n, io.ErrShortWrite
	}
	w.n -= len(p)
	return len(p), nil
}

func TestRecordingOfAWriterThatFails(t *testing.T) {
	rt, store := answeredBy(answer, framings["chunked"], func(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) })
	resp, err := rt.RoundTrip(newCall(t, `{}`, policy.Call{}))
	require.NoError(t, err)
	_, err = io.Copy(&limitedWriter{10}, resp.Body)
	require.ErrorIs(t, err, io.ErrShortWrite)
	require.NoError(t, resp.Body.Close())
	assert.Zero(t, store.Stats().Entries)
}

func TestRecordingBound(t *testing.T) {
	const bound = 1000
	for name, frame := range framings {
		for size, want := range map[int]int{bound - 1: 1, bound: 1, bound + 1: 0, 100 * bound: 0} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, size), func(t *testing.T) {
				text := strings.Repeat("x", size)
				upstream := &service{respond: func(*http.Request) (*http.Response, error) {
					resp := response(http.StatusOK, text)
					resp.Header.Set("Content-Type", "text/plain")
					frame(resp)
					return resp, nil
				}}
				store := cache.NewStore(cache.StoreConfig{})
				rt := cache.Predictions(cache.PredictionsConfig{Store: store, Cache: policy.Cache{MaxEntryBytes: bound}})(upstream)
				_, got := ask(t, rt, newCall(t, `{}`, policy.Call{}))
				assert.Equal(t, text, got)
				assert.Equal(t, want, store.Stats().Entries)
			})
		}
	}
}

func TestRecordingDoesNotDelay(t *testing.T) {
	for _, contentType := range []string{"application/json", "text/event-stream"} {
		t.Run(contentType, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := &service{respond: func(*http.Request) (*http.Response, error) {
					pr, pw := io.Pipe()
					go func() {
						for _, part := range []string{`[1`, `,2`, `]`} {
							_, _ = io.WriteString(pw, part)
							time.Sleep(time.Second)
						}
						pw.Close()
					}()
					resp := response(http.StatusOK, "")
					resp.Header.Set("Content-Type", contentType)
					resp.Body, resp.ContentLength, resp.TransferEncoding = pr, -1, []string{"chunked"}
					return resp, nil
				}}
				rt := cache.Predictions(cache.PredictionsConfig{})(upstream)
				start := time.Now()
				resp, err := rt.RoundTrip(newCall(t, `{}`, policy.Call{}))
				require.NoError(t, err)
				buf := make([]byte, 100)
				for i, want := range []string{`[1`, `,2`, `]`} {
					n, err := resp.Body.Read(buf)
					require.NoError(t, err)
					assert.Equal(t, want, string(buf[:n]))
					assert.Equal(t, time.Duration(i)*time.Second, time.Since(start))
				}
				_, err = resp.Body.Read(buf)
				require.Equal(t, io.EOF, err)
				require.NoError(t, resp.Body.Close())
			})
		})
	}
}

// TestRecordingClosedWhileRead closes bodies at any time, as net/http allows.
func TestRecordingClosedWhileRead(t *testing.T) {
	rt, _ := answeredBy(answer, framings["length"], func(s string) io.ReadCloser {
		return io.NopCloser(iotest.OneByteReader(strings.NewReader(s)))
	})
	for i := range 200 {
		resp, err := rt.RoundTrip(newCall(t, fmt.Sprint(i), policy.Call{}))
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(io.Discard, resp.Body)
		}()
		require.NoError(t, resp.Body.Close())
		<-done
		_, text := ask(t, rt, newCall(t, fmt.Sprint(i), policy.Call{}))
		assert.Equal(t, answer, text)
	}
}
