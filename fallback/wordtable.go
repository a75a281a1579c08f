package fallback

// A wordTable finds the words and phrases of all conditions in one pass over a
// text. It is the automaton of Aho and Corasick (1975) with words in the place
// of characters: each state stands for the beginning of some phrases.
type wordTable struct {
	numbers    map[string]int32 // of the words that occur in phrases
	states     []state          // the first is the one where no phrase has begun
	longest    int              // bytes of the longest word
	conditions int
}

type state struct {
	next map[int32]int32 // by the next word's number
	fail int32           // the state of the longest phrase that begins later in this one
	met  bits            // the conditions that hold here
}

func (t *wordTable) init() {
	t.numbers = make(map[string]int32)
	t.states = make([]state, 1)
}

// add returns the number of a new condition, which holds for texts that have
// one of the phrases.
func (t *wordTable) add(phrases []string) int {
	condition := t.conditions
	t.conditions++
	for _, phrase := range phrases {
		at := int32(0)
		for _, word := range split(phrase) {
			at = t.grow(at, t.number(word))
		}
		t.states[at].met = t.states[at].met.with(condition)
	}
	return condition
}

// number returns the number of word.
func (t *wordTable) number(word string) int32 {
	number, ok := t.numbers[word]
	if !ok {
		number = int32(len(t.numbers))
		t.numbers[word] = number
		t.longest = max(t.longest, len(word))
	}
	return number
}

// grow returns the state to which a word leads, making it if need be.
func (t *wordTable) grow(from, word int32) int32 {
	if to, ok := t.states[from].next[word]; ok {
		return to
	}
	to := int32(len(t.states))
	t.states = append(t.states, state{})
	if t.states[from].next == nil {
		t.states[from].next = make(map[int32]int32)
	}
	t.states[from].next[word] = to
	return to
}

// link completes the table once all phrases are in.
func (t *wordTable) link() {
	queue := []int32{0} // by length of phrase, so that fail is always done
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		for word, to := range t.states[from].next {
			if from != 0 {
				t.states[to].fail = t.step(t.states[from].fail, word)
			}
			s := &t.states[to]
			s.met = s.met.union(t.states[s.fail].met)
			queue = append(queue, to)
		}
	}
}

// step returns the state that follows from when a word of the table comes.
func (t *wordTable) step(from, word int32) int32 {
	for {
		s := &t.states[from]
		if to, ok := s.next[word]; ok {
			return to
		}
		if from == 0 {
			return 0
		}
		from = s.fail
	}
}

// advance returns the state that follows from at when word comes, and adds the
// conditions that hold there to found, which has room for all.
func (t *wordTable) advance(at int32, word []byte, found bits) int32 {
	number, ok := t.numbers[string(word)]
	if !ok {
		return 0
	}
	at = t.step(at, number)
	found.add(t.states[at].met)
	return at
}
