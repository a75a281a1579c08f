package body_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/body"
)

// A snapshot has what of a body in memory is not yet read, as often as wanted, and leaves
// the body as it is.
func TestSnapshot(t *testing.T) {
	for name, r := range map[string]io.Reader{
		"bytes":  bytes.NewReader([]byte("-text")),
		"buffer": bytes.NewBufferString("-text"),
		"string": strings.NewReader("-text"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Read(make([]byte, 1))
			require.NoError(t, err)
			rc := io.NopCloser(r)
			var s body.Snapshot
			require.True(t, s.Take(rc))
			assert.True(t, s.Taken())
			assert.Equal(t, 4, s.Len())
			for range 2 {
				assert.Equal(t, "a text", string(s.Append([]byte("a "))))
				again := s.Open()
				text, err := io.ReadAll(again)
				require.NoError(t, err)
				assert.Equal(t, "text", string(text))
				assert.True(t, new(body.Snapshot).Take(again), "is one in memory, too")
			}
			text, err := io.ReadAll(rc)
			require.NoError(t, err)
			assert.Equal(t, "text", string(text))
		})
	}
}

func TestSnapshotOfNothingKnown(t *testing.T) {
	for name, rc := range map[string]io.ReadCloser{
		"nil":     nil,
		"NoBody":  http.NoBody,
		"another": io.NopCloser(io.LimitReader(strings.NewReader("text"), 4)),
		"wrapped": struct{ io.ReadCloser }{io.NopCloser(strings.NewReader("text"))},
	} {
		t.Run(name, func(t *testing.T) {
			var s body.Snapshot
			assert.False(t, s.Take(rc))
			assert.False(t, s.Taken())
			assert.Zero(t, s.Len())
			assert.Nil(t, s.Open())
			assert.Equal(t, "a", string(s.Append([]byte("a"))))
		})
	}
}
