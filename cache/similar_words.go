package cache

import (
	"bytes"
	"hash/maphash"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/sparekey/sparekey/policy/words"
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

// traits are what two questions must have in common, whatever their similarity.
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
	s := words.Scanner{Text: text}
	for n := 0; ; n++ {
		q.room = s.Next(q.room)
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
	q.sides.left |= m.sides.left
	q.sides.right |= m.sides.right
	if m.negates || bytes.HasSuffix(word, []byte("'t")) {
		q.negated = !q.negated
		return false
	}
	if hasDigit(word) {
		q.numbers += hash
	}
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
