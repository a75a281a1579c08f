package fallback_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
)

func TestNewErrors(t *testing.T) {
	onAny := func(c ...policy.Condition) policy.Rule {
		return policy.Rule{Name: "r", Any: c, Answer: hit}
	}
	valid := onAny(words("a"))
	with := func(change func(*policy.Rule)) policy.Rule {
		r := valid
		change(&r)
		return r
	}
	tests := []struct {
		name string
		cfg  policy.Fallback
		want string
	}{
		{
			"nothing",
			policy.Fallback{},
			`fallback: neither Rules nor Static is set; set one of them, or leave the fallback out`,
		},
		{
			"no name", rules(with(func(r *policy.Rule) { r.Name = "" })),
			`fallback: Rules[0]: Name is empty; traces and errors need it`,
		},
		{
			"name taken", rules(valid, onAny(words("b"))),
			`fallback: Rules[1] "r": Name is also that of Rules[0]; choose another`,
		},
		{
			"no label", rules(with(func(r *policy.Rule) { r.Label = "" })),
			`fallback: Rules[0] "r": Label is empty; name the label to answer with`,
		},
		{
			"no condition", rules(onAny()),
			`fallback: Rules[0] "r": All and Any are empty; set one of them, or make this the Static answer`,
		},
		{
			"None alone", rules(policy.Rule{Name: "r", None: list(words("a")), Answer: hit}),
			`fallback: Rules[0] "r": All and Any are empty; set one of them, or make this the Static answer`,
		},
		{
			"words and regex", rules(onAny(words("a"), policy.Condition{Words: []string{"b"}, Regex: "c"})),
			`fallback: Rules[0] "r": Any[1] has both Words and Regex; make it two conditions`,
		},
		{
			"neither", rules(onAny(policy.Condition{})),
			`fallback: Rules[0] "r": Any[0] has no Words, Regex, Field or group; set one of them`,
		},
		{
			"empty word", rules(onAny(words("a", ""))),
			`fallback: Rules[0] "r": Any[0].Words[1] is "", which has no letter and no digit; remove it, or use a Regex`,
		},
		{
			"word without a letter", rules(onAny(words(" 😡!"))),
			`fallback: Rules[0] "r": Any[0].Words[0] is " 😡!", which has no letter and no digit; remove it, or use a Regex`,
		},
		{
			"bad regex", rules(policy.Rule{Name: "r", All: list(regex("(a")), Answer: hit}),
			"fallback: Rules[0] \"r\": All[0].Regex: error parsing regexp: missing closing ): `(a`; its syntax is that of Go's package regexp",
		},
		{
			"long regex", rules(policy.Rule{Name: "r", All: list(words("a")), None: list(regex(strings.Repeat("a", 1025))), Answer: hit}),
			`fallback: Rules[0] "r": None[0].Regex has 1025 bytes, want at most 1024; use Words, or make it several conditions`,
		},
		{
			"costly regex", rules(policy.Rule{Name: "r", All: list(regex(strings.Repeat("a{0,900}", 3))), Answer: hit}),
			`fallback: Rules[0] "r": All[0].Regex compiles to 5402 instructions, want at most 2048; lower its repetition counts`,
		},
		{
			"words, regex and field", rules(onAny(policy.Condition{Words: []string{"b"}, Regex: "c", Field: "d", Eq: 1})),
			`fallback: Rules[0] "r": Any[0] has Words, Regex, Field; make it several conditions`,
		},
		{
			"a field and a group", rules(onAny(policy.Condition{Field: "d", Eq: 1, None: list(words("a"))})),
			`fallback: Rules[0] "r": Any[0] has both Field and a group; make it two conditions`,
		},
		{
			"a test without a field", rules(onAny(policy.Condition{Lt: 0})),
			`fallback: Rules[0] "r": Any[0] has tests of a field but no Field; name it, or remove them`,
		},
		{
			"a field without a test", rules(onAny(policy.Condition{Field: "a"})),
			`fallback: Rules[0] "r": Any[0] has a Field but no test of it; set Exists, Eq or another`,
		},
		{
			"a field of the text that is not known", rules(onAny(exists("text.lang"))),
			`fallback: Rules[0] "r": Any[0].Field is "text.lang", which is not known; known are image.aspect, image.bytes, image.format, image.height, image.source.host, image.source.path, image.width, text, text.length, text.sentiment, text.words`,
		},
		{
			"a field of the image that is misspelled", rules(onAny(exists("image.hight"))),
			`fallback: Rules[0] "r": Any[0].Field is "image.hight", which is not known; did you mean image.height?`,
		},
		{
			"a field with many dots", rules(onAny(exists("a.b.c.d.e.f"))),
			`fallback: Rules[0] "r": Any[0].Field is "a.b.c.d.e.f", want at most 128 bytes and 4 dots`,
		},
		{
			"a field with a long name", rules(onAny(exists(strings.Repeat("a", 129)))),
			`fallback: Rules[0] "r": Any[0].Field is "` + strings.Repeat("a", 129) + `", want at most 128 bytes and 4 dots`,
		},
		{
			"a text below", rules(onAny(policy.Condition{Field: "a", Lt: "b"})),
			`fallback: Rules[0] "r": Any[0].Lt is a text, want a number`,
		},
		{
			"a text field below", rules(onAny(policy.Condition{Field: "text", Lt: 1})),
			`fallback: Rules[0] "r": Any[0].Lt compares numbers, and text is a text`,
		},
		{
			"no finite bound", rules(onAny(policy.Condition{Field: "a", Lt: math.Inf(1)})),
			`fallback: Rules[0] "r": Any[0].Lt is no finite number, text or boolean, want a number`,
		},
		{
			"a number for a text", rules(onAny(eq("image.format", 1))),
			`fallback: Rules[0] "r": Any[0].Eq is a number, want a text`,
		},
		{
			"a list in a list", rules(onAny(policy.Condition{Field: "a", In: []any{"b", []int{1}}})),
			`fallback: Rules[0] "r": Any[0].In is no finite number, text or boolean, want a text, a number or a boolean`,
		},
		{
			"a long text", rules(onAny(eq("a", strings.Repeat("b", 1025)))),
			`fallback: Rules[0] "r": Any[0].Eq has 1025 bytes, want at most 1024`,
		},
		{
			"an image format that is not recognized", rules(onAny(eq("image.format", "jpg"))),
			`fallback: Rules[0] "r": Any[0].Eq is "jpg", which is no format that is recognized; did you mean jpeg?`,
		},
		{
			"an empty range", rules(onAny(policy.Condition{Field: "a", Ge: 2, Lt: 2})),
			`fallback: Rules[0] "r": Any[0] can never hold: no value meets all its tests; widen them`,
		},
		{
			"equal to what is ruled out", rules(onAny(policy.Condition{Field: "a", Eq: 2, Ne: 2.0})),
			`fallback: Rules[0] "r": Any[0] can never hold: no value meets all its tests; widen them`,
		},
		{
			"in a list out of range", rules(onAny(policy.Condition{Field: "a", In: []any{1, "x"}, Gt: 1})),
			`fallback: Rules[0] "r": Any[0] can never hold: no value meets all its tests; widen them`,
		},
		{
			"equal to what is not in the list", rules(onAny(policy.Condition{Field: "a", Eq: 3, In: []any{1, 2}})),
			`fallback: Rules[0] "r": Any[0] can never hold: no value meets all its tests; widen them`,
		},
		{
			"a length of at most less than zero", rules(onAny(policy.Condition{Field: "text.length", Le: -1})),
			`fallback: Rules[0] "r": Any[0] can never hold: text.length is 0 or more; widen it`,
		},
		{
			"a number that is no certain text", rules(onAny(policy.Condition{Field: "a", Ne: "n/a", Lt: 20})),
			`fallback: Rules[0] "r": Any[0] can never hold: no value meets all its tests; widen them`,
		},
		{
			"a range of one number, which is ruled out", rules(onAny(policy.Condition{Field: "a", Ne: 5, Ge: 5, Le: 5})),
			`fallback: Rules[0] "r": Any[0] can never hold: no value meets all its tests; widen them`,
		},
		{
			"a length below zero", rules(onAny(policy.Condition{Field: "text.length", Lt: 0})),
			`fallback: Rules[0] "r": Any[0] can never hold: text.length is 0 or more; widen it`,
		},
		{
			"groups too deep", rules(onAny(anyOf(anyOf(anyOf(anyOf(anyOf(words("a")))))))),
			`fallback: Rules[0] "r": Any[0].Any[0].Any[0].Any[0].Any[0] is a group in 4 others, want at most 4 deep; split the rule`,
		},
		{
			"in a group", rules(onAny(all(words("a"), words("!")))),
			`fallback: Rules[0] "r": Any[0].All[1].Words[0] is "!", which has no letter and no digit; remove it, or use a Regex`,
		},
		{
			"too many conditions", rules(onAny(slices.Repeat(list(words("a")), 2049)...)),
			`fallback: Rules have 2049 conditions, counting the values of In, want at most 2048`,
		},
		{
			"too many values", rules(onAny(policy.Condition{Field: "a", In: slices.Repeat([]any{1}, 2048)})),
			`fallback: Rules have 2049 conditions, counting the values of In, want at most 2048`,
		},
		{
			"regexes too long together", rules(onAny(regex("a{0,600}"), regex("b{0,700}"))),
			`fallback: Rules have regular expressions that compile to 2604 instructions, want at most 2560 in all; use Words, or lower repetition counts`,
		},
		{
			"a label that the function does not have",
			policy.Fallback{Rules: []policy.Rule{valid}, Labels: []string{"hits", "miss"}},
			`fallback: Rules[0] "r": Label is "hit", which Labels does not have; did you mean hits?`,
		},
		{
			"a match that is not known",
			policy.Fallback{Rules: []policy.Rule{valid}, Match: "any"},
			`fallback: Match is "any", which is not known; known are first, all`,
		},
		{
			"no JSON", rules(with(func(r *policy.Rule) { r.Document = []byte("{") })),
			`fallback: Rules[0] "r": Document is no JSON: unexpected end of JSON input`,
		},
		{
			"a document that is too sure", rules(with(func(r *policy.Rule) { r.Label, r.Document = "", []byte(`{"labelName":"hit","confidence":0.99}`) })),
			`fallback: Rules[0] "r": Document claims a confidence of 0.99, above MaxConfidence 0.55; lower it, or raise that`,
		},
		{
			"a document with a label that the function does not have",
			policy.Fallback{Static: &policy.Answer{Document: []byte(`{"labelName":"hit"}`)}, Labels: []string{"hits", "miss"}},
			`fallback: Static: Document has the label "hit", which Labels does not have; did you mean hits?`,
		},
		{
			"a document with labels that the function does not have",
			policy.Fallback{Static: &policy.Answer{Document: []byte(`{"tags":[{"labelName":"hits"},{"labelName":"hit"},{"labelName":"mis"}]}`)}, Labels: []string{"hits", "miss"}},
			`fallback: Static: Document has the label "hit", which Labels does not have; did you mean hits?` + "\n" +
				`fallback: Static: Document has the label "mis", which Labels does not have; did you mean miss?`,
		},
		{
			"a document of several",
			policy.Fallback{Match: policy.MatchAll, Rules: []policy.Rule{with(func(r *policy.Rule) { r.Document = []byte("{}") })}},
			`fallback: Rules[0] "r": Document is set, which cannot be one of several answers; set a Label`,
		},
		{
			"too long a summary", rules(with(func(r *policy.Rule) { r.Label, r.Summary = "", 11 })),
			`fallback: Rules[0] "r": Summary is 11, want 0 to 10 sentences`,
		},
		{
			"a summary with a label", rules(with(func(r *policy.Rule) { r.Summary = 1 })),
			`fallback: Rules[0] "r": Summary is set beside a Label or a Document; keep one of them`,
		},
		{
			"a summary that is too sure", rules(policy.Rule{Name: "r", Any: list(words("a")), Summary: 1, Answer: policy.Answer{Confidence: 0.9}}),
			`fallback: Rules[0] "r": Confidence 0.9 is above MaxConfidence 0.55; lower it, or raise that`,
		},
		{
			"less than no summary", rules(with(func(r *policy.Rule) { r.Label, r.Summary = "", -1 })),
			`fallback: Rules[0] "r": Summary is -1, want 0 to 10 sentences`,
		},
		{
			"a summary with a document",
			rules(policy.Rule{Name: "r", Any: list(words("a")), Summary: 1, Answer: policy.Answer{Document: []byte("{}")}}),
			`fallback: Rules[0] "r": Summary is set beside a Label or a Document; keep one of them`,
		},
		{
			"a range upside down", rules(onAny(policy.Condition{Field: "a", Ge: 5, Le: 3})),
			`fallback: Rules[0] "r": Any[0] can never hold: no value meets all its tests; widen them`,
		},
		{
			"a range upside down, without its ends", rules(onAny(policy.Condition{Field: "a", Gt: 5, Lt: 3})),
			`fallback: Rules[0] "r": Any[0] can never hold: no value meets all its tests; widen them`,
		},
		{
			"no number", rules(onAny(eq("a", math.NaN()))),
			`fallback: Rules[0] "r": Any[0].Eq is no finite number, text or boolean, want a text, a number or a boolean`,
		},
		{
			"a boolean below", rules(onAny(policy.Condition{Field: "a", Lt: true})),
			`fallback: Rules[0] "r": Any[0].Lt is a boolean, want a number`,
		},
		{
			"confidence below zero", rules(with(func(r *policy.Rule) { r.Confidence = -0.1 })),
			`fallback: Rules[0] "r": Confidence is -0.1, want 0 to 1`,
		},
		{
			"confidence above one", rules(with(func(r *policy.Rule) { r.Confidence = 55 })),
			`fallback: Rules[0] "r": Confidence is 55, want 0 to 1`,
		},
		{
			"confidence no number", rules(with(func(r *policy.Rule) { r.Confidence = math.NaN() })),
			`fallback: Rules[0] "r": Confidence is NaN, want 0 to 1`,
		},
		{
			"confidence above the maximum", rules(with(func(r *policy.Rule) { r.Confidence = 0.9 })),
			`fallback: Rules[0] "r": Confidence 0.9 is above MaxConfidence 0.55; lower it, or raise that`,
		},
		{
			"maximum out of range",
			policy.Fallback{Static: &policy.Answer{Label: "s", Confidence: 0.9}, MaxConfidence: 2},
			`fallback: MaxConfidence is 2, want 0 to 1`,
		},
		{
			"static without label",
			policy.Fallback{Static: &policy.Answer{Confidence: 0.1}},
			`fallback: Static: Label is empty; name the label to answer with`,
		},
		{
			"static above the maximum",
			policy.Fallback{Static: &policy.Answer{Label: "s", Confidence: 0.6}},
			`fallback: Static: Confidence 0.6 is above MaxConfidence 0.55; lower it, or raise that`,
		},
		{
			"too many rules", manyRules(65),
			`fallback: Rules has 65 rules, want at most 64; join those that have the same answer`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := fallback.New(tt.cfg)
			assert.EqualError(t, err, tt.want)
			assert.Nil(t, f)
		})
	}
}

func TestNewReportsAll(t *testing.T) {
	_, err := fallback.New(policy.Fallback{
		Rules: []policy.Rule{
			{Any: list(words(""), regex("*"))},
			{Name: "b", Answer: policy.Answer{Label: "b", Confidence: 2}},
		},
		Static: &policy.Answer{},
	})
	assert.EqualError(t, err, strings.Join([]string{
		`fallback: Rules[0]: Name is empty; traces and errors need it`,
		`fallback: Rules[0]: Any[0].Words[0] is "", which has no letter and no digit; remove it, or use a Regex`,
		"fallback: Rules[0]: Any[1].Regex: error parsing regexp: missing argument to repetition operator: `*`; its syntax is that of Go's package regexp",
		`fallback: Rules[0]: Label is empty; name the label to answer with`,
		`fallback: Rules[1] "b": All and Any are empty; set one of them, or make this the Static answer`,
		`fallback: Rules[1] "b": Confidence is 2, want 0 to 1`,
		`fallback: Static: Label is empty; name the label to answer with`,
	}, "\n"))
	_, ok := errors.AsType[*syntax.Error](err)
	assert.True(t, ok, "the regexp's own error is inside")
}

func TestNewUnreachableRules(t *testing.T) {
	const ruledOut = `fallback: Rules[1] "later": never answers, since None rules out all that it asks for; remove what both have`
	const shadowed = `fallback: Rules[1] "later": never answers, since Rules[0] "first" matches whenever it would; remove it, or move it before that one`
	tests := []struct {
		name         string
		first, later policy.Rule
		want         string // "" if both can answer
	}{
		{"identical", policy.Rule{Any: list(words("a", "b"))}, policy.Rule{Any: list(words("a", "b"))}, shadowed},
		{
			"identical but for order, case and space",
			policy.Rule{Any: list(words("a b"), words("c"))},
			policy.Rule{Any: list(words("C", "A  B"))},
			shadowed,
		},
		{
			"one condition in All is as one in Any",
			policy.Rule{Any: list(words("a"))},
			policy.Rule{All: list(words("a"))},
			shadowed,
		},
		{"identical regex", policy.Rule{All: list(regex("a+"))}, policy.Rule{All: list(regex("a+"))}, shadowed},
		{
			"identical None",
			policy.Rule{All: list(words("a")), None: list(words("b"))},
			policy.Rule{All: list(words("a")), None: list(words("b"))},
			shadowed,
		},
		{"fewer words", policy.Rule{Any: list(words("a", "b"))}, policy.Rule{Any: list(words("b"))}, shadowed},
		{
			"more demands",
			policy.Rule{Any: list(words("a"))},
			policy.Rule{All: list(words("a"), words("b")), None: list(words("c"))},
			shadowed,
		},
		{"more words", policy.Rule{Any: list(words("a"))}, policy.Rule{Any: list(words("a", "b"))}, ""},
		{"fewer demands", policy.Rule{All: list(words("a"), words("b"))}, policy.Rule{All: list(words("a"))}, ""},
		{
			"fewer exceptions",
			policy.Rule{All: list(words("a")), None: list(words("b"))},
			policy.Rule{All: list(words("a"))},
			"",
		},
		{"a word is not a regex", policy.Rule{All: list(words("a"))}, policy.Rule{All: list(regex("a"))}, ""},
		{"case of a regex counts", policy.Rule{All: list(regex("a"))}, policy.Rule{All: list(regex("A"))}, ""},
		{
			"identical tests of a field",
			policy.Rule{All: list(policy.Condition{Field: "f", In: []any{1, "a"}, Lt: 3})},
			policy.Rule{All: list(policy.Condition{Field: "f", In: []any{"a", 1.0}, Lt: 3.0})},
			shadowed,
		},
		{"other tests of a field", policy.Rule{All: list(eq("f", 1))}, policy.Rule{All: list(eq("f", "1"))}, ""},
		{"another field", policy.Rule{All: list(eq("f", 1))}, policy.Rule{All: list(eq("g", 1))}, ""},
		{
			"identical groups",
			policy.Rule{All: list(anyOf(words("a"), none(regex("b"), exists("f"))))},
			policy.Rule{All: list(anyOf(none(exists("f"), regex("b")), words("A")))},
			shadowed,
		},
		{
			"other groups",
			policy.Rule{All: list(anyOf(words("a"), words("b")))},
			policy.Rule{All: list(all(words("a"), words("b")))},
			"",
		},
		{
			"other words in groups",
			policy.Rule{All: list(all(words("a"), words("b")))},
			policy.Rule{All: list(all(words("a"), words("c")))},
			"",
		},
		{
			"identical groups, words in another order",
			policy.Rule{All: list(all(words("a", "b", "c", "d"), words("e")))},
			policy.Rule{All: list(all(words("d", "c", "b", "a"), words("e")))},
			shadowed,
		},
		{
			"a group ruled out",
			policy.Rule{All: list(words("x"))},
			policy.Rule{Any: list(all(words("a"))), None: list(all(words("A")))},
			ruledOut,
		},
		{
			"ruled out by its own None",
			policy.Rule{All: list(words("x"))},
			policy.Rule{Any: list(words("a", "b")), None: list(words("B", "a", "c"))},
			ruledOut,
		},
		{
			"a summary, which an input without a text has none of",
			policy.Rule{All: list(exists("f")), Summary: 1},
			policy.Rule{All: list(exists("f"))},
			"",
		},
		{
			"a summary of a text",
			policy.Rule{All: list(words("a"), exists("f")), Summary: 1},
			policy.Rule{All: list(words("a"), exists("f"))},
			shadowed,
		},
		{
			"ruled out in part",
			policy.Rule{All: list(words("x"))},
			policy.Rule{Any: list(words("a", "b")), None: list(words("a"))},
			"",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.first.Name = "first"; tt.first.Summary == 0 {
				tt.first.Answer = hit
			}
			tt.later.Name, tt.later.Answer = "later", hit
			_, err := fallback.New(rules(tt.first, tt.later))
			if tt.want == "" {
				assert.NoError(t, err)
			} else {
				assert.EqualError(t, err, tt.want)
			}
		})
	}
}

// Each bound can be reached.
func TestNewBounds(t *testing.T) {
	_, err := fallback.New(manyRules(64))
	assert.NoError(t, err)
	_, err = fallback.New(rules(policy.Rule{Name: "r", All: list(regex(strings.Repeat("a", 1024))), Answer: hit}))
	assert.NoError(t, err)
	_, err = fallback.New(rules(policy.Rule{Name: "r", All: list(regex("a{0,1000}")), Answer: hit}))
	assert.NoError(t, err)
	_, err = fallback.New(policy.Fallback{Static: &policy.Answer{Label: "s", Confidence: 1}, MaxConfidence: 1})
	assert.NoError(t, err)
	_, err = fallback.New(policy.Fallback{Static: &policy.Answer{Document: []byte(`{"labelName":"s","confidence":0.55}`)}})
	assert.NoError(t, err)
	_, err = fallback.New(policy.Fallback{Static: &policy.Answer{Document: []byte(`["s"]`)}, Labels: []string{"a"}})
	assert.NoError(t, err, "a document whose labels the codec does not read")
	_, err = fallback.New(policy.Fallback{Codec: noList{}, Static: &policy.Answer{Document: []byte(`{}`)}, Labels: []string{"a"}})
	assert.NoError(t, err, "labels that the codec says are none")
	for name, c := range map[string]policy.Condition{
		"conditions":       anyOf(slices.Repeat(list(words("a")), 2047)...),
		"values":           {Field: "a", In: slices.Repeat([]any{1}, 2047)},
		"instructions":     anyOf(regex("a{0,600}"), regex("b{0,678}")),
		"a name":           exists(strings.Repeat("a", 128)),
		"dots":             exists("a.b.c.d.e"),
		"a value":          eq("a", strings.Repeat("b", 1024)),
		"one number":       {Field: "a", Ge: 5, Le: 5},
		"but one number":   {Field: "a", Ne: 5, Gt: 4},
		"at most zero":     {Field: "text.length", Le: 0},
		"a column below 0": {Field: "a", Lt: -1},
		"a tone below 0":   {Field: "text.sentiment", Lt: -0.5},
	} {
		_, err := fallback.New(rules(policy.Rule{Name: "r", Any: list(c), Answer: hit}))
		assert.NoError(t, err, name)
	}
}

// What the caller changes after New does not count.
func TestNewKeepsNothing(t *testing.T) {
	static := policy.Answer{Label: "general", Document: json.RawMessage("1")}
	document := json.RawMessage("2")
	cfg := rules(
		policy.Rule{Name: "r", Any: list(words("card")), Answer: hit},
		policy.Rule{Name: "d", Any: list(words("document")), Answer: policy.Answer{Document: document}},
	)
	cfg.Static = &static
	f := mustNew(t, cfg)
	static.Label, static.Document[0], document[0] = "changed", '0', '0'
	cfg.Rules[0].Any[0].Words[0] = "changed"
	cfg.Rules[0].Label = "changed"

	got, _, _ := f.Answer("card")
	require.Equal(t, hit, got)
	got, _, _ = f.Answer("changed")
	require.Equal(t, policy.Answer{Label: "general", Document: json.RawMessage("1")}, got)
	got, _, _ = f.Answer("document")
	require.Equal(t, json.RawMessage("2"), got.Document)
}

func rules(list ...policy.Rule) policy.Fallback { return policy.Fallback{Rules: list} }

// manyRules returns n rules on words of their own.
func manyRules(n int) policy.Fallback {
	var cfg policy.Fallback
	for i := range n {
		word := fmt.Sprintf("word%d", i)
		cfg.Rules = append(cfg.Rules, policy.Rule{Name: word, Any: list(words(word)), Answer: hit})
	}
	return cfg
}

// choosy is a codec that cannot write an answer without a label.
type choosy struct{ policy.Classification }

func (c choosy) Encode(a policy.Answer, id string) ([]byte, error) {
	if a.Label == "" {
		return nil, errors.New("no label")
	}
	return c.Classification.Encode(a, id)
}

// noList is a codec that names labels and says that there are none.
type noList struct{ policy.Classification }

func (noList) Labels([]byte) ([]string, bool) { return []string{"b"}, false }

// labelsOnly is a codec that writes no documents.
type labelsOnly struct{ policy.Classification }

func (c labelsOnly) Encode(a policy.Answer, id string) ([]byte, error) {
	if a.Document != nil {
		return nil, errors.New("no documents")
	}
	return c.Classification.Encode(a, id)
}

// The codec is tried with what it will have to write: where all that match answer, lists.
func TestNewTriesLists(t *testing.T) {
	cfg := ticketRules()
	cfg.Codec = labelsOnly{}
	mustNew(t, cfg)
	cfg.Match = policy.MatchAll
	_, err := fallback.New(cfg)
	assert.EqualError(t, err, `fallback: Rules[0] "refunds": the codec cannot write the answer: no documents`+"\n"+
		`fallback: Static: the codec cannot write the answer: no documents`)
}

// What a rule sums up is not known when the codec is tried.
func TestNewTriesNoSummary(t *testing.T) {
	f, err := fallback.New(policy.Fallback{Codec: choosy{}, Rules: []policy.Rule{
		{Name: "long", All: []policy.Condition{{Field: "text", Exists: true}}, Summary: 1},
	}})
	require.NoError(t, err)
	answer, _, ok := f.Answer("One sentence.")
	assert.True(t, ok)
	assert.Equal(t, "One sentence.", answer.Label)
}
