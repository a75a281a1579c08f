package outage

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// What people put around a question. It says nothing about what they want.
var (
	openings = []string{"Hi, ", "Hello, ", "Hi there, ", "Good morning, ", "Hey, ", "Hello again, "}
	closings = []string{" please", ", thanks", ", thank you", " please, thanks", ", many thanks", ", kind regards"}
	fillers  = []string{"please", "just", "really", "now", "still", "also"}
)

// leastWords is how many words a text must have to lose one.
const leastWords = 5

// reword returns a text that asks the same in other words, as customers do who
// know nothing of each other: with a courtesy around it, with its halves in the
// other order, or with a word more or less.
func reword(random *rand.Rand, text string) string {
	words := strings.Fields(text)
	switch way := random.IntN(4); {
	case way == 0 && len(words) > 1:
		cut := 1 + random.IntN(len(words)-1)
		return strings.Join(slices.Concat(words[cut:], words[:cut]), " ")
	case way == 1 && len(words) >= leastWords:
		at := random.IntN(len(words))
		return strings.Join(slices.Delete(words, at, at+1), " ")
	case way == 2 && len(words) > 1:
		return strings.Join(slices.Insert(words, 1+random.IntN(len(words)-1), pick(random, fillers)), " ")
	}
	return pick(random, openings) + text + pick(random, closings)
}

func pick(random *rand.Rand, from []string) string { return from[random.IntN(len(from))] }
