package cache

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func wordsOf(text string) (words []string) {
	s := wordScanner{text: text}
	for word := s.next(nil); len(word) > 0; word = s.next(nil) {
		words = append(words, string(word))
	}
	return words
}

func TestWords(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{" \t.,-!", ""},
		{"My card, please!", "my card please"},
		{"e-mail", "e mail"},
		{"Didn't didn’t CAN'T", "didn't didn't can't"},
		{"o'clock Tom's 't", "o clock tom s t"},
		{"don'ts", "don ts"},
		{"1,000.50 v2", "1 000 50 v2"},
		{"STRASSE straße", "strasse straße"},
		{"ΣΊΣΥΦΟΣ", "σίσυφοσ"},
		{"Kelvin", "kelvin"}, // with a Kelvin sign
		{"café café", "café café"},
		{"退款 please", "退 款 please"},
		{"x退y", "x 退 y"},
		{"한국", "한 국"},
		{"ที่ดี", "ที่ ดี"},
		{"a\xffb", "a b"},
		{"\u0301a", "a"}, // a mark on nothing
	} {
		want := strings.Fields(tt.want)
		for i, word := range want {
			want[i] = foldedAll(word)
		}
		assert.Equal(t, want, append([]string{}, wordsOf(tt.text)...), "%q", tt.text)
	}
}

// foldedAll folds the words that are expected, so that they can be written as they
// are read.
func foldedAll(word string) string {
	var room []byte
	for _, r := range word {
		room = appendFolded(room, r)
	}
	return string(room)
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
		{"my card works", "my card doesn't work", true},
		{"my card works", "my card does not work", true},
		{"card didnt work", "card did not work", false},
		{"I can not not pay", "I can pay", false},
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
		{strings.Repeat("word ", maxOrdered) + "card lost", "lost card", false},
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
