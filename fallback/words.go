package fallback

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A scanner goes through the words of a text, as the package comment defines
// them.
type scanner struct {
	text string
	pos  int
	max  int // bytes of a word beyond which it need not be kept whole
}

// split returns the words of text, folded.
func split(text string) []string {
	var words []string
	s := scanner{text: text, max: math.MaxInt}
	for word := s.next(nil); len(word) > 0; word = s.next(nil) {
		words = append(words, string(word))
	}
	return words
}

// phrase returns the words of text, folded, with a space between them. It is ""
// if there are none.
func phrase(text string) string { return strings.Join(split(text), " ") }

// next returns the next word, folded, in the room of word. It is empty at the
// end of the text.
func (s *scanner) next(word []byte) []byte {
	word = word[:0]
	first, size := s.skip()
	if size == 0 {
		return word
	}
	word = s.take(word, first, size)
	alone := standsAlone(first)
	if !alone {
		word = s.takeASCII(word)
	}
	for s.pos < len(s.text) {
		r, size := s.peek()
		switch {
		case isMark(r), !alone && continues(r):
			word = s.take(word, r, size)
		case !alone && isApostrophe(r) && isNegation(s.text[s.pos+size:]):
			word = s.take(word, '\'', size)
			word = s.take(word, 't', 1)
		default:
			return word
		}
	}
	return word
}

// skip goes to the next character that begins a word and returns it, or a size
// of zero at the end of the text.
func (s *scanner) skip() (r rune, size int) {
	for s.pos < len(s.text) {
		if r, size = s.peek(); isLetterOrDigit(r) {
			return r, size
		}
		s.pos += size
	}
	return 0, 0
}

func (s *scanner) peek() (r rune, size int) {
	if c := s.text[s.pos]; c < utf8.RuneSelf {
		return rune(c), 1
	}
	return utf8.DecodeRuneInString(s.text[s.pos:])
}

// take adds r to word. It stops growing a word beyond max, which cannot be one
// that is looked for.
func (s *scanner) take(word []byte, r rune, size int) []byte {
	s.pos += size
	if len(word) > s.max {
		return word
	}
	return utf8.AppendRune(word, fold(r))
}

// takeASCII is take for all that follows and is ASCII, which most words are
// made of.
func (s *scanner) takeASCII(word []byte) []byte {
	for ; s.pos < len(s.text); s.pos++ {
		c := s.text[s.pos]
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		default:
			return word
		}
		if len(word) <= s.max {
			word = append(word, c)
		}
	}
	return word
}

// continues reports whether r goes on with a word that a letter began.
func continues(r rune) bool {
	return isMark(r) || isLetterOrDigit(r) && !standsAlone(r)
}

func isLetterOrDigit(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	}
	return unicode.IsLetter(r) && r != modifierApostrophe || unicode.IsDigit(r)
}

func isMark(r rune) bool { return r >= utf8.RuneSelf && unicode.IsMark(r) }

// standsAlone reports whether r is of a script that does not put spaces between
// all words.
func standsAlone(r rune) bool {
	const firstOfThem = '\u0E00'
	return r >= firstOfThem && (unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) ||
		r == 'ー' || r == 'ｰ') // the length mark of both kana, which Unicode counts to neither
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

// isNegation reports whether rest, which follows an apostrophe, is the "t" of a
// "didn't".
func isNegation(rest string) bool {
	if rest == "" || rest[0]|0x20 != 't' {
		return false
	}
	r, _ := utf8.DecodeRuneInString(rest[1:])
	return !continues(r)
}

// fold returns the smallest character that equals r but for case.
func fold(r rune) rune {
	if r < utf8.RuneSelf {
		if 'a' <= r && r <= 'z' {
			return r - ('a' - 'A')
		}
		return r
	}
	for {
		next := unicode.SimpleFold(r) // the next greater one, or the smallest
		if next <= r {
			return next
		}
		r = next
	}
}
