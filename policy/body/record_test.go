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
	for _, failure := range []error{nil, errReset} {
		b := &writerToBody{source: newSource("", io.EOF), data: []byte("0123456789"), err: failure}
		resp := response(b)
		var copied string
		body.Record(resp, 100, func(data []byte) { copied = string(data) })
		var out bytes.Buffer
		n, err := resp.Body.(io.WriterTo).WriteTo(&out)
		assert.Equal(t, failure, err)
		assert.EqualValues(t, 10, n)
		assert.Equal(t, 1, b.calls)
		assert.Equal(t, "0123456789", out.String())
		assert.Equal(t, failure == nil, copied == out.String())
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
