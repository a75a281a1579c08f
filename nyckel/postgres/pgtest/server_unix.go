//go:build unix

package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// superuser is the name of the only role of a server.
const superuser = "sparekey"

// startTime is how long a server may take from its start until it answers,
// recovery after a kill and the retries that come with it included.
const startTime = 60 * time.Second

// A Server is a PostgreSQL server of a test. It is safe for concurrent use.
type Server struct {
	bin  string // the directory of its programs
	dir  string // everything it writes
	port int
	cred *syscall.Credential // nil: as this process

	reaper io.Closer // closing it stops the server and removes dir

	mu   sync.Mutex
	proc *exec.Cmd
	gone chan struct{} // closed when proc has ended
}

// reap waits for the end of its standard input, which is the end of the test
// process, and cleans up after it. A server that runs on in a removed directory
// would end by itself, a minute later.
const reap = `
trap '' INT TERM HUP
read -r _
pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null)
# The number may long be another process's: only one that names our directory is ours.
if [ -n "$pid" ] && { cat "/proc/$pid/cmdline" || ps -o args= -p "$pid"; } 2>/dev/null | grep -qF "$0/data"; then
	kill -QUIT "$pid"
fi
for _ in 1 2 3 4 5 6 7 8 9 10; do
	rm -rf "$0" && ! [ -e "$0" ] && exit
	sleep 0.1
done
`

func start() (*Server, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin}
	if s.cred, err = credential(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "sparekey-pg-"); err != nil {
		return nil, err
	}
	if s.cred != nil {
		if err := os.Chown(s.dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return nil, errors.Join(err, os.RemoveAll(s.dir))
		}
	}
	if err := s.watch(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	// Nothing here outlives the test, so initdb need not wait for the disk. The
	// server itself does: its commits are as durable as in production.
	initdb := s.command("initdb", "-D", s.data(), "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		s.stop()
		return nil, fmt.Errorf("pgtest: initdb: %w\n%s", err, out)
	}
	// Between the choice of a port and its use somebody else may have taken it.
	for range 3 {
		if s.port, err = freePort(); err != nil {
			break
		}
		if err = s.launch(time.Now().Add(startTime)); err == nil {
			return s, nil
		}
	}
	s.stop()
	return nil, err
}

// find returns the directory with the programs of the newest PostgreSQL.
func find() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(a) - version(b) })
	for _, dir := range slices.Backward(dirs) {
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir, nil
		}
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errNotInstalled
}

func version(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // what is no number sorts first
	return n
}

// credential is the user postgres if this process is root, which PostgreSQL
// refuses to run as, and nil otherwise.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("pgtest: as root the server needs the user postgres: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command is one of PostgreSQL's programs, in a process group of its own so that
// an interrupt at the terminal reaches only the test.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.cred}
	return cmd
}

// watch starts the shell that cleans up when this process ends.
func (s *Server) watch() error {
	sh := exec.Command("/bin/sh", "-c", reap, s.dir)
	sh.Dir = "/"
	sh.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := sh.StdinPipe()
	if err != nil {
		return err
	}
	if err := sh.Start(); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	s.reaper = closer(func() error {
		return errors.Join(stdin.Close(), sh.Wait())
	})
	return nil
}

type closer func() error

func (c closer) Close() error { return c() }

// Alive reports whether the server's process runs.
func (s *Server) Alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return false
	}
	select {
	case <-s.gone:
		return false
	default:
		return true
	}
}

// Kill ends the server as kill -9 does and returns when it is gone. What is
// left of it, processes of single connections, ends by itself.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return
	}
	_ = s.proc.Process.Kill() // already gone is as good
	<-s.gone
}

// Restart starts the server after a Kill, on the same port, and returns when it
// answers. It tries again while processes of the killed one still hold its
// memory.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	deadline := time.Now().Add(startTime)
	for {
		err := s.launch(deadline)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("pgtest: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// launch starts the process and waits until it answers or has ended.
func (s *Server) launch(deadline time.Time) error {
	log := &tail{}
	proc := s.command("postgres", "-D", s.data(), "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "max_connections=200", "-c", "log_min_messages=fatal")
	proc.Stdout, proc.Stderr = log, log
	// The server's own children share its output; the end of the server itself
	// is what Wait waits for.
	proc.WaitDelay = time.Second
	if err := proc.Start(); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = proc.Wait() // how it ended is in its log
	}()
	s.proc, s.gone = proc, gone
	for time.Now().Before(deadline) {
		select {
		case <-gone:
			return fmt.Errorf("pgtest: the server did not start: %s", log)
		case <-time.After(20 * time.Millisecond):
		}
		if s.answers() {
			return nil
		}
	}
	return fmt.Errorf("pgtest: no answer from the server for %v: %s", startTime, log)
}

func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.dsn("postgres"))
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// stop ends the server and removes what it wrote.
func (s *Server) stop() {
	_ = s.reaper.Close() // the shell's exit code says nothing
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		<-s.gone
	}
}

// tail keeps the end of what a server says.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.buf.Len() > 16<<10 {
		t.buf.Reset()
	}
	return t.buf.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.buf.String())
}
