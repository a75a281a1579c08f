package transporttest

import (
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
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
