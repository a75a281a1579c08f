package outage

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/policy"
)

func TestOwnRules(t *testing.T) {
	d, err := loadData(t.Context(), options{seed: 1})
	require.NoError(t, err)
	rules := rulesFor(d)
	var labels []string
	for _, rule := range rules {
		labels = append(labels, rule.Label)
	}
	assert.ElementsMatch(t, labelsOf(d.train), labels)
	right, answered := rate(t, rules, d.ask)
	assert.Greater(t, answered, 0.5, "share of the questions that a rule answers")
	assert.Greater(t, right, 0.7, "share of those that it answers right")
}

func TestMine(t *testing.T) {
	d, err := loadData(t.Context(), options{seed: 1})
	require.NoError(t, err)
	d.own = false
	rules := rulesFor(d)
	assert.Equal(t, rules, mine(d.train), "mined again")
	for _, rule := range rules {
		assert.LessOrEqual(t, len(rule.Any[0].Words), ruleWords)
	}
	right, answered := rate(t, rules, d.ask)
	assert.Greater(t, answered, 0.5)
	assert.Greater(t, right, 0.7)
}

func TestMineKeepsThePurest(t *testing.T) {
	var rows []dataset.Row
	add := func(n int, label, text string) {
		for range n {
			rows = append(rows, dataset.Row{Text: text, Label: label})
		}
	}
	for i := range maxRules {
		add(minSupport, fmt.Sprint("label ", i), fmt.Sprint("word", i))
	}
	add(3, "impure", "fuzzy")
	add(1, "label 1", "fuzzy")
	add(minSupport-1, "rare", "seldom")
	rules := mine(rows)
	require.Len(t, rules, maxRules)
	for _, rule := range rules {
		assert.NotContains(t, []string{"impure", "rare"}, rule.Label)
	}
	_, err := fallback.New(policy.Fallback{Rules: rules})
	assert.NoError(t, err)
}

// What is a letter to Unicode need not be one to a rule.
func TestMineForeignTexts(t *testing.T) {
	var rows []dataset.Row
	for range minSupport {
		rows = append(rows,
			dataset.Row{Text: "пʼять ʼ ʼ don't l’été", Label: "mixed"},
			dataset.Row{Text: "退款 환불을 ___ ½ ٣ e\u0301te\u0301 İ ſ", Label: "more"},
			dataset.Row{Text: "!!! …", Label: "no words"})
	}
	rules := mine(rows)
	assert.Len(t, rules, 2)
	_, err := fallback.New(policy.Fallback{Rules: rules})
	assert.NoError(t, err)
}

// rate returns how often the rules are right where they answer, and how often
// they answer.
func rate(t *testing.T, rules []policy.Rule, rows []dataset.Row) (right, answered float64) {
	t.Helper()
	require.LessOrEqual(t, len(rules), maxRules)
	f, err := fallback.New(policy.Fallback{Rules: rules})
	require.NoError(t, err)
	hits, rights := 0, 0
	for _, row := range rows {
		if answer, _, ok := f.Answer(row.Text); ok {
			hits++
			if answer.Label == row.Label {
				rights++
			}
		}
	}
	return ratio(rights, hits), ratio(hits, len(rows))
}
