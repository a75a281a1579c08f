package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/sqlite"
)

// childEnv makes of this test program the command itself.
const childEnv = "ASYNC_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		os.Exit(realMain(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// serve starts a simulator that lives on when its client is killed.
func serve(t *testing.T, faults float64) (sim *nyckelsim.Server, url, function string) {
	t.Helper()
	sim = nyckelsim.New(nyckelsim.Config{Rate: -1, Latency: 20 * time.Millisecond, Faults: usual(faults)})
	function = sim.AddFunction("tickets")
	require.NoError(t, sim.Import(function, []nyckelsim.Sample{
		{Text: "where is it", Label: "delivery"},
		{Text: "is it lost", Label: "delivery"},
		{Text: "my money back", Label: "refund"},
		{Text: "pay me back", Label: "refund"},
	}))
	instance, err := nyckelsim.Start("", sim)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, instance.Close()) })
	t.Setenv("NYCKEL_CLIENT_ID", "sim-client")
	t.Setenv("NYCKEL_CLIENT_SECRET", "sim-secret")
	return sim, instance.URL(), function
}

// child starts the command as a process of its own.
func child(t *testing.T, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	name, err := os.Executable()
	require.NoError(t, err)
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd = exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	require.NoError(t, cmd.Start())
	return cmd, stdout, stderr
}

// TestKilled kills the program twice in the middle of its work, as kill -9 does.
func TestKilled(t *testing.T) {
	const texts, workers = 400, 8
	input, db := writeTexts(t, texts), filepath.Join(t.TempDir(), "async.db")
	sim, url, function := serve(t, 0)
	args := []string{"-input", input, "-db", db, "-workers", "8", "-rate", "200", "-url", url, "-function", function, "-json", "-"}

	store := watch(t, db)
	for _, enough := range []int{texts / 4, texts / 2} {
		cmd, _, stderr := child(t, args...)
		require.Eventually(t, func() bool { return count(t, store) >= enough }, time.Minute, time.Millisecond, "%d are never recorded: %s", enough, stderr)
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		require.Equal(t, syscall.SIGKILL, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
		require.Less(t, count(t, store), texts, "it was killed too late to show anything")
	}
	before := count(t, store)
	cmd, stdout, stderr := child(t, args...)
	require.NoError(t, cmd.Wait(), "%s", stderr)

	f := decode(t, stdout)
	assert.Equal(t, []int{texts, before, texts, 0}, []int{f.Texts, f.Before, f.Recorded, f.Twice})
	assertRecorded(t, f, input)
	assert.Contains(t, stderr.String(), "yes   each text is recorded once")
	again := sim.Stats().Invokes - texts
	assert.LessOrEqual(t, again, 2*workers, "only those that were under way are asked again")
	t.Logf("killed twice at work: %d of %d texts recorded, %d asked again", f.Recorded, texts, again)
}

// watch opens the database beside the program that works on it.
func watch(t *testing.T, name string) *predictions.Store {
	t.Helper()
	db, err := sqlite.Open(t.Context(), name, sqlite.Options{})
	require.NoError(t, err)
	store, err := predictions.Open(t.Context(), db, predictions.SQLite, predictions.Options{OwnDB: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	return store
}

func count(t *testing.T, store *predictions.Store) (n int) {
	t.Helper()
	require.NoError(t, store.DB().QueryRowContext(t.Context(), "SELECT count(*) FROM sparekey_predictions").Scan(&n))
	return n
}
