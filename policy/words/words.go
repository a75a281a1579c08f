// Package words finds the words of a text, for layers that compare texts by them:
// the same words, however they are written, are the same bytes.
//
// A word is a run of letters, digits and the marks that follow them; everything else
// only separates words. The "n't" of a verb belongs to it; other apostrophes end a
// word. In scripts that put no spaces between all words each letter is one. Case is
// folded one character at a time, as by [strings.EqualFold]; nothing else is
// normalised.
package words

import (
	"unicode"
	"unicode/utf8"
)

// A Scanner goes through the words of a text. It is not safe for concurrent use.
type Scanner struct {
	// Text is gone through once.
	Text string

	// Max is how many bytes of a word are wanted: of a longer one, more than that
	// is returned, but maybe not all. Zero means all of each.
	Max int

	pos int
}

// Next returns the next word, folded, in the room of word. It is empty at the
// end of the text.
func (s *Scanner) Next(word []byte) []byte {
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
	for s.pos < len(s.Text) {
		r, size := s.peek()
		switch {
		case isMark(r), !alone && continues(r):
			word = s.take(word, r, size)
		case !alone && isApostrophe(r) && isNegation(s.Text[s.pos+size:]):
			word = s.take(word, '\'', size)
		default:
			return word
		}
	}
	return word
}

// skip goes to the next character that begins a word and returns it, or a size
// of zero at the end of the text.
func (s *Scanner) skip() (r rune, size int) {
	for s.pos < len(s.Text) {
		if r, size = s.peek(); isLetterOrDigit(r) {
			return r, size
		}
		s.pos += size
	}
	return 0, 0
}

func (s *Scanner) peek() (r rune, size int) {
	if c := s.Text[s.pos]; c < utf8.RuneSelf {
		return rune(c), 1
	}
	return utf8.DecodeRuneInString(s.Text[s.pos:])
}

// take adds r to word, unless there is enough of it.
func (s *Scanner) take(word []byte, r rune, size int) []byte {
	s.pos += size
	if s.enough(word) {
		return word
	}
	return utf8.AppendRune(word, fold(r))
}

func (s *Scanner) enough(word []byte) bool { return s.Max > 0 && len(word) > s.Max }

// takeASCII is take for all that follows and is ASCII, which most words are
// made of.
func (s *Scanner) takeASCII(word []byte) []byte {
	for ; s.pos < len(s.Text); s.pos++ {
		c := s.Text[s.pos]
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		default:
			return word
		}
		if !s.enough(word) {
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
	return unicode.IsLetter(r) && r != modifierApostrophe || unicode.IsDigit(r) || r == iotaBelow
}

func isMark(r rune) bool { return r >= utf8.RuneSelf && unicode.IsMark(r) && r != iotaBelow }

// iotaBelow is a mark to Unicode, and the only one that folds to a letter: it is
// that letter here.
const iotaBelow = '\u0345'

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

// fold returns the same character for all that are equal but for case: the one that
// is lower case in ASCII if there is one, else the smallest.
func fold(r rune) rune {
	for r >= utf8.RuneSelf {
		next := unicode.SimpleFold(r) // the next greater one, or the smallest
		if next <= r {
			r = next
			break
		}
		r = next
	}
	switch {
	case 'A' <= r && r <= 'Z':
		r |= 0x20
	case r == iotaBelow:
		r = 'Ι'
	}
	return r
}
