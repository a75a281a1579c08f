package fallback_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// field is a condition on a field; change sets its tests.
func field(name string, change func(*policy.Condition)) policy.Condition {
	c := policy.Condition{Field: name}
	change(&c)
	return c
}

func eq(name string, x any) policy.Condition {
	return field(name, func(c *policy.Condition) { c.Eq = x })
}

func exists(name string) policy.Condition {
	return field(name, func(c *policy.Condition) { c.Exists = true })
}

func TestAnswerFields(t *testing.T) {
	const row = `{"amount":12.5,"country":"DE","vip":true,"none":null,"tags":["a"],"id":"7","n":0,
		"customer":{"age":30,"since.year":2020},"flat.key":1,"flat":{"other":2},"flat.deep":{"key":3},"text":"inner","image":"x","row":{"x":1},"huge":1e999}`
	tests := []struct {
		name      string
		condition policy.Condition
		want      bool
	}{
		{"equal texts", eq("country", "DE"), true},
		{"case counts", eq("country", "de"), false},
		{"equal numbers", eq("amount", 12.5), true},
		{"a number of another Go type", eq("customer.age", uint8(30)), true},
		{"equal booleans", eq("vip", true), true},
		{"another boolean", eq("vip", false), false},
		{"a text is no number", eq("id", 7), false},
		{"a number is no text", eq("amount", "12.5"), false},
		{"not equal", field("country", func(c *policy.Condition) { c.Ne = "FR" }), true},
		{"equal after all", field("country", func(c *policy.Condition) { c.Ne = "DE" }), false},
		{"not equal, of another type", field("id", func(c *policy.Condition) { c.Ne = 7 }), false},
		{"not equal, not there", field("nope", func(c *policy.Condition) { c.Ne = "x" }), false},
		{"in", field("country", func(c *policy.Condition) { c.In = []any{"FR", "DE", 1} }), true},
		{"in none", field("country", func(c *policy.Condition) { c.In = []any{"FR", 1} }), false},
		{"in and equal", field("country", func(c *policy.Condition) { c.In, c.Eq = []any{"FR", "DE"}, "DE" }), true},
		{"below", field("amount", func(c *policy.Condition) { c.Lt = 12.6 }), true},
		{"not below", field("amount", func(c *policy.Condition) { c.Lt = 12.5 }), false},
		{"at most", field("amount", func(c *policy.Condition) { c.Le = 12.5 }), true},
		{"above", field("amount", func(c *policy.Condition) { c.Gt = 12 }), true},
		{"not above", field("amount", func(c *policy.Condition) { c.Gt = 12.5 }), false},
		{"at least", field("amount", func(c *policy.Condition) { c.Ge = 12.5 }), true},
		{"at least zero", field("n", func(c *policy.Condition) { c.Ge = 0 }), true},
		{"above zero", field("n", func(c *policy.Condition) { c.Gt = 0 }), false},
		{"between", field("amount", func(c *policy.Condition) { c.Ge, c.Lt = 10, 20 }), true},
		{"not between", field("amount", func(c *policy.Condition) { c.Ge, c.Lt = 13, 20 }), false},
		{"a text is not below", field("id", func(c *policy.Condition) { c.Lt = 100 }), false},
		{"a number beyond all", field("huge", func(c *policy.Condition) { c.Gt = 1 }), false},
		{"there", exists("country"), true},
		{"there, null", exists("none"), true},
		{"there, a list", exists("tags"), true},
		{"not there", exists("nope"), false},
		{"dotted", eq("customer.age", 30), true},
		{"dotted, a name with a dot at the end", eq("customer.since.year", 2020), true},
		{"a name with a dot", eq("flat.key", 1), true},
		{"dotted beside a name with a dot", eq("flat.other", 2), true},
		{"dotted below a name with a dot", eq("flat.deep.key", 3), true},
		{"dotted into a text", exists("country.x"), false},
		{"another sign is no dot", exists("flat_other"), false},
		{"any column, as one of the row", eq("row.amount", 12.5), true},
		{"in the column row", eq("row.row.x", 1), true},
		{"the row's own text", eq("row.text", "inner"), true},
		{"the row's own image", eq("row.image", "x"), true},
		{"the text of a row", eq("text", "DE\n7\nx\ninner"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := mustNew(t, rules(policy.Rule{Name: "r", All: list(tt.condition), Answer: hit}))
			_, _, got := f.AnswerData([]byte(row))
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestAnswerTextFields(t *testing.T) {
	tests := []struct {
		name, text string
		condition  policy.Condition
		want       bool
	}{
		{"the text", "hi", eq("text", "hi"), true},
		{"an empty text is there", "", exists("text"), true},
		{"length in characters", "größe", eq("text.length", 5), true},
		{"length beyond what words see", strings.Repeat("x", 70_000), eq("text.length", 70_000), true},
		{"words", "one, two\nthree", eq("text.words", 3), true},
		{"words of nothing", "", eq("text.words", 0), true},
		{"an address as long as may be", "https://example.com/" + strings.Repeat("a", 8<<10-20), exists("image.source.host"), true},
		{"a column of a text", "x", exists("column"), false},
		{"an image of a text", "x", exists("image.bytes"), false},
		{"an address", " https://CDN.example.com:8443/a/b.jpg?x=1 ", eq("image.source.host", "cdn.example.com"), true},
		{"an address's path", "http://example.com/a%20b.jpg", eq("image.source.path", "/a b.jpg"), true},
		{"no address", "see https://example.com/", exists("image.source.host"), false},
		{"an address and what is said of it", "https://example.com/a.jpg is broken", exists("image.source.host"), false},
		{"an address of another kind", "ftp://example.com/", exists("image.source.host"), false},
		{"an address without a host", "https:///a", exists("image.source.host"), false},
		{"a long address", "https://example.com/" + strings.Repeat("a", 8<<10), exists("image.source.host"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := mustNew(t, rules(policy.Rule{Name: "r", All: list(tt.condition), Answer: hit}))
			_, _, got := f.Answer(tt.text)
			assert.Equal(t, tt.want, got)
		})
	}
}

// encoded returns a picture of 60 by 40 as a data URI.
func encoded(t testing.TB, format string) string {
	t.Helper()
	picture := image.NewPaletted(image.Rect(0, 0, 60, 40), color.Palette{color.Black, color.White})
	var b bytes.Buffer
	var err error
	switch format {
	case "png":
		err = png.Encode(&b, picture)
	case "jpeg":
		err = jpeg.Encode(&b, picture, nil)
	case "gif":
		err = gif.Encode(&b, picture, nil)
	}
	require.NoError(t, err)
	return "data:image/x;base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}

func TestAnswerImages(t *testing.T) {
	ask := func(t *testing.T, data string, c policy.Condition) bool {
		t.Helper()
		f := mustNew(t, rules(policy.Rule{Name: "r", All: list(c), Answer: hit}))
		_, _, ok := f.AnswerData(fmt.Appendf(nil, "%q", data))
		return ok
	}
	for _, format := range []string{"png", "jpeg", "gif"} {
		t.Run(format, func(t *testing.T) {
			uri := encoded(t, format)
			_, text, _ := strings.Cut(uri, ",")
			data, err := base64.StdEncoding.DecodeString(text)
			require.NoError(t, err)

			assert.True(t, ask(t, uri, eq("image.format", format)))
			assert.True(t, ask(t, uri, eq("image.width", 60)))
			assert.True(t, ask(t, uri, eq("image.height", 40)))
			assert.True(t, ask(t, uri, eq("image.aspect", 1.5)))
			assert.True(t, ask(t, uri, eq("image.bytes", len(data))))
			assert.False(t, ask(t, uri, exists("text")))

			cutShort := uri[:len("data:image/x;base64,")+12]
			assert.True(t, ask(t, cutShort, eq("image.format", format)), "known by its first bytes")
			assert.False(t, ask(t, cutShort, exists("image.width")))
			assert.False(t, ask(t, cutShort, exists("image.aspect")))
		})
	}
	t.Run("another format", func(t *testing.T) {
		const uri = "data:image/webp;base64,UklGRiQAAABXRUJQ"
		assert.True(t, ask(t, uri, eq("image.bytes", 12)))
		assert.False(t, ask(t, uri, exists("image.format")))
	})
	t.Run("with capital letters", func(t *testing.T) {
		assert.True(t, ask(t, "Data:image/webp;Base64,UklGRiQAAABXRUJQ", eq("image.bytes", 12)))
	})
	t.Run("on several lines", func(t *testing.T) {
		text := base64.StdEncoding.EncodeToString(make([]byte, 100))
		assert.True(t, ask(t, "data:image/webp;base64,"+text[:76]+"\r\n"+text[76:]+"\n", eq("image.bytes", 100)))
	})
	t.Run("nothing in it", func(t *testing.T) {
		assert.False(t, ask(t, "data:image/png;base64,", exists("image.bytes")))
	})
	t.Run("no height, or no width", func(t *testing.T) {
		for _, size := range []string{"\x25\x00\x00\x00", "\x00\x00\x25\x00"} {
			uri := "data:image/gif;base64," + base64.StdEncoding.EncodeToString([]byte("GIF89a"+size+"\x00\x00\x00"))
			assert.True(t, ask(t, uri, eq("image.format", "gif")))
			for _, name := range []string{"image.width", "image.height", "image.aspect"} {
				assert.False(t, ask(t, uri, exists(name)), name)
			}
		}
	})
	t.Run("no base64", func(t *testing.T) {
		assert.False(t, ask(t, "data:image/png;base64,!!!!", exists("image.format")))
	})
	t.Run("the header is too far in", func(t *testing.T) {
		_, text, _ := strings.Cut(encoded(t, "jpeg"), ",")
		data, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		after := func(comments int) string {
			comment := "\xff\xfe\xff\xff" + strings.Repeat("x", 0xfffd) // 64 KiB
			data := string(data[:2]) + strings.Repeat(comment, comments) + string(data[2:])
			return "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString([]byte(data))
		}
		assert.True(t, ask(t, after(3), eq("image.width", 60)))
		assert.True(t, ask(t, after(4), eq("image.format", "jpeg")))
		assert.False(t, ask(t, after(4), exists("image.width")))
	})
	t.Run("in a row", func(t *testing.T) {
		f := mustNew(t, rules(policy.Rule{Name: "r", All: list(eq("image.format", "gif"), words("cat"), eq("age", 3)), Answer: hit}))
		_, _, ok := f.AnswerData(fmt.Appendf(nil, `{"pic":%q,"age":3,"title":"A cat"}`, encoded(t, "gif")))
		assert.True(t, ok)
	})
	t.Run("the first of a row", func(t *testing.T) {
		f := mustNew(t, rules(policy.Rule{Name: "r", All: list(eq("image.format", "gif")), Answer: hit}))
		_, _, ok := f.AnswerData(fmt.Appendf(nil, `{"b":%q,"a":%q}`, encoded(t, "png"), encoded(t, "gif")))
		assert.True(t, ok)
	})
}

// Of what is neither a text nor a row nor an image, rules say nothing, not even what it
// is not.
func TestAnswerNoInput(t *testing.T) {
	f := mustNew(t, rules(policy.Rule{Name: "r", All: list(none(words("x"))), Answer: hit}))
	for _, data := range []string{"", "null", "5", "true", "[]", `["y"]`, "{", `"y`} {
		_, _, ok := f.AnswerData([]byte(data))
		assert.False(t, ok, data)
	}
	for _, data := range []string{`""`, "{}", `"y"`} {
		_, _, ok := f.AnswerData([]byte(data))
		assert.True(t, ok, data)
	}
}

// Rules may ask for more fields than fit on the stack, which are 16.
func TestAnswerManyFields(t *testing.T) {
	row := make(map[string]int)
	var conditions []policy.Condition
	for i := range 17 {
		name := fmt.Sprint("f", i)
		row[name] = i
		conditions = append(conditions, eq(name, i))
	}
	f := mustNew(t, rules(policy.Rule{Name: "r", All: conditions, Answer: hit}))
	ask := func() bool {
		data, err := json.Marshal(row)
		require.NoError(t, err)
		_, _, ok := f.AnswerData(data)
		return ok
	}
	assert.True(t, ask())
	row["f16"]++
	assert.False(t, ask())
}

// What has no text meets no regular expression, not even one that an empty text meets.
func TestAnswerNoText(t *testing.T) {
	f := mustNew(t, rules(policy.Rule{Name: "blank", Any: list(regex(`^\s*$`)), Answer: hit}))
	for data, want := range map[string]bool{
		`""`: true, `" \n"`: true, `"x"`: false, `{"note":""}`: true,
		`{"amount":5}`: false, `{}`: false, `"data:image/png;base64,AAAA"`: false,
	} {
		_, _, ok := f.AnswerData([]byte(data))
		assert.Equal(t, want, ok, data)
	}
	f = mustNew(t, rules(policy.Rule{Name: "r", All: list(exists("amount")), None: list(regex("^$")), Answer: hit}))
	_, _, ok := f.AnswerData([]byte(`{"amount":5}`))
	assert.True(t, ok)
}

// What a request asks about reaches the fields.
func TestWrapFields(t *testing.T) {
	cfg := rules(
		policy.Rule{Name: "row", All: list(eq("customer.tier", "gold")), Answer: policy.Answer{Label: "gold", Confidence: 0.5}},
		policy.Rule{Name: "image", All: list(eq("image.format", "png")), Answer: policy.Answer{Label: "png", Confidence: 0.4}},
	)
	rt := mustNew(t, cfg).Wrap(answers(http.StatusServiceUnavailable, "down"))
	for body, want := range map[string]string{
		`{"data":{"customer":{"tier":"gold"}}}`:       `{"labelName":"gold","confidence":0.5}`,
		fmt.Sprintf(`{"data":%q}`, encoded(t, "png")): `{"labelName":"png","confidence":0.4}`,
		`{"data":{"customer":{"tier":"silver"}}}`:     "down",
		`{"data":null}`: "down",
		`{"data":{"customer":{"tier":"gold"}},"externalId":7`: "down",
	} {
		resp, err := rt.RoundTrip(invoke(t, body))
		require.NoError(t, err)
		assert.Equal(t, want, readAll(t, resp), body)
	}
}

func TestAnswerFieldsAllocate(t *testing.T) {
	cfg := tenRules()
	cfg.Rules = append(cfg.Rules,
		policy.Rule{Name: "long", All: list(field("text.length", func(c *policy.Condition) { c.Gt = 10_000 })), Answer: hit},
		policy.Rule{Name: "wordy", All: list(field("text.words", func(c *policy.Condition) { c.Gt = 10_000 })), Answer: hit},
		policy.Rule{Name: "angry", All: list(field("text.sentiment", func(c *policy.Condition) { c.Lt = -0.9 })), Answer: hit},
	)
	f := mustNew(t, cfg)
	assert.Zero(t, testing.AllocsPerRun(100, func() { f.Answer(ticket) }))
}
