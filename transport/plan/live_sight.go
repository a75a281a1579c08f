package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
)

// A sum tells what was read, without keeping it: there are secrets in it.
type sum [sha256.Size]byte

// A sight is what a look at a file came to.
type sight struct {
	text       sum      // of the file
	references []string // of it, in the order in which they were looked up
	sum        sum      // of the file and what it refers to
	plan       *Plan
	err        error // why there is no plan
}

// look reads a file and all that it refers to.
func look(name string, lookup func(string) (string, bool, error)) sight {
	data, err := readUpTo(name, maxFile)
	if err != nil {
		return unreadable(err)
	}
	return read(name, data, lookup)
}

// again is look, but a plan that is the same as before is not read twice.
func (s sight) again(name string, lookup func(string) (string, bool, error)) sight {
	data, err := readUpTo(name, maxFile)
	if err != nil {
		return unreadable(err)
	}
	if s.err == nil && s.text == sha256.Sum256(data) {
		all := newSummer(s.text, lookup)
		for _, reference := range s.references {
			_, _, _ = all.lookup(reference)
		}
		if all.sum() == s.sum {
			return s
		}
	}
	return read(name, data, lookup)
}

func unreadable(err error) sight {
	return sight{sum: sha256.Sum256([]byte("unreadable: " + err.Error())), err: fmt.Errorf("plan: %w", err)}
}

func read(name string, data []byte, lookup func(string) (string, bool, error)) sight {
	s := sight{text: sha256.Sum256(data)}
	all := newSummer(s.text, lookup)
	s.plan, s.err = Parse(name, data, all.lookup)
	s.references, s.sum = all.references, all.sum()
	return s
}

// A summer sums up what is looked up.
type summer struct {
	inner      func(string) (string, bool, error)
	hash       hash.Hash
	references []string
}

func newSummer(text sum, lookup func(string) (string, bool, error)) *summer {
	s := &summer{inner: lookup, hash: sha256.New()}
	s.hash.Write(text[:])
	return s
}

func (s *summer) lookup(reference string) (string, bool, error) {
	value, ok, err := s.inner(reference)
	s.references = append(s.references, reference)
	for _, text := range [...]string{reference, value, fmt.Sprint(ok, err != nil)} { // the text of an error may be another each time
		var size [8]byte
		binary.LittleEndian.PutUint64(size[:], uint64(len(text)))
		s.hash.Write(size[:])
		s.hash.Write([]byte(text))
	}
	return value, ok, err
}

func (s *summer) sum() (all sum) {
	s.hash.Sum(all[:0])
	return all
}
