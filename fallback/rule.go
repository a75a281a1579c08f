package fallback

import (
	"regexp"
	"slices"

	"github.com/sparekey/sparekey/policy"
)

// A rule is a compiled [policy.Rule].
type rule struct {
	name    string
	answer  policy.Answer
	summary int // sentences
	group
}

// A group holds if all of all do, at least one of any if there are some, and
// none of none.
type group struct {
	all, any, none []test
}

// A test is a compiled [policy.Condition].
type test struct {
	kind  kind
	words int // number in the word table
	regex *regexp.Regexp
	fact  int // number among the facts
	bounds
	group group
}

// A kind says which of a test's fields counts. Tests that are cheap to ask come first,
// as they do in a list.
type kind int

const (
	byWords kind = iota
	byField
	byGroup
	byRegex
)

// compile takes rules that passed [check].
func (f *Fallback) compile(rules []policy.Rule) {
	f.words.init()
	f.regexText = regexText(rules)
	for _, r := range rules {
		r.Document = slices.Clone(r.Document)
		f.rules = append(f.rules, rule{
			name:    r.Name,
			answer:  r.Answer,
			summary: r.Summary,
			group:   f.compileGroup(r.All, r.Any, r.None),
		})
	}
	f.words.link()
}

func (f *Fallback) compileGroup(all, any, none []policy.Condition) group {
	return group{all: f.compileList(all), any: f.compileList(any), none: f.compileList(none)}
}

func (f *Fallback) compileList(list []policy.Condition) []test {
	var tests []test
	for _, c := range list {
		tests = append(tests, f.compileTest(c))
	}
	slices.SortStableFunc(tests, func(a, b test) int { return int(a.kind) - int(b.kind) })
	return tests
}

func (f *Fallback) compileTest(c policy.Condition) test {
	switch {
	case len(c.Words) > 0:
		return test{kind: byWords, words: f.words.add(c.Words)}
	case c.Regex != "":
		return test{kind: byRegex, regex: regexp.MustCompile(c.Regex)}
	case c.Field != "":
		return test{kind: byField, fact: f.facts.number(c.Field), bounds: boundsOf(c)}
	}
	return test{kind: byGroup, group: f.compileGroup(c.All, c.Any, c.None)}
}

// A truth is what is known about a condition, in Kleene's three-valued logic: "and" is
// the least of truths, "or" the greatest, and "not" the negative of one.
type truth int

const (
	no    truth = iota - 1
	maybe       // a regular expression must tell
	yes
)

// matches reports whether the rule holds. Regular expressions are matched only if the
// rest does not decide that.
func (r *rule) matches(e *evaluation) bool {
	e.regexes = false
	t := r.holds(e)
	if t == maybe {
		e.regexes = true
		t = r.holds(e)
	}
	return t == yes
}

func (g *group) holds(e *evaluation) truth {
	t := yes
	for i := range g.all {
		if t = min(t, g.all[i].holds(e)); t == no {
			return no
		}
	}
	for i := range g.none {
		if t = min(t, -g.none[i].holds(e)); t == no {
			return no
		}
	}
	if len(g.any) == 0 {
		return t
	}
	best := no
	for i := range g.any {
		if best = max(best, g.any[i].holds(e)); best == yes {
			break
		}
	}
	return min(t, best)
}

func (t *test) holds(e *evaluation) truth {
	switch t.kind {
	case byWords:
		return truthOf(e.found().has(t.words))
	case byField:
		return truthOf(t.hold(&e.values()[t.fact]))
	case byGroup:
		return t.group.holds(e)
	}
	if !e.regexes {
		return maybe
	}
	return truthOf(e.hasText && t.regex.MatchString(e.text))
}

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// reply returns the answer of a rule that matches. It reports false if there is
// nothing to sum up.
func (r *rule) reply(in *input) (policy.Answer, bool) {
	if r.summary == 0 {
		return r.answer, true
	}
	answer := r.answer
	answer.Label = summary(in.text, r.summary)
	return answer, answer.Label != ""
}
