package nyckelsim_test

import (
	"net/url"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func TestLabelLifecycle(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	labels := "/v1/functions/" + c.sim.AddFunction("tickets") + "/labels"

	created := c.must("POST", labels, `{"name":"refund","description":null,"metadata":null}`)
	id := created.body["id"].(string)
	assert.Regexp(t, regexp.MustCompile(`^label_[0-9a-z]{16}$`), id)
	assert.Equal(t, map[string]any{"id": id, "name": "refund"}, created.body)

	full := map[string]any{"id": id, "name": "money", "description": "wants it back", "metadata": map[string]any{"team": "b"}}
	updated := c.must("PUT", labels+"/"+id, `{"name":"money","description":"wants it back","metadata":{"team":"b"}}`)
	assert.Equal(t, full, updated.body)
	assert.Equal(t, full, c.must("GET", labels+"/"+id[len("label_"):], "").body, "the prefix may be left out")

	c.must("POST", labels, `{"name":"delivery"}`)
	assert.Equal(t, []any{"money", "delivery"}, pluck(c.must("GET", labels, "").list, "name"))

	for _, body := range []string{`{}`, `{"name":" "}`, `{"name":1}`, `{"name":"x","metadata":{"n":1}}`} {
		assert.Equal(t, 400, c.do("POST", labels, body).status, body)
	}
	assert.Equal(t, 409, c.do("POST", labels, `{"name":"delivery"}`).status)
	assert.Equal(t, 409, c.do("PUT", labels+"/"+id, `{"name":"delivery"}`).status)
	assert.Equal(t, 200, c.do("PUT", labels+"/"+id, `{"name":"money"}`).status, "its own name is free")

	c.must("DELETE", labels+"/"+id, "")
	for _, method := range []string{"GET", "DELETE"} {
		assert.Equal(t, 404, c.do(method, labels+"/"+id, "").status)
	}
	assert.Equal(t, 404, c.do("PUT", labels+"/"+id, `{"name":"x"}`).status)
}

func TestDeletedLabelLeavesSamples(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1})
	path := "/v1/functions/" + function
	c.invoke(function, "Where is my parcel?")
	pinned := c.sim.Models(function)[0]
	delivery := c.must("GET", path+"/labels", "").list[0]
	assert.Equal(t, "delivery", delivery["name"])

	c.must("DELETE", path+"/labels/"+delivery["id"].(string), "")
	samples := c.must("GET", path+"/samples", "").list
	assert.Len(t, samples, len(tickets))
	assert.NotContains(t, samples[0], "annotation")
	assert.NotContains(t, samples[0], "prediction")

	got := c.do("POST", invokePath(function)+"?labelCount=9&modelId="+pinned, `{"data":"my parcel"}`)
	assert.Equal(t, "refund", got.body["labelName"], "the model knows a label that is gone, and leaves it out")
	assert.Len(t, got.body["labelConfidences"], 1)
}

func TestPages(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1, PageSize: 2})
	labels := "/v1/functions/" + c.sim.AddFunction("tickets") + "/labels"
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		c.must("POST", labels, `{"name":"`+name+`"}`)
	}
	tests := []struct {
		name      string
		query     string
		wantPages [][]any
	}{
		{"by default", "", [][]any{{"a", "b"}, {"c", "d"}, {"e"}}},
		{"by count", "?count=3", [][]any{{"a", "b", "c"}, {"d", "e"}}},
		{"by batchSize", "?batchSize=4", [][]any{{"a", "b", "c", "d"}, {"e"}}},
		{"count wins", "?batchSize=4&count=5", [][]any{{"a", "b", "c", "d", "e"}}},
		{"from an index", "?startIndex=3&count=1", [][]any{{"d"}, {"e"}}},
		{"past the end", "?startIndex=9", [][]any{nil}},
		{"none", "?count=0", [][]any{nil}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var pages [][]any
			for next := labels + tt.query; next != ""; {
				got := c.must("GET", next, "")
				assert.NotNil(t, got.list, "an empty list is [], not null")
				pages = append(pages, pluck(got.list, "name"))
				next = nextPage(t, got)
			}
			assert.Equal(t, tt.wantPages, pages)
		})
	}
	assert.Equal(t, 400, c.do("GET", labels+"?startIndex=-1", "").status)
}

// nextPage returns the path that the Link header leads to, or "".
func nextPage(t *testing.T, got answer) string {
	t.Helper()
	header := got.header.Get("Link")
	if header == "" {
		return ""
	}
	found := regexp.MustCompile(`^<(.+)>; rel="next"$`).FindStringSubmatch(header)
	if !assert.Len(t, found, 2, header) {
		return ""
	}
	target, err := url.Parse(found[1])
	assert.NoError(t, err)
	assert.Empty(t, target.Host)
	return found[1]
}
