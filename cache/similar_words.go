package cache

import (
	"bytes"
	"hash/maphash"
	"slices"
	"unicode"
	"unicode/utf8"
)

// maxWords and maxText are how many words and bytes a text may have to be
// compared: the words of a longer one say too little about its meaning, and take
// too long.
const (
	maxWords = 256
	maxText  = 16 << 10
)

// wordSeed makes the hashes of this process. They are never stored.
var wordSeed = maphash.MakeSeed()

// A sketch is what is compared of a text. It can be read into again, so that
// looking allocates nothing. It has hashes for words: who may see the memory of
// a process is not told what was asked.
type sketch struct {
	text   uint64   // of the text as it is spelled
	words  []uint64 // the content words in their order
	unique []uint64 // the same without repetition
	traits

	room []byte // to read a word in
}

// traits are what two questions must have in common, whatever their likeness.
type traits struct {
	numbers uint64 // a hash of the multiset of words with a digit
	negated bool   // an odd number of negations
	sides   sides
}

// conflict reports whether two questions ask for different things, however alike
// their words are.
func (t traits) conflict(other traits) bool {
	return t.numbers != other.numbers || t.negated != other.negated || t.sides.oppose(other.sides)
}

// read takes in a text. It reports false if that cannot be compared: it has no
// content word, or is too long.
func (q *sketch) read(text string) bool {
	if len(text) > maxText {
		return false
	}
	q.text, q.words, q.traits = maphash.String(wordSeed, text), q.words[:0], traits{}
	s := wordScanner{text: text}
	for n := 0; ; n++ {
		q.room = s.next(q.room[:0])
		if len(q.room) == 0 {
			break
		}
		if n == maxWords {
			return false
		}
		if hash := maphash.Bytes(wordSeed, q.room); q.note(q.room, hash) {
			q.words = append(q.words, hash)
		}
	}
	q.unique = append(q.unique[:0], q.words...)
	slices.Sort(q.unique)
	q.unique = slices.Compact(q.unique)
	return len(q.words) > 0
}

// note takes down the traits of a word and reports whether it is a content word.
func (q *sketch) note(word []byte, hash uint64) bool {
	m := lexicon[string(word)]
	if m.negates || bytes.HasSuffix(word, []byte("'t")) {
		q.negated = !q.negated
		return false
	}
	if hasDigit(word) {
		q.numbers += hash
	}
	q.sides.left |= m.sides.left
	q.sides.right |= m.sides.right
	return !m.grammar
}

func hasDigit(word []byte) bool {
	for i := 0; i < len(word); {
		r, size := rune(word[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(word[i:])
		}
		if unicode.IsDigit(r) {
			return true
		}
		i += size
	}
	return false
}

// A wordScanner goes through the words of a text: letters, digits and the marks
// on them. In scripts that put no spaces between words each letter is one. The
// "n't" of a verb belongs to it; other apostrophes end a word.
type wordScanner struct {
	text string
	pos  int
}

// next appends the next word, folded, to room; nothing at the end of the text.
func (s *wordScanner) next(room []byte) []byte {
	from := len(room)
	for s.pos < len(s.text) {
		r, size := s.peek()
		switch inWord := len(room) > from; {
		case isWordRune(r) && !isWordOfItsOwn(r), inWord && unicode.IsMark(r):
			room = appendFolded(room, r)
		case isWordRune(r): // a word of its own
			if inWord {
				return room
			}
			s.pos += size
			return s.marks(appendFolded(room, r))
		case inWord && isApostrophe(r) && s.negatesAt(s.pos+size):
			s.pos += size + 1
			return append(room, "'t"...)
		case inWord:
			return room
		}
		s.pos += size
	}
	return room
}

// marks appends the marks that follow.
func (s *wordScanner) marks(room []byte) []byte {
	for s.pos < len(s.text) {
		r, size := s.peek()
		if !unicode.IsMark(r) {
			break
		}
		room = appendFolded(room, r)
		s.pos += size
	}
	return room
}

func (s *wordScanner) peek() (rune, int) {
	if c := s.text[s.pos]; c < utf8.RuneSelf {
		return rune(c), 1
	}
	return utf8.DecodeRuneInString(s.text[s.pos:])
}

// negatesAt reports whether the "t" of a "don't" is at pos.
func (s *wordScanner) negatesAt(pos int) bool {
	rest := s.text[pos:]
	if rest == "" || rest[0]|0x20 != 't' {
		return false
	}
	r, _ := utf8.DecodeRuneInString(rest[1:])
	return !isWordRune(r)
}

func isWordRune(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r|0x20 && r|0x20 <= 'z' || '0' <= r && r <= '9'
	}
	return unicode.IsLetter(r) && r != modifierApostrophe || unicode.IsDigit(r)
}

func isWordOfItsOwn(r rune) bool {
	const firstOfThem = '\u0E00'
	return r >= firstOfThem && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// modifierApostrophe is a letter to Unicode, and an apostrophe to who types it.
const modifierApostrophe = 'ʼ'

func isApostrophe(r rune) bool {
	switch r {
	case '\'', '’', modifierApostrophe, '´', '`':
		return true
	}
	return false
}

// appendFolded appends the same rune for all that are equal but for case.
func appendFolded(room []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r |= 0x20
		}
		return append(room, byte(r))
	}
	for {
		next := unicode.SimpleFold(r) // the next greater one, or the smallest
		if next <= r {
			r = next
			break
		}
		r = next
	}
	if r < utf8.RuneSelf { // as the Kelvin sign, which is a k
		return appendFolded(room, r)
	}
	return utf8.AppendRune(room, r)
}
