package cache

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	// minSimilarity is the Jaccard index below which two texts are not alike.
	minSimilarity = 0.5

	// maxOrdered is how many content words two texts may have for their order to
	// count.
	maxOrdered = 24

	// maxNear is how many of the texts that are most alike are kept in view,
	// maxNeighbours of how many the labels must agree.
	maxNear       = 16
	maxNeighbours = 5

	// margin is how much more alike the nearest must be than the nearest with
	// another label.
	margin = 0.1

	// maxVisits bounds how many entries of the index are read for one text. The
	// oldest texts with its most frequent words are not seen then.
	maxVisits = 20_000
)

// An index finds the texts that are most alike to another, by the Jaccard index of their
// content words: how many are in both of those that are in either, 0 to 1.
type index struct {
	texts []*knownText       // by slot; nil if that is free
	free  []int32            // slots
	slots map[uint64][]int32 // of the texts that have a word, the latest text last
}

// A knownText is a question that was answered. It does not change once it is in an index.
type knownText struct {
	key    key
	slot   int32    // its place in the index
	size   int      // how many different content words it has
	hash   uint64   // of the text as it is spelled
	words  []uint64 // hashes of its content words in their order
	label  string
	asked  time.Time
	traits traits
}

// add takes in t, whose slot it sets.
func (x *index) add(t *knownText) {
	if n := len(x.free); n > 0 {
		t.slot = x.free[n-1]
		x.free = x.free[:n-1]
		x.texts[t.slot] = t
	} else {
		t.slot = int32(len(x.texts))
		x.texts = append(x.texts, t)
	}
	for i, word := range t.words {
		if !slices.Contains(t.words[:i], word) {
			x.slots[word] = append(x.slots[word], t.slot)
			t.size++
		}
	}
}

// remove forgets t.
func (x *index) remove(t *knownText) {
	for _, word := range t.words {
		slots := x.slots[word]
		if i := slices.Index(slots, t.slot); i >= 0 {
			slots = slices.Delete(slots, i, i+1)
		}
		if len(slots) == 0 {
			delete(x.slots, word)
		} else {
			x.slots[word] = slots
		}
	}
	x.texts[t.slot] = nil
	x.free = append(x.free, t.slot)
}

// A neighbour is a text that is like another.
type neighbour struct {
	*knownText
	similarity float64
}

// before reports whether n is nearer than other, or as near and later.
func (n neighbour) before(other neighbour) bool {
	return n.similarity > other.similarity || n.similarity == other.similarity && n.asked.After(other.asked)
}

// A finder is a search and the memory that it takes, to be used again.
type finder struct {
	q      sketch
	lists  [][]int32 // of the texts that have a word of q, the shortest list first
	shared []uint16  // by slot: how many words the text and q share
	seen   []int32   // the slots where shared is not zero
	near   []neighbour
}

var finders = sync.Pool{New: func() any { return new(finder) }}

// release gives the room back. No word that was asked for is left in it, and nothing of
// what was found, which may be purged before the room is used again.
func (f *finder) release() {
	clear(f.q.room[:cap(f.q.room)])
	clear(f.near[:cap(f.near)])
	finders.Put(f)
}

// find sets near to the texts of x that are most alike to q, the most alike and
// then the latest first. It reports whether q itself is one of the texts.
func (f *finder) find(x *index) (known bool) {
	f.count(x)
	f.near = f.near[:0]
	for _, slot := range slices.Backward(f.seen) { // mostly the latest first, which saves moves
		t := x.texts[slot]
		shared := int(f.shared[slot])
		f.shared[slot] = 0
		if t.hash == f.q.text {
			known = true
			continue
		}
		if similarity := float64(shared) / float64(len(f.q.unique)+t.size-shared); similarity >= minSimilarity {
			f.keep(neighbour{t, similarity})
		}
	}
	return known
}

// count finds out how many words each text shares with q. A text that is alike
// enough has one of the rarest words of q, so that the lists of the others need
// not be searched for texts not yet seen.
func (f *finder) count(x *index) {
	f.lists = f.lists[:0]
	for _, word := range f.q.unique {
		if slots := x.slots[word]; len(slots) > 0 {
			f.lists = append(f.lists, slots)
		}
	}
	slices.SortFunc(f.lists, func(a, b []int32) int { return cmp.Compare(len(a), len(b)) })
	if missing := len(x.texts) - len(f.shared); missing > 0 {
		f.shared = append(f.shared, make([]uint16, missing)...)
	}
	f.seen = f.seen[:0]
	visits := maxVisits
	// A text must share at least this many words with q.
	least := int(math.Ceil(minSimilarity * float64(len(f.q.unique))))
	for i, slots := range f.lists {
		slots = slots[max(0, len(slots)-visits/(len(f.lists)-i)):] // lists have equal shares of what is left
		visits -= len(slots)
		for _, slot := range slots {
			switch {
			case f.shared[slot] > 0:
				f.shared[slot]++
			case len(f.lists)-i >= least:
				f.shared[slot] = 1
				f.seen = append(f.seen, slot)
			}
		}
	}
}

// keep puts n in its place among the nearest, if it is one of them.
func (f *finder) keep(n neighbour) {
	if len(f.near) == maxNear {
		if last := f.near[maxNear-1]; !n.before(last) {
			return
		}
		f.near = f.near[:maxNear-1]
	}
	at := len(f.near)
	for at > 0 && n.before(f.near[at-1]) {
		at--
	}
	f.near = slices.Insert(f.near, at, n)
}

// conflict reports whether q asks for something else than t, however alike their
// words are.
func (f *finder) conflict(t *knownText) bool {
	return f.q.conflict(t.traits) || reversed(f.q.words, t.words)
}

// reversed reports whether two words follow each other in a only one way around
// and in b only the other, as in "from Rome to Paris" and "from Paris to Rome".
// Long texts are not compared: it says little about them.
func reversed(a, b []uint64) bool {
	if len(a) > maxOrdered || len(b) > maxOrdered {
		return false
	}
	for i := 1; i < len(a); i++ {
		x, y := a[i-1], a[i]
		if adjacent(b, y, x) && !adjacent(b, x, y) && !adjacent(a, y, x) {
			return true
		}
	}
	return false
}

// adjacent reports whether second comes right after first.
func adjacent(words []uint64, first, second uint64) bool {
	for i := 1; i < len(words); i++ {
		if words[i-1] == first && words[i] == second {
			return true
		}
	}
	return false
}

// neighbours returns the nearest texts that ask for nothing else than q.
func (f *finder) neighbours() []neighbour {
	return slices.DeleteFunc(f.near, func(n neighbour) bool { return f.conflict(n.knownText) })
}

// agreement returns the thresholds under which the label of the first neighbour,
// which is the nearest, would be the answer: that of all that count, and with no
// other close behind.
func agreement(neighbours []neighbour) thresholdSet {
	label, nearest := neighbours[0].label, neighbours[0].similarity
	rank := slices.IndexFunc(neighbours, func(n neighbour) bool { return n.label != label })
	rival := 0.0
	if rank >= 0 {
		rival = neighbours[rank].similarity
	}
	if nearest-rival < margin {
		return 0
	}
	counts := rank >= 0 && rank < maxNeighbours
	var agreed thresholdSet
	for i, threshold := range thresholds {
		if nearest >= threshold && !(counts && rival >= threshold) {
			agreed |= 1 << i
		}
	}
	return agreed
}
