//go:build linux || darwin

package sqlite_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/predictions"
)

// asVisitor makes this test program another process, which looks whether somebody
// has a database open. The system does not tell a process of its own locks.
const asVisitor = "SPAREKEY_TEST_VISIT"

const unlocked = 3 // the visitor's exit code

func TestVisitor(t *testing.T) {
	path := os.Getenv(asVisitor)
	if path == "" {
		return // it is for TestOpenedTwice
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	// SQLite's SHARED_FIRST and SHARED_SIZE.
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: 1<<30 + 2, Len: 510}
	require.NoError(t, syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &lock))
	if lock.Type == syscall.F_UNLCK {
		os.Exit(unlocked)
	}
}

// A process that opens a database once more keeps the locks that it has, which the
// system takes away when any descriptor of the file is closed. Without them another
// process thinks that it is alone when it leaves, and removes the log that this one
// goes on writing to: what was acknowledged would be lost.
func TestOpenedTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	visit := func() int {
		visitor := exec.Command(os.Args[0], "-test.run=^TestVisitor$")
		visitor.Env = append(os.Environ(), asVisitor+"="+path)
		output, _ := visitor.CombinedOutput()
		t.Logf("%s", output)
		return visitor.ProcessState.ExitCode()
	}
	openStore(t, openDB(t, path), predictions.Options{})
	require.Equal(t, 0, visit(), "it is open")
	openDB(t, path)
	assert.Equal(t, 0, visit(), "it is open still")
}
