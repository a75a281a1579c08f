package fallback

import (
	"fmt"

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
	problems := check(cfg.WithDefaults(), config.Key)
	if err := located(problems, source); err != nil {
		return policy.Fallback{}, err
	}
	if err := cfg.CheckLadder(); err != nil {
		return policy.Fallback{}, fmt.Errorf("%s: %w", name, err)
	}
	return cfg, nil
}
