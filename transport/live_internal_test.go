package transport

import (
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// Transports that nobody has any more are forgotten.
func TestLiveForgetsTransports(t *testing.T) {
	l, err := NewLive(policy.Stack{})
	require.NoError(t, err)
	kept := l.Wrap(http.DefaultTransport)
	for range 100 {
		l.Wrap(http.DefaultTransport)
	}
	for range 3 { // what a layer keeps goes after it
		runtime.GC()
	}
	require.NoError(t, l.Apply(policy.Stack{}))
	assert.Len(t, l.around, 1)
	runtime.KeepAlive(kept)
}
