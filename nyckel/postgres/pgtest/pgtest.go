// Package pgtest gives tests a real PostgreSQL: the one that Debian's package
// postgresql installs, started on a free port of the loopback in a temporary
// directory, with a database for each test.
//
//	db, err := postgres.Open(t.Context(), pgtest.New(t), postgres.Options{})
//
// A test process has one server, started by the first test that asks for it. A
// small shell waits beside it for the end of the test process, whatever that
// end is — a panic and a kill -9 included — then stops the server and removes
// its directory.
//
// Where PostgreSQL is not installed tests are skipped, with one line that says
// so. With SPAREKEY_REQUIRE_POSTGRES=1 in the environment they fail instead.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// RequireEnv is the environment variable that turns a missing PostgreSQL from a
// reason to skip into a failure.
const RequireEnv = "SPAREKEY_REQUIRE_POSTGRES"

// errNotInstalled is what Start returns where there is no PostgreSQL to start.
var errNotInstalled = errors.New("pgtest: PostgreSQL is not installed (apt-get install postgresql)")

// shared starts the server of this process, once.
var shared = sync.OnceValues(func() (*Server, error) { return start() })

// New returns the connection string of a new, empty database on the server of
// this process. The database is dropped when the test ends.
func New(t testing.TB) string {
	t.Helper()
	s, err := shared()
	need(t, err)
	return s.Database(t)
}

// Start starts a server for this test alone, which it may [Server.Kill]. It is
// stopped when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := start()
	need(t, err)
	t.Cleanup(s.stop)
	return s
}

// need ends the test where there is no server: skipped if PostgreSQL is not
// installed and nobody insists, failed otherwise.
func need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, errNotInstalled) && os.Getenv(RequireEnv) == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// databases numbers the databases of this process.
var databases atomic.Int64

// Database makes an empty database on the server, dropped when the test ends,
// and returns its connection string.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", databases.Add(1))
	if err := s.admin("CREATE DATABASE " + name); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		// A server that was killed and not started again takes its databases along.
		if err := s.admin("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil && s.Alive() {
			t.Errorf("pgtest: %v", err)
		}
	})
	return s.dsn(name)
}

// admin runs one statement in the server's own database.
func (s *Server) admin(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // what was to be done is done
	_, err = conn.Exec(ctx, statement)
	return err
}

func (s *Server) dsn(database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", superuser, s.port, database)
}
