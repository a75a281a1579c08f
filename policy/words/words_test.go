package words_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy/words"
)

func wordsOf(text string, most int) (all []string) {
	s := words.Scanner{Text: text, Max: most}
	for word := s.Next(nil); len(word) > 0; word = s.Next(nil) {
		all = append(all, string(word))
	}
	return all
}

func TestScanner(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{" \t.,-!", ""},
		{"My card, please!", "my card please"},
		{"e-mail", "e mail"},
		{"Didn't didn’t CAN'T", "didn't didn't can't"},
		{"o'clock Tom's 't", "o clock tom s t"},
		{"don'ts can't\u0301", "don ts can t\u0301"},
		{"users' don'", "users don"},
		{"didnʼt Tomʼs", "didn't tom s"},
		{"@AZ[ `az{ /09:", "az az 09"},
		{"1,000.50 v2", "1 000 50 v2"},
		{"STRASSE straße", "strasse straße"},
		{"ΣΊΣΥΦΟΣ", "ΣΊΣΥΦΟΣ"},
		{"Kelvin", "kelvin"},                                                 // with a Kelvin sign
		{"caf\u00e9 CAF\u00c9 cafe\u0301", "caf\u00c9 caf\u00c9 cafe\u0301"}, // not normalised
		{"退款 please", "退 款 please"},
		{"x退y", "x 退 y"},
		{"한국", "한 국"},
		{"カード xーｰy", "カ ー ド x ー ｰ y"},
		{"退't", "退 t"},
		{"٣٤ Ḃb", "٣٤ Ḃb"},
		{"ที่ดี", "ที่ ดี"},
		{"a\xffb", "a b"},
		{"\u0301a", "a"},              // a mark on nothing
		{"\u0345α 誢\u0345", "ΙΑ 誢 Ι"}, // the mark that is a letter when folded
	} {
		assert.Equal(t, tt.want, strings.Join(wordsOf(tt.text, 0), " "), "%q", tt.text)
	}
}

// Of a word that is too long there is enough to tell that it is.
func TestScannerMax(t *testing.T) {
	for _, text := range []string{"abcdefgh", "äöüäöüäö", "abc\u0301\u0301\u0301", "退\u0301\u0301\u0301"} {
		got := wordsOf(text+" x", 3)
		assert.Len(t, got, 2)
		assert.Greater(t, len(got[0]), 3)
		assert.LessOrEqual(t, len(got[0]), 3+utf8.UTFMax)
		assert.Equal(t, "x", got[1])
	}
}

func FuzzScanner(f *testing.F) {
	for _, text := range []string{"", "My card didn't arrive", "退款 1,000", "a\xff'T", "K'ſ", "\u0301", "カード"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all := wordsOf(text, 0)
		for _, word := range all {
			if again := wordsOf(word, 0); len(again) != 1 || again[0] != word {
				t.Fatalf("%q has the word %q, which is %q", text, word, again)
			}
		}
		if got := wordsOf(strings.Join(all, " "), 0); fmt.Sprint(got) != fmt.Sprint(all) {
			t.Fatalf("%q has the words %q, which have %q", text, all, got)
		}
	})
}

func ExampleScanner() {
	s := words.Scanner{Text: "It DIDN'T arrive – 退款!"}
	var room [64]byte
	for word := s.Next(room[:0]); len(word) > 0; word = s.Next(word) {
		fmt.Println(string(word))
	}
	// Output:
	// it
	// didn't
	// arrive
	// 退
	// 款
}
