package cache

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// anyText has one to eight words of twelve, so that many texts are alike.
func anyText(random *rand.Rand) string {
	words := make([]string, 1+random.IntN(8))
	for i := range words {
		words[i] = "word" + letters(random.IntN(12))
	}
	return strings.Join(words, " ")
}

// similarityOf says in the plainest way how much alike two texts are.
func similarityOf(a, b string) float64 {
	inA, inEither, inBoth := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, word := range wordsOf(a) {
		inA[word], inEither[word] = true, true
	}
	for _, word := range wordsOf(b) {
		inEither[word] = true
		if inA[word] {
			inBoth[word] = true
		}
	}
	return float64(len(inBoth)) / float64(len(inEither))
}

// The index finds what comparing each text with all others finds, whatever was
// added and removed before.
func TestIndexFindsTheNearest(t *testing.T) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 3))
		x := index{slots: make(map[uint64][]int32)}
		texts := map[*knownText]string{}
		var added []*knownText
		var f finder
		for i := range 200 {
			if len(added) > 0 && random.IntN(3) == 0 {
				n := random.IntN(len(added))
				x.remove(added[n])
				delete(texts, added[n])
				added = slices.Delete(added, n, n+1)
			}
			spelled := anyText(random)
			require.True(t, f.q.read(spelled))
			l := &knownText{hash: f.q.text, words: slices.Clone(f.q.words), asked: time.Unix(int64(i), 0)}
			x.add(l)
			texts[l] = spelled
			added = append(added, l)

			asked := anyText(random)
			f.q.read(asked)
			assert.Equal(t, isOneOf(texts, asked), f.find(&x), "known")
			requireNearest(t, texts, asked, f.near)
		}
		for l := range texts {
			x.remove(l)
		}
		assert.Empty(t, x.slots)
		assert.Len(t, x.free, len(x.texts))
	}
}

func isOneOf(texts map[*knownText]string, asked string) bool {
	for _, spelled := range texts {
		if spelled == asked {
			return true
		}
	}
	return false
}

func requireNearest(t *testing.T, texts map[*knownText]string, asked string, got []neighbour) {
	t.Helper()
	var want []neighbour
	for l, spelled := range texts {
		if similarity := similarityOf(spelled, asked); similarity >= minSimilarity && spelled != asked {
			want = append(want, neighbour{l, similarity})
		}
	}
	slices.SortFunc(want, func(a, b neighbour) int {
		return cmp.Or(cmp.Compare(b.similarity, a.similarity), b.asked.Compare(a.asked))
	})
	want = want[:min(len(want), maxNear)]
	require.Len(t, got, len(want))
	for i := range want {
		require.Same(t, want[i].knownText, got[i].knownText, "place %d", i)
		require.InDelta(t, want[i].similarity, got[i].similarity, 1e-12)
	}
}

// However many texts have the same words, only some of them are looked at: the
// latest.
func TestIndexIsBoundedInTime(t *testing.T) {
	x := index{slots: make(map[uint64][]int32)}
	var f finder
	for i := range 3 * maxVisits {
		f.q.read("lost card " + letters(i))
		x.add(&knownText{hash: f.q.text, words: slices.Clone(f.q.words), asked: time.Unix(int64(i), 0)})
	}
	f.q.read("lost card")
	assert.False(t, f.find(&x))
	assert.LessOrEqual(t, len(f.seen), maxVisits)
	require.NotEmpty(t, f.near)
	assert.Equal(t, time.Unix(3*maxVisits-1, 0), f.near[0].asked)
}

// Of the lists of several words no more entries are read than of that of one.
func TestIndexIsBoundedInTimeForAllWords(t *testing.T) {
	const text = "lost card stolen yesterday"
	x := index{slots: make(map[uint64][]int32)}
	var f finder
	for i := range maxVisits {
		f.q.read(text + " " + letters(i))
		x.add(&knownText{hash: f.q.text, words: slices.Clone(f.q.words)})
	}
	require.True(t, f.q.read(text))
	f.count(&x)
	visits := 0
	for _, slot := range f.seen {
		visits += int(f.shared[slot])
	}
	assert.Equal(t, maxVisits, visits)
}

func TestAgreement(t *testing.T) {
	type near struct {
		label      string
		similarity float64
	}
	const none, upTo70, all = thresholdSet(0), thresholdSet(0b11111), thresholdSet(0b111111111)
	for _, tt := range []struct {
		name string
		near []near
		want thresholdSet
	}{
		{"one alone", []near{{"a", 0.7}}, upTo70},
		{"one that is equal", []near{{"a", 1}}, all},
		{"five that agree", []near{{"a", 0.7}, {"a", 0.7}, {"a", 0.6}, {"a", 0.6}, {"a", 0.5}}, upTo70},
		{"one far behind does not", []near{{"a", 0.7}, {"b", 0.5}}, upTo70 &^ 1},
		{"one in the middle does not", []near{{"a", 0.75}, {"b", 0.64}, {"a", 0.6}}, 0b111000},
		{"one close behind does not", []near{{"a", 0.7}, {"b", 0.65}}, none},
		{"one as near does not", []near{{"a", 1}, {"b", 1}}, none},
		{"the sixth does not", []near{{"a", 0.7}, {"a", 0.7}, {"a", 0.6}, {"a", 0.6}, {"a", 0.6}, {"b", 0.5}}, upTo70},
		{"the sixth does not, and is close", []near{{"a", 0.7}, {"a", 0.7}, {"a", 0.7}, {"a", 0.7}, {"a", 0.7}, {"b", 0.7}}, none},
	} {
		var neighbours []neighbour
		for _, n := range tt.near {
			neighbours = append(neighbours, neighbour{&knownText{label: n.label}, n.similarity})
		}
		assert.Equal(t, fmt.Sprintf("%b", tt.want), fmt.Sprintf("%b", agreement(neighbours)), tt.name)
	}
}

// A label that is purged is not left in the room of a search, nor a word in plain text.
func TestFinderLeavesNothing(t *testing.T) {
	s := similarOf(100)
	for i := range 30 {
		s.learn(tickets, fmt.Sprint("a certain kind of question ", string(rune('a'+i))), "where", keyAt(i), time.Time{})
	}
	f := new(finder)
	require.True(t, f.q.read("a certain kind of question"))
	a, _ := s.partitions.Peek(tickets)
	f.find(&a.index)
	require.Len(t, f.near, maxNear)
	f.neighbours()
	word, near := f.q.room[:cap(f.q.room)], f.near[:cap(f.near)]
	require.Contains(t, string(word), "question")
	f.release()
	assert.Equal(t, make([]byte, len(word)), word)
	assert.Equal(t, make([]neighbour, len(near)), near)
}
