package cache

import (
	"crypto/sha256"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/sparekey/sparekey/policy"
)

// maxPartitions bounds the partitions that are kept: of more, those that learnt
// nothing for the longest are forgotten, with all that was found out about them.
const maxPartitions = 512

// meanWords is how many content words the texts may have on average: those of
// longer ones are fewer.
const meanWords = 16

// A partition is all of a request that must be equal before texts are compared:
// whose it is, the endpoint, function, model, query and the rest of the body.
type partition struct {
	hash     [sha256.Size]byte
	function string // its name, for operators; the hash tells it too
}

// similar answers questions with the answers to much alike ones, once it has seen
// that this is right often enough. It is safe for concurrent use.
//
// What was found out about one partition counts for no other, not even one of
// the same function: traffic differs from caller to caller, so that the accuracy
// of one says nothing certain about another, and nobody can lower the bar for
// others by asking easy questions. Within one, the bounds take questions to be
// independent of each other: a burst of near copies makes them look surer.
//
// For each live answer, in this order: look, compare, learn. In an outage: look,
// serve. No text is kept, only hashes of its words.
type similar struct {
	cfg policy.Similar

	mu         sync.RWMutex
	maxTexts   int                                        // guarded by mu
	partitions *simplelru.LRU[partition, *partitionState] // guarded by mu
	texts      *simplelru.LRU[key, place]                 // guarded by mu
	words      int                                        // of all texts; guarded by mu
}

// A partitionState is what is known about one partition: its texts, and how often the
// answers to similar ones were right.
type partitionState struct {
	index
	calibration
}

// A place is where a text is found again by its key.
type place struct {
	partition partition
	text      *knownText
}

// newSimilar returns a similar that knows nothing yet and keeps up to maxTexts
// questions, one at least. The settings have their defaults.
func newSimilar(cfg policy.Similar, maxTexts int) *similar {
	s := &similar{cfg: cfg, maxTexts: maxTexts}
	s.partitions = newLRU[partition, *partitionState](maxPartitions)
	s.texts = newLRU[key, place](math.MaxInt) // maxTexts bounds it
	return s
}

// resize has s keep up to maxTexts questions from now on, one at least.
func (s *similar) resize(maxTexts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxTexts = maxTexts
	s.makeRoomLocked(0, 0)
}

// makeRoomLocked forgets the oldest questions until there is room for some more, of so
// many words.
func (s *similar) makeRoomLocked(texts, words int) {
	for s.texts.Len()+texts > s.maxTexts || s.words+words > max(meanWords*s.maxTexts, maxWords) {
		oldest, _, _ := s.texts.GetOldest()
		s.forgetLocked(oldest)
	}
}

// A match is what looking for a text came to. Its zero value is that nothing is
// alike.
type match struct {
	partition  partition
	known      bool         // the text itself was asked earlier
	given      thresholdSet // the thresholds under which the label would be the answer
	key        key          // of the text that is most alike
	label      string
	similarity float64
	asked      time.Time
}

// look finds the earlier questions of p that are most like text. Who finds that the
// store no longer has the answer forgets its key and looks again.
func (s *similar) look(p partition, text string) match {
	f := finders.Get().(*finder)
	defer f.release()
	m := match{partition: p}
	if !f.q.read(text) {
		return m
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.partitions.Peek(p)
	if !ok {
		return m
	}
	m.known = f.find(&a.index)
	neighbours := f.neighbours()
	if len(neighbours) == 0 {
		return m
	}
	nearest := neighbours[0]
	m.key, m.label, m.similarity, m.asked = nearest.key, nearest.label, nearest.similarity, nearest.asked
	m.given = agreement(neighbours)
	return m
}

// learn remembers what the service answered to the text of a request with key k.
func (s *similar) learn(p partition, text, label string, k key, now time.Time) {
	f := finders.Get().(*finder)
	defer f.release()
	ok := f.q.read(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked(k)
	if !ok {
		return
	}
	s.makeRoomLocked(1, len(f.q.words))
	t := &knownText{
		key:    k,
		hash:   f.q.text,
		words:  slices.Clone(f.q.words),
		traits: f.q.traits,
		label:  strings.Clone(label),
		asked:  now,
	}
	s.stateLocked(p).index.add(t)
	s.texts.Add(k, place{p, t})
	s.words += len(t.words)
}

// stateLocked returns the state of p, which it makes if need be.
func (s *similar) stateLocked(p partition) *partitionState {
	if a, ok := s.partitions.Get(p); ok {
		return a
	}
	if s.partitions.Len() == maxPartitions {
		_, oldest, _ := s.partitions.RemoveOldest()
		for _, t := range oldest.texts {
			if t != nil {
				s.texts.Remove(t.key)
				s.words -= len(t.words)
			}
		}
	}
	a := &partitionState{
		index:       index{slots: make(map[uint64][]int32)},
		calibration: calibration{target: s.cfg.Target},
	}
	s.partitions.Add(p, a)
	return a
}

// forget forgets the question with key k, if it is known.
func (s *similar) forget(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked(k)
}

func (s *similar) forgetLocked(k key) {
	if old, ok := s.texts.Peek(k); ok {
		s.texts.Remove(k)
		s.words -= len(old.text.words)
		a, _ := s.partitions.Peek(old.partition)
		a.remove(old.text)
	}
}

// compare takes down how m, which was found before the service was asked, compares
// with the label that the service gave. A text that is known is no evidence: its
// own earlier answer would be given for it.
func (s *similar) compare(m match, label string) {
	if m.known {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.partitions.Peek(m.partition); ok {
		a.calibration.add(comparison{given: m.given, right: m.label == label})
	}
}

// A verdict is an answer for want of a live one.
type verdict struct {
	label      string
	similarity float64
	accuracy   float64 // the share of such answers that were right
	samples    int     // of how many
	confidence float64 // what the answer may claim
}

// serve returns the answer that m stands for. It reports false if such answers
// were not shown to be right often enough.
func (s *similar) serve(m match) (verdict, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.partitions.Peek(m.partition)
	if !ok {
		return verdict{}, false
	}
	best, ok := a.best()
	if !ok || !m.given.has(best) {
		return verdict{}, false
	}
	accuracy := a.accuracy(best)
	return verdict{
		label: m.label, similarity: m.similarity,
		accuracy: accuracy, samples: a.all.given[best], confidence: min(accuracy, s.cfg.MaxConfidence),
	}, true
}
