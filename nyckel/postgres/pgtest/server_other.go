//go:build !unix

package pgtest

// superuser is the name of the only role of a server.
const superuser = "sparekey"

// A Server is a PostgreSQL server of a test. On this system there is none.
type Server struct{ port int }

func start() (*Server, error) { return nil, errNotInstalled }

// Alive reports whether the server's process runs.
func (s *Server) Alive() bool { return false }

// Kill ends the server as kill -9 does.
func (s *Server) Kill() {}

// Restart starts the server after a Kill.
func (s *Server) Restart() error { return errNotInstalled }

func (s *Server) stop() {}
