package fallback_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

func all(c ...policy.Condition) policy.Condition   { return policy.Condition{All: c} }
func anyOf(c ...policy.Condition) policy.Condition { return policy.Condition{Any: c} }
func none(c ...policy.Condition) policy.Condition  { return policy.Condition{None: c} }

func TestAnswerGroups(t *testing.T) {
	const text = "refund my lost card, invoice INV-123456"
	yes, no := words("refund"), words("newsletter")
	yesRegex, noRegex := regex(`INV-\d{6}`), regex(`^never$`)
	tests := []struct {
		name      string
		condition policy.Condition
		want      bool
	}{
		{"all", all(yes, yesRegex), true},
		{"not all", all(yes, noRegex), false},
		{"any", anyOf(no, yesRegex), true},
		{"not any", anyOf(no, noRegex), false},
		{"none", none(no, noRegex), true},
		{"not none", none(no, yesRegex), false},
		{"all three", policy.Condition{All: list(yes), Any: list(no, yesRegex), None: list(noRegex)}, true},
		{"not all three", policy.Condition{All: list(yes), Any: list(no, yesRegex), None: list(yesRegex)}, false},
		{"none of none", none(none(yesRegex)), true},
		{"four deep", anyOf(no, all(yes, none(anyOf(noRegex, no)))), true},
		{"an expression of all decides", all(all(noRegex), all(yes)), false},
		{"an expression of none decides", none(all(yesRegex), all(no)), false},
		{"an expression of any decides", anyOf(all(yesRegex), all(no)), true},
		{"an expression decides beside any", policy.Condition{All: list(all(noRegex)), Any: list(all(yes))}, false},
		{"with a field", all(yes, eq("text.words", 7)), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for where, rule := range map[string]policy.Rule{
				"All": {All: list(tt.condition)},
				"Any": {Any: list(tt.condition)},
			} {
				rule.Name, rule.Answer = "r", hit
				_, _, got := mustNew(t, rules(rule)).Answer(text)
				assert.Equal(t, tt.want, got, where)
			}
			unless := policy.Rule{Name: "r", All: list(yes), None: list(tt.condition), Answer: hit}
			_, _, got := mustNew(t, rules(unless)).Answer(text)
			assert.Equal(t, !tt.want, got, "None")
		})
	}
}

func TestAnswerAll(t *testing.T) {
	rule := func(name, label string, confidence float64, c policy.Condition) policy.Rule {
		return policy.Rule{Name: name, Any: list(c), Answer: policy.Answer{Label: label, Confidence: confidence}}
	}
	cfg := rules(
		rule("refunds", "billing", 0.3, words("refund")),
		rule("cards", "<cards>", 0.4, words("card")),
		rule("invoices", "billing", 0.5, words("invoice", "refund")),
		rule("money", "billing", 0.1, words("refund")), // the first does not hide it
	)
	cfg.Match = policy.MatchAll
	cfg.Static = &policy.Answer{Label: "general", Confidence: 0.2}
	f := mustNew(t, cfg)
	tests := []struct {
		text, rule, label string
		confidence        float64
		document          string
	}{
		{"a refund", "refunds+invoices+money", "billing", 0.5, `[{"labelName":"billing","confidence":0.5}]`},
		{
			"card, invoice", "cards+invoices", "<cards>", 0.4,
			`[{"labelName":"<cards>","confidence":0.4},{"labelName":"billing","confidence":0.5}]`,
		},
		{"hello", "", "general", 0.2, `[{"labelName":"general","confidence":0.2}]`},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			answer, rule, ok := f.Answer(tt.text)
			require.True(t, ok)
			assert.Equal(t, tt.rule, rule)
			assert.Equal(t, tt.label, answer.Label)
			assert.Equal(t, tt.confidence, answer.Confidence)
			assert.Equal(t, tt.document, string(answer.Document))
		})
	}
	cfg.Static.Document = []byte(`[{"labelName":"a"},{"labelName":"b"}]`)
	answer, _, _ := mustNew(t, cfg).Answer("hello")
	assert.Equal(t, *cfg.Static, answer, "a list of several stays")
	cfg.Static = nil
	_, _, ok := mustNew(t, cfg).Answer("hello")
	assert.False(t, ok, "no tags is not known to be right")
}

// A whole document is handed on as it is.
func TestAnswerDocument(t *testing.T) {
	document := []byte(`{"predictions": []}`)
	cfg := rules(policy.Rule{Name: "r", All: list(words("card")), Answer: policy.Answer{Document: document, Confidence: 0.1}})
	cfg.Static = &policy.Answer{Document: []byte(`[]`)}
	answer, _, _ := mustNew(t, cfg).Answer("card")
	assert.Equal(t, cfg.Rules[0].Answer, answer)
	answer, _, _ = mustNew(t, cfg).Answer("")
	assert.Equal(t, *cfg.Static, answer)
}

// Expressions see less of a text the longer they are together, so that a text
// takes a bounded number of steps.
func TestAnswerRegexBudget(t *testing.T) {
	for _, n := range []int{1, 4, 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var cfg policy.Fallback
			for i := range n {
				rule := policy.Rule{Name: fmt.Sprint(i), All: list(regex(fmt.Sprintf("x{120}%d", i))), Answer: hit}
				cfg.Rules = append(cfg.Rules, rule)
			}
			cfg.Rules = append(cfg.Rules, policy.Rule{Name: "end", All: list(regex("!$")), Answer: hit})
			f := mustNew(t, cfg)
			seen := 0
			for size := 1; size <= 5000; size++ {
				text := make([]byte, size)
				for i := range text {
					text[i] = ' '
				}
				text[size-1] = '!'
				if _, _, ok := f.Answer(string(text)); !ok {
					break
				}
				seen = size
			}
			instructions := n*125 + 4 // about, more than there are
			assert.LessOrEqual(t, seen, 4096)
			assert.LessOrEqual(t, seen*n*122, 5<<17)
			assert.GreaterOrEqual(t, seen, min(4096, 5<<17/instructions))
		})
	}
}
