package fallback

import "github.com/sparekey/sparekey/policy"

// A Problem is something wrong with settings that are part of others.
type Problem struct {
	// Path leads to the setting: "Rules[0].Any[1].Words". "" is the whole.
	Path string

	// Err says what is wrong, and where.
	Err error

	// From has the paths of settings that say what this one may be, such as
	// MaxConfidence: the mistake may be there.
	From []string
}

// Check returns everything that is wrong with the settings of a fallback, but for what
// [policy.Fallback.CheckLadder] reports. It is for files of which they are a part: spell
// returns how such a file spells the name of a field, which it is given as in Go.
func Check(cfg policy.Fallback, spell func(name string) string) []Problem {
	cfg = cfg.WithDefaults()
	var problems []Problem
	for _, p := range check(cfg, spell) {
		problems = append(problems, Problem{p.at(), p.text(spell), p.from})
	}
	return problems
}
