package fallback

import (
	"regexp"

	"github.com/sparekey/sparekey/policy"
)

// A rule is a compiled [policy.Rule].
type rule struct {
	name           string
	answer         policy.Answer
	all, any, none conditions
}

// conditions are one list of a rule, cheap ones apart from dear ones.
type conditions struct {
	words   []int // numbers in the word table
	regexes []*regexp.Regexp
}

// compile takes rules that passed [check].
func (f *Fallback) compile(rules []policy.Rule) {
	f.words.init()
	for _, r := range rules {
		f.rules = append(f.rules, rule{
			name:   r.Name,
			answer: r.Answer,
			all:    f.compileList(r.All),
			any:    f.compileList(r.Any),
			none:   f.compileList(r.None),
		})
	}
	f.words.link()
}

func (f *Fallback) compileList(list []policy.Condition) conditions {
	var c conditions
	for _, condition := range list {
		if condition.Regex != "" {
			c.regexes = append(c.regexes, regexp.MustCompile(condition.Regex))
			continue
		}
		c.words = append(c.words, f.words.add(condition.Words))
	}
	return c
}

// matches decides by the word conditions that were found as far as that goes,
// and asks regular expressions only then.
func (r *rule) matches(found bits, text string) bool {
	if !found.hasAll(r.all.words) || found.hasAny(r.none.words) {
		return false
	}
	anyHolds := r.any.empty() || found.hasAny(r.any.words)
	if !anyHolds && len(r.any.regexes) == 0 {
		return false
	}
	return allMatch(r.all.regexes, text) &&
		(anyHolds || anyMatches(r.any.regexes, text)) &&
		!anyMatches(r.none.regexes, text)
}

func (c conditions) empty() bool { return len(c.words) == 0 && len(c.regexes) == 0 }

func allMatch(list []*regexp.Regexp, text string) bool {
	for _, regex := range list {
		if !regex.MatchString(text) {
			return false
		}
	}
	return true
}

func anyMatches(list []*regexp.Regexp, text string) bool {
	for _, regex := range list {
		if regex.MatchString(text) {
			return true
		}
	}
	return false
}
