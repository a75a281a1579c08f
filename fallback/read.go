package fallback

import "github.com/sparekey/sparekey/policy/words"

// An evaluation is what is known of one input.
type evaluation struct {
	text  string // as far as it is looked at
	words int    // how many the text has
	mood  mood

	regexes bool // whether regular expressions are asked, or left open

	// The word conditions that hold and the values of the facts, by number. The
	// rooms make do without the heap for up to 256 conditions and 16 facts.
	bitRoom    [4]uint64
	moreBits   bits
	valueRoom  [16]value
	moreValues []value
}

func (e *evaluation) found() bits {
	if e.moreBits != nil {
		return e.moreBits
	}
	return e.bitRoom[:]
}

func (e *evaluation) values() []value {
	if e.moreValues != nil {
		return e.moreValues
	}
	return e.valueRoom[:]
}

// prepare finds out about in what the rules ask for. It reports false if there
// is nothing that rules can be about.
func (f *Fallback) prepare(in *input, e *evaluation) bool {
	if !in.hasText && !in.hasFields() {
		return false
	}
	if f.words.conditions > len(e.bitRoom)*64 {
		e.moreBits = newBits(f.words.conditions)
	}
	if len(f.facts.names) > len(e.valueRoom) {
		e.moreValues = make([]value, len(f.facts.names))
	}
	e.text = cut(in.text, maxText)
	f.read(e)
	f.facts.fill(in, e)
	e.text = cut(e.text, f.regexText)
	return true
}

// read is the one pass over the words of a text.
func (f *Fallback) read(e *evaluation) {
	counts, moody := f.facts.what.counts, f.facts.what.moody
	if f.words.conditions == 0 && !counts && !moody {
		return
	}
	var room [64]byte // on the stack; longer words of rules cost an allocation
	s := words.Scanner{Text: e.text, Max: f.words.longest}
	if moody {
		s.Max = max(s.Max, longestOfLexicon)
	}
	at, found := int32(0), e.found()
	for word := s.Next(room[:0]); len(word) > 0; word = s.Next(word) {
		e.words++
		at = f.words.advance(at, word, found)
		if moody {
			e.mood.add(word)
		}
	}
}
