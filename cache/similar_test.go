package cache

import (
	"encoding/binary"
	"fmt"
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
