package nyckelsim_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func TestFunctionLifecycle(t *testing.T) {
	c := newClient(t, nyckelsim.Config{})
	created := c.must("POST", "/v1/functions?waitUntilReady=true", `{"name":"tickets","input":"Text","output":"Classification"}`)
	id := created.body["id"].(string)
	assert.Regexp(t, regexp.MustCompile(`^function_[0-9a-z]{16}$`), id)
	assert.Equal(t, map[string]any{"id": id, "name": "tickets", "input": "Text", "output": "Classification"}, created.body)

	nameless := c.must("POST", "/v1/functions/", `{"input":"Text","output":"Classification"}`)
	assert.NotContains(t, nameless.body, "name", "what has no value is absent")

	assert.Len(t, c.must("GET", "/v1/functions", "").list, 2)
	assert.Len(t, c.must("GET", "/v1/functions/", "").list, 2)
	for _, key := range []string{id, strings.TrimPrefix(id, "function_"), "tickets"} {
		assert.Equal(t, id, c.must("GET", "/v1/functions/"+key, "").body["id"])
	}

	updated := c.must("PUT", "/v1/functions/"+id, `{"name":"mail","projectId":"p1","input":"Text"}`)
	assert.Equal(t, "mail", updated.body["name"])
	assert.Equal(t, "p1", updated.body["projectId"])
	assert.Equal(t, 400, c.do("PUT", "/v1/functions/"+id, `{"name":"mail","input":"Image"}`).status)

	c.must("DELETE", "/v1/functions/mail", "")
	assert.Equal(t, 404, c.do("GET", "/v1/functions/"+id, "").status)
	assert.Equal(t, 404, c.do("DELETE", "/v1/functions/"+id, "").status)
}

func TestFunctionKinds(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	tests := []struct {
		input string
		want  []string // outputs
	}{
		{"Text", []string{"Classification", "Tags", "Search"}},
		{"Image", []string{"Classification", "Tags", "Search", "Detection", "BoxDetect", "Ocr", "Localization"}},
		{"Tabular", []string{"Classification", "Tags"}},
		{"Sound", nil},
		{"", nil},
	}
	for _, tt := range tests {
		for _, output := range []string{"Classification", "Tags", "Search", "Detection", "BoxDetect", "Ocr", "Localization", "Poem", ""} {
			got := c.do("POST", "/v1/functions", `{"input":"`+tt.input+`","output":"`+output+`"}`)
			if slices.Contains(tt.want, output) {
				assert.Equal(t, 200, got.status, got.raw)
			} else {
				assert.Equal(t, 400, got.status, "%s %s", tt.input, output)
			}
		}
	}
	got := c.must("POST", "/v1/functions", `{"input":"image","output":"OCR"}`)
	assert.Equal(t, "Ocr", got.body["output"], "case does not matter, and comes out as documented")
}

func TestIDsFollowFromSeed(t *testing.T) {
	id := func(seed uint64) string { return nyckelsim.New(nyckelsim.Config{Seed: seed}).AddFunction("") }
	assert.Equal(t, id(7), id(7))
	assert.NotEqual(t, id(7), id(8))
}

func TestWrongCalls(t *testing.T) {
	c, _ := newTrained(t, nyckelsim.Config{Rate: -1, MaxBody: 1000})
	tests := []struct {
		name      string
		method    string
		path      string
		body      string
		want      int
		wantAllow string
	}{
		{"unknown path", "GET", "/v2/functions", "", 404, ""},
		{"root", "GET", "/", "", 404, ""},
		{"below a function", "GET", "/v1/functions/tickets/nothing", "", 404, ""},
		{"doubled slash", "GET", "/v1//functions", "", 404, ""},
		{"nothing but slashes", "GET", "//", "", 404, ""},
		{"dots", "GET", "/v1/functions/../functions", "", 404, ""},
		{"unknown function", "POST", "/v1/functions/nobody/invoke", `{"data":"x"}`, 404, ""},
		{"method of a list", "DELETE", "/v1/functions", "", 405, "GET, HEAD, POST"},
		{"method of an item", "PATCH", "/v1/functions/tickets", "", 405, "DELETE, GET, HEAD, PUT"},
		{"method of invoke", "GET", "/v1/functions/tickets/invoke", "", 405, "POST"},
		{"no body", "POST", "/v1/functions/tickets/invoke", "", 400, ""},
		{"not JSON", "POST", "/v1/functions/tickets/invoke", `{"data":`, 400, ""},
		{"trailing JSON", "POST", "/v1/functions/tickets/invoke", `{"data":"x"}{}`, 400, ""},
		{"an array", "POST", "/v1/functions/tickets/invoke", `["x"]`, 400, ""},
		{"null", "POST", "/v1/functions/tickets/invoke", `null`, 400, ""},
		{"no data", "POST", "/v1/functions/tickets/invoke", `{}`, 400, ""},
		{"null data", "POST", "/v1/functions/tickets/invoke", `{"data":null}`, 400, ""},
		{"empty data", "POST", "/v1/functions/tickets/invoke", `{"data":""}`, 400, ""},
		{"data is a number", "POST", "/v1/functions/tickets/invoke", `{"data":1}`, 400, ""},
		{"data is an object", "POST", "/v1/functions/tickets/invoke", `{"data":{"size":0}}`, 400, ""},
		{"invalid UTF-8", "POST", "/v1/functions/tickets/invoke", "{\"data\":\"\xff\"}", 400, ""},
		{"too large", "POST", "/v1/functions/tickets/invoke", `{"data":"` + strings.Repeat("x", 1000) + `"}`, 413, ""},
		{"bad number", "POST", "/v1/functions/tickets/invoke?labelCount=two", `{"data":"x"}`, 400, ""},
		{"negative number", "POST", "/v1/functions/tickets/invoke?labelCount=-1", `{"data":"x"}`, 400, ""},
		{"number too large", "POST", "/v1/functions/tickets/invoke?labelCount=2147483648", `{"data":"x"}`, 400, ""},
		{"bad boolean", "POST", "/v1/functions/tickets/invoke?capture=maybe", `{"data":"x"}`, 400, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := c.do(tt.method, tt.path, tt.body)
			assert.Equal(t, tt.want, got.status, got.raw)
			assert.NotEmpty(t, got.message())
			assert.Equal(t, tt.wantAllow, got.header.Get("Allow"))
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []nyckelsim.Config{
		{TokenLifetime: -1},
		{Quota: -1},
		{Latency: -1},
		{Delay: -1},
		{PageSize: -1},
		{Mode: 2},
		{Faults: nyckelsim.Faults{Internal: 2}},
	} {
		assert.Panics(t, func() { nyckelsim.New(cfg) }, "%+v", cfg)
	}
}

func TestMode(t *testing.T) {
	for _, mode := range []nyckelsim.Mode{nyckelsim.Reference, nyckelsim.Guide} {
		text, err := mode.MarshalText()
		assert.NoError(t, err)
		assert.Equal(t, mode.String(), string(text))
		var back nyckelsim.Mode
		assert.NoError(t, back.UnmarshalText(text))
		assert.Equal(t, mode, back)
	}
	var m nyckelsim.Mode
	assert.Error(t, m.UnmarshalText([]byte("other")))
	_, err := nyckelsim.Mode(7).MarshalText()
	assert.Error(t, err)
	assert.Equal(t, "Mode(7)", nyckelsim.Mode(7).String())
}
