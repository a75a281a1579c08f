package config_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/config"
)

// A shade has a text of its own.
type shade uint8

func (s *shade) UnmarshalText(text []byte) error {
	if string(text) != "dark" {
		return errors.New("config_test: unknown shade, want dark")
	}
	*s = 1
	return nil
}

type paint struct {
	Wait   time.Duration
	Shade  shade
	Mixer  func() string
	Items  map[string]*part
	Counts map[shade]int
	Header map[string][]string
	Parts  []part
	Secret string
	Sample json.RawMessage
	Hidden string `config:"-"`
}

type part struct {
	Label string
	Share float64
}

func reader() config.Reader {
	mixer := func() string { return "mixed" }
	return config.Reader{
		Names: func(t reflect.Type) map[string]any {
			switch t {
			case reflect.TypeFor[func() string]():
				return map[string]any{"mixer": mixer}
			case reflect.TypeFor[part]():
				return map[string]any{"known": part{Label: "described elsewhere"}}
			}
			return nil
		},
		Start: func(t reflect.Type) any {
			if t == reflect.TypeFor[*part]() {
				return &part{Label: "default", Share: 1}
			}
			return nil
		},
		Lookup: func(reference string) (string, bool, error) {
			switch reference {
			case "WAIT":
				return "5s", true, nil
			case "EMPTY":
				return "", true, nil
			case "BROKEN":
				return "", false, errors.New("no permission")
			case "COUNT":
				return "7", true, nil
			case "TWICE":
				return "${WAIT}", true, nil
			case "YAML":
				return "[a, b]", true, nil
			}
			return "", false, nil
		},
	}
}

func TestReader(t *testing.T) {
	var p paint
	source := reader().Decode("f.yaml", []byte(`
wait: ${WAIT}
shade: dark
mixer: mixer
items: {a: {share: 0.5}, b: {}, c: null}
counts: {dark: 2}
header: {one: x, several: [x, y], none: []}
parts: [known, {label: own}]
secret: "$${x} ${YAML} ${NONE:-instead} ${EMPTY:-too}"
`), &p)
	require.Empty(t, source.Errors())
	assert.Equal(t, 5*time.Second, p.Wait)
	assert.Equal(t, shade(1), p.Shade)
	assert.Equal(t, "mixed", p.Mixer())
	assert.Equal(t, map[string]*part{"a": {Label: "default", Share: 0.5}, "b": {Label: "default", Share: 1}, "c": nil}, p.Items)
	assert.Equal(t, map[shade]int{1: 2}, p.Counts)
	assert.Equal(t, map[string][]string{"one": {"x"}, "several": {"x", "y"}, "none": {}}, p.Header)
	assert.Equal(t, []part{{Label: "described elsewhere"}, {Label: "own"}}, p.Parts)
	assert.Equal(t, "${x} [a, b] instead too", p.Secret, "what is put in is no YAML")
	assert.True(t, source.FromElsewhere("Wait"))
	assert.False(t, source.FromElsewhere("Shade"))
	assert.True(t, source.Has("Items[a].Share"))
	assert.False(t, source.Has("Items[a].Label"))
}

// An alias is what it stands for, wherever that may be written.
func TestReaderAliases(t *testing.T) {
	var p paint
	source := reader().Decode("f.yaml", []byte(`
secret: &text x
mixer: &mixer mixer
sample: [&several [x, y], &known known, &reference "${WAIT}"]
header: {one: *text, several: *several, reference: *reference}
parts: [*known, {label: *text}]
`), &p)
	require.Empty(t, source.Errors())
	assert.Equal(t, "mixed", p.Mixer())
	assert.Equal(t, map[string][]string{"one": {"x"}, "several": {"x", "y"}, "reference": {"5s"}}, p.Header)
	assert.Equal(t, []part{{Label: "described elsewhere"}, {Label: "x"}}, p.Parts)
	assert.True(t, source.FromElsewhere("Header[reference]"))
}

// A text for a list takes the place of the list that was there, as a list does.
func TestReaderTextForAList(t *testing.T) {
	there := []string{"there", "room"}[:1]
	p := paint{Header: map[string][]string{"one": there, "list": there, "kept": there}}
	source := reader().Decode("f.yaml", []byte("header: {one: x, list: [x]}"), &p)
	require.Empty(t, source.Errors())
	assert.Equal(t, map[string][]string{"one": {"x"}, "list": {"x"}, "kept": {"there"}}, p.Header)
	assert.Equal(t, []string{"there", "room"}, there[:2])
}

// A document is a value as any other, however deep the texts are in it.
func TestReaderReferencesInADocument(t *testing.T) {
	tests := []struct{ text, want string }{
		{"sample: ${WAIT}", `"5s"`},
		{"sample: {label: '${WAIT}', also: [\"$${WAIT}\", \"${TWICE}\"]}", `{"label":"5s","also":["${WAIT}","${WAIT}"]}`},
		{"sample:\n  count: ${COUNT}\n  text: '${COUNT}'", `{"count":7,"text":"7"}`},
		{"sample:\n  ${WAIT}: 1", `{"${WAIT}":1}`}, // a key is no value
	}
	for _, tt := range tests {
		var p paint
		source := reader().Decode("f.yaml", []byte(tt.text), &p)
		require.Empty(t, source.Errors(), tt.text)
		assert.Equal(t, tt.want, string(p.Sample), tt.text)
	}
}

// A null takes away the document that was there before.
func TestReaderNoDocument(t *testing.T) {
	p := paint{Sample: json.RawMessage(`{"a":1}`)}
	source := reader().Decode("f.yaml", []byte("sample: null"), &p)
	require.Empty(t, source.Errors())
	assert.Nil(t, p.Sample)
}

// What was put in is kept out of what is shown, so all of it must be known.
func TestReaderPutInOfADocument(t *testing.T) {
	var p paint
	source := reader().Decode("f.yaml", []byte("sample: {a: '${WAIT}', b: ['${COUNT}']}\nsecret: ${YAML}"), &p)
	require.Empty(t, source.Errors())
	assert.ElementsMatch(t, []string{"5s", "7", "[a, b]"}, source.PutIn())
	assert.True(t, source.FromElsewhere("Sample"))
}

func TestReaderErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"wait: 5", `f.yaml:1:7: wait: is 5, want a duration such as 500ms, 10s or 1m30s`},
		{"shade: light", `f.yaml:1:8: shade: has an unknown shade, want dark`},
		{"counts: {light: 1}", `f.yaml:1:10: counts: has the key "light": unknown shade, want dark`},
		{"mixer: blender", `f.yaml:1:8: mixer: is "blender", which is not known; known are mixer`},
		{"parts: [knwon]", `f.yaml:1:9: parts[0]: is "knwon", which is not known; did you mean known?`},
		{"items: {a: known}", `f.yaml:1:12: items.a: is a text, want keys with values`},
		{"items: {a: {}, a: {}}", `f.yaml:1:16: items: has the key a twice, first in line 1`},
		{"hidden: x", `f.yaml:1:1: has the unknown key "hidden"; known are counts, header, items, mixer, parts, sample, secret, shade, wait`},
		{"secret: ${file:none}", `f.yaml:1:9: secret: has ${file:none}, which is not there; create the file, or write ${file:none:-…} with a value for when it is not`},
		{"secret: ${NONE}", `f.yaml:1:9: secret: has ${NONE}, which is not set; set it, or write ${NONE:-…} with a value for when it is not`},
		{"secret: ${EMPTY}", `f.yaml:1:9: secret: has ${EMPTY}, which is empty; give it a value, or write ${EMPTY:-…} with another one`},
		{"secret: ${BROKEN}", `f.yaml:1:9: secret: has ${BROKEN}, which cannot be read: no permission`},
		{"secret: ${", "f.yaml:1:9: secret: has a ${ without its }; for the two characters themselves write $${"},
		{"wait: ${YAML}", `f.yaml:1:7: wait: is what ${YAML} holds, want a duration such as 500ms, 10s or 1m30s`},
		{"sample: {a: ['${NONE}']}", `f.yaml:1:14: sample: has ${NONE}, which is not set; set it, or write ${NONE:-…} with a value for when it is not`},
		{"shade: ${YAML}", `f.yaml:1:8: shade: is what ${YAML} holds, which is not known`},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			var p paint
			err := config.Join(reader().Decode("f.yaml", []byte(tt.text), &p).Errors()...)
			assert.EqualError(t, err, tt.want)
		})
	}
}

// What was meant to follow a key, or stands where a name should, may be a secret.
func TestReaderErrorsMask(t *testing.T) {
	for text, want := range map[string]string{
		"{client_secret:hunter2}":                       `f.yaml:1:2: has the unknown key "client_secret:*******"`,
		"header: {Authorization:Bearer hunter2}":        `f.yaml:1:10: header: has the key "Authorization:**************": want letters`,
		"header: {X-Api-Key:hunter2}":                   `f.yaml:1:27: header.X-Api-Key:*******: is empty, want a list`,
		"counts: {token:hunter2: 1}":                    `f.yaml:1:10: counts: has the key "token:*******": unknown shade, want dark`,
		"items: {token:hunter2: {}, token:hunter2: {}}": `f.yaml:1:28: items: has the key token:******* twice, first in line 1`,
		"parts: ['https://a.test/?key=hunter2']":        `f.yaml:1:9: parts[0]: is "https://a.test/?***********", which is not known`,
		"parts: ['https://me:hunter2@a.test']":          `f.yaml:1:9: parts[0]: is "https://**********@a.test", which is not known`,
		"{client_secret hunter2}":                       `f.yaml:1:2: has the unknown key "client_secret *******"`,
		"{client_secret=hunter2}":                       `f.yaml:1:2: has the unknown key "client_secret=*******"`,
		"header: {Authorization Bearer hunter2}":        `f.yaml:1:10: header: has the key "Authorization **************": want letters`,
		"secret: *hunter2":                              `f.yaml:1:9: refers to an anchor that is not there; a text that begins with * stands in quotes`,
		"secret: ${:-hunter2}":                          `f.yaml:1:9: secret: has a reference without a name; write ${NAME}`,
	} {
		var p paint
		err := config.Join(reader().Decode("f.yaml", []byte(text), &p).Errors()...)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

// What a file adds to is what others go by, so it must be left as it was.
func TestReaderLeavesDefaults(t *testing.T) {
	shared := &part{Label: "shared"}
	first := paint{Items: map[string]*part{"a": shared}, Counts: map[shade]int{0: 1}}
	second := first
	source := reader().Decode("f.yaml", []byte("items: {a: {share: 0.5}, b: {}}\ncounts: {dark: 2}"), &second)
	require.Empty(t, source.Errors())
	assert.Equal(t, &part{Label: "shared", Share: 0.5}, second.Items["a"])
	assert.Len(t, second.Items, 2)
	assert.Equal(t, part{Label: "shared"}, *shared)
	assert.Len(t, first.Items, 1)
	assert.Equal(t, map[shade]int{0: 1}, first.Counts)
}

func TestExcerpt(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a value", "name: a\nshare: x\n", "    2 | share: x\n      |        ^\n"},
		{"tabs and wide letters", "name: \"é\"\nwords: [a,\tb: 1]\n", "    2 | words: [a,\tb: 1]\n      |           \t^\n"},
		{"a secret", "{name: a, client_secret: s3cret, x: 1}\n", "    1 | {name: a, client_secret: ******, x: 1}\n      |                                  ^\n"},
		{"a secret in quotes", "{api_key: 's3cret, no', x: 1}\n", "    1 | {api_key: ************, x: 1}\n      |                         ^\n"},
		{"a secret from elsewhere", "{token: '${T}', x: 1}\n", "    1 | {token: '${T}', x: 1}\n      |                 ^\n"},
		{"a URL", "{name: 'https://me:pw@host/', x: 1}\n", "    1 | {name: 'https://*****@host/', x: 1}\n      |                               ^\n"},
		{"nothing to show", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s settings
			source := config.Decode("f.yaml", []byte(tt.text), &s)
			require.NotEmpty(t, source.Errors())
			last := source.Errors()[len(source.Errors())-1]
			assert.Equal(t, tt.want, source.Excerpt(last))
		})
	}
}

// A secret stays out of an excerpt however its key is misspelled and its value written.
func TestExcerptMasks(t *testing.T) {
	tests := []struct{ line, want string }{
		{"client_secrt: hunter2", "client_secrt: *******"},
		{"secert: hunter2", "secert: *******"},
		{"clientSecret: hunter2", "clientSecret: *******"},
		{"pasword: hunter2", "pasword: *******"},
		{"X-Auth: hunter2", "X-Auth: *******"},
		{"db_pwd: hunter2", "db_pwd: *******"},
		{"key_pasphrase: hunter2", "key_pasphrase: *******"},
		{"X-Bearer: hunter2", "X-Bearer: *******"},
		{"X-Session-Id: hunter2", "X-Session-Id: *******"},
		{"privateKey: hunter2", "privateKey: *******"},
		{"pass: hunter2", "pass: *******"},
		{"version: 1", "version: 1"},
		{"bypass: 1", "bypass: 1"},
		{"client_secret hunter2", "client_secret *******"},
		{"client_secret=hunter2", "client_secret=*******"},
		{"client_secret = hunter2", "client_secret = *******"},
		{"{client_id: me, client_secret hunter2}", "{client_id: me, client_secret *******}"},
		{"- Bearer hunter2", "- Bearer *******"},
		{"{'token' hunter2: 1}", "{'token' **********}"},
		{"{tokens: [hunter2, hunter3], x: 1}", "{tokens: ******************, x: 1}"},
		{"{token: {a: {b: hunter2}, c: hunter3}, x: 1}", "{token: *****************************, x: 1}"},
		{`{token: [a, "]", 'b]', hunter2], x: 1}`, `{token: ***********************, x: 1}`},
		{`{token: [[hunter2], "hunter3, x: 1}`, `{token: ***************************`},
		{"run: tool --token hunter2 -v", "run: tool --token **********"},
		{"run: curl -u me:hunter2 us.test", "run: curl -u ********** us.test"},
		{"run: curl --user=me:é=hunter2 -u 'a b' us.test", "run: curl --user=************ -u ***** us.test"},
		{"url: https:/us.test/v1?key=hunter2", "url: https:/us.test/v1?key=*******"},
		{"label: the token of ours", "label: the token of ours"},
		{"{secret: ${S}hunter2, x: 1}", "{secret: ***********, x: 1}"},
		{"{secret: ${S}, x: 1}", "{secret: ${S}, x: 1}"},
		{"{secret: ${S:-hunter2}, x: 1}", "{secret: *************, x: 1}"},
		{"header: {Accept: text}", "header: {Accept: text}"},
		{"X-Key: hunter2", "X-Key: *******"},
		{"secret: hunter2, and} more#", "secret: *******************"},
		{`secret: "hunter2\"hunter3"`, `secret: ******************`},
		{`{secret: "hunter2\", x}", x: 1}`, `{secret: ***************, x: 1}`},
		{`{secret: 'hunter2'', x}', x: 1}`, `{secret: ***************, x: 1}`},
		{`{secret: "hunter2, x: 1}`, `{secret: ***************`},
		{`{secret: hunter2, token: "a, b}", x: 1}`, `{secret: *******, token: *******, x: 1}`},
		{`{secret: some token: "a, b} c", x: 1}`, `{secret: *********************, x: 1}`},
		{"{secret: 'hunter é', token: é, x: 1}", "{secret: **********, token: *, x: 1}"},
		{"secret: ${S} # was token: hunter2", "secret: ${S} # was token: *******"},
		{"secret: hunter2, {hunter3}", "secret: ******************"},
		{"secret: ${S#}hunter2", "secret: ************"},
		{"secret: ${S}#hunter2", "secret: ************"},
		{"{a: {secret: hunter2}, token: hunter3}", "{a: {secret: *******}, token: *******}"},
		{"secret: ${S}hunter2", "secret: ***********"},
		{"secret: ${S:-hunter2}", "secret: *************"},
		{"secret: ${S} # of the account", "secret: ${S} # of the account"},
		{"secret: '${file:/run/s'", "secret: '${file:/run/s'"},
		{"url: https://us.test/v1?key=hunter2", "url: https://us.test/v1?***********"},
		{"url: https://me:hunter2@hunter3@us.test/v1", "url: https://******************@us.test/v1"},
		{"url: https://me:hunter2/hunter3@us.test/v1", "url: https://******************@us.test/v1"},
		{"url: https://me:hunter2?hunter3@us.test/v1?key=a", "url: https://******************@us.test/v1?*****"},
		{"retry: {atempts: 3}", "retry: {atempts: 3}"},
		{"total: 3s", "total: 3s"},
	}
	for _, tt := range tests {
		var s settings
		source := config.Decode("f.yaml", []byte(tt.line+"\n"), &s)
		want := "    1 | " + tt.want + "\n      | ^\n"
		assert.Equal(t, want, source.Excerpt(&config.Error{Line: 1, Column: 1}))
	}
}

func TestExcerptOfALongLine(t *testing.T) {
	var s settings
	source := config.Decode("f.yaml", []byte("name: "+strings.Repeat("é", 1000)), &s)
	got := source.Excerpt(&config.Error{Line: 1, Column: 501})
	assert.Equal(t, "    1 | …"+strings.Repeat("é", 200)+"…\n      | "+strings.Repeat(" ", 101)+"^\n", got)
	got = source.Excerpt(&config.Error{Line: 1, Column: 1})
	assert.Equal(t, "    1 | name: "+strings.Repeat("é", 94)+"…\n      | ^\n", got)
}
