package fallback

import "github.com/sparekey/sparekey/policy"

// A Problem is something wrong with settings that are part of others.
type Problem struct {
	// Path leads to the setting: "Rules[0].Any[1].Words". "" is the whole.
	Path string

	// Err says what is wrong, and where.
	Err error

	// From are the paths of other settings of which it may be the fault: those that
	// say what this one may be.
	From []string
}

// Check returns everything that is wrong with the settings of a fallback, as [New]
// does, for a file of which they are a part. The names of fields are spelled as
// spell says.
func Check(cfg policy.Fallback, spell func(name string) string) []Problem {
	cfg = cfg.WithDefaults()
	var problems []Problem
	for _, p := range check(cfg, spell) {
		problems = append(problems, Problem{p.at(), p.text(spell), p.from})
	}
	return problems
}
