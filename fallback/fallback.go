package fallback

import (
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/sparekey/sparekey/policy"
)

// maxText is how much of a text the words of rules are looked for in, in bytes.
const maxText = 64 << 10

// A Fallback answers by rules. It is made by [New], does not change and is safe
// for concurrent use.
type Fallback struct {
	words     wordTable
	facts     facts
	rules     []rule
	matchAll  bool
	regexText int // how many bytes of a text regular expressions see
	static    *policy.Answer
	codec     policy.Codec
	ladder    *Ladder // of the rungs [policy.RungRules] and [policy.RungStatic]; nil if it has neither
}

// New compiles the rules of cfg, which it does not keep. It reports everything
// that is wrong with them in one error, a line for each problem, of which there are
// 50 at most: what the package comment calls an error or a bound, a confidence above
// MaxConfidence, a label that Labels does not have, a rule that can never answer,
// and a rung that does not exist.
func New(cfg policy.Fallback) (*Fallback, error) {
	cfg = cfg.WithDefaults()
	if err := errors.Join(cfg.CheckLadder(), joined(check(cfg, asInGo))); err != nil {
		return nil, err
	}
	if err := checkCodec(cfg); err != nil {
		return nil, err
	}
	f := &Fallback{codec: cfg.Codec, matchAll: cfg.Match == policy.MatchAll}
	if cfg.Static != nil {
		static := *cfg.Static
		static.Document = slices.Clone(static.Document)
		if f.matchAll && static.Document == nil {
			static.Document = tagsOf(static)
		}
		f.static = &static
	}
	f.compile(cfg.Rules)
	f.ladder = f.newLadder(cfg)
	return f, nil
}

// Answer returns the answer for text: that of the first rule that matches, with
// the rule's name, else the static one with the name "". It reports false if
// there is neither. Where all that match answer, the answer's Document is their
// list, Label and Confidence are those of the first, and the name is all their
// names with a "+" between them.
func (f *Fallback) Answer(text string) (answer policy.Answer, rule string, ok bool) {
	return f.answerTo(input{text: text, hasText: true})
}

// AnswerData is [Fallback.Answer] for a value in JSON such as the member "data"
// of a request: a text, a row or an image in a data URI.
func (f *Fallback) AnswerData(data []byte) (answer policy.Answer, rule string, ok bool) {
	return f.answerTo(dataInput(data))
}

func (f *Fallback) answerTo(in input) (answer policy.Answer, rule string, ok bool) {
	if answer, rule, ok = f.byRules(&in); ok {
		return answer, rule, true
	}
	answer, ok = f.staticAnswer()
	return answer, "", ok
}

// byRules is the answer of the rules alone.
func (f *Fallback) byRules(in *input) (answer policy.Answer, rule string, ok bool) {
	var e evaluation
	if !f.prepare(in, &e) {
		return policy.Answer{}, "", false
	}
	if f.matchAll {
		return f.collect(in, &e)
	}
	for i := range f.rules {
		r := &f.rules[i]
		if !r.matches(&e) {
			continue
		}
		if answer, ok := r.reply(in); ok {
			return answer, r.name, true
		}
	}
	return policy.Answer{}, "", false
}

// staticAnswer is the answer that does not depend on the input, if there is one.
func (f *Fallback) staticAnswer() (answer policy.Answer, ok bool) {
	if f.static == nil {
		return policy.Answer{}, false
	}
	return *f.static, true
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
