package body_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/body"
)

func TestRecord(t *testing.T) {
	const text = "0123456789"
	tests := []struct {
		name      string
		announced int64 // zero if it is not
		end       error
		max       int64
		read      int // bytes before the body is closed, -1 for all to its end
		want      string
		whole     bool
	}{
		{"read to its end", 0, io.EOF, 100, -1, text, true},
		{"of its length", 10, io.EOF, 100, -1, text, true},
		{"closed at its length", 10, io.EOF, 100, 10, text, true},
		{"closed before its length", 10, io.EOF, 100, 9, "", false},
		{"closed without a length", 0, io.EOF, 100, 10, "", false},
		{"as long as may be", 0, io.EOF, 10, -1, text, true},
		{"longer", 0, io.EOF, 9, -1, "", false},
		{"announced as longer", 10, io.EOF, 9, -1, "", false},
		{"shorter than its length", 11, io.EOF, 100, -1, "", false},
		{"longer than its length", 9, io.EOF, 100, -1, "", false},
		{"broken", 0, errReset, 100, -1, "", false},
		{"broken short of its length", 11, errReset, 100, -1, "", false},
		{"broken at its length", 10, errReset, 100, -1, "", false},
	}
	for _, tt := range tests {
		for _, together := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				src := &source{Reader: &ending{data: []byte(text), err: tt.end, together: together}}
				resp := response(src)
				resp.ContentLength = max(-1, tt.announced)
				var copies []string
				body.Record(resp, tt.max, func(data []byte) { copies = append(copies, string(data)) })
				got, want := make([]byte, max(0, tt.read)), text[:max(0, tt.read)]
				var err error
				if tt.read < 0 {
					want = text
					got, err = io.ReadAll(resp.Body)
					assert.Equal(t, errors.Is(tt.end, errReset), err != nil, "error: %v", err)
				} else if _, err = io.ReadFull(resp.Body, got); together && tt.read == len(text) {
					require.NoError(t, err)
					// The end came with the last bytes, whatever the length.
					tt.whole, tt.want = true, text
				}
				assert.Equal(t, want, string(got))
				require.NoError(t, resp.Body.Close())
				require.NoError(t, resp.Body.Close())
				assert.Equal(t, 2, src.closed, "each Close is handed on")
				if tt.whole {
					assert.Equal(t, []string{tt.want}, copies)
				} else {
					assert.Empty(t, copies)
				}
			})
		}
	}
}

func TestRecordWriterTo(t *testing.T) {
	for _, length := range []int64{-1, 10} {
		for _, failure := range []error{nil, errReset} {
			b := &writerToBody{source: newSource("", io.EOF), data: []byte("0123456789"), err: failure}
			resp := response(b)
			resp.ContentLength = length
			var copied string
			body.Record(resp, 100, func(data []byte) { copied = string(data) })
			var out bytes.Buffer
			n, err := resp.Body.(io.WriterTo).WriteTo(&out)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, failure, err)
			assert.EqualValues(t, 10, n)
			assert.Equal(t, 1, b.calls)
			assert.Equal(t, "0123456789", out.String())
			assert.Equal(t, failure == nil, copied == out.String())
		}
	}
}

// What is read after the copy is done is no part of it.
func TestRecordOnce(t *testing.T) {
	resp := response(io.NopCloser(strings.NewReader("abc")))
	calls := 0
	body.Record(resp, 100, func([]byte) { calls++ })
	for range 2 {
		_, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
	}
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 1, calls)
}

// purse is a budget that says what was most of it in use.
type purse struct{ size, held, most int64 }

func (p *purse) Reserve(n int64) bool {
	if p.held+n > p.size {
		return false
	}
	p.held += n
	p.most = max(p.most, p.held)
	return true
}

func (p *purse) Release(n int64) { p.held -= n }

// TestRecordWithin: a copy takes of the budget what has come, at most twice, and
// leaves nothing behind.
func TestRecordWithin(t *testing.T) {
	const size = 100 << 10
	text := strings.Repeat("x", size)
	tests := []struct {
		name            string
		announced, read int64
		budget          int64
		most            int64
		whole           bool
	}{
		{"of unknown length", -1, size + 1, 1 << 20, size, true},
		{"announced", size, size, 1 << 20, size, true},
		{"announced, and hardly begun", size, 1, 1 << 20, 16 << 10, false},
		{"unknown, and hardly begun", -1, 1, 1 << 20, 512, false},
		{"announced, half", size, size / 2, 1 << 20, size, false},
		{"too large for the budget", -1, size + 1, size / 2, size / 2, false},
		{"announced, and too large for the budget", size, size, size / 2, size / 2, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp := response(io.NopCloser(struct{ io.Reader }{strings.NewReader(text)}))
			resp.ContentLength = tt.announced
			budget := &purse{size: tt.budget}
			whole := false
			body.RecordWithin(resp, size, budget, func(data []byte) {
				whole = string(data) == text
				assert.Zero(t, budget.held, "given back before")
			})
			_, _ = io.CopyN(io.Discard, struct{ io.Reader }{resp.Body}, tt.read)
			assert.LessOrEqual(t, budget.most, tt.most)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, tt.whole, whole)
			assert.Zero(t, budget.held)
		})
	}
}

// What comes after a copy was given up is not kept.
func TestRecordWithinGivesUpForGood(t *testing.T) {
	resp := response(io.NopCloser(strings.NewReader("0123456789abc")))
	budget := &purse{size: 1 << 10}
	body.RecordWithin(resp, 9, budget, func([]byte) { t.Error("it is not whole") })
	for _, part := range []int{8, 2, 3} {
		_, err := io.ReadFull(resp.Body, make([]byte, part))
		require.NoError(t, err)
	}
	assert.Zero(t, budget.held)
	require.NoError(t, resp.Body.Close())
}
