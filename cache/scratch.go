package cache

import "sync"

// scratch is memory in which a question is read, to be used again. Nothing of a caller's,
// and above all no credential, is in it once it is given back.
type scratch struct {
	header headerFacts
	body   []byte
	parts  keyParts
	parser parser
}

var scratches = sync.Pool{New: func() any {
	return &scratch{parser: parser{members: make([]member, 0, 16)}}
}}

// release gives the scratch back, unless a large question has made it large.
func (s *scratch) release() {
	const most, perMember = 64 << 10, 24 // bytes
	if cap(s.body)+cap(s.parts)+cap(s.parser.out)+cap(s.parser.unsorted)+perMember*cap(s.parser.members) <= most {
		s.wipe()
		scratches.Put(s)
	}
}

// wipe leaves nothing of a question in the scratch.
func (s *scratch) wipe() {
	s.forgetHeader()
	for _, text := range [...][]byte{s.body, s.parts, s.parser.out, s.parser.unsorted} {
		clear(text[:cap(text)])
	}
	s.parser.in, s.parser.doc = nil, document{}
}
