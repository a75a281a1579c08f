package config_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/config"
)

// A plain has the types that a file writes by itself.
type plain struct {
	Count int
	Large int64
	Wait  time.Duration
	Share float64
	Text  string
	On    bool
	List  []string
	Deep  map[string]plain
	Any   any
}

func readPlain(text string) (plain, error) {
	var p plain
	reader := config.Reader{Lookup: func(reference string) (string, bool, error) {
		value, ok := map[string]string{
			"COUNT": "7", "SHARE": "0.5", "ON": "true", "NULL": "null", "OCTAL": "010", "NAN": ".nan", "QUOTED": "'7'", "ANCHOR": "&a 7",
			"LOOP": "${LOOP}", "LINES": "7\ntext: x", "LONG": strings.Repeat("7", 10_000), "DATE": "2026-01-01",
		}[reference]
		return value, ok, nil
	}}
	source := reader.Decode("f.yaml", []byte(text), &p)
	return p, config.Join(source.Errors()...)
}

func utf16(text string) string {
	b := []byte("\xff\xfe")
	for _, r := range text {
		b = append(b, byte(r), byte(r>>8))
	}
	return string(b)
}

// What editors and other systems make of a file is read, or refused with the place.
func TestHostileFiles(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"line breaks of Windows", "count: 1\r\ntext: x\r\n", ""},
		{"a byte order mark", "\xef\xbb\xbfcount: 1\n", ""},
		{"an error after a byte order mark", "\xef\xbb\xbfcuont: 1\n", `f.yaml:1:1: has the unknown key "cuont"; did you mean count?`},
		{"UTF-16", utf16("count: 1\n"), "f.yaml: is UTF-16, want UTF-8"},
		{"UTF-16 the other way", "\xfe\xff\x00c", "f.yaml: is UTF-16, want UTF-8"},
		{"no UTF-8", "count: 1\ntext: é\xffx", "f.yaml:2:8: is not UTF-8 from here on"},
		{"a zero byte", "count: 1\n\ntext: a\x00b", `f.yaml:3:8: has the control character U+0000; in a text between quotes it can be written as \x00`},
		{"a delete", "text: a\x7f", `f.yaml:1:8: has the control character U+007F; in a text between quotes it can be written as \x7F`},
		{"an escape", "text: \x1b[31m", `f.yaml:1:7: has the control character U+001B; in a text between quotes it can be written as \x1B`},
		{"a line break that nobody sees", "count: 1 # one\u2028text: x\n", `f.yaml:1:15: has the line break U+2028, which is not seen as one; in a text between double quotes it can be written as \u2028`},
		{"another one", "count: 1\ntext: \"a\u0085b\"", `f.yaml:2:9: has the line break U+0085, which is not seen as one; in a text between double quotes it can be written as \u0085`},
		{"one between paragraphs", "text: a\u2029b", `f.yaml:1:8: has the line break U+2029, which is not seen as one; in a text between double quotes it can be written as \u2029`},
		{"a tab for an indent", "deep:\n\ta: {}", "f.yaml:2:1: while scanning for the next token: found character that cannot start any token"},
		{"a tab after a key", "count:\t1", ""},
		{"a key twice, once in quotes", "count: 1\n\"count\": 2", "f.yaml:2:1: has the key count twice, first in line 1"},
		{
			"a key with a line break twice", "deep: {\"a\\nb\": {}, \"a\\nb\": {}}",
			"f.yaml:1:8: deep: has the key \"a\\nb\": want letters, digits and any of -_.:/@\nf.yaml:1:20: deep: has the key \"a\\nb\" twice, first in line 1",
		},
		{
			"a long key", strings.Repeat("k", 500) + ": 1",
			`f.yaml:1:1: has the unknown key "` + strings.Repeat("k", 100) + `…"; known are any, count, deep, large, list, on, share, text, wait`,
		},
		{
			"a merge key in quotes", "deep: {a: {'<<': {count: 1}}}",
			`f.yaml:1:12: deep.a: has the unknown key "<<"; known are any, count, deep, large, list, on, share, text, wait`,
		},
		{"a merge key", "deep: {a: &a {count: 1}, b: {<<: *a}}", "f.yaml:1:30: deep.b: has a merge key, which is not supported; write the keys out"},
		{"an alias of nothing", "list: *gone", "f.yaml:1:7: refers to an anchor that is not there; a text that begins with * stands in quotes"},
		{"a list in itself", "list: &a [*a]", "f.yaml:1:7: list[0]: is a list, want a text"},
		{
			"a mapping in itself", "deep: &a {x: {deep: *a}}",
			"f.yaml:1:14: deep" + strings.Repeat(".x.deep", 15) + ".x: is too much: a file has at most 50000 values in at most 32 levels",
		},
		{"too many levels of a list", strings.Repeat("[", 20_000), "f.yaml:1:10001: while increasing flow level: exceeded max depth of 10000"},
		{"too many levels of a mapping", strings.Repeat("{a: ", 20_000), "f.yaml:1:40001: while increasing flow level: exceeded max depth of 10000"},
		{"too large", "text: " + strings.Repeat("x", 10<<20), "f.yaml: has more than 1048576 bytes"},
		{
			"a reference within brackets", "count: 1\nlist: [a, ${COUNT}]",
			"f.yaml:2:12: while parsing a flow sequence: did not find expected ',' or ']'; between braces or brackets, ${…} stands in quotes",
		},
		{
			"a reference within braces", "deep: {a: {count: ${COUNT}}}",
			"f.yaml:1:20: while parsing a flow mapping: did not find expected ',' or '}'; between braces or brackets, ${…} stands in quotes",
		},
		{"another version", "%YAML 2.0\n---\ncount: 1", "f.yaml:1:1: found incompatible YAML document"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readPlain(tt.text)
			if tt.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.EqualError(t, err, tt.want)
		})
	}
}

// A few lines may say as much as a whole library.
func TestHostileAliases(t *testing.T) {
	var b strings.Builder
	b.WriteString("deep:\n  a0: &a0 {list: [x, x, x, x, x, x, x, x, x, x]}\n")
	for i := range 12 {
		fmt.Fprintf(&b, "  a%d: &a%d {deep: {", i+1, i+1)
		for j := range 10 {
			fmt.Fprintf(&b, "k%d: *a%d, ", j, i)
		}
		b.WriteString("}}\n")
	}
	_, err := readPlain(b.String())
	assert.ErrorContains(t, err, "is too much: a file has at most 50000 values in at most 32 levels")
	assert.Equal(t, 0, strings.Count(err.Error(), "\n"), "it is said once")
}

// A few lines may hold more text than a machine has memory.
func TestHostileDocuments(t *testing.T) {
	const half = 500 << 10
	for list, want := range map[string]string{
		strings.Repeat("*a, ", 100_000):                                              "f.yaml:1:7: list[17]: is too much: the documents in a file have at most 8388608 bytes",
		"{a: [" + strings.Repeat("*a, ", 100_000) + "]}":                             "f.yaml:1:7: list[0]: is too much: the documents in a file have at most 8388608 bytes",
		"[" + strings.Repeat("*a, ", 10) + "], [" + strings.Repeat("*a, ", 10) + "]": "f.yaml:1:7: list[1]: is too much: the documents in a file have at most 8388608 bytes",
		"[" + strings.Repeat("*a, ", 8) + "], [" + strings.Repeat("*a, ", 8) + "]":   "",
		strings.Repeat("{a, 'b': ~, \"c\\0\\L\": \"\\0\\L\"}, ", 8_000):              "", // as much as can be without an alias
	} {
		var into struct {
			Text string
			List []json.RawMessage
		}
		source := config.Decode("f.yaml", []byte("text: &a "+strings.Repeat("x", half)+"\nlist: ["+list+"]"), &into)
		if want == "" {
			assert.Empty(t, source.Errors())
		} else {
			assert.EqualError(t, config.Join(source.Errors()...), want)
		}
		size := 0
		for _, document := range into.List {
			size += len(document)
		}
		assert.Less(t, size, 8<<20+2*half)
	}
}

// What a reference stands for may be much longer than itself, and there are many of them
// in a text, or in one behind an alias.
func TestHostileReferences(t *testing.T) {
	const tooMuch = "has ${BIG}, which cannot be read: all references in a file come to at most 8388608 bytes"
	looked := 0
	big := config.Reader{Lookup: func(string) (string, bool, error) {
		looked++
		return strings.Repeat("x", 64<<10), true, nil
	}}
	for text, want := range map[string]string{
		"text: '" + strings.Repeat("${BIG}", 129) + "'":                                                  "f.yaml:1:7: text: " + tooMuch,
		"text: '" + strings.Repeat("${BIG}", 128) + "'":                                                  "",
		"text: &a ${BIG}\nlist: [" + strings.Repeat("*a, ", 128) + "]":                                   "f.yaml:1:7: list[127]: " + tooMuch,
		"text: &a ${BIG}\nlist: [" + strings.Repeat("*a, ", 999) + "]":                                   "f.yaml:1:7: list[127]: " + tooMuch,
		"text: &a '$${" + strings.Repeat("x", 512<<10) + "'\nlist: [" + strings.Repeat("*a, ", 20) + "]": "f.yaml:1:7: list[14]: all references in a file come to at most 8388608 bytes",
		"text: &a ${BIG}\nmore: {a: [" + strings.Repeat("*a, ", 128) + "]}":                              "f.yaml:1:7: more: " + tooMuch,
	} {
		var into struct {
			Text string
			List []string
			More json.RawMessage
		}
		looked = 0
		source := big.Decode("f.yaml", []byte(text), &into)
		if want == "" {
			assert.Empty(t, source.Errors())
		} else {
			assert.EqualError(t, config.Join(source.Errors()...), want)
		}
		assert.LessOrEqual(t, looked, 129)
	}
}

// A long key is not told again with each problem below it. Of one that is cut, a secret
// is masked nevertheless.
func TestHostileKeys(t *testing.T) {
	name := strings.Repeat("é", 256)
	_, err := readPlain("deep: {" + name + ": {}}")
	require.NoError(t, err)
	_, err = readPlain("deep: {" + name + "é: {x: 1, y: 2}}")
	require.EqualError(t, err, `f.yaml:1:8: deep: has the key "`+strings.Repeat("é", 100)+`…": want at most 256 characters`)

	_, err = readPlain("deep: {a: {token=" + strings.Repeat("hunter2", 10_000) + ": 1}}")
	require.ErrorContains(t, err, `has the unknown key "token=`+strings.Repeat("*", 94)+`…"`)
}

// A value is what people take it for, or none.
func TestHostileValues(t *testing.T) {
	for text, want := range map[string]plain{
		"count: 0x10":                     {Count: 16},
		"count: 1_000":                    {Count: 1000},
		"count: 0":                        {},
		"large: -9223372036854775808":     {Large: math.MinInt64},
		"share: 0.25":                     {Share: 0.25},
		"share: 0":                        {},
		"wait: -5s":                       {Wait: -5 * time.Second},
		"wait: 0":                         {},
		"count: ${COUNT}":                 {Count: 7},
		"count: ${NONE:-3}":               {Count: 3},
		"count: 1${COUNT}":                {Count: 17},
		"share: ${SHARE}":                 {Share: 0.5},
		"on: ${ON}":                       {On: true},
		"any: ${COUNT}":                   {Any: 7},
		"any: ${DATE}":                    {Any: "2026-01-01"},
		"text: ${COUNT}":                  {Text: "7"},
		"text: ${NULL}":                   {Text: "null"},
		"text: ${LOOP}":                   {Text: "${LOOP}"},
		"text: ${LINES}":                  {Text: "7\ntext: x"},
		"text: ${LONG}":                   {Text: strings.Repeat("7", 10_000)},
		"text: 017":                       {Text: "017"},
		"text: !!str 7":                   {Text: "7"},
		"text: 2026-01-01":                {Text: "2026-01-01"},
		"text: <<":                        {Text: "<<"},
		"count: !!int '7'":                {Count: 7},
		"list: !!seq [a]":                 {List: []string{"a"}},
		"deep: !!map {a: {}}":             {Deep: map[string]plain{"a": {}}},
		"list:\n- '${COUNT}'\n- ${COUNT}": {List: []string{"7", "7"}},
	} {
		got, err := readPlain(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"count: 010":                          "1:8: count: is 010, want a whole number",
		"count: -017":                         "1:8: count: is -017, want a whole number",
		"count: 0_7":                          "1:8: count: is 0_7, want a whole number",
		"share: 010":                          "1:8: share: is 010, want a number",
		"count: ${OCTAL}":                     "1:8: count: is what ${OCTAL} holds, want a whole number",
		"count: 1e3":                          "1:8: count: is 1e3, want a whole number",
		"count: '7'":                          "1:8: count: is a text, want a whole number",
		"count: '${COUNT}'":                   "1:8: count: is what ${COUNT} holds, want a whole number",
		"count: ${NULL}":                      "1:8: count: is what ${NULL} holds, want a whole number",
		"count: ${QUOTED}":                    "1:8: count: is what ${QUOTED} holds, want a whole number",
		"count: ${ANCHOR}":                    "1:8: count: is what ${ANCHOR} holds, want a whole number",
		"count: ${LONG}":                      "1:8: count: is what ${LONG} holds, want a whole number",
		"count: 9223372036854775808":          "1:8: count: is 9223372036854775808, want a whole number",
		"count: 1" + strings.Repeat("0", 300): "1:8: count: is 1" + strings.Repeat("0", 99) + "…, want a whole number",
		"share: .nan":                         "1:8: share: is .nan, want a number",
		"share: ${NAN}":                       "1:8: share: is what ${NAN} holds, want a number",
		"share: -.inf":                        "1:8: share: is -.inf, want a number",
		"share: 1e999":                        "1:8: share: is a text, want a number",
		"wait: 3000000h":                      "1:7: wait: is a text, want a duration such as 500ms, 10s or 1m30s",
		"wait: 1e3s":                          "1:7: wait: is a text, want a duration such as 500ms, 10s or 1m30s",
		"wait: .inf":                          "1:7: wait: is .inf, want a duration such as 500ms, 10s or 1m30s",
		"on: yes":                             "1:5: on: is a text, want true or false",
		"on: 1":                               "1:5: on: is 1, want true or false",
		"text: !env API_KEY":                  "1:7: text: has a tag that is not known; a text that begins with ! stands in quotes",
		"text: !hunter2":                      "1:7: text: has a tag that is not known; a text that begins with ! stands in quotes",
		"text: !!binary aGk=":                 "1:7: text: has a tag that is not known; a text that begins with ! stands in quotes",
		"count: !env 5":                       "1:8: count: has a tag that is not known; a text that begins with ! stands in quotes",
		"any: !env 5":                         "1:6: any: has a tag that is not known; a text that begins with ! stands in quotes",
		"list: [!env a]":                      "1:8: list[0]: has a tag that is not known; a text that begins with ! stands in quotes",
		"list: !env [a]":                      "1:7: list: has a tag that is not known; a text that begins with ! stands in quotes",
		"deep: !env {}":                       "1:7: deep: has a tag that is not known; a text that begins with ! stands in quotes",
		"text: ${NONE:-${COUNT}}":             "1:7: text: has a ${ within a reference, which cannot be; the text after :- is taken as it is",
		"text: ${${COUNT}}":                   "1:7: text: has a ${ within a reference, which cannot be; the text after :- is taken as it is",
	} {
		_, err := readPlain(text)
		assert.EqualError(t, err, "f.yaml:"+want, text)
	}
}

// A file may be as large as the bound.
func TestHostileLargestFile(t *testing.T) {
	const text = "count: 7 #"
	p, err := readPlain(text + strings.Repeat("x", 1<<20-len(text)))
	require.NoError(t, err)
	assert.Equal(t, 7, p.Count)
}

// A zero before a number with a point does not make it an octal one.
func TestHostileZeroBeforeAFraction(t *testing.T) {
	p, err := readPlain("share: 00.5")
	require.NoError(t, err)
	assert.Equal(t, 0.5, p.Share)
}

// What is put in is no YAML: a number with more beside it is a text.
func TestHostileNumberFromElsewhere(t *testing.T) {
	for _, text := range []string{"5 # five", " 5", "5\n"} {
		reader := config.Reader{Lookup: func(string) (string, bool, error) { return text, true, nil }}
		var p plain
		require.Empty(t, reader.Decode("f.yaml", []byte("any: ${FIVE}"), &p).Errors(), "%q", text)
		assert.Equal(t, text, p.Any)
	}
}

// Secrets within secrets are not read again for each of them, which of a line as long as
// a file may be would take hours.
func TestHostileExcerptsOfLongLines(t *testing.T) {
	for text, secret := range map[string]string{
		"{token: ": "token", "{token: '": "token", "{token: [a, ": "token", " -u me:hunter2": "hunter2",
	} {
		line := "text" + strings.Repeat(text, 1<<20/len(text)-1)
		var p plain
		shown := config.Decode("f.yaml", []byte(line), &p).Excerpt(&config.Error{Line: 1, Column: 1_000_000})
		require.Contains(t, shown, "…", text)
		require.NotContains(t, shown, secret, text)
	}
}

// The lines that are shown have no secret in them, wherever it stands, and nothing
// that a terminal would obey.
func TestHostileExcerpts(t *testing.T) {
	for text, want := range map[string]string{
		"client_secret:\n  hunter2":            "    2 | *********\n      | ^\n",
		"client_secret: |\n  first\n  hunter2": "    3 | *********\n      | ^\n",
		"client_secret: >\n  http://hunter2/x": "    2 | ******************\n      | ^\n",
		"label: |\n  some text":                "    2 |   some text\n      | ^\n",

		"client_secret: |\n  user: hunter2":                "    2 | ***************\n      | ^\n",
		"client_secret: |\n  user: first\n  hunter2":       "    3 | *********\n      | ^\n",
		"client_secret: |\n  a:\n    b: 1\n  c: hunter2":   "    4 | ************\n      | ^\n",
		"client_secret: first\n  user: hunter2":            "    2 | ***************\n      | ^\n",
		"client_secret: \"first\n\n  user: hunter2\"":      "    3 | ****************\n      | ^\n",
		"- client_secret: &a |\n    user: hunter2":         "    2 | *****************\n      | ^\n",
		"- client_secret: first\n  user: me":               "    2 |   user: me\n      | ^\n",
		"client_secret: first\nlist:\n- user: me":          "    3 | - user: me\n      | ^\n",
		"token_classifier:  # ours\n  user: me":            "    2 |   user: me\n      | ^\n",
		"token_classifier: &ours\n  user: me":              "    2 |   user: me\n      | ^\n",
		"header: {token: {a: first,\n b: hunter2}}":        "    2 | *************\n      | ^\n",
		"token: [\n{a: first},\n{b: hunter2}]":             "    3 | *************\n      | ^\n",
		"token: [\"]\",\nb: hunter2]":                      "    2 | ***********\n      | ^\n",
		"token: 'first: a\n\nb: hunter2'":                  "    3 | ***********\n      | ^\n",
		"{name: {token: \"first: \\\"\n\\\nb: hunter2\"}}": "    3 | *************\n      | ^\n",
		"tokens: [it's]\nuser: me":                         "    2 | user: me\n      | ^\n",
		"name: 'token: ['\nuser: me":                       "    2 | user: me\n      | ^\n",
		"name: 'broken\ntoken: [first,\nb: hunter2":        "    3 | **********\n      | ^\n",
		"token: [first]\nuser: me":                         "    2 | user: me\n      | ^\n",
		"{token: [[first]],\nuser: me}":                    "    2 | user: me}\n      | ^\n",
		"{token:\n  hunter2, user: me}":                    "    2 | ********** user: me}\n      | ^\n",
		"{token:\n\n  hunter2, user: me}":                  "    3 | ********** user: me}\n      | ^\n",
		"tokens:\n  - user: me":                            "    2 |   - user: me\n      | ^\n",
		"text: \x1b[31m":                                   "    1 | text: \uFFFD[31m\n      | ^\n",
	} {
		var p plain
		source := config.Decode("f.yaml", []byte(text), &p)
		line := strings.Count(text, "\n") + 1
		assert.Equal(t, want, source.Excerpt(&config.Error{Line: line, Column: 1}), text)
	}
}
