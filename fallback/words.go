package fallback

import (
	"strings"

	"github.com/sparekey/sparekey/policy/words"
)

// split returns the words of text, folded.
func split(text string) []string {
	var all []string
	s := words.Scanner{Text: text}
	for word := s.Next(nil); len(word) > 0; word = s.Next(nil) {
		all = append(all, string(word))
	}
	return all
}

// phrase returns the words of text, folded, with a space between them. It is ""
// if there are none.
func phrase(text string) string { return strings.Join(split(text), " ") }
