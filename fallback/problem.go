package fallback

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/sparekey/sparekey/policy/config"
)

// A problem is something wrong with the settings.
type problem struct {
	head string   // the field of policy.Fallback it is in, such as "Rules[0]", or ""
	rule string   // the name of the rule, if it has one
	path string   // where in the head it is, such as "Any[1].Words", or ""
	err  error    // what is wrong: goes on where the path ends
	from []string // the whole paths of settings that this one was checked against
}

// A name is one of a setting in the text of a problem, spelled as in Go.
type name string

// names is several of them.
func names(list ...string) []any {
	args := make([]any, len(list))
	for i, n := range list {
		args[i] = name(n)
	}
	return args
}

// at returns the whole path.
func (p problem) at() string {
	if p.head == "" || p.path == "" {
		return p.head + p.path
	}
	return p.head + "." + p.path
}

// text returns the problem as a sentence, with its path spelled as spell does.
func (p problem) text(spell func(string) string) error {
	var b strings.Builder
	b.WriteString(spell(p.head))
	if p.rule != "" {
		fmt.Fprintf(&b, " %q", p.rule)
	}
	inRule := strings.Contains(p.head, "[") || p.path != ""
	if p.head != "" && inRule {
		b.WriteString(": ")
	}
	b.WriteString(spell(p.path))
	if b.Len() == 0 || p.path == "" && inRule || strings.HasPrefix(p.err.Error(), ":") {
		return fmt.Errorf("%s%w", &b, p.err)
	}
	return fmt.Errorf("%s %w", &b, p.err)
}

// asInGo spells a name for who sets it in Go; [config.Key] does for a file.
func asInGo(name string) string { return name }

// maxProblems is how many are reported. Of more, most have one reason.
const maxProblems = 50

// joined returns one error with the first problems, a line each, in the names of
// Go.
func joined(problems []problem) error {
	var errs []error
	for _, p := range problems[:min(len(problems), maxProblems)] {
		errs = append(errs, fmt.Errorf("fallback: %w", p.text(asInGo)))
	}
	if more := len(problems) - maxProblems; more > 0 {
		errs = append(errs, fmt.Errorf("fallback: %d more problems", more))
	}
	return errors.Join(errs...)
}

// located is joined for a file: in its names, with its lines and columns.
func located(problems []problem, source *config.Source) error {
	errs := source.Errors()
	for _, p := range problems {
		at := cmp.Or(p.at(), "Rules") // where what is missing as a whole would stand
		if err := source.Error(at, p.text(config.Key), p.from...); err != nil {
			errs = append(errs, err)
		}
	}
	more := len(errs) - maxProblems
	if more <= 0 {
		return config.Join(errs...)
	}
	errs = config.Sorted(errs)
	return errors.Join(config.Join(errs[:maxProblems]...), fmt.Errorf("%s: %d more problems", errs[0].Name, more))
}
