package fallback_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/config/configtest"
)

var update = flag.Bool("update", false, "write the errors that come now into testdata/broken.txt")

// TestBroken goes through files of rules that are wrong in one way or more each.
func TestBroken(t *testing.T) {
	configtest.Broken(t, "testdata/broken.txt", 30, *update, func(t *testing.T, text string) error {
		cfg, err := fallback.ParseYAML("rules.yaml", []byte(text))
		assert.Zero(t, cfg)
		return err
	})
}

// TestLaterRulesChangeNothing: which rules come after the first that matches, and
// in what order, makes no difference to the answer.
func TestLaterRulesChangeNothing(t *testing.T) {
	matched := 0
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		cfg := policy.Fallback{Rules: pairRules(random, 20)}
		text := strings.Join(someLetters(random), " ")
		answer, rule, ok := mustNew(t, cfg).Answer(text)
		at := slices.IndexFunc(cfg.Rules, func(r policy.Rule) bool { return r.Name == rule })
		require.Equal(t, ok, at >= 0)
		if !ok {
			continue
		}
		matched++
		later := cfg.Rules[at+1:]
		for range 5 {
			random.Shuffle(len(later), func(i, j int) { later[i], later[j] = later[j], later[i] })
			sameAnswer, sameRule, _ := mustNew(t, cfg).Answer(text)
			require.Equal(t, answer, sameAnswer)
			require.Equal(t, rule, sameRule)
		}
	}
	assert.Greater(t, matched, 100)
}

const letters = "abcdefghijkl"

// pairRules returns rules each of which asks for two letters, no two for the same.
func pairRules(random *rand.Rand, n int) []policy.Rule {
	var rules []policy.Rule
	for i := range letters {
		for j := range i {
			rules = append(rules, policy.Rule{
				Name:   letters[i:i+1] + letters[j:j+1],
				All:    []policy.Condition{words(letters[i : i+1]), words(letters[j : j+1])},
				Answer: policy.Answer{Label: fmt.Sprint(i, " and ", j)},
			})
		}
	}
	random.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
	return rules[:n]
}

func someLetters(random *rand.Rand) []string {
	some := make([]string, 1+random.IntN(6))
	for i := range some {
		at := random.IntN(len(letters))
		some[i] = letters[at : at+1]
	}
	return some
}
