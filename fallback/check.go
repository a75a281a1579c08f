package fallback

import (
	"errors"
	"fmt"
	"regexp/syntax"

	"github.com/sparekey/sparekey/policy"
)

// Bounds of what is compiled.
const (
	maxRules   = 64
	maxRegex   = 1 << 10 // bytes
	maxProgram = 2 << 10 // instructions of a compiled regular expression
)

// check reports everything that is wrong with cfg, whose defaults are filled.
func check(cfg policy.Fallback) error {
	c := checker{max: cfg.MaxConfidence, index: make(map[string]int)}
	if len(cfg.Rules) == 0 && cfg.Static == nil {
		c.report("fallback: neither Rules nor Static is set; set one of them, or leave the fallback out")
	}
	if !inUnit(cfg.MaxConfidence) {
		c.report("fallback: MaxConfidence is %v, want 0 to 1", cfg.MaxConfidence)
		c.max = 1 // one report is enough
	}
	if n := len(cfg.Rules); n > maxRules {
		c.report("fallback: Rules has %d rules, want at most %d; join those that have the same answer", n, maxRules)
	}
	for i, rule := range cfg.Rules {
		c.rule(i, rule)
	}
	if cfg.Static != nil {
		c.answer("fallback: Static", *cfg.Static)
	}
	return errors.Join(c.errs...)
}

// A checker collects what is wrong.
type checker struct {
	max   float64 // confidence
	index map[string]int
	reach reach
	errs  []error
}

func (c *checker) report(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

func (c *checker) rule(i int, rule policy.Rule) {
	where := fmt.Sprintf("fallback: Rules[%d]", i)
	if rule.Name == "" {
		c.report("%s: Name is empty; traces and errors need it", where)
	} else {
		where = fmt.Sprintf("%s %q", where, rule.Name)
		if first, taken := c.index[rule.Name]; taken {
			c.report("%s: Name is also that of Rules[%d]; choose another", where, first)
		} else {
			c.index[rule.Name] = i
		}
	}
	before := len(c.errs)
	if len(rule.All) == 0 && len(rule.Any) == 0 {
		c.report("%s: All and Any are empty; set one of them, or make this the Static answer", where)
	}
	c.conditions(where, "All", rule.All)
	c.conditions(where, "Any", rule.Any)
	c.conditions(where, "None", rule.None)
	if len(c.errs) == before { // its conditions can be compared with others
		if why := c.reach.add(i, rule); why != "" {
			c.report("%s: never answers, since %s", where, why)
		}
	}
	c.answer(where, rule.Answer)
}

func (c *checker) conditions(where, field string, list []policy.Condition) {
	for i, condition := range list {
		c.condition(fmt.Sprintf("%s: %s[%d]", where, field, i), condition)
	}
}

func (c *checker) condition(where string, condition policy.Condition) {
	hasWords, hasRegex := len(condition.Words) > 0, condition.Regex != ""
	switch {
	case hasWords && hasRegex:
		c.report("%s has both Words and Regex; make it two conditions", where)
	case !hasWords && !hasRegex:
		c.report("%s has neither Words nor Regex; set one of them", where)
	}
	for i, word := range condition.Words {
		if phrase(word) == "" {
			c.report("%s.Words[%d] is %q, which has no letter and no digit; remove it, or use a Regex", where, i, word)
		}
	}
	if hasRegex {
		c.regex(where+".Regex", condition.Regex)
	}
}

// regex bounds the program, too: a match takes time in proportion to it, and
// counted repetitions make long programs of short expressions.
func (c *checker) regex(where, pattern string) {
	if n := len(pattern); n > maxRegex {
		c.report("%s has %d bytes, want at most %d; use Words, or make it several conditions", where, n, maxRegex)
		return
	}
	n, err := programSize(pattern)
	switch {
	case err != nil:
		c.report("%s: %w; its syntax is that of Go's package regexp", where, err)
	case n > maxProgram:
		c.report("%s compiles to %d instructions, want at most %d; lower its repetition counts", where, n, maxProgram)
	}
}

// programSize compiles pattern as package regexp does and returns the number of
// instructions.
func programSize(pattern string) (int, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	return len(program.Inst), nil
}

func (c *checker) answer(where string, answer policy.Answer) {
	if answer.Label == "" {
		c.report("%s: Label is empty; name the label to answer with", where)
	}
	switch {
	case !inUnit(answer.Confidence):
		c.report("%s: Confidence is %v, want 0 to 1", where, answer.Confidence)
	case answer.Confidence > c.max:
		c.report("%s: Confidence %v is above MaxConfidence %v; lower it, or raise MaxConfidence", where, answer.Confidence, c.max)
	}
}

// inUnit is false for a NaN, too.
func inUnit(x float64) bool { return x >= 0 && x <= 1 }
