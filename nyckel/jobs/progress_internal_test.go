package jobs

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

func TestProgressEvery(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer file.Close()
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // which is one that a terminal is
	require.NoError(t, err)
	defer device.Close()
	told := func(Figures) {}
	for _, tt := range []struct {
		name string
		term string
		cfg  ProgressConfig
		want time.Duration
	}{
		{"lines", "xterm", ProgressConfig{Output: io.Discard}, 5 * time.Second},
		{"lines of a file", "xterm", ProgressConfig{Output: file}, 5 * time.Second},
		{"a terminal", "xterm", ProgressConfig{Output: device}, 250 * time.Millisecond},
		{"a terminal that cannot go back", "dumb", ProgressConfig{Output: device}, 5 * time.Second},
		{"figures", "xterm", ProgressConfig{OnFigures: told}, 250 * time.Millisecond},
		{"figures and lines", "xterm", ProgressConfig{Output: io.Discard, OnFigures: told}, 250 * time.Millisecond},
		{"as it says", "xterm", ProgressConfig{Output: io.Discard, Every: time.Minute}, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("TERM", tt.term)
			assert.Equal(t, tt.want, NewProgress(tt.cfg).cfg.Every)
		})
	}
}
