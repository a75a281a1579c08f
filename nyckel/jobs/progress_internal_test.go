package jobs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// On a terminal the figures are one line, which notes push down.
func TestProgressOnTerminal(t *testing.T) {
	var out strings.Builder
	p := NewProgress(ProgressConfig{Output: &out})
	p.terminal = true
	p.show(false)
	p.Note("the service is down")
	p.show(true)
	assert.Equal(t, "\r0 done, 0.0/s\x1b[K"+"\rthe service is down\x1b[K\n"+"\r0 done, 0.0/s\x1b[K\n", out.String())
}
