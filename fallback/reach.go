package fallback

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
)

// A reach finds rules that can never answer. It compares conditions as they are
// written, up to case, order and punctuation; it does not know what regular
// expressions mean, nor that one range of a field is within another.
type reach struct {
	rules []shape
	all   bool // whether all rules that match answer, so that none hides another
}

// A shape is what a rule asks for: one of each set of wanted, and none of
// unwanted.
type shape struct {
	index    int
	name     string
	wanted   []set
	unwanted set
}

// A set holds phrases, regular expressions, tests of fields and groups.
type set map[string]bool

// A reachability says whether a rule can ever answer.
type reachability int

const (
	reachable reachability = iota
	ruledOut               // by the rule's own None
	shadowed               // by an earlier rule
)

// add takes the next rule. It returns the earlier rule that shadows it, if one
// does.
func (r *reach) add(index int, rule policy.Rule) (shape, reachability) {
	s := shapeOf(rule)
	s.index, s.name = index, rule.Name
	if slices.ContainsFunc(s.wanted, s.unwanted.covers) {
		return shape{}, ruledOut
	}
	for _, earlier := range r.rules {
		if !r.all && earlier.covers(s) {
			return earlier, shadowed
		}
	}
	if rule.Summary == 0 || s.hasText() { // else it may match an input without text, and have nothing to sum up
		r.rules = append(r.rules, s)
	}
	return shape{}, reachable
}

// hasText reports whether what meets s has a text, since it has one of some phrases.
func (s shape) hasText() bool {
	return slices.ContainsFunc(s.wanted, func(wanted set) bool {
		for member := range wanted {
			if !strings.HasPrefix(member, "words ") {
				return false
			}
		}
		return true
	})
}

func shapeOf(rule policy.Rule) shape {
	s := shape{unwanted: setOf(rule.None...)}
	for _, condition := range rule.All {
		s.wanted = append(s.wanted, setOf(condition))
	}
	if len(rule.Any) > 0 {
		s.wanted = append(s.wanted, setOf(rule.Any...))
	}
	return s
}

// setOf returns what meets at least one of the conditions.
func setOf(list ...policy.Condition) set {
	s := make(set)
	for _, c := range list {
		switch {
		case len(c.Words) > 0:
			for _, word := range c.Words {
				s["words "+phrase(word)] = true
			}
		case c.Regex != "":
			s["regex "+c.Regex] = true
		case c.Field != "":
			s[fieldTest(c)] = true
		default:
			s[groupText(c)] = true
		}
	}
	return s
}

// fieldTest writes a test of a field so that equal ones are the same text.
func fieldTest(c policy.Condition) string {
	b := boundsOf(c)
	in := make([]string, len(b.in))
	for i, v := range b.in {
		in[i] = fmt.Sprintf("%#v", v)
	}
	slices.Sort(in)
	return fmt.Sprintf("field %q %q %#v %v %v %v %v", c.Field, in, b.ne, b.lt, b.le, b.gt, b.ge)
}

// groupText is fieldTest for a group.
func groupText(c policy.Condition) string {
	var b strings.Builder
	for _, list := range [][]policy.Condition{c.All, c.Any, c.None} {
		var items []string
		for _, inner := range list {
			members := make([]string, 0, 1)
			for member := range setOf(inner) {
				members = append(members, member)
			}
			slices.Sort(members)
			items = append(items, fmt.Sprintf("%q", members))
		}
		slices.Sort(items)
		fmt.Fprintf(&b, "group %q", items)
	}
	return b.String()
}

// covers reports whether every text that meets later meets s.
func (s shape) covers(later shape) bool {
	if !later.unwanted.covers(s.unwanted) {
		return false
	}
	for _, wanted := range s.wanted {
		if !slices.ContainsFunc(later.wanted, wanted.covers) {
			return false
		}
	}
	return true
}

// covers reports whether other is a part of s.
func (s set) covers(other set) bool {
	for member := range other {
		if !s[member] {
			return false
		}
	}
	return true
}
