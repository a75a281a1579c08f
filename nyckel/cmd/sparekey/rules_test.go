package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

const rulesFile = `
rules:
  - {name: refunds, any: [{words: [refund]}], label: billing, confidence: 0.5}
  - {name: courtesy, any: [{words: [please]}], label: general, confidence: 0.1}
  - {name: parcels, any: [{words: [parcel]}], label: delivery, confidence: 0.5}
  - {name: rockets, any: [{words: [rocket]}], label: space, confidence: 0.1}
static: {label: general, confidence: 0.1}
`

// Of refunds, 4 of 4 are right; courtesy matches what refunds takes; of parcels, 1 of
// 2 is right; 2 are left to the static answer, of which 1 is right.
const labelled = `text,label
refund please,billing
a refund please,billing
my refund,billing
the refund,billing
a parcel,delivery
parcel money,billing
hello,general
money,billing
`

func TestRules(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	rules, data := d.file("rules.yaml", rulesFile), d.file("data.csv", labelled)
	got := d.run("rules", "test", "-rules", rules, "-data", data)
	assert.Equal(t, exitOK, got.code)
	assert.Empty(t, got.errOut)
	assert.Equal(t, `RULE      MATCHED  ANSWERED  RIGHT  PRECISION  COVERAGE  CLAIMS  SUPPORTED  
refunds   4        4         4      100.0 %    50.0 %    0.50    0.60       
courtesy  2        0         0      –          0.0 %     0.10    0.00       shadowed by refunds (2)
parcels   2        2         1      50.0 %     25.0 %    0.50    0.12       claims too much
rockets   0        0         0      –          0.0 %     0.10    0.00       matches nothing
(static)  2        2         1      50.0 %     25.0 %    0.10    0.12       

8 inputs, 0 without an answer
`, got.out)
}

func TestRulesJSON(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	rules, data := d.file("rules.yaml", rulesFile), d.file("data.csv", labelled)
	got := d.run("rules", "test", "-rules", rules, "-data", data, "-json")
	var out tested
	require.NoError(t, json.Unmarshal([]byte(got.out), &out))
	assert.Equal(t, 8, out.Samples)
	assert.Zero(t, out.Left)
	require.Len(t, out.Rules, 5)
	assert.Equal(t, testedRule{Rule: "courtesy", Matched: 2, Claimed: 0.1, ShadowedBy: map[string]int{"refunds": 2}}, out.Rules[1])
	// Wilson's one-sided bound at 95 %, z = 1.645, of 4 of 4: 4 / (4 + z²).
	assert.InDelta(t, 4/(4+1.6449*1.6449), out.Rules[0].Supported, 1e-3)
}

// The rules of a configuration file, and inputs that a store exported, of which only
// those with an answer count.
func TestRulesOfConfig(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	data := d.file("data.jsonl", `{"input":"\"a refund\"","label":"delivery","truth":"refund"}
{"input":"","label":"refund"}

{"data":"where is it","label":"delivery"}
{"data":{"subject":"my money"},"label":"refund"}
`)
	got := d.run("rules", "test", "-config", "CONFIG", "-data", data, "-json")
	assert.Equal(t, data+": 1 of 4 passed over, without an input or a label; the first is on line 2\n", got.errOut)
	var out tested
	require.NoError(t, json.Unmarshal([]byte(got.out), &out))
	assert.Equal(t, 3, out.Samples)
	assert.Equal(t, 1, out.Left)
	require.Len(t, out.Rules, 1)
	assert.Equal(t, []int{2, 2, 2}, []int{out.Rules[0].Matched, out.Rules[0].Answered, out.Rules[0].Right})
	assert.Equal(t, got, d.run("rules", "test", "-config", "CONFIG", "-data", data, "-json", "-function", "tickets"))
}

// A CSV file that a store exported has the input as JSON, and not every column filled.
func TestRulesOfAnExport(t *testing.T) {
	data := newDesk(t, nyckelsim.Config{}).file("export.csv", `id,label,latencyMs,truth,input
1,delivery,12.5,refund,"""a refund"""
2,refund,,,"{""subject"":""my money""}"
3,,,,
`)
	all, err := readRecorded(data)
	require.NoError(t, err)
	assert.Equal(t, []recorded{
		{line: 2, data: []byte(`"a refund"`), label: "delivery", truth: "refund", latency: 12500 * time.Microsecond},
		{line: 3, data: []byte(`{"subject":"my money"}`), label: "refund"},
		{line: 4},
	}, all)
}

// Where all rules that match answer together, none takes anything from another.
func TestRulesThatAnswerTogether(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	rules, _, _ := strings.Cut(rulesFile, "static:")
	got := d.run("rules", "test", "-rules", d.file("rules.yaml", "match: all"+rules), "-data", d.file("data.csv", labelled))
	assert.Equal(t, `RULE      MATCHED  ANSWERED  RIGHT  PRECISION  COVERAGE  CLAIMS  SUPPORTED  
refunds   4        4         4      100.0 %    50.0 %    0.50    0.60       
courtesy  2        2         0      0.0 %      25.0 %    0.10    0.00       claims too much
parcels   2        2         1      50.0 %     25.0 %    0.50    0.12       claims too much
rockets   0        0         0      –          0.0 %     0.10    0.00       matches nothing

8 inputs, 2 without an answer
`, got.out)
}

func TestRulesMisuse(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	rules, data := d.file("rules.yaml", rulesFile), d.file("data.csv", labelled)
	broken := d.file("broken.csv", "text,label\nfine,a\ntoo,many,fields\n")
	noJSON := d.file("broken.jsonl", "{\"data\":\"fine\",\"label\":\"a\"}\n{\"data\":\n")
	number := d.file("number.jsonl", `{"data":7,"label":"a"}`)
	exported := d.file("exported.csv", "\"label\",\"latencyMs\",\"input\"\na,soon,\"\"\"text\"\"\"\n")
	wrong := d.file("wrong.yaml", "rules:\n  - {name: a, any: [{words: []}], label: x}\n")
	empty := d.file("empty.yaml", "labels: [a]\n")
	several := d.file("several.yaml", `version: 1
functions:
  a: {fallback: {rules: [{name: a, any: [{words: [a]}], label: a, confidence: 0.5}]}}
  b: {fallback: {rules: [{name: b, any: [{words: [b]}], label: b, confidence: 0.5}]}}
  c: {cache: {}, fallback: {rungs: [stale]}}
  d: {fallback: {static: {label: d, confidence: 0.1}}}
`)
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no data", []string{"-rules", rules}, "-data is missing"},
		{"no such data", []string{"-rules", rules, "-data", "nowhere.csv"}, "open nowhere.csv"},
		{"broken row", []string{"-rules", rules, "-data", broken}, "broken.csv:3: 3 fields, expected 2"},
		{"broken line", []string{"-rules", rules, "-data", noJSON}, "broken.jsonl:2: no object with data and label"},
		{"a number", []string{"-rules", rules, "-data", number}, "number.jsonl:1: the input is neither a text nor an object"},
		{"a latency with a unit", []string{"-rules", rules, "-data", d.file("unit.csv", "label,latencyMs,input\na,12s,\"\"\"text\"\"\"\n")}, `unit.csv:2: latencyMs is "12s", want a number`},
		{"a broken export", []string{"-rules", rules, "-data", exported}, `exported.csv:2: latencyMs is "soon", want a number`},
		{"a line in another encoding", []string{"-rules", rules, "-data", d.file("latin.jsonl", "\n{\"data\":\"caf\xe9\",\"label\":\"a\"}\n")}, "latin.jsonl:2: is not valid UTF-8"},
		{"an export in another encoding", []string{"-rules", rules, "-data", d.file("latin.csv", "label,input\na,\"\"\"caf\xe9\"\"\"\n")}, "latin.csv:2: is not valid UTF-8"},
		{"one array", []string{"-rules", rules, "-data", d.file("array.json", " [\n  {\"data\":\"fine\",\"label\":\"a\"}]")}, "array.json: is one JSON array, expected an object on each line"},
		{"one array on a line", []string{"-rules", rules, "-data", d.file("line.json", "[{\"data\":\"fine\",\"label\":\"a\"}]")}, "line.json: is one JSON array, expected an object on each line"},
		{"nothing", []string{"-rules", rules, "-data", d.file("nothing.csv", "")}, "nothing.csv:1: empty file"},
		{"an export cut short", []string{"-rules", rules, "-data", d.file("cut.csv", "label,input\na,\"\"\"text\"\"\"\nb,\"\"\"te")}, "cut.csv:3: "},
		{"an export of numbers", []string{"-rules", rules, "-data", d.file("numbers.csv", "label,input\n\n\"a\n\",7\n")}, "numbers.csv:3: the input is neither a text nor an object"},
		{"no answers", []string{"-rules", rules, "-data", d.file("none.jsonl", "{\"data\":\"fine\"}\n")}, "none.jsonl: no input with a label"},
		{"no such rules", []string{"-rules", "nowhere.yaml", "-data", data}, "open nowhere.yaml"},
		{"wrong rules", []string{"-rules", wrong, "-data", data}, "wrong.yaml:2:"},
		{"no rules", []string{"-rules", empty, "-data", data}, "neither rules nor static is set"},
		{"unknown function", []string{"-config", "CONFIG", "-function", "x", "-data", data}, `no function "x"`},
		{"function without", []string{"-config", "CONFIG", "-function", "foreign", "-data", data}, `function "foreign" has no fallback`},
		{"functions with rules", []string{"-config", several, "-data", data}, "2 functions have rules [a b]; name one with -function"},
		{"neither rules nor static", []string{"-config", several, "-function", "c", "-data", data}, "function c has neither rules nor a static answer"},
		{"no such configuration", []string{"-config", "nowhere.yaml", "-data", data}, "open nowhere.yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := d.run(append([]string{"rules", "test"}, tt.args...)...)
			assert.Equal(t, exitMisuse, got.code)
			assert.Empty(t, got.out)
			assert.Contains(t, got.errOut, tt.want)
		})
	}
	assert.Contains(t, run(t, "rules", "tset").errOut, "want sparekey rules test")
	assert.Contains(t, run(t, "rules").errOut, "want sparekey rules test")
	assert.Contains(t, run(t, "rules", "test").errOut, "open sparekey.yaml")
	got := d.run("rules", "test", "-config", several, "-function", "d", "-data", data)
	assert.Equal(t, exitOK, got.code, got.errOut)
}

func TestRuleRemarks(t *testing.T) {
	for _, tt := range []struct {
		rule testedRule
		want string
	}{
		{testedRule{Rule: "a", Matched: 1, Answered: 1, Claimed: 0.5, Supported: 0.5}, ""},
		{testedRule{Rule: "a", Matched: 1, Answered: 1, Claimed: 0.6, Supported: 0.5}, "claims too much"},
		{testedRule{Rule: "a", Matched: 1, ShadowedBy: map[string]int{"b": 1}, Claimed: 0.5}, "shadowed by b (1)"},
		{testedRule{Rule: "a", Matched: 4, Answered: 1, ShadowedBy: map[string]int{"b": 1, "c": 2}}, "in part shadowed by c (2), b (1)"},
		{testedRule{Rule: "a", Claimed: 0.5}, "matches nothing"},
		{testedRule{Claimed: 0.5}, ""}, // the static answer matches what is left
	} {
		assert.Equal(t, tt.want, tt.rule.remark())
	}
}

// A byte order mark is none of the input, and a bracket makes no JSON.
func TestRecordedBeginnings(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	want := []recorded{{line: 1, data: []byte(`"fine"`), label: "a"}}
	all, err := readRecorded(d.file("mark.jsonl", "\uFEFF{\"data\":\"fine\",\"label\":\"a\"}\n"))
	require.NoError(t, err)
	assert.Equal(t, want, all)
	want[0].line = 2
	all, err = readRecorded(d.file("bracket.csv", "[id],text,label\n1,fine,a\n"))
	require.NoError(t, err)
	assert.Equal(t, want, all)
}

// What is recorded is asked about as what it was.
func TestRecordedInput(t *testing.T) {
	for data, want := range map[string]nyckel.Input{
		`"where is it"`:    nyckel.Text("where is it"),
		`{"amount":12.50}`: nyckel.Tabular{"amount": json.Number("12.50")},
	} {
		got, err := recorded{data: []byte(data)}.input()
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	got, err := recorded{data: []byte(`"data:image/png;base64,AAAA"`)}.input()
	require.NoError(t, err)
	assert.IsType(t, nyckel.Image{}, got)
}

// A line that nothing will take is named like any other that is wrong.
func TestLineThatIsTooLong(t *testing.T) {
	content := append([]byte("\n"), bytes.Repeat([]byte("a"), maxLine+1)...)
	_, err := readLines("long.jsonl", content)
	assert.EqualError(t, err, "long.jsonl:2: has more than 67108864 bytes")
}
