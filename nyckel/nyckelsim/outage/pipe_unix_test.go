//go:build unix

package outage

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A report can go to a pipe: nothing is tried there before, which would wait for its
// reader, or be the end to him, and who waits for him in the end can be interrupted.
func TestReportToAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	o, err := Program{}.parseFlags([]string{"-json", pipe}, new(bytes.Buffer))
	require.NoError(t, err)
	require.NoError(t, o.tryReports())

	ctx, cancel := context.WithCancel(t.Context())
	assert.ErrorIs(t, new(figures).write(endsInWait{ctx, cancel}, o, nil), context.Canceled)
	content, err := os.ReadFile(pipe) // for it goes on for nobody
	require.NoError(t, err)
	assert.True(t, json.Valid(content), "%s", content)
}

// endsInWait is a context that ends when somebody waits for its end.
type endsInWait struct {
	context.Context
	end func()
}

func (c endsInWait) Done() <-chan struct{} {
	c.end()
	return c.Context.Done()
}

// The end of a run by Ctrl-C leaves it its reports.
func TestReportAfterAnInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var content bytes.Buffer
	require.NoError(t, new(figures).write(ctx, options{json: "-"}, &content))
	assert.True(t, json.Valid(content.Bytes()), "%s", content.Bytes())
	assert.True(t, bytes.HasSuffix(content.Bytes(), []byte("}\n")))
}

// That one report was written does not make up for another that was not.
func TestReportsOfWhichOneFails(t *testing.T) {
	f := newTestFigures()
	page := filepath.Join(t.TempDir(), "page.html")
	require.NoError(t, f.write(t.Context(), options{html: page}, nil))
	assert.EqualError(t, f.write(t.Context(), options{json: "-"}, brokenWriter{}), "no space")
	for _, o := range []options{{json: t.TempDir(), html: page}, {json: "-", html: t.TempDir()}} {
		assert.ErrorIs(t, f.write(t.Context(), o, new(bytes.Buffer)), syscall.EISDIR)
	}
}
