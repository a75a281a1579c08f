package cache

import "sync"

// scratch is the room in which a question is read. All it has is memory: nothing of a
// caller's, his credentials least of all, is in it once it is given back.
type scratch struct {
	heading heading
	body    []byte
	parts   keyParts
	parser  parser
}

var scratches = sync.Pool{New: func() any {
	return &scratch{parser: parser{members: make([]member, 0, 16)}}
}}

// release gives the room back, unless a large question has made it large.
func (s *scratch) release() {
	const most = 64 << 10
	if cap(s.body)+cap(s.parts)+cap(s.parser.out)+cap(s.parser.old)+24*cap(s.parser.members) <= most {
		s.wipe()
		scratches.Put(s)
	}
}

// wipe leaves nothing of a question in the room.
func (s *scratch) wipe() {
	s.forgetHeading()
	for _, text := range [...][]byte{s.body, s.parts, s.parser.out, s.parser.old} {
		clear(text[:cap(text)])
	}
	s.parser.in, s.parser.doc = nil, document{}
}
