package fallback

import (
	"fmt"
	"slices"

	"github.com/sparekey/sparekey/policy"
)

// A reach finds rules that can never answer. It compares conditions as they are
// written, up to case, order and punctuation; it does not know what regular
// expressions mean.
type reach struct {
	rules []shape
}

// A shape is what a rule asks for: one of each set of wanted, and none of
// unwanted.
type shape struct {
	where    string
	wanted   []set
	unwanted set
}

// A set holds phrases and regular expressions.
type set map[string]bool

// add takes the next rule and says why it can never answer, or "" if it may.
func (r *reach) add(index int, rule policy.Rule) string {
	s := shapeOf(rule)
	s.where = fmt.Sprintf("Rules[%d] %q", index, rule.Name)
	if slices.ContainsFunc(s.wanted, s.unwanted.covers) {
		return "None rules out all that it asks for; remove what both have"
	}
	for _, earlier := range r.rules {
		if earlier.covers(s) {
			return fmt.Sprintf("%s matches whenever it would; remove it, or move it before that one", earlier.where)
		}
	}
	r.rules = append(r.rules, s)
	return ""
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
	for _, condition := range list {
		if condition.Regex != "" {
			s["regex "+condition.Regex] = true
		}
		for _, word := range condition.Words {
			s["words "+phrase(word)] = true
		}
	}
	return s
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
