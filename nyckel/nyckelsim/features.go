package nyckelsim

import (
	"iter"
	"strings"
	"unicode"
)

// Lengths of the character n-grams, in bytes and with the marks of a word's
// ends.
const (
	shortestGram = 3
	longestGram  = 5
)

// Kinds of features, so that a word is not taken for the same letters within
// another.
const (
	wordFeature byte = iota
	pairFeature
	gramFeature
)

// features yields each feature of the text as often as it occurs: its words,
// its pairs of neighbouring words, and the character n-grams of each word, which
// know a word by its parts when it is misspelt or inflected. Features go by
// their hash: of 64 bits, hardly two will ever share one.
func features(text string) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		const end = "\x00" // in no word
		previous := ""
		for _, word := range words(text) {
			if !yield(featureHash(wordFeature, word)) || !yield(featureHash(pairFeature, previous, end, word)) {
				return
			}
			previous = word
			marked := end + word + end
			for n := shortestGram; n <= longestGram; n++ {
				for i := 0; i+n <= len(marked); i++ {
					if !yield(featureHash(gramFeature, marked[i:i+n])) {
						return
					}
				}
			}
		}
	}
}

var apostrophes = strings.NewReplacer("'", "", "’", "")

// words returns the text's words in lower case: runs of letters and digits.
// Apostrophes are left out, so that "can't" is one word.
func words(text string) []string {
	return strings.FieldsFunc(apostrophes.Replace(strings.ToLower(text)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// featureHash is 64-bit FNV-1a over the kind and the parts, without the
// allocations of hash/fnv.
func featureHash(kind byte, parts ...string) uint64 {
	const prime = 1099511628211
	h := (14695981039346656037 ^ uint64(kind)) * prime
	for _, part := range parts {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * prime
		}
	}
	return h
}
