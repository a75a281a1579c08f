package fallback

import (
	"errors"
	"unicode/utf8"

	"github.com/sparekey/sparekey/policy"
)

// How much of a text is looked at, in bytes.
const (
	maxText      = 64 << 10
	maxRegexText = 4 << 10
)

// A Fallback answers by rules. It is made by [New], does not change and is safe
// for concurrent use.
type Fallback struct {
	words  wordTable
	rules  []rule
	static *policy.Answer
	codec  policy.Codec
	ladder *Ladder // of the rungs that there are here
}

// New compiles the rules of cfg, which it does not keep. It reports everything
// that is wrong with them in one error, a line for each problem. Wrong are, too,
// a rung that does not exist, a confidence above MaxConfidence, a rule that can never answer, more than 64
// rules, and a regular expression of more than 1 KiB.
func New(cfg policy.Fallback) (*Fallback, error) {
	cfg = cfg.WithDefaults()
	if err := errors.Join(cfg.CheckLadder(), check(cfg)); err != nil {
		return nil, err
	}
	if err := checkCodec(cfg); err != nil {
		return nil, err
	}
	f := &Fallback{codec: cfg.Codec}
	if cfg.Static != nil {
		static := *cfg.Static
		f.static = &static
	}
	f.compile(cfg.Rules)
	f.ladder = f.newLadder(cfg)
	return f, nil
}

// Answer returns the answer for text: that of the first rule that matches, with
// the rule's name, else the static one with the name "". It reports false if
// there is neither.
func (f *Fallback) Answer(text string) (answer policy.Answer, rule string, ok bool) {
	text = cut(text, maxText)
	var room [4]uint64 // on the stack; enough for 256 conditions
	found := bits(room[:])
	if f.words.conditions > len(room)*64 {
		found = newBits(f.words.conditions)
	}
	f.words.scan(text, found)
	regexText := cut(text, maxRegexText)
	for i := range f.rules {
		if r := &f.rules[i]; r.matches(found, regexText) {
			return r.answer, r.name, true
		}
	}
	return f.lastResort()
}

// lastResort is the answer that does not depend on a text.
func (f *Fallback) lastResort() (answer policy.Answer, rule string, ok bool) {
	if f.static == nil {
		return policy.Answer{}, "", false
	}
	return *f.static, "", true
}

// cut returns the longest beginning of text that has at most n bytes and does
// not end inside a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			return text[:i]
		}
	}
	return text[:n] // no UTF-8
}
