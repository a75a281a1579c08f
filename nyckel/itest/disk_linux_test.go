package itest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// A disk is an ext4 file system in a file, which can lose its power.
type disk struct {
	image, folder string
}

// newDisk makes and mounts a disk. The test is skipped where it cannot.
func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{image: filepath.Join(t.TempDir(), "disk"), folder: t.TempDir()}
	require.NoError(t, os.WriteFile(d.image, nil, 0o600))
	require.NoError(t, os.Truncate(d.image, 512<<20))
	if out, err := exec.Command("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.image).CombinedOutput(); err != nil {
		t.Skipf("no ext4 can be made here: %v: %s", err, out)
	}
	if out, err := d.mount(); err != nil {
		t.Skipf("no ext4 can be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", d.folder).Run() })
	return d
}

func (d *disk) mount() ([]byte, error) {
	return exec.Command("mount", "-o", "loop", d.image, d.folder).CombinedOutput()
}

// cut takes the power away: what has not been synced is lost, and nothing can be
// written any more.
func (d *disk) cut(t *testing.T) {
	t.Helper()
	const (
		ext4Shutdown = 0x8004587d // EXT4_IOC_SHUTDOWN
		noLogFlush   = 2
	)
	folder, err := os.Open(d.folder)
	require.NoError(t, err)
	defer folder.Close()
	flags := uint32(noLogFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, folder.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		t.Skipf("the file system cannot be shut down: %v", errno)
	}
}

// restore gives the power back.
func (d *disk) restore(t *testing.T) {
	t.Helper()
	out, err := exec.Command("umount", d.folder).CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = d.mount()
	require.NoError(t, err, "%s", out)
}

// TestSQLitePowerCut takes the power from the disk while jobs are enqueued and
// done: what was accepted is there afterwards.
func TestSQLitePowerCut(t *testing.T) {
	d := newDisk(t)
	cuts := 1
	if *long {
		cuts = 6
	}
	for i := range cuts {
		acked, lost := d.cutOnce(t, "sqlite", i)
		assert.Zero(t, lost)
		t.Logf("power cut %d: %d jobs accepted before, %d lost", i+1, acked, lost)
	}
}

// TestPowerCutIsSeen checks the test above: without a sync at each commit jobs are
// lost.
func TestPowerCutIsSeen(t *testing.T) {
	if !*long {
		t.Skip("takes the power until something is lost; use -long")
	}
	d := newDisk(t)
	for i := range 20 {
		if acked, lost := d.cutOnce(t, careless, i); lost > 0 {
			t.Logf("power cut %d: %d jobs accepted before, %d lost, as it should be", i+1, acked, lost)
			return
		}
	}
	t.Error("no power cut lost anything though nothing was synced")
}

// cutOnce has a process enqueue and work until the power goes.
func (d *disk) cutOnce(t *testing.T, backend string, i int) (acked, lost int) {
	t.Helper()
	const n = 1_000_000 // more than there is time for
	l := newLedger(n)
	spec := victimSpec{Backend: backend, Name: filepath.Join(d.folder, "jobs"+jobID(i)+".db"), Jobs: n,
		Producers: 8, Workers: 4, Lease: time.Second, Fatal: -1}
	v := startVictim(t, spec, l)
	require.Eventually(t, func() bool { done, _ := l.progress(); return done > 3000 }, time.Minute, time.Millisecond)
	d.cut(t)
	v.kill()
	d.restore(t)

	checkIntegrity(t, spec.Name)
	engine, err := openSQLiteBackend(t.Context(), spec.Name, 0)
	require.NoError(t, err)
	defer engine.close()
	for job, ok := range l.acked {
		if !ok {
			continue
		}
		acked++
		if state, _, err := engine.Find(t.Context(), jobID(job)); err != nil || state == jobs.Unknown {
			lost++
		}
	}
	return acked, lost
}
