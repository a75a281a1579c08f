package transporttest

import (
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Who has closed his end reads no last words that the other end says because of it: they
// would make an answer that he cut short look whole.
func TestConnClosed(t *testing.T) {
	const rounds = 20_000
	for range rounds {
		client, server := newConns()
		read := make(chan int)
		go func() {
			n, _ := client.Read(make([]byte, 1))
			read <- n
		}()
		go func() {
			_, err := server.Read(make([]byte, 1))
			if err == io.EOF { //nolint:errorlint // an end is io.EOF itself
				_, _ = server.Write([]byte("!"))
			}
		}()
		_ = client.Close()
		assert.Zero(t, <-read)
	}
}

// Who writes to an end that was closed is told, be it in the middle of a write.
func TestConnClosedByTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := newConns()
		written := make(chan error)
		go func() {
			_, err := client.Write(make([]byte, 2*bufferSize))
			written <- err
		}()
		synctest.Wait() // the buffer is full
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-written, io.ErrClosedPipe)
		_, err := client.Write([]byte("x"))
		require.ErrorIs(t, err, io.ErrClosedPipe)
	})
}
