package config_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/sparekey/sparekey/policy/config"
)

// However a secret is written, alone or in a list or a mapping in braces, on one line or
// on many, no line of it is shown.
func TestExcerptOfAnyForm(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		data, err := yaml.Marshal(anyForm(r, 4, false, false))
		require.NoError(t, err)
		text := string(data)
		if r.IntN(2) == 0 {
			text = strings.ReplaceAll(text, ", name", ",\n                name")
		}
		var p plain
		source := config.Decode("f.yaml", []byte(text), &p)
		for line := range strings.Count(text, "\n") {
			shown := source.Excerpt(&config.Error{Line: line + 1, Column: 1})
			require.NotContains(t, shown, "hunter", "seed %d: of\n%s", seed, text)
		}
	}
}

// anyForm returns a value in some form. A secret's is no mapping without braces, whose
// keys say themselves what is a secret.
func anyForm(r *rand.Rand, depth int, secret, inBraces bool) *yaml.Node {
	inBraces = inBraces || secret && r.IntN(2) == 0
	node := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	switch kind := r.IntN(4); {
	case depth == 0 || kind == 0 || secret && !inBraces:
		return anyText(r, secret)
	case kind == 1:
		node.Kind, node.Tag = yaml.SequenceNode, "!!seq"
	}
	if inBraces = inBraces || r.IntN(3) == 0; inBraces {
		node.Style = yaml.FlowStyle
	}
	for i := range 1 + r.IntN(3) {
		isSecret := secret
		if node.Kind == yaml.MappingNode {
			key := fmt.Sprintf("name%d", i)
			if r.IntN(3) == 0 {
				key, isSecret = fmt.Sprintf("token%d", i), true
			}
			node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key})
		}
		node.Content = append(node.Content, anyForm(r, depth-1, isSecret, inBraces))
	}
	return node
}

func anyText(r *rand.Rand, secret bool) *yaml.Node {
	text := "text"
	if secret {
		text = []string{
			"hunter", "hunter: x", "x, hunter", "it's hunter", "x\nhunter", "x\ny: hunter\nz", `"hunter"`, "[hunter", "x} hunter",
			"x # hunter", "x: y\n\nhunter", strings.Repeat("many words ", 12) + "hunter",
		}[r.IntN(12)]
	}
	styles := []yaml.Style{0, yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle, yaml.LiteralStyle, yaml.FoldedStyle}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Style: styles[r.IntN(len(styles))]}
}
