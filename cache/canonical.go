package cache

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a JSON text that has a canonical form.
const maxDepth = 64

// A document is a JSON text in its canonical form.
type document struct {
	text      []byte
	streams   bool // it is an object with "stream": true
	ownRecord bool // it is an object with an externalId
}

// canonical returns the canonical form of a JSON text: names sorted, no white
// space, one spelling for each string, numbers as they are spelled. Texts with
// the same form mean the same to any reader. The form of RFC 8785 does not promise
// that: it writes numbers as float64, where readers may be more exact.
//
// It reports false for texts that readers take in different ways, and for those
// that are no JSON: duplicate names, be it to readers for whom case does not count,
// invalid UTF-8, halves of surrogate pairs, bytes after the end, a nesting of more
// than 64.
func canonical(text []byte) (document, bool) {
	var p parser
	return p.parse(text)
}

// A parser copies the canonical form of in to out. Its methods read one thing each, from
// pos on, and report whether it was there. It can be used again.
type parser struct {
	in       []byte
	pos      int
	out      []byte
	members  []member // of the objects that are being read, outermost first
	unsorted []byte   // what sort reads while it writes out anew
	doc      document
}

// A member is the place of one member of an object in out.
type member struct{ start, colon, end int }

// parse returns the canonical form of text, as [canonical] does, in memory that the
// next call uses again.
func (p *parser) parse(text []byte) (document, bool) {
	if !utf8.Valid(text) {
		return document{}, false
	}
	p.in, p.pos, p.doc = text, 0, document{}
	p.out = slices.Grow(p.out[:0], len(text)) // the form is never longer
	p.members = p.members[:0]
	if !p.value(0) {
		return document{}, false
	}
	p.space()
	p.doc.text = p.out
	return p.doc, p.pos == len(p.in)
}

func (p *parser) value(depth int) bool {
	p.space()
	switch p.peek() {
	case '{':
		return depth < maxDepth && p.object(depth+1)
	case '[':
		return depth < maxDepth && p.array(depth+1)
	case '"':
		return p.str()
	case 't':
		return p.literal("true")
	case 'f':
		return p.literal("false")
	case 'n':
		return p.literal("null")
	}
	return p.number()
}

func (p *parser) array(depth int) bool {
	p.take('[')
	p.space()
	if p.take(']') {
		return true
	}
	for p.value(depth) {
		p.space()
		if p.take(']') {
			return true
		}
		if !p.take(',') {
			return false
		}
	}
	return false
}

func (p *parser) object(depth int) bool {
	p.take('{')
	p.space()
	if p.take('}') {
		return true
	}
	first := len(p.members)
	for {
		m, ok := p.member(depth)
		if !ok {
			return false
		}
		p.members = append(p.members, m)
		p.space()
		if p.take('}') {
			break
		}
		if !p.take(',') {
			return false
		}
	}
	ok := p.sort(p.members[first:])
	p.members = p.members[:first]
	return ok
}

func (p *parser) member(depth int) (m member, ok bool) {
	p.space()
	m.start = len(p.out)
	if p.peek() != '"' || !p.str() {
		return m, false
	}
	m.colon = len(p.out)
	p.space()
	if !p.take(':') || !p.value(depth) {
		return m, false
	}
	m.end = len(p.out)
	if depth == 1 {
		p.note(p.out[m.start:m.colon], p.out[m.colon+1:])
	}
	return m, true
}

// note notes a member of the outermost object, if it is one that decides whether the
// request is answered from memory. Some servers read names in any case.
func (p *parser) note(name, value []byte) {
	switch {
	case bytes.EqualFold(name, []byte(`"stream"`)):
		p.doc.streams = string(value) == "true"
	case bytes.EqualFold(name, []byte(`"externalId"`)):
		p.doc.ownRecord = string(value) != "null" && string(value) != `""`
	}
}

// sort brings the members of the object that was just read into order. It
// reports false if two have the same name, in any case.
func (p *parser) sort(members []member) bool {
	byName := func(a, b member) int {
		return compareFold(p.out[a.start:a.colon], p.out[b.start:b.colon])
	}
	start, sorted := members[0].start, slices.IsSortedFunc(members, byName)
	if !sorted {
		slices.SortFunc(members, byName)
	}
	for i := range members[1:] {
		if byName(members[i], members[i+1]) == 0 {
			return false
		}
	}
	if sorted {
		return true
	}
	p.unsorted = append(p.unsorted[:0], p.out[start:]...)
	p.out = p.out[:start]
	for i, m := range members {
		if i > 0 {
			p.out = append(p.out, ',')
		}
		p.out = append(p.out, p.unsorted[m.start-start:m.end-start]...)
	}
	p.out = append(p.out, '}')
	return true
}

// compareFold compares two names. They are equal if [bytes.EqualFold] says so.
func compareFold(a, b []byte) int {
	for len(a) > 0 && len(b) > 0 {
		r, n := utf8.DecodeRune(a)
		other, m := utf8.DecodeRune(b)
		if r != other {
			if r, other = fold(r), fold(other); r != other {
				return cmp.Compare(r, other)
			}
		}
		a, b = a[n:], b[m:]
	}
	return cmp.Compare(len(a), len(b))
}

// fold returns the least of the characters that differ from r in case only.
func fold(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}

func (p *parser) str() bool {
	p.take('"')
	for {
		from := p.pos
		p.pos += plain(p.in[p.pos:])
		p.out = append(p.out, p.in[from:p.pos]...)
		switch p.peek() {
		case '"':
			return p.take('"')
		case '\\':
			if !p.escape() {
				return false
			}
		default: // the end, or a control character
			return false
		}
	}
}

// plain returns how many bytes there are before a quote, a backslash or a control
// character. It looks at eight at a time, by the test of a word for a byte below another
// (Anderson, "Bit Twiddling Hacks"): with its bit 0x02 turned over, a quote is the byte
// after the control characters, so that one test finds both. The lowest bit of a mask is
// that of the first such byte; only bits above it may be wrong.
func plain(text []byte) int {
	const ones, tops, turned = 0x0101010101010101, 0x8080808080808080, 0x02
	n := 0
	for ; len(text)-n >= 8; n += 8 {
		eight := binary.LittleEndian.Uint64(text[n:])
		low, backslash := eight^ones*turned, eight^ones*'\\'
		if mask := ((low-ones*('"'^turned+1))&^low | (backslash-ones)&^backslash) & tops; mask != 0 {
			return n + bits.TrailingZeros64(mask)/8
		}
	}
	for n < len(text) && text[n] >= ' ' && text[n] != '"' && text[n] != '\\' {
		n++
	}
	return n
}

func (p *parser) escape() bool {
	p.pos++
	c := p.peek()
	p.pos++
	switch c {
	case '"', '\\', '/':
		p.put(rune(c))
		return true
	case 'u':
		r, ok := p.unit()
		if ok && utf16.IsSurrogate(r) {
			r, ok = p.pair(r)
		}
		p.put(r)
		return ok
	}
	i := strings.IndexByte(shortNames, c)
	if i < 0 {
		return false
	}
	p.put(rune(shortRunes[i]))
	return true
}

// The control characters with an escape of their own.
const (
	shortRunes = "\b\t\n\f\r"
	shortNames = "btnfr"
)

// unit reads the four digits of a \u escape.
func (p *parser) unit() (rune, bool) {
	var b [2]byte
	if len(p.in)-p.pos < 4 {
		return 0, false
	}
	_, err := hex.Decode(b[:], p.in[p.pos:p.pos+4])
	p.pos += 4
	return rune(b[0])<<8 | rune(b[1]), err == nil
}

// pair reads the second half of a surrogate pair.
func (p *parser) pair(first rune) (rune, bool) {
	if !bytes.HasPrefix(p.in[p.pos:], []byte(`\u`)) {
		return 0, false
	}
	p.pos += 2
	second, ok := p.unit()
	r := utf16.DecodeRune(first, second)
	return r, ok && r != utf8.RuneError
}

// put writes one character of a string.
func (p *parser) put(r rune) {
	switch i := strings.IndexRune(shortRunes, r); {
	case r == '"' || r == '\\':
		p.out = append(p.out, '\\', byte(r))
	case i >= 0:
		p.out = append(p.out, '\\', shortNames[i])
	case r < ' ':
		p.out = append(p.out, `\u00`...)
		p.out = hex.AppendEncode(p.out, []byte{byte(r)})
	default:
		p.out = utf8.AppendRune(p.out, r)
	}
}

func (p *parser) number() bool {
	from := p.pos
	p.skip("-")
	if !p.skip("0") && !p.digits() {
		return false
	}
	if p.skip(".") && !p.digits() {
		return false
	}
	if p.skip("eE") {
		p.skip("+-")
		if !p.digits() {
			return false
		}
	}
	p.out = append(p.out, p.in[from:p.pos]...)
	return true
}

func (p *parser) digits() bool {
	from := p.pos
	for p.skip("0123456789") {
	}
	return p.pos > from
}

// literal reads true, false or null.
func (p *parser) literal(w string) bool {
	if !bytes.HasPrefix(p.in[p.pos:], []byte(w)) {
		return false
	}
	p.pos += len(w)
	p.out = append(p.out, w...)
	return true
}

// peek returns the next byte, which it leaves to be read. It is zero at the end, since
// nothing in JSON begins with that.
func (p *parser) peek() byte {
	if p.pos < len(p.in) {
		return p.in[p.pos]
	}
	return 0
}

// take copies the next byte if it is c.
func (p *parser) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.pos++
	p.out = append(p.out, c)
	return true
}

// skip leaves out the next byte if it is one of set.
func (p *parser) skip(set string) bool {
	if p.pos >= len(p.in) || strings.IndexByte(set, p.in[p.pos]) < 0 {
		return false
	}
	p.pos++
	return true
}

func (p *parser) space() {
	if p.pos < len(p.in) && p.in[p.pos] > ' ' {
		return // which is most often so
	}
	for p.skip(" \t\r\n") {
	}
}
