package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out))
	assert.Equal(t, `GET /fine       hello, attempt 1: ok
GET /busy       hello, attempt 1: overloaded, attempt 2: ok
GET /throttled  hello, attempt 1: rate_limited, attempt 2: ok
GET /cut        hello, attempt 1: truncated, attempt 2: ok
`, out.String())
}

// What nobody can read is no success.
func TestOutputThatCannotBeWritten(t *testing.T) {
	r, w := io.Pipe()
	require.NoError(t, r.Close())
	assert.ErrorIs(t, run(t.Context(), w), io.ErrClosedPipe)
}
