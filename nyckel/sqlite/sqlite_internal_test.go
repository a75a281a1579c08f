package sqlite

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCheckVersion(t *testing.T) {
	for _, good := range []string{"3.51.3", "3.51.4", "3.52.0", "4.0.0"} {
		assert.NoError(t, checkVersion(good), good)
	}
	for _, bad := range []string{"3.51.2", "3.50.9", "2.99.9", "new"} {
		assert.Error(t, checkVersion(bad), bad)
	}
}

func TestExplainReadOnly(t *testing.T) {
	for _, err := range []error{syscall.EACCES, syscall.EROFS, &fs.PathError{Op: "open", Path: "x.db", Err: syscall.EROFS}} {
		assert.ErrorIs(t, explain(err), ErrReadOnly)
	}
	assert.NoError(t, explain(nil))
	assert.NotErrorIs(t, explain(syscall.EIO), ErrReadOnly)
}
