package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/config"
)

type settings struct {
	Name     string
	MaxCount int
	Share    float64
	Off      bool
	Words    []string
	Items    []item
	Best     *item
	Value    any
	Document json.RawMessage
	Hook     func()
	Sink     fmt.Stringer
	item
}

// An item may have others, as deep as you like.
type item struct {
	Label string
	Items []item
}

// decode returns what was read, and what was wrong.
func decode(text string) (settings, string) {
	var s settings
	err := config.Join(config.Decode("f.yaml", []byte(text), &s).Errors()...)
	if err != nil {
		return s, err.Error()
	}
	return s, ""
}

func TestDecode(t *testing.T) {
	tests := []struct {
		name, text string
		want       settings
	}{
		{"fields", "name: a\nmax_count: 3\nshare: 0.5\noff: true", settings{Name: "a", MaxCount: 3, Share: 0.5, Off: true}},
		{"a whole number for a fraction", "share: 1", settings{Share: 1}},
		{"other notations", "max_count: 0x1F\nshare: 1e3", settings{MaxCount: 31, Share: 1000}},
		{"a text is as it is written", "name: 007", settings{Name: "007"}},
		{"no is a text", "words: [no, yes, 1.0, true]", settings{Words: []string{"no", "yes", "1.0", "true"}}},
		{"a block", "name: |\n  a\n  b\n", settings{Name: "a\nb\n"}},
		{
			"structs", "items: [{label: a}, {items: [{label: b}]}]",
			settings{Items: []item{{Label: "a"}, {Items: []item{{Label: "b"}}}}},
		},
		{"a pointer", "best: {label: a}", settings{Best: &item{Label: "a"}}},
		{"any text", "value: no", settings{Value: "no"}},
		{"any date", "value: 2026-01-31", settings{Value: "2026-01-31"}},
		{"any number", "value: 5", settings{Value: 5}},
		{"any large number", "value: 1e300", settings{Value: 1e300}},
		{"any boolean", "value: false", settings{Value: false}},
		{"an embedded field", "label: a", settings{item: item{Label: "a"}}},
		{"an alias", "name: &a x\nwords: [*a, *a]", settings{Name: "x", Words: []string{"x", "x"}}},
		{
			"a document", "document: {b: [1.50, 1_000, 0x10, ~, true, \"<\\n\", 2026-01-31], a: {}}",
			settings{Document: json.RawMessage(`{"b":[1.50,1000,16,null,true,"<\n","2026-01-31"],"a":{}}`)},
		},
		{"no document", "document: null", settings{}},
		{"a document that was forgotten", "document:\nname: a", settings{Name: "a"}},
		{"a document is any value", "document: x", settings{Document: json.RawMessage(`"x"`)}},
		{"a document is a list", "document: []", settings{Document: json.RawMessage(`[]`)}},
		{"an empty list", "words: []", settings{Words: []string{}}},
		{"JSON", `{"name": "\u00e9\/", "share": 2.5E-1}`, settings{Name: "é/", Share: 0.25}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, wrong := decode(tt.text)
			assert.Empty(t, wrong)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown key", "nam: a", `f.yaml:1:1: has the unknown key "nam"; did you mean name?`},
		{"unknown key of an item", "items:\n  - labl: a", `f.yaml:2:5: items[0]: has the unknown key "labl"; did you mean label?`},
		{"unlike any key", "best: {zzz: a}", `f.yaml:1:8: best: has the unknown key "zzz"; known are items, label`},
		{"case counts", "Name: a", `f.yaml:1:1: has the unknown key "Name"; did you mean name?`},
		{"a function", "hook: a", `f.yaml:1:1: has the unknown key "hook"; known are best, document, items, label, max_count, name, off, share, value, words`},
		{"an interface", "sink: a", `f.yaml:1:1: has the unknown key "sink"; known are best, document, items, label, max_count, name, off, share, value, words`},
		{"a key twice", "name: a\nshare: 1\nname: b", `f.yaml:3:1: has the key name twice, first in line 1`},
		{"a merge key", "best: &a {label: x}\nitems: [{<<: *a}]", `f.yaml:2:10: items[0]: has a merge key, which is not supported; write the keys out`},
		{"a list for a key", "[a]: b", `f.yaml:1:1: has a list for a key`},
		{"a text for a number", "max_count: many", `f.yaml:1:12: max_count: is a text, want a whole number`},
		{"a quoted number", `share: "1"`, `f.yaml:1:8: share: is a text, want a number`},
		{"a fraction for a whole number", "max_count: 1.5", `f.yaml:1:12: max_count: is 1.5, want a whole number`},
		{"too large a number", "max_count: 99999999999999999999", `f.yaml:1:12: max_count: is 99999999999999999999, want a whole number`},
		{"a text for a boolean", "off: 'true'", `f.yaml:1:6: off: is a text, want true or false`},
		{"nothing", "name:", `f.yaml:1:6: name: is empty, want a text`},
		{"a list for a text", "name: [a]", `f.yaml:1:7: name: is a list, want a text`},
		{"a text for a list", "words: a", `f.yaml:1:8: words: is a text, want a list`},
		{"a mapping for a list", "items: {label: a}", `f.yaml:1:8: items: is a mapping, want a list`},
		{"a list for a mapping", "best: [a]", `f.yaml:1:7: best: is a list, want keys with values`},
		{"a list for any", "value: [a]", `f.yaml:1:8: value: is a list, want a text, a number or a boolean`},
		{"a number that JSON has not", "document: {a: [.inf]}", `f.yaml:1:16: document: has .inf, which JSON has no value for`},
		{"an octal number for any", "value: 010", `f.yaml:1:8: value: is 010, want a text, a number or a boolean`},
		{"no finite number for any", "value: -.inf", `f.yaml:1:8: value: is -.inf, want a text, a number or a boolean`},
		{"an octal number in a document", "document: {zip: 01234}", `f.yaml:1:17: document: has 01234, which JSON has no value for`},
		{"a key twice in a document", "document: {a: 1, a: 2}", `f.yaml:1:18: document: has a key that JSON has no place for; keys are texts, each there once`},
		{"all at once, in order", "share: x\noff: y\noffs: z", "f.yaml:1:8: share: is a text, want a number\n" +
			"f.yaml:2:6: off: is a text, want true or false\nf.yaml:3:1: has the unknown key \"offs\"; did you mean off?"},

		{"broken YAML", "name: [a\nb: c", `f.yaml:2:2: while parsing a flow sequence: did not find expected ',' or ']'`},
		{"an unknown anchor", "name: *a", `f.yaml:1:7: refers to an anchor that is not there; a text that begins with * stands in quotes`},
		{"no text", "\x00", `f.yaml:1:1: has the control character U+0000; in a text between quotes it can be written as \x00`},
		{"nothing at all", "", `f.yaml: no documents in stream`},
		{"a comment only", "# a", `f.yaml: no documents in stream`},
		{"two documents", "name: a\n---\nname: b", `f.yaml: expected single document, found multiple`},
		{"too long", strings.Repeat(" ", 1<<20+1), `f.yaml: has more than 1048576 bytes`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, wrong := decode(tt.text)
			assert.Equal(t, tt.want, wrong)
		})
	}
}

// Aliases may neither blow up nor go round in circles.
func TestDecodeBounds(t *testing.T) {
	laughs := "document:\n  - &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		alias := fmt.Sprintf("*a%d", i)
		laughs += fmt.Sprintf("  - &a%d [%s]\n", i+1, strings.Join([]string{alias, alias, alias, alias, alias, alias, alias, alias, alias, alias}, ", "))
	}
	structs := "best: &a0 {label: x}\nitems:\n"
	for i := range 9 {
		alias := fmt.Sprintf("*a%d", i)
		structs += fmt.Sprintf("  - &a%d {items: [%s]}\n", i+1, strings.Join([]string{alias, alias, alias, alias, alias, alias, alias, alias, alias, alias}, ", "))
	}
	for name, text := range map[string]string{
		"a billion values":      laughs,
		"a billion structs":     structs,
		"a circle of documents": "document: &a [*a]",
		"a circle of structs":   "items: &a [{items: *a}]",
		"deep lists":            "document: " + strings.Repeat("[", 100) + strings.Repeat("]", 100),
	} {
		t.Run(name, func(t *testing.T) {
			_, wrong := decode(text)
			assert.Contains(t, wrong, "is too much: a file has at most 50000 values in at most 32 levels")
			assert.NotContains(t, wrong, "\n", "reported once")
		})
	}
}

func TestSourceError(t *testing.T) {
	const text = `
items:
  - label: a
    items: [{label: b}]
  - lable: c
  - items: x
`
	var s settings
	source := config.Decode("f.yaml", []byte(text), &s)
	require.Len(t, source.Errors(), 2)
	why := errors.New("why")
	tests := []struct{ path, want string }{
		{"Items[0].Label", "f.yaml:3:12: why"},
		{"Items[0].Items[0].Label", "f.yaml:4:21: why"},
		{"Items[0].Missing", "f.yaml:3:5: why"},
		{"Items[7].Label", "f.yaml:3:3: why"},
		{"Items", ""},          // has things in it that were not understood
		{"Items[1].Label", ""}, // may be what was meant
		{"Items[1]", ""},
		{"Items[2].Items", ""},
		{"Items[2].Items[0].Label", ""},
		{"Items[2].Label", "f.yaml:6:5: why"},
		{"MaxCount", "f.yaml:2:1: why"},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			err := source.Error(tt.path, why)
			if tt.want == "" {
				assert.Nil(t, err)
				return
			}
			require.NotNil(t, err)
			assert.EqualError(t, err, tt.want)
			assert.ErrorIs(t, config.Join(err), why)
		})
	}
	assert.NoError(t, config.Join())
}

func TestKey(t *testing.T) {
	for name, want := range map[string]string{
		"Name": "name", "MaxConfidence": "max_confidence", "TTL": "ttl", "Rules[0].MaxText": "rules[0].max_text", "": "",
	} {
		assert.Equal(t, want, config.Key(name))
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"words", "regex", "field"}
	for name, want := range map[string]string{
		"word": "; did you mean words?", "wrods": "; did you mean words?", "REGEX": "; did you mean regex?",
		"x": "; known are words, regex, field", "regular": "; known are words, regex, field",
	} {
		assert.Equal(t, want, config.Suggest(name, known), name)
	}
	assert.Equal(t, "; did you mean le?", config.Suggest("el", []string{"words", "le"}), "swapped letters count once")
	assert.Equal(t, "; did you mean team-ab?", config.Suggest("team-ba", []string{"team-xy", "team-ab"}), "swapped after what both begin with")
	assert.Equal(t, "; did you mean aab?", config.Suggest("ab", []string{"aab"}), "one of both begins with the other's beginning")
	assert.Equal(t, "; did you mean account_ids?", config.Suggest("account_id", []string{"account_ids"}))
	assert.Equal(t, "; did you mean abcdef?", config.Suggest("badcef", []string{"abcdef"}), "two swaps")
	assert.Equal(t, "; known are abcdef", config.Suggest("badcfe", []string{"abcdef"}), "three swaps")
	assert.Empty(t, config.Suggest("a", nil))
	assert.Empty(t, config.Suggest("zzz", strings.Split("abcdefghijklmnopqrstuvwxyz", "")))
}

// Without a lookup there are no references.
func TestDecodeNoReferences(t *testing.T) {
	var into struct{ Text string }
	source := config.Decode("f.yaml", []byte("text: a $${b} ${c"), &into)
	assert.Empty(t, source.Errors())
	assert.Equal(t, "a $${b} ${c", into.Text)
}
