package itest_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs/sqlitejobs"
)

// TestSQLiteMemory works through a part of a very long queue: what waits is in the
// file, not in memory, and does not slow down the work.
func TestSQLiteMemory(t *testing.T) {
	if !*long {
		t.Skip("fills a queue with 500,000 jobs; use -long")
	}
	const waiting, part = 500_000, 50_000
	path := filepath.Join(t.TempDir(), "jobs.db")
	engine, _ := openSQLite(t, path, sqlitejobs.Options{Bound: -1})
	fill(t, engine, waiting, 1000)
	debug.FreeOSMemory()
	resetPeak(t)
	begin := time.Now()
	complete(t, part, engine)
	rate := part / time.Since(begin).Seconds()
	peak := peakMemory(t)
	begin = time.Now()
	_, err := engine.Stats(context.Background())
	require.NoError(t, err)
	t.Logf("%d jobs waiting: %.0f jobs/s done and recorded, %d MiB at most, figures in %v",
		waiting, rate, peak>>20, time.Since(begin).Round(10*time.Microsecond))
	assert.LessOrEqual(t, peak, int64(64<<20))
}

// resetPeak has the kernel forget the most memory that the process ever had.
func resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skipf("memory cannot be measured here: %v", err)
	}
}

// peakMemory returns the most memory that the process had resident, in bytes.
func peakMemory(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			require.NoError(t, err)
			return kib << 10
		}
	}
	t.Fatal("no VmHWM in /proc/self/status")
	return 0
}
