package fallback

import "github.com/sparekey/sparekey/policy/words"

// An evaluation is what is known of one input while the rules are asked about it.
type evaluation struct {
	text      string // as far as the words of rules are looked for, then as far as regular expressions see it
	hasText   bool   // there is one, "" perhaps
	words     int    // how many the text has
	sentiment sentiment

	regexes bool // regular expressions are matched; if not, whether they hold is maybe

	// The word conditions that hold, and the values of the facts, by number: in the
	// rooms, without the heap, if there are up to 256 conditions and 16 facts.
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

// prepare fills e with what the rules ask about in. It reports false if in has nothing
// that rules can be about.
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
	e.text, e.hasText = cut(in.text, maxText), in.hasText
	f.read(e)
	f.facts.fill(in, e)
	e.text = cut(e.text, f.regexText)
	return true
}

// read goes over the words of the text once, for all that the rules ask about them.
func (f *Fallback) read(e *evaluation) {
	counts, sentiment := f.facts.needs.counts, f.facts.needs.sentiment
	if f.words.conditions == 0 && !counts && !sentiment {
		return
	}
	var room [64]byte // on the stack; longer words of rules cost an allocation
	s := words.Scanner{Text: e.text, Max: f.words.longest}
	if sentiment {
		s.Max = max(s.Max, longestOfLexicon)
	}
	at, found := int32(0), e.found()
	for word := s.Next(room[:0]); len(word) > 0; word = s.Next(word) {
		e.words++
		at = f.words.advance(at, word, found)
		if sentiment {
			e.sentiment.add(word)
		}
	}
}
