package transport

import "os"

// spool holds bytes in memory up to a bound and in a temporary file beyond it.
type spool struct {
	memory    []byte
	maxMemory int64
	file      *os.File // nil until it is needed
	filed     int64    // bytes in file
	max       int64    // in memory and file together
}

func (s *spool) size() int64 { return int64(len(s.memory)) + s.filed }

// room returns how many bytes more may be added.
func (s *spool) room() int64 { return max(0, s.max-s.size()) }

// add adds p, whatever room there is. It fails if the file does.
func (s *spool) add(p []byte) error {
	if s.file == nil && (int64(len(s.memory)+len(p)) <= s.maxMemory || s.maxMemory == s.max) {
		s.memory = append(s.memory, p...)
		return nil
	}
	if s.file == nil {
		file, err := os.CreateTemp("", "sparekey-body-*")
		if err != nil {
			return err
		}
		// Without a name the file is gone when it is closed, even by a crash.
		// Where that cannot be, free removes it.
		_ = os.Remove(file.Name())
		s.file = file
	}
	n, err := s.file.WriteAt(p, s.filed)
	s.filed += int64(n)
	return err
}

// readAt reads at most len(p) bytes from offset on, which is less than the size.
func (s *spool) readAt(p []byte, offset int64) (int, error) {
	if offset < int64(len(s.memory)) {
		return copy(p, s.memory[offset:]), nil
	}
	offset -= int64(len(s.memory))
	if left := s.filed - offset; int64(len(p)) > left {
		p = p[:left]
	}
	return s.file.ReadAt(p, offset)
}

// free gives up what the spool holds.
func (s *spool) free() {
	s.memory = nil
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
		s.file = nil
	}
	s.filed = 0
}
