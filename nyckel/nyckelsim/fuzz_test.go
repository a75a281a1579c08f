package nyckelsim_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// FuzzInvoke sends any body and query to invoke.
func FuzzInvoke(f *testing.F) {
	f.Add("labelCount=2&includeMetadata=true", `{"data":"Where is my parcel?"}`)
	f.Add("modelId=&capture=False&externalId=e", `{"data":"x","externalId":null,"metadata":{}}`)
	f.Add("labelCount=99999999999", `{"data":{"size":0}}`)
	f.Add("%zz;=", "\xff")
	f.Add("", `{"data":"\ud800"}`)
	f.Add("", strings.Repeat(`[`, 1000))
	c, function := newTrained(f, nyckelsim.Config{Rate: -1, MaxBody: 1 << 16})
	f.Fuzz(func(t *testing.T, query, body string) {
		req := httptest.NewRequest("POST", invokePath(function), strings.NewReader(body))
		req.URL.RawQuery = query
		checkAnswer(t, c, req, 200, 400, 413)
	})
}

// FuzzCall sends any call that a client can write.
func FuzzCall(f *testing.F) {
	c, function := newTrained(f, nyckelsim.Config{Rate: -1, MaxBody: 1 << 16})
	for name, kinds := range map[string][2]string{"tags": {"Text", "Tags"}, "table": {"Tabular", "Classification"}, "search": {"Text", "Search"}} {
		c.must("POST", "/v1/functions", `{"name":"`+name+`","input":"`+kinds[0]+`","output":"`+kinds[1]+`"}`)
	}
	c.must("POST", "/v1/functions/table/fields", `{"name":"n","type":"Number"}`)
	path := "/v1/functions/" + function
	for _, seed := range [][3]string{
		{"GET", path + "/samples?count=1&sortBy=creation&sortOrder=descending", ""},
		{"POST", path + "/samples", `{"data":"x","annotation":{"labelName":"refund"}}`},
		{"PUT", path + "/labels/label_0", `{"name":"x","metadata":{"a":"b"}}`},
		{"DELETE", path + "/samples?externalId=x", ""},
		{"POST", "/v1/functions", `{"input":"Text","output":"Classification"}`},
		{"POST", "/connect/token", "grant_type=client_credentials"},
		{"HEAD", "/v1/functions/%2f..%2f", ""},
		{"OPTIONS", "*", ""},
		{"POST", path + "/fields", `{"name":"n","type":"Number"}`},
		{"POST", "/v1/functions", `{"input":"Tabular","output":"Tags"}`},
		{"POST", "/v0.9/functions/tags/samples", `{"data":"x","annotation":[{"labelName":"a","present":false}]}`},
		{"POST", "/v0.9/functions/table/invoke", `{"data":{"n":1.5,"t":"x"}}`},
		{"POST", "/v1/search-functions/search/invoke?sampleCount=1", `{"sampleId":"sample_0"}`},
		{"POST", "/v0.9/functions/search/search", `{"data":"x"}`},
		{"GET", path + "/samples?sampleIds=a,b&createdAfter=2026-01-01T00:00:00Z&searchText=x", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, method, target, body string) {
		u, err := url.Parse(target)
		if err != nil || method == "" {
			t.Skip("no request can be made of it")
		}
		req := httptest.NewRequest("GET", "/", strings.NewReader(body))
		req.Method, req.URL, req.RequestURI = method, u, u.RequestURI()
		checkAnswer(t, c, req, 200, 400, 404, 405, 409, 413)
	})
}

// checkAnswer sends the request with a good token and fails the test unless the
// answer is JSON with one of the statuses, and a message if that is not 200.
func checkAnswer(t *testing.T, c *client, req *http.Request, statuses ...int) {
	t.Helper()
	req.Header.Set("Authorization", "Bearer "+c.token)
	rec := httptest.NewRecorder()
	c.sim.ServeHTTP(rec, req)
	raw := rec.Body.Bytes()
	if !slices.Contains(statuses, rec.Code) {
		t.Fatalf("%s %s: status %d: %s", req.Method, req.URL, rec.Code, raw)
	}
	if !json.Valid(raw) {
		t.Fatalf("%s %s: status %d, not JSON: %q", req.Method, req.URL, rec.Code, raw)
	}
	if rec.Code == 200 {
		return
	}
	var body struct{ Message, Error string }
	if err := json.Unmarshal(raw, &body); err != nil || body.Message == "" && body.Error == "" {
		t.Fatalf("%s %s: status %d without a message: %s", req.Method, req.URL, rec.Code, raw)
	}
}
