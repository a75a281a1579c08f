package files

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxStream bounds what is read of a file that is no regular one.
const maxStream = 256 << 20

// Open opens a file that is to be read whole. A pipe or a device may have no end: reading
// more than 256 MiB of one is an error.
func Open(name string) (io.ReadCloser, error) { return open(name, maxStream) }

// Read reads a whole file, within the bound of [Open].
func Read(name string) ([]byte, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func open(name string, most int) (io.ReadCloser, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		return f, nil
	}
	return &stream{f, most, most}, nil
}

// A stream is a file that may have no end.
type stream struct {
	file *os.File
	most int // how many bytes may be read
	left int // of them
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.file.Read(p[:min(len(p), s.left+1)])
	if n > s.left {
		return s.left, &fs.PathError{Op: "read", Path: s.file.Name(), Err: fmt.Errorf("more than %d bytes, which only a regular file may have", s.most)}
	}
	s.left -= n
	return n, err
}

func (s *stream) Close() error { return s.file.Close() }
