package nyckelsim_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func TestSampleLifecycle(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	path := "/v1/functions/" + c.sim.AddFunction("tickets")
	refund := c.must("POST", path+"/labels", `{"name":"refund"}`).body["id"].(string)
	delivery := c.must("POST", path+"/labels", `{"name":"delivery"}`).body["id"].(string)

	created := c.must("POST", path+"/samples", `{"data":"<b>Geld</b> zurück","externalId":null}`)
	id := created.body["id"].(string)
	assert.Regexp(t, regexp.MustCompile(`^sample_[0-9a-z]{16}$`), id)
	assert.Equal(t, map[string]any{"id": id, "data": "<b>Geld</b> zurück"}, created.body, "no value, no field")
	assert.Contains(t, created.raw, "<b>Geld</b> zurück", "text comes back unchanged")

	sample := path + "/samples/" + id[len("sample_"):] // the prefix may be left out
	annotated := func() any { return c.must("GET", sample, "").body["annotation"] }
	put := c.must("PUT", sample+"/annotation", `{"labelName":"refund","labelId":null}`)
	assert.Equal(t, map[string]any{"labelId": refund}, put.body)
	assert.Equal(t, map[string]any{"labelId": refund}, annotated(), "the id only")
	c.must("POST", sample+"/annotation", `{"labelId":"`+delivery[len("label_"):]+`"}`)
	assert.Equal(t, map[string]any{"labelId": delivery}, annotated())
	c.must("DELETE", sample+"/annotation", "")
	assert.Nil(t, annotated())

	for _, body := range []string{
		`{}`, `{"labelName":"nobody's"}`, `{"labelId":"label_0"}`, `{"labelName":"Refund"}`,
		`{"labelName":"refund","labelId":"` + delivery + `"}`,
	} {
		assert.Equal(t, 400, c.do("PUT", sample+"/annotation", body).status, body)
	}
	assert.Len(t, c.must("GET", path+"/labels", "").list, 2, "an unknown name creates no label")

	c.must("DELETE", sample, "")
	for _, call := range [][2]string{{"GET", sample}, {"DELETE", sample}, {"DELETE", sample + "/annotation"}} {
		assert.Equal(t, 404, c.do(call[0], call[1], "").status)
	}
	assert.Equal(t, 404, c.do("PUT", sample+"/annotation", `{"labelName":"refund"}`).status)
}

func TestDuplicateSample(t *testing.T) {
	c := newClient(t, nyckelsim.Config{})
	samples := "/v1/functions/" + c.sim.AddFunction("tickets") + "/samples"
	first := c.must("POST", samples, `{"data":"hello"}`)
	second := c.do("POST", samples, `{"data":"hello","externalId":"other"}`)
	assert.Equal(t, 409, second.status)
	assert.Equal(t, first.body["id"], second.body["existingSampleId"])
	assert.NotEmpty(t, second.message())

	c.must("DELETE", samples+"/"+first.body["id"].(string), "")
	c.must("POST", samples, `{"data":"hello"}`)
}

func TestRefusedSamples(t *testing.T) {
	c := newClient(t, nyckelsim.Config{})
	samples := "/v1/functions/" + c.sim.AddFunction("tickets") + "/samples"
	for _, body := range []string{
		`{}`, `{"data":{"field":"x"}}`, `{"data":"x","annotation":{}}`, `{"data":"x","annotation":{"labelName":"new"}}`,
		`{"data":"x","externalId":1}`,
	} {
		assert.Equal(t, 400, c.do("POST", samples, body).status, body)
	}
	assert.Empty(t, c.must("GET", samples, "").list)
}

func TestListSamples(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	function := c.sim.AddFunction("tickets")
	path := "/v1/functions/" + function
	red := c.must("POST", path+"/labels", `{"name":"red"}`).body["id"].(string)
	blue := c.must("POST", path+"/labels", `{"name":"blue"}`).body["id"].(string)
	c.must("POST", path+"/samples", `{"data":"one","annotation":{"labelName":"red"}}`)
	c.must("POST", path+"/samples", `{"data":"two","externalId":"e 2","sampleSets":[{"sampleSetId":"one"}]}`)
	c.must("POST", path+"/samples", `{"data":"three blue","externalId":"e3","annotation":{"labelId":"`+blue+`"}}`)
	c.invoke(function, "three blue") // predicted by the label's name, and rightly
	c.invoke(function, "four red")

	tests := []struct {
		query string
		want  []any // data
	}{
		{"", []any{"one", "two", "three blue", "four red"}},
		{"externalId=e+2", []any{"two"}},
		{"externalId=e", nil},
		{"annotated=true", []any{"one", "three blue"}},
		{"annotated=False", []any{"two", "four red"}},
		{"annotated=", []any{"one", "two", "three blue", "four red"}},
		{"predicted=true", []any{"three blue", "four red"}},
		{"predictionAndAnnotationAgree=true", []any{"three blue"}},
		{"annotationLabelId=" + red, []any{"one"}},
		{"annotationLabelId=" + red[len("label_"):], []any{"one"}},
		{"predictionLabelId=" + red, []any{"four red"}},
		{"predictionLabelId=" + blue + "&annotated=false", nil},
		{"sortBy=creation", []any{"one", "two", "three blue", "four red"}},
		{"sortBy=creation&sortOrder=descending", []any{"four red", "three blue", "two", "one"}},
		{"sortBy=creation&sortOrder=descending&startIndex=1&count=2", []any{"three blue", "two"}},
		{"includeData=false&count=2", []any{nil, nil}},
		{"origin=InvokeCapture", []any{"four red"}},
		{"searchText=RE", []any{"three blue", "four red"}},
		{"sampleSetId=one", []any{"two"}},
		{"createdBefore=2000-01-01T00:00:00Z", nil},
		{"createdAfter=2000-01-01T00:00:00Z&annotated=true", []any{"one", "three blue"}},
		{"someday=x", []any{"one", "two", "three blue", "four red"}},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			got := c.must("GET", path+"/samples?"+tt.query, "")
			assert.Equal(t, tt.want, pluck(got.list, "data"))
		})
	}
	for _, query := range []string{
		"annotated=1", "sortBy=confidence", "sortBy=creation&sortOrder=up", "sortOrder=descending", "captureReason=x",
		"origin=Elsewhere", "count=x", "inTrainSet=true", "createdAfter=today", "startIndex=-1",
	} {
		assert.Equal(t, 400, c.do("GET", path+"/samples?"+query, "").status, query)
	}
}

func TestDeleteSamplesByExternalID(t *testing.T) {
	c := newClient(t, nyckelsim.Config{})
	samples := "/v1/functions/" + c.sim.AddFunction("tickets") + "/samples"
	for _, body := range []string{
		`{"data":"one","externalId":"x"}`, `{"data":"two","externalId":"x"}`, `{"data":"three"}`,
	} {
		c.must("POST", samples, body)
	}
	assert.Equal(t, 400, c.do("DELETE", samples, "").status, "not all that have none")
	c.must("DELETE", samples+"?externalId=x", "")
	assert.Equal(t, []any{"three"}, pluck(c.must("GET", samples, "").list, "data"))
	assert.Equal(t, 404, c.do("DELETE", samples+"?externalId=x", "").status)
}

func TestFeedbackLoop(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1})
	path := "/v1/functions/" + function
	const odd = "qwertz asdf yxcv"
	before := c.do("POST", invokePath(function)+"?externalId=case-17", `{"data":"`+odd+`"}`)
	require.Equal(t, 200, before.status)
	truth := map[any]string{"delivery": "refund", "refund": "delivery"}[before.body["labelName"]]

	found := c.must("GET", path+"/samples?externalId=case-17", "").list
	require.Len(t, found, 1)
	c.must("PUT", path+"/samples/"+found[0]["id"].(string)+"/annotation", `{"labelName":"`+truth+`"}`)
	assert.Equal(t, truth, c.invoke(function, odd).body["labelName"], "it has learned")
}
