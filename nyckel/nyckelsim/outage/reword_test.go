package outage

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestReword(t *testing.T) {
	const text = "where is the card I ordered"
	words := strings.Fields(text)
	random := rand.New(rand.NewPCG(1, 1))
	ways := map[string]int{}
	for range 400 {
		got := reword(random, text)
		assert.NotEqual(t, text, got)
		sorted := strings.Fields(got)
		kept := 0
		for _, word := range words {
			if i := slices.Index(sorted, word); i >= 0 {
				sorted = slices.Delete(sorted, i, i+1)
				kept++
			}
		}
		switch {
		case strings.Contains(got, text):
			ways["courtesy"]++
		case kept == len(words)-1 && len(sorted) == 0:
			ways["less"]++
		case kept == len(words) && len(sorted) == 0:
			ways["order"]++
		case kept == len(words) && len(sorted) == 1:
			ways["more"]++
		default:
			t.Errorf("%q is no variant of %q", got, text)
		}
	}
	assert.Len(t, ways, 4, "ways that occur: %v", ways)

	for range 50 {
		assert.Contains(t, reword(random, "help"), "help", "a text of one word keeps it")
	}
}
