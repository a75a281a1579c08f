package cache

import "sync"

// scratch is the room in which a question is read. All it has is memory: nothing
// of a question is in use when its room is given back.
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
	s.parser.in = nil
	s.forgetHeading()
	if cap(s.body)+cap(s.parts)+cap(s.parser.out)+cap(s.parser.old)+24*cap(s.parser.members) <= most {
		scratches.Put(s)
	}
}
