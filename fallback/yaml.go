package fallback

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/config"
)

// ParseYAML reads the settings of a fallback from a YAML file, whose name is for
// errors. The keys are the names of the fields of [policy.Fallback] in lower case
// with underscores. It checks all that [New] does, and reports everything that is
// wrong in one error, a line for each problem, with its line and column; of more
// than 50 it reports the first, and how many more there are.
func ParseYAML(name string, data []byte) (policy.Fallback, error) {
	var cfg policy.Fallback
	source := config.Decode(name, data, &cfg)
	problems := append(check(cfg.WithDefaults(), config.Key), ladderProblems(cfg)...)
	if err := located(problems, source); err != nil {
		return policy.Fallback{}, err
	}
	return cfg, nil
}

// ladderProblems returns what is wrong with Rungs and Fidelity, as [policy.Fallback.CheckLadder]
// finds it.
func ladderProblems(cfg policy.Fallback) []problem {
	all, ok := cfg.CheckLadder().(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var problems []problem
	for _, err := range all.Unwrap() {
		if setting, ok := errors.AsType[*policy.SettingError](err); ok {
			path := strings.TrimPrefix(setting.Path, "Fallback.")
			problems = append(problems, problem{path: path, err: fmt.Errorf("is %s, want %s", setting.Value, setting.Want)})
		}
	}
	return problems
}
