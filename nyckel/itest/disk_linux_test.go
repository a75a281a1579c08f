package itest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/postgres"
	"github.com/sparekey/sparekey/nyckel/postgres/pgtest"
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
	t.Cleanup(func() {
		d.killUsers(t)
		_ = exec.Command("umount", d.folder).Run()
	})
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

// sync writes everything to the disk.
func (d *disk) sync(t *testing.T) {
	t.Helper()
	out, err := exec.Command("sync", "-f", d.folder).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// killUsers kills whoever works on the disk: with the power they would be gone too.
// PostgreSQL's processes are left waiting for each other when one of them is killed.
func (d *disk) killUsers(t *testing.T) {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	for _, link := range folders {
		cwd, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(cwd, d.folder+"/") {
			continue // gone, or somebody else
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// restore gives the power back, when those that used the disk are gone.
func (d *disk) restore(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return exec.Command("umount", d.folder).Run() == nil },
		20*time.Second, 50*time.Millisecond, "somebody still uses the disk")
	out, err := d.mount()
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
	name := filepath.Join(d.folder, "jobs"+jobID(i)+".db")
	return d.cutUnder(t, backend, name, 3000, nil, func() *opened {
		d.restore(t)
		checkIntegrity(t, name)
		engine, err := openSQLiteBackend(t.Context(), name, 0)
		require.NoError(t, err)
		return engine
	})
}

// cutUnder takes the power from a process after so many steps of its work, has
// reopen bring back what it worked with, and looks for the jobs that it was told are
// accepted. Halfway, unless nil, is called in the middle of the work.
func (d *disk) cutUnder(t *testing.T, backend, name string, steps int, halfway func(), reopen func() *opened) (acked, lost int) {
	t.Helper()
	const n = 1_000_000 // more than there is time for
	l := newLedger(n)
	spec := victimSpec{Backend: backend, Name: name, Jobs: n, Producers: 8, Workers: 4, Lease: time.Second, Fatal: -1}
	v := startVictim(t, spec, l)
	await := func(steps int) {
		require.Eventually(t, func() bool { done, _ := l.progress(); return done > steps }, time.Minute, time.Millisecond)
	}
	if halfway != nil {
		await(steps / 2)
		halfway()
	}
	await(steps)
	d.cut(t)
	v.kill()
	engine := reopen()
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

// newServerOn starts a PostgreSQL that has everything on the disk.
func (d *disk) newServerOn(t *testing.T) *pgtest.Server {
	t.Helper()
	require.NoError(t, os.Chmod(filepath.Dir(d.folder), 0o711)) // the server is another user
	t.Setenv("TMPDIR", d.folder)
	return pgtest.Start(t)
}

// cutServer takes the power from PostgreSQL and from the process that uses it.
func (d *disk) cutServer(t *testing.T, s *pgtest.Server, dsn string, halfway func()) (acked, lost int) {
	t.Helper()
	d.sync(t) // pgtest does not wait for the disk when it makes a cluster
	return d.cutUnder(t, "postgres", dsn, 1500, halfway, func() *opened {
		s.Kill()
		d.killUsers(t)
		d.restore(t)
		require.NoError(t, s.Restart())
		engine, err := openRiverBackend(t.Context(), dsn, 0)
		require.NoError(t, err)
		return engine
	})
}

// TestPostgresPowerCut is TestSQLitePowerCut for River, with PostgreSQL's whole
// cluster on the disk.
func TestPostgresPowerCut(t *testing.T) {
	if !*long {
		t.Skip("makes a cluster on a disk of its own and recovers it; use -long")
	}
	d := newDisk(t)
	s := d.newServerOn(t)
	for i := range 3 {
		acked, lost := d.cutServer(t, s, s.Database(t), nil)
		assert.Zero(t, lost)
		assert.Positive(t, acked)
		t.Logf("power cut %d: %d jobs accepted before, %d lost", i+1, acked, lost)
	}
}

// TestPostgresPowerCutIsSeen checks the test above: once the server does not wait
// for the disk any more jobs are lost.
func TestPostgresPowerCutIsSeen(t *testing.T) {
	if !*long {
		t.Skip("takes the power of a PostgreSQL that does not sync; use -long")
	}
	d := newDisk(t)
	s := d.newServerOn(t)
	dsn := s.Database(t)
	db, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	require.NoError(t, err)
	defer db.Close()
	acked, lost := d.cutServer(t, s, dsn, func() {
		// Only while the process is at work, as who opens a database that does not
		// sync is refused.
		for _, statement := range []string{"ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", "ALTER SYSTEM RESET fsync"} {
			_, err := db.SQL.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		d.sync(t) // that last word has to last
	})
	assert.Positive(t, lost)
	t.Logf("power cut: %d jobs accepted before, %d lost, as it should be", acked, lost)
}
