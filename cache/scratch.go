package cache

import "sync"

// scratch is the room in which a question is read. All it has is memory and the key of
// the last question: nothing of a caller's is in use when his room is given back.
type scratch struct {
	heading heading
	body    []byte
	parts   keyParts
	hashed  keyParts // what key was made of
	key     key
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
	if cap(s.body)+cap(s.parts)+cap(s.hashed)+cap(s.parser.out)+cap(s.parser.old)+24*cap(s.parser.members) <= most {
		scratches.Put(s)
	}
}
