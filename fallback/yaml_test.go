package fallback_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/config"
)

const everything = `
rungs: [rules, static]
fidelity: {share: 0.1}
match: first
max_confidence: 0.6
labels: [billing, general]
rules:
  - name: refunds
    any:
      - words: [refund, charged twice, 404]
      - regex: '\bINV-\d{6}\b'
    none:
      - words: [newsletter]
    label: billing
    confidence: 0.55
  - name: short
    all:
      - {field: text.length, lt: 40, ge: 1.5}
      - {field: country, in: [DE, NO, 7, true], ne: AT}
      - {field: vip, eq: true, exists: true}
      - any:
          - words: [hello]
          - none: [{field: age, gt: 18, le: 99}]
    document: {labelName: general, confidence: 0.10}
  - name: long
    all: [{field: text, exists: true}]
    summary: 2
static: {label: general, confidence: 0.2}
`

func TestParseYAML(t *testing.T) {
	cfg, err := fallback.ParseYAML("rules.yaml", []byte(everything))
	require.NoError(t, err)
	assert.Equal(t, policy.Fallback{
		Rungs:         []string{"rules", "static"},
		Fidelity:      policy.Fidelity{Share: 0.1},
		Match:         policy.MatchFirst,
		MaxConfidence: 0.6,
		Labels:        []string{"billing", "general"},
		Rules: []policy.Rule{
			{
				Name:   "refunds",
				Any:    list(words("refund", "charged twice", "404"), regex(`\bINV-\d{6}\b`)),
				None:   list(words("newsletter")),
				Answer: policy.Answer{Label: "billing", Confidence: 0.55},
			},
			{
				Name: "short",
				All: list(
					policy.Condition{Field: "text.length", Lt: 40, Ge: 1.5},
					policy.Condition{Field: "country", In: []any{"DE", "NO", 7, true}, Ne: "AT"},
					policy.Condition{Field: "vip", Eq: true, Exists: true},
					anyOf(words("hello"), none(policy.Condition{Field: "age", Gt: 18, Le: 99})),
				),
				Answer: policy.Answer{Document: json.RawMessage(`{"labelName":"general","confidence":0.10}`)},
			},
			{Name: "long", All: list(exists("text")), Summary: 2},
		},
		Static: &policy.Answer{Label: "general", Confidence: 0.2},
	}, cfg)
	mustNew(t, cfg)
}

func TestParseYAMLErrors(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"all at once", `
max_confidence: 0.5
labels: [billing, cards]
rules:
  - name: refunds
    any:
      - words: [refund, "!"]
      - regex: '\bINV-(\d{6}'
      - feild: text.length
        lt: 5
    label: biling
    confidence: 0.9
  - name: refunds
    all:
      - field: text.lenght
        lt: "40"
      - field: amount
        ge: 10
        lt: 10
    confidence: high
`, []string{
			`rules.yaml:7:25: rules[0] "refunds": any[0].words[1] is "!", which has no letter and no digit; remove it, or use a regex`,
			"rules.yaml:8:16: rules[0] \"refunds\": any[1].regex: error parsing regexp: missing closing ): `\\bINV-(\\d{6}`; its syntax is that of Go's package regexp",
			`rules.yaml:9:9: rules[0].any[2]: has the unknown key "feild"; did you mean field?`,
			`rules.yaml:11:12: rules[0] "refunds": label is "biling", which labels does not have; did you mean billing?`,
			`rules.yaml:12:17: rules[0] "refunds": confidence 0.9 is above max_confidence 0.5; lower it, or raise that`,
			`rules.yaml:13:5: rules[1] "refunds": label is empty; name the label to answer with`,
			`rules.yaml:13:11: rules[1] "refunds": name is also that of rules[0]; choose another`,
			`rules.yaml:15:16: rules[1] "refunds": all[0].field is "text.lenght", which is not known; did you mean text.length?`,
			`rules.yaml:16:13: rules[1] "refunds": all[0].lt is a text, want a number`,
			`rules.yaml:17:9: rules[1] "refunds": all[1] can never hold: no value meets all its tests; widen them`,
			`rules.yaml:20:17: rules[1].confidence: is a text, want a number`,
		}},
		{"nothing follows from a key that is misspelled", "ruels: []", []string{
			`rules.yaml:1:1: has the unknown key "ruels"; did you mean rules?`,
		}},
		{"nor for its confidence", "maxconfidence: 0.9\nstatic: {label: A, confidence: 0.8}", []string{
			`rules.yaml:1:1: has the unknown key "maxconfidence"; did you mean max_confidence?`,
		}},
		{"nor from a bound that is none", "max_confidence: high\nstatic: {label: A, confidence: 0.8}", []string{
			`rules.yaml:1:17: max_confidence: is a text, want a number`,
		}},
		{"nor from a label that is none", "labels: [[A], B]\nstatic: {label: A}", []string{
			`rules.yaml:1:10: labels[0]: is a list, want a text`,
		}},
		{"nor for a rule after one with such a key", "rules:\n- {name: a, any: [words: [x]], non: [words: [y]], label: A}\n- {name: b, any: [words: [x]], label: B}", []string{
			`rules.yaml:2:32: rules[0]: has the unknown key "non"; did you mean none?`,
		}},
		{"nor where all rules were to answer", "mach: all\nrules:\n- {name: a, any: [words: [x]], label: A}\n- {name: b, any: [words: [x]], label: B}", []string{
			`rules.yaml:1:1: has the unknown key "mach"; did you mean match?`,
		}},
		{"nor from a match that is not known", "match: al\nrules:\n- {name: a, any: [words: [x]], label: A}\n- {name: b, any: [words: [x]], label: B}", []string{
			`rules.yaml:1:8: match is "al", which is not known; did you mean all?`,
		}},
		{"an answer, whose keys are those of its rule", "rules:\n- {name: a, any: [words: [x]], answer: {label: a}}", []string{
			`rules.yaml:2:32: rules[0]: has the unknown key "answer"; known are all, any, confidence, document, label, name, none, summary`,
		}},
		{"nothing in it", "{}", []string{
			`rules.yaml:1:1: neither rules nor static is set; set one of them, or leave the fallback out`,
		}},
		{"no YAML", "rules: [", []string{`rules.yaml:2:1: while parsing a flow node: did not find expected node content`}},
		{"a rule that never answers", "rules:\n- {name: a, any: [words: [x]], label: a}\n- {name: b, any: [words: [X]], label: b}", []string{
			`rules.yaml:3:3: rules[1] "b": never answers, since rules[0] "a" matches whenever it would; remove it, or move it before that one`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := fallback.ParseYAML("rules.yaml", []byte(tt.text))
			assert.EqualError(t, err, strings.Join(tt.want, "\n"))
			assert.Zero(t, cfg)
		})
	}
}

// FuzzParseYAML must not panic, and what it reads must be what New takes and
// what it reads again when it is written.
func FuzzParseYAML(f *testing.F) {
	f.Add(everything)
	f.Add("rules: [{name: a, all: [&x {any: [{words: [b]}]}, *x], label: c}]")
	f.Add("static: {label: \"\\u00e9\", document: [1.50, null, {a: b}]}\nmatch: all")
	f.Add("rules: [{name: a, all: [{field: x, in: [1, 0x1, 1e3, .nan, no]}], label: c}]")
	f.Add("rules: [{name: a, all: [{field: x, in: [8e1, -0.0]}], label: c}]")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := fallback.ParseYAML("f.yaml", []byte(text))
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		rules, err := fallback.New(cfg)
		require.NoError(t, err)
		rules.Answer(text)
		text = string(written(t, cfg))
		again, err := fallback.ParseYAML("f.yaml", []byte(text))
		require.NoError(t, err)
		// Compared as written: 8e1 and 80 are one number, in two types of Go.
		require.Equal(t, text, string(written(t, again)))
	})
}

// written returns v as JSON, which is YAML, with the keys of a file.
func written(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(plain(reflect.ValueOf(v)))
	require.NoError(t, err)
	return data
}

// plain turns structs into maps and leaves out what is zero.
func plain(v reflect.Value) any {
	if raw, ok := v.Interface().(json.RawMessage); ok {
		var b bytes.Buffer
		_ = json.Compact(&b, raw) // it was checked
		return json.RawMessage(b.Bytes())
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return plain(v.Elem())
	case reflect.Slice:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = plain(v.Index(i))
		}
		return items
	case reflect.Struct:
		members := make(map[string]any)
		for _, field := range reflect.VisibleFields(v.Type()) {
			if value := v.FieldByIndex(field.Index); !field.Anonymous && !value.IsZero() {
				members[config.Key(field.Name)] = plain(value)
			}
		}
		return members
	case reflect.Float64:
		if v.Float() == 0 {
			return 0 // minus nought is nought
		}
	}
	return v.Interface()
}

func TestParseYAMLRungs(t *testing.T) {
	const static = "static: {label: general}\n"
	cfg, err := fallback.ParseYAML("f.yaml", []byte(static+"rungs: [stale, static]\nfidelity: {share: 0.5}\n"))
	require.NoError(t, err)
	assert.Equal(t, []string{policy.RungStale, policy.RungStatic}, cfg.Rungs)
	assert.Equal(t, 0.5, cfg.Fidelity.Share)

	_, err = fallback.ParseYAML("f.yaml", []byte(static+"rungs: [stale, guess]\n"))
	assert.EqualError(t, err, `f.yaml:2:16: rungs[1] is "guess", want one of stale, similar, rules, static`)
}
