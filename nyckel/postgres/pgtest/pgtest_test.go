package pgtest_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/postgres/pgtest"
)

func query(t *testing.T, dsn, q string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var s string
	require.NoError(t, conn.QueryRow(t.Context(), q).Scan(&s))
	return s
}

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	one, two := pgtest.New(t), pgtest.New(t)
	require.NotEqual(t, query(t, one, "SELECT current_database()"), query(t, two, "SELECT current_database()"))
	require.Equal(t, query(t, one, "SHOW data_directory"), query(t, two, "SHOW data_directory"), "one server")
	require.Equal(t, "127.0.0.1", query(t, one, "SHOW listen_addresses"))
	require.Empty(t, query(t, one, "SHOW unix_socket_directories"))
	require.Equal(t, "on", query(t, one, "SHOW fsync"))
}

func TestServerSurvivesKill(t *testing.T) {
	s := pgtest.Start(t)
	dsn := s.Database(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 'here' AS word")
	require.NoError(t, err)

	s.Kill()
	require.False(t, s.Alive())
	require.NoError(t, s.Restart())
	require.True(t, s.Alive())
	require.Equal(t, "here", query(t, dsn, "SELECT word FROM kept"))
}

// TestNothingIsLeftAfterKill kills a test process whose server runs.
func TestNothingIsLeftAfterKill(t *testing.T) {
	if os.Getenv("PGTEST_CHILD") != "" {
		dsn := pgtest.New(t)
		os.Stdout.WriteString("data " + query(t, dsn, "SHOW data_directory") + "\n")
		select {} // until killed
	}
	pgtest.New(t) // skips where there is no PostgreSQL
	child := exec.Command(os.Args[0], "-test.run=^TestNothingIsLeftAfterKill$")
	child.Env = append(os.Environ(), "PGTEST_CHILD=1")
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	var data string
	for lines := bufio.NewScanner(out); data == "" && lines.Scan(); {
		data, _ = strings.CutPrefix(lines.Text(), "data ")
	}
	require.DirExists(t, data)
	require.NoError(t, child.Process.Kill())
	child.Wait()
	require.Eventually(t, func() bool {
		_, err := os.Stat(data)
		return os.IsNotExist(err)
	}, 10*time.Second, 20*time.Millisecond)
}
