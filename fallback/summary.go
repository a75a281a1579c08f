package fallback

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a summary.
const (
	maxSummary     = 10       // sentences of it
	maxSentences   = 200      // sentences that are compared
	maxSummaryText = 16 << 10 // bytes that are looked at
)

// summary returns the n sentences of text that share the most of their words
// with the others, in the text's order. It is what there is without a model: it
// leaves out and does not rephrase.
func summary(text string, n int) string {
	sentences := sentencesOf(cut(text, maxSummaryText))
	if len(sentences) > n {
		sentences = central(sentences, n)
	}
	return strings.Join(sentences, " ")
}

// central returns the n most central of sentences.
func central(sentences []string, n int) []string {
	words := make([][]string, len(sentences))
	spread := make(map[string]int) // in how many sentences a word is
	for i, sentence := range sentences {
		words[i] = contentOf(sentence)
		for _, word := range words[i] {
			spread[word]++
		}
	}
	scores := make([]float64, len(sentences))
	order := make([]int, len(sentences))
	for i := range sentences {
		shared := 0
		for _, word := range words[i] {
			shared += spread[word] - 1
		}
		// The 4 keeps a sentence of two words from winning by one that is shared.
		scores[i] = float64(shared) / float64(len(words[i])+4)
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	best := order[:n]
	slices.Sort(best)
	chosen := make([]string, n)
	for i, at := range best {
		chosen[i] = sentences[at]
	}
	return chosen
}

// contentOf returns the different words of a sentence, folded, without the short
// ones that are everywhere.
func contentOf(sentence string) []string {
	words := slices.DeleteFunc(split(sentence), func(word string) bool {
		return len(word) < 4 && word[0] < utf8.RuneSelf || stopWords[word]
	})
	slices.Sort(words)
	return slices.Compact(words)
}

// stopWords are the longer ones that say nothing about what a text is about.
var stopWords = func() map[string]bool {
	words := make(map[string]bool)
	for _, word := range split(`about after again also always because been before being between both could does
		doing during each ever every from have having here into just like many more most much never only other
		over really same should since some still such than that their them then there these they this those
		through very want were what when where which while will with would your you're`) {
		words[word] = true
	}
	return words
}()

// sentencesOf cuts a text after the marks that end sentences and the quotes and brackets
// that close there, and at empty lines. A full stop within a number or before a small
// letter ends none.
func sentencesOf(text string) []string {
	var sentences []string
	start := 0
	end := func(at int) {
		if sentence := strings.Join(strings.Fields(text[start:at]), " "); sentence != "" {
			sentences = append(sentences, sentence)
		}
		start = at
	}
	for i, r := range text {
		if len(sentences) == maxSentences {
			return sentences
		}
		after := i + utf8.RuneLen(r)
		switch r {
		case '。', '！', '？':
			end(closed(text, after))
		case '.', '!', '?':
			if at := closed(text, after); endsSentence(text[at:]) {
				end(at)
			}
		case '\n':
			if strings.HasPrefix(text[after:], "\n") || strings.HasPrefix(text[after:], "\r\n") {
				end(after)
			}
		}
	}
	end(len(text))
	return sentences
}

// closed returns where the quotes and brackets end that close at a place in text.
func closed(text string, at int) int {
	return len(text) - len(strings.TrimLeft(text[at:], "\"'”’»)]」』）"))
}

// endsSentence decides by what follows the mark, if that is not the end.
func endsSentence(rest string) bool {
	next := strings.TrimLeftFunc(rest, unicode.IsSpace)
	r, _ := utf8.DecodeRuneInString(next)
	return len(next) < len(rest) && !unicode.IsLower(r)
}
