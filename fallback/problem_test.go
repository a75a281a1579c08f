package fallback_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
)

// TestProblemsAreBounded: however much is wrong, the error can be read.
func TestProblemsAreBounded(t *testing.T) {
	text := strings.Repeat("?", 8<<10) // has no word
	file := "static: {label: a}\nrules:\n"
	var rules []policy.Rule
	for i := range 70 {
		file += fmt.Sprintf("  - {name: r%d, label: a, unknown: 1, any: [{words: ['%s']}]}\n", i, text)
		rules = append(rules, policy.Rule{Name: fmt.Sprint("r", i), Any: list(words(text)), Answer: policy.Answer{Label: "a"}})
	}
	_, err := fallback.New(policy.Fallback{Rules: rules})
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 51)
	assert.Contains(t, lines[0], "Rules has 70 rules")
	assert.Contains(t, lines[1], `Rules[0] "r0": Any[0].Words[0] is "???`)
	assert.Equal(t, "fallback: 15 more problems", lines[50])
	assert.Less(t, len(err.Error()), 32<<10)

	_, err = fallback.ParseYAML("rules.yaml", []byte(file))
	require.Error(t, err)
	lines = strings.Split(err.Error(), "\n")
	require.Len(t, lines, 51)
	assert.Contains(t, lines[0], "rules.yaml:3:")
	assert.Contains(t, lines[49], "rules.yaml:27:", "two for each rule, in the order of the file")
	assert.Regexp(t, `^rules.yaml: \d+ more problems$`, lines[50])
	assert.Less(t, len(err.Error()), 32<<10)
}

// Of exactly as many as are told none is left out.
func TestProblemsThatFit(t *testing.T) {
	var rules []policy.Rule
	file := "rules:\n"
	for i := range 50 {
		file += fmt.Sprintf("  - {name: r%d, label: a, any: [{words: ['?']}]}\n", i)
		rules = append(rules, policy.Rule{Name: fmt.Sprint("r", i), Any: list(words("?")), Answer: policy.Answer{Label: "a"}})
	}
	_, err := fallback.New(policy.Fallback{Rules: rules})
	require.Error(t, err)
	assert.Len(t, strings.Split(err.Error(), "\n"), 50)
	assert.NotContains(t, err.Error(), "more problems")
	_, err = fallback.ParseYAML("rules.yaml", []byte(file))
	require.Error(t, err)
	assert.Len(t, strings.Split(err.Error(), "\n"), 50)
}

// A file may be one line, as JSON is: those told are its first ones all the same.
func TestProblemsOfOneLine(t *testing.T) {
	file := "{static: {label: a}, rules: ["
	for i := range 40 {
		file += fmt.Sprintf("{name: r%d, label: a, unknown: 1, any: [{words: ['?']}]}, ", i)
	}
	_, err := fallback.ParseYAML("f", []byte(file+"]}"))
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 51)
	for i, line := range lines[:50] {
		assert.Contains(t, line, fmt.Sprintf("rules[%d]", i/2))
	}
	assert.Equal(t, "f: 30 more problems", lines[50])
}
