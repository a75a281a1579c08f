package body_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy/body"
)

// explosive is a body that panics once its data is read.
type explosive struct{ *source }

func newExplosive(data string) explosive { return explosive{newSource(data, io.EOF)} }

func (e explosive) Read(p []byte) (int, error) {
	n, err := e.source.Read(p)
	if err != nil {
		panic("boom")
	}
	return n, nil
}

// A body that panics does so where the caller can recover it, not on a goroutine
// of ours, which would end the program.
func TestPanicReachesTheReader(t *testing.T) {
	t.Run("of a peeked body", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			src := newExplosive("abc")
			resp := response(src)
			assert.Equal(t, "abc", string(body.Peek(t.Context(), resp, 10, time.Second)))
			var buf [10]byte
			n, err := resp.Body.Read(buf[:])
			assert.Equal(t, "abc", string(buf[:n]))
			assert.NoError(t, err)
			assert.PanicsWithValue(t, "boom", func() { _, _ = resp.Body.Read(buf[:]) })
			assert.NoError(t, resp.Body.Close())
			assert.Equal(t, 1, src.closed)
		})
	})
	t.Run("of a discarded one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for _, peek := range []int{0, 10} {
				src := newExplosive("abc")
				resp := response(src)
				body.Peek(t.Context(), resp, peek, time.Second)
				assert.PanicsWithValue(t, "boom", func() { body.Discard(t.Context(), resp, 10, time.Second) })
				assert.Equal(t, 1, src.closed)
			}
		})
	})
}

// A body that panics while it is read ahead has nobody else to close it.
func TestPanicWhileBuffering(t *testing.T) {
	src := newExplosive("abc")
	resp := response(src)
	var told ends
	body.Watch(resp, &told)
	assert.PanicsWithValue(t, "boom", func() { _ = body.Buffer(resp, 10) })
	assert.Equal(t, 1, src.closed)
	assert.Equal(t, ends{body.ErrAbandoned}, told, "what the layers below hold is free")
}

// A watcher that panics at the end of a body does not keep it from being closed.
func TestPanicOfAWatcher(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, resp *http.Response){
		"of a drained body":   func(t *testing.T, resp *http.Response) { body.Drain(t.Context(), resp, 10, time.Second) },
		"of a discarded body": func(t *testing.T, resp *http.Response) { body.Discard(t.Context(), resp, 10, time.Second) },
		"of a closed body":    func(_ *testing.T, resp *http.Response) { _ = resp.Body.Close() },
		"of one read ahead":   func(_ *testing.T, resp *http.Response) { _ = body.Buffer(resp, 10) },
	} {
		for _, peek := range []int{0, 10} {
			t.Run(fmt.Sprintf("%s, peek %d", name, peek), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					src := newSource("abc", io.EOF)
					resp := response(src)
					body.Watch(resp, atEnd(func() { panic("boom") }))
					body.Peek(t.Context(), resp, peek, time.Second)
					assert.PanicsWithValue(t, "boom", func() { end(t, resp) })
					assert.Equal(t, 1, src.closed)
				})
			})
		}
	}
}

// atEnd is a func as a watcher.
type atEnd func()

func (f atEnd) BodyEnd(err error) error {
	f()
	return err
}

// What a server says of the length of its answer costs no memory.
func TestLengthIsNotTrusted(t *testing.T) {
	lying := func() *http.Response {
		resp := response(newSource("abc", io.ErrUnexpectedEOF))
		resp.ContentLength = math.MaxInt64 - 1
		return resp
	}
	assert.Equal(t, io.ErrUnexpectedEOF, body.Buffer(lying(), math.MaxInt64))
	_, whole := body.Drain(t.Context(), lying(), math.MaxInt64, time.Second)
	assert.False(t, whole)
}
