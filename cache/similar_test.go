package cache

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

var tickets = partition{hash: [32]byte{1}, function: "tickets"}

func similarOf(maxTexts int) *similar { return newSimilar(policy.Similar{}.WithDefaults(), maxTexts) }

// keyAt returns the key of the nth question.
func keyAt(n int) (k key) {
	binary.BigEndian.PutUint64(k[:], uint64(n))
	return k
}

// live does what happens for each live answer.
func (s *similar) live(p partition, text, label string, k key) {
	m := s.look(p, text)
	s.compare(m, label)
	s.learn(p, text, label, k, time.Time{})
}

// converse asks n different questions about one of ten subjects each, whose label
// is the subject. Keys begin at from.
func (s *similar) converse(p partition, from, n int, label func(subject int) string) {
	for i := from; i < from+n; i++ {
		subject := i % 10
		s.live(p, fmt.Sprintf("subject%c trouble, case w%s", 'a'+subject, letters(i)), label(subject), keyAt(i))
	}
}

// letters spells n without digits.
func letters(n int) string {
	text := fmt.Sprint(n)
	spelled := make([]byte, len(text))
	for i := range text {
		spelled[i] = text[i] - '0' + 'a'
	}
	return string(spelled)
}

func asIs(subject int) string { return fmt.Sprint("label ", subject) }

func TestSimilarServesOnceItHasEvidence(t *testing.T) {
	s := similarOf(1000)
	ask := func() (verdict, bool) { return s.serve(s.look(tickets, "subjectc trouble, case new")) }
	refused := 0
	for _, ok := ask(); !ok && refused < 200; _, ok = ask() {
		s.converse(tickets, refused, 1, asIs)
		refused++
	}
	// Ten questions have no neighbour; from then on all are right.
	assert.Equal(t, 10+needed(0.9), refused)

	v, ok := ask()
	require.True(t, ok)
	assert.Equal(t, "label 2", v.label)
	assert.InDelta(t, 0.6, v.similarity, 1e-9, "three of five words")
	assert.Equal(t, 1.0, v.accuracy)
	assert.Equal(t, needed(0.9), v.samples)
	assert.Equal(t, 0.55, v.confidence, "capped")
}

func TestSimilarClaimsNoMoreThanItsAccuracy(t *testing.T) {
	s := newSimilar(policy.Similar{MaxConfidence: 1}.WithDefaults(), 1000)
	n := 0
	s.converse(tickets, 0, 410, func(subject int) string {
		if n++; n%50 == 0 {
			return "another"
		}
		return asIs(subject)
	})
	v, ok := s.serve(s.look(tickets, "subjectc trouble, case new"))
	require.True(t, ok)
	assert.Less(t, v.accuracy, 1.0)
	assert.Equal(t, v.accuracy, v.confidence)
	assert.Equal(t, s.stats()[0].Accuracy, v.accuracy)
}

// needed is how many right answers without a wrong one show an accuracy.
func needed(target float64) (n int) {
	for lower := 0.0; lower < target; n++ {
		lower, _ = wilson(n+1, n+1, quantileAll)
	}
	return n
}

func TestSimilarForgets(t *testing.T) {
	s := similarOf(1000)
	s.converse(tickets, 0, 100, asIs)
	m := s.look(tickets, "subjectc trouble, case new")
	require.Equal(t, "label 2", m.label)
	for i := range 100 {
		s.forget(keyAt(i))
		s.forget(keyAt(i)) // of what is not there
	}
	assert.Empty(t, s.look(tickets, "subjectc trouble, case new").label)
	assert.Zero(t, s.stats()[0].Questions)
	a, _ := s.partitions.Peek(tickets)
	assert.Empty(t, a.slots, "no word is left")
	assert.Equal(t, make([]*knownText, 100), a.texts, "nor a label")

	s.converse(tickets, 0, 100, asIs)
	assert.Len(t, a.texts, 100, "slots are used again")
	assert.Equal(t, "label 2", s.look(tickets, "subjectc trouble, case new").label)
}

func TestSimilarStats(t *testing.T) {
	s := similarOf(1000)
	s.converse(tickets, 0, 20, asIs)
	assert.Equal(t, []SimilarStats{{Function: "tickets", Questions: 20, Compared: 19}}, s.stats(),
		"the first question of all has nothing to compare with")
	s.converse(tickets, 20, 180, asIs)
	lower, _ := wilson(190, 190, quantileAll)
	assert.Equal(t, []SimilarStats{{
		Function: "tickets", Questions: 200, Compared: 199,
		Serving: true, Threshold: 0.5, Accuracy: 1, LowerBound: lower, Samples: 190, Coverage: 190. / 199,
	}}, s.stats())
}

// A text that was asked before is answered as it was, not as one like it: it says
// nothing about similar ones.
func TestSimilarLearnsNothingFromRepeats(t *testing.T) {
	s := similarOf(1000)
	for i := range 200 {
		s.live(tickets, "lost my card in Rome", "lost", keyAt(0))
		s.live(tickets, "lost my card in Paris", "lost", keyAt(1))
		assert.Equal(t, min(i, 1), s.stats()[0].Compared-1+min(i, 1), "the second text alone, once")
	}
	m := s.look(tickets, "lost my card in Rome")
	assert.True(t, m.known)
	assert.Equal(t, keyAt(1), m.key, "never itself")
}

func TestSimilarTakesTheLatestLabel(t *testing.T) {
	s := similarOf(1000)
	s.learn(tickets, "lost my card", "old", keyAt(0), time.Unix(1, 0))
	s.learn(tickets, "lost my card", "new", keyAt(0), time.Unix(2, 0))
	m := s.look(tickets, "my card, lost")
	assert.Equal(t, match{
		partition: tickets, given: 0, // the order of the words is another
	}, m)
	m = s.look(tickets, "where I lost my card")
	assert.Equal(t, match{
		partition: tickets, given: 1<<len(thresholds) - 1, key: keyAt(0), label: "new", similarity: 1, asked: time.Unix(2, 0),
	}, m)
	assert.Equal(t, 1, s.stats()[0].Questions)
}

// What cannot be compared takes the place of what was known under its key.
func TestSimilarForgetsWhatCannotBeCompared(t *testing.T) {
	s := similarOf(1000)
	s.live(tickets, "lost my card", "lost", keyAt(0))
	s.live(tickets, "", "nothing", keyAt(0))
	assert.Zero(t, s.stats()[0].Questions)
	assert.Equal(t, match{partition: tickets}, s.look(tickets, ""))
}

// Neither an answer nor a figure gets from one partition to another.
func TestSimilarKeepsPartitionsApart(t *testing.T) {
	s := similarOf(5000)
	other := partition{hash: [32]byte{2}, function: "tickets"}
	s.converse(tickets, 0, 500, asIs)
	assert.Equal(t, match{partition: other}, s.look(other, "subjectc trouble, case new"))

	s.converse(other, 1000, 30, asIs)
	m := s.look(other, "subjectc trouble, case new")
	assert.Equal(t, "label 2", m.label)
	_, ok := s.serve(m)
	assert.False(t, ok, "what the other one found out does not count here")
	assert.Equal(t, []int{500, 30}, []int{s.stats()[0].Questions, s.stats()[1].Questions})

	for n := range 100 { // labels of its own
		s.converse(other, 2000+10*n, 10, func(subject int) string { return fmt.Sprint("other ", subject) })
	}
	v, ok := s.serve(s.look(tickets, "subjectc trouble, case new"))
	assert.True(t, ok)
	assert.Equal(t, "label 2", v.label)
}

func TestSimilarIsBounded(t *testing.T) {
	t.Run("texts", func(t *testing.T) {
		s := similarOf(50)
		s.converse(tickets, 0, 200, asIs)
		assert.Equal(t, 50, s.stats()[0].Questions)
		a, _ := s.partitions.Peek(tickets)
		assert.Len(t, a.texts, 50, "slots")
		assert.Len(t, a.slots, 10+1+1+50, "words")
		assert.Zero(t, s.look(tickets, "case wa").label, "the first is forgotten")
	})
	t.Run("words", func(t *testing.T) {
		s := similarOf(100)
		for i := range 200 {
			var text strings.Builder
			for word := range 40 {
				text.WriteString(letters(100*i+word) + " ")
			}
			s.live(tickets, text.String(), "long", keyAt(i))
		}
		assert.Equal(t, meanWords*100/40, s.stats()[0].Questions)
		a, _ := s.partitions.Peek(tickets)
		assert.Len(t, a.slots, meanWords*100)
		for i := range 200 {
			s.forget(keyAt(i))
		}
		assert.Zero(t, s.words)
	})
	t.Run("a single text", func(t *testing.T) {
		s := similarOf(1)
		s.live(tickets, strings.Repeat("card ", maxWords), "long", keyAt(0))
		assert.Equal(t, 1, s.stats()[0].Questions)
		s.live(tickets, "card", "short", keyAt(1))
		assert.Equal(t, "short", s.look(tickets, "my card").label)
	})
	t.Run("partitions", func(t *testing.T) {
		s := similarOf(10_000)
		for i := range 2 * maxPartitions {
			s.live(tickets, "always in use", "yes", keyAt(0))
			s.live(partition{hash: [32]byte{2, byte(i), byte(i >> 8)}}, "lost card", "lost", keyAt(i+1))
		}
		assert.Len(t, s.stats(), maxPartitions)
		assert.Equal(t, maxPartitions, s.texts.Len())
		assert.Equal(t, 2*maxPartitions, s.words)
		assert.Equal(t, "yes", s.look(tickets, "it is always in use").label)
	})
}

// Where much alike questions have different answers, none is given for another.
func TestSimilarRefusesWhatMisleads(t *testing.T) {
	s := similarOf(5000)
	s.converse(tickets, 0, 1000, asIs)
	require.True(t, s.stats()[0].Serving)
	n := 0
	s.converse(tickets, 1000, 1000, func(int) string { n++; return fmt.Sprint("never twice ", n) })
	assert.False(t, s.stats()[0].Serving)
}

func TestSimilarWithTraitsThatDiffer(t *testing.T) {
	s := similarOf(5000)
	s.learn(tickets, "transfer 20 from Alice to Bob", "to Bob", keyAt(0), time.Time{})
	for _, text := range []string{
		"transfer 30 from Alice to Bob",
		"transfer 20 from Bob to Alice",
		"do not transfer 20 from Alice to Bob",
	} {
		assert.Equal(t, match{partition: tickets}, s.look(tickets, text), text)
	}
	assert.Equal(t, "to Bob", s.look(tickets, "please transfer 20 from Alice to Bob").label)
}

func TestSimilarIsConcurrent(t *testing.T) {
	s := similarOf(100)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			p := partition{hash: [32]byte{byte(worker % 3)}}
			for i := range 300 {
				s.converse(p, i, 1, asIs)
				if v, ok := s.serve(s.look(p, "subjectc trouble, case new")); ok && v.label != "label 2" {
					t.Error("label:", v.label)
				}
				s.forget(keyAt(i / 2))
				s.stats()
			}
		})
	}
	group.Wait()
	questions := 0
	for _, stats := range s.stats() {
		questions += stats.Questions
	}
	assert.Equal(t, s.texts.Len(), questions)
}

// With less room the oldest questions are forgotten at once.
func TestSimilarResize(t *testing.T) {
	s := similarOf(10)
	for i := range 10 {
		s.learn(tickets, fmt.Sprint("a certain question ", i), "where", keyAt(i), time.Time{})
	}
	s.resize(3)
	assert.Equal(t, []key{keyAt(7), keyAt(8), keyAt(9)}, s.texts.Keys())
	s.resize(4)
	for i := range 2 {
		s.learn(tickets, fmt.Sprint("another question ", i), "where", keyAt(10+i), time.Time{})
	}
	assert.Equal(t, []key{keyAt(8), keyAt(9), keyAt(10), keyAt(11)}, s.texts.Keys())
}
