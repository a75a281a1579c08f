package config_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/config"
)

// FuzzDecode must come to an end, and give a document only if it is JSON.
func FuzzDecode(f *testing.F) {
	f.Add("name: &a x\nwords: [*a, 1]\nitems: [{label: a}, {items: []}]\nbest: {}\nvalue: 1.5")
	f.Add("document: {a: [1_000, .inf, ~, <<: x], \"\\x00\": 'b'}")
	f.Add("document: &a [*a, {*a : b}]")
	f.Add("items: &a [{items: *a}]")
	f.Fuzz(func(t *testing.T, text string) {
		var s settings
		source := config.Decode("f.yaml", []byte(text), &s)
		for _, err := range source.Errors() {
			require.NotEmpty(t, err.Error())
		}
		if s.Document != nil {
			require.True(t, json.Valid(s.Document), "%s", s.Document)
		}
	})
}
