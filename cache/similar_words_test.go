package cache

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy/words"
)

func wordsOf(text string) (all []string) {
	s := words.Scanner{Text: text}
	for word := s.Next(nil); len(word) > 0; word = s.Next(nil) {
		all = append(all, string(word))
	}
	return all
}

func TestConflicts(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"where is my card", "my card, where is it?", false},
		{"is order 17 late", "is order 18 late", true},
		{"is order 17 late", "is the order late", true},
		{"from 17 to 18", "from 18 to 17", false}, // but see the order of words
		{"17 and 17", "17", true},
		{"is flight b2 late", "is flight b3 late", true},
		{"order ١٧", "order ١٨", true},
		{"café é2", "café é3", true},
		{"my card works", "my card doesn't work", true},
		{"my card works", "my card does not work", true},
		{"card didnt work", "card did not work", false},
		{"I can not not pay", "I can pay", false},
		{"do I say yes if it was not signed", "do I say no if it was signed", true}, // one negation each
		{"turn alerts on", "turn alerts off", true},
		{"turn alerts on", "turn alerts", false},
		{"turn alerts on or off", "turn alerts off", false},
		{"enable alerts", "disabling alerts", true},
		{"money received", "money sent", true},
		{"a deposit failed", "a withdrawal failed", true},
	} {
		var a, b sketch
		assert.True(t, a.read(tt.a), tt.a)
		assert.True(t, b.read(tt.b), tt.b)
		assert.Equal(t, tt.want, a.conflict(b.traits), "%s | %s", tt.a, tt.b)
		assert.Equal(t, tt.want, b.conflict(a.traits), "%s | %s", tt.b, tt.a)
	}
}

func TestReversed(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"Alice follows Bob", "Bob follows Alice", true},
		{"from Rome to Paris", "to Paris from Rome", true}, // grammar is not understood
		{"fly Rome Paris", "fly Paris Rome", true},
		{"from 17 to 18", "from 18 to 17", true},
		{"card card lost", "lost card card", true},
		{"card lost abroad", "lost card abroad", true},
		{"card lost", "card stolen", false},
		{"lost card lost", "card lost", false}, // one has both orders
		{strings.Repeat("word ", maxOrdered-2) + "card lost", "lost card", true},
		{strings.Repeat("word ", maxOrdered-1) + "card lost", "lost card", false},
	} {
		var a, b sketch
		a.read(tt.a)
		b.read(tt.b)
		assert.Equal(t, tt.want, reversed(a.words, b.words), "%s | %s", tt.a, tt.b)
		assert.Equal(t, tt.want, reversed(b.words, a.words), "%s | %s", tt.b, tt.a)
	}
}

func TestTextsThatCannotBeCompared(t *testing.T) {
	var q sketch
	assert.False(t, q.read(""))
	assert.False(t, q.read("how do I get it?"), "grammar only")
	assert.False(t, q.read("do I not get it? Didn't I?"), "grammar and negations only")
	assert.True(t, q.read(strings.Repeat("card ", maxWords)))
	assert.False(t, q.read(strings.Repeat("card ", maxWords+1)))
	assert.True(t, q.read(strings.Repeat("x", maxText)))
	assert.False(t, q.read(strings.Repeat("x", maxText+1)))
	assert.True(t, q.read("card"), "after one that could not")
	assert.Len(t, q.words, 1)
}

func TestLexicon(t *testing.T) {
	assert.LessOrEqual(t, strings.Count(strings.TrimSpace(opposites), "\n")+1, 64, "pairs")
	for word, m := range lexicon {
		assert.Equal(t, []string{word}, wordsOf(word), "can be met")
		assert.Zero(t, m.sides.left&m.sides.right, "%q is its own opposite", word)
		assert.False(t, m.negates && m.grammar, word)
	}
}

func FuzzSketch(f *testing.F) {
	for _, text := range []string{"", "My card didn't arrive", "退款 1,000", "a\xff'T", "K'ſ", "\u0301"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, word := range wordsOf(text) {
			if !utf8.ValidString(word) {
				t.Fatalf("%q has the word %q", text, word)
			}
		}
		var q, upper sketch
		ok := q.read(text)
		if ok && (len(q.unique) == 0 || len(q.unique) > len(q.words) || !slices.IsSorted(q.unique)) {
			t.Fatalf("%q: %d unique of %d words", text, len(q.unique), len(q.words))
		}
		if ok && (q.conflict(q.traits) || reversed(q.words, q.words)) {
			t.Fatalf("%q conflicts with itself", text)
		}
		if isASCII(text) && upper.read(strings.ToUpper(text)) != ok || isASCII(text) && !slices.Equal(q.words, upper.words) {
			t.Fatalf("%q is other words in upper case", text)
		}
	})
}

func isASCII(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
