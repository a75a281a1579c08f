package nyckelsim_test

import (
	"bytes"
	"fmt"
	"image"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// Whatever is deleted and created meanwhile, each call gets one of the answers
// that it may get.
func TestConcurrentChanges(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1, Concurrency: -1, Delay: 1})
	paths := []string{
		c.create("Text", "Classification"), c.create("Text", "Tags"), c.create("Text", "Search"), c.create("Tabular", "Tags"),
	}
	calls := []func(path string, i int){
		func(path string, i int) { c.allowed(t, "POST", path+"/invoke", `{"data":"word `+fmt.Sprint(i%7)+`"}`) },
		func(path string, i int) { c.allowed(t, "POST", path+"/search", `{"data":"word"}`) },
		func(path string, i int) { c.allowed(t, "POST", path+"/labels", fmt.Sprintf(`{"name":"l%d"}`, i%5)) },
		func(path string, i int) {
			c.allowed(t, "POST", path+"/samples", fmt.Sprintf(`{"data":"text %d","annotation":{"labelName":"l%d"}}`, i, i%5))
			c.allowed(t, "POST", path+"/samples", fmt.Sprintf(`{"data":"tags %d","annotation":[{"labelName":"l%d"}]}`, i, i%5))
		},
		func(path string, i int) {
			for _, kind := range []string{"labels", "samples", "fields"} {
				list := c.do("GET", path+"/"+kind+"?startIndex="+fmt.Sprint(i%9)+"&count=1", "").list
				for _, item := range list {
					c.allowed(t, "DELETE", path+"/"+kind+"/"+item["id"].(string), "")
				}
			}
		},
		func(path string, i int) { c.allowed(t, "GET", strings.Replace(path, "v1", "v0.9", 1)+"/metrics", "") },
		func(path string, i int) {
			c.allowed(t, "GET", path+"/samples?sortBy=creation&sortOrder=descending", "")
		},
		func(path string, i int) {
			c.allowed(t, "POST", path+"/fields", fmt.Sprintf(`{"name":"f%d","type":"Text"}`, i))
		},
		func(path string, i int) { c.allowed(t, "POST", path+"/invoke", fmt.Sprintf(`{"data":{"f%d":"x"}}`, i)) },
		func(path string, i int) { assert.NoError(t, c.sim.Dump(io.Discard)) },
		func(path string, i int) {
			if i == 30 {
				c.allowed(t, "DELETE", path, "")
			}
		},
	}
	var wg sync.WaitGroup
	for _, path := range paths {
		for _, call := range calls {
			wg.Go(func() {
				for i := range 40 {
					call(path, i)
				}
			})
		}
	}
	wg.Wait()
	assert.Zero(t, c.sim.Stats().InFlight)
	assert.Zero(t, c.sim.Stats().Aborted)
}

// allowed makes a call that may find things as they are or otherwise.
func (c *client) allowed(t *testing.T, method, path, body string) {
	t.Helper()
	got := c.do(method, path, body)
	assert.Contains(t, []int{200, 400, 404, 409}, got.status, "%s %s: %s", method, path, got.raw)
}

func TestPagesBeyondTheEnd(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1, PageSize: 2})
	path := c.create("Tabular", "Classification")
	for i := range 3 {
		c.must("POST", path+"/fields", fmt.Sprintf(`{"name":"f%d","type":"Text"}`, i))
		c.must("POST", path+"/samples", fmt.Sprintf(`{"data":{"f%d":"x"}}`, i))
		c.must("POST", "/v0.9/projects", fmt.Sprintf(`{"name":"p%d"}`, i))
	}
	for _, list := range []string{path + "/fields", path + "/samples", path + "/labels", path + "/models", "/v0.9/projects", "/v1/functions"} {
		for _, query := range []string{"startIndex=3", "startIndex=2147483647&count=2147483647"} {
			got := c.must("GET", list+"?"+query, "")
			assert.Empty(t, got.list, list)
			assert.Empty(t, got.header.Get("Link"))
		}
	}
	first := c.must("GET", path+"/fields", "")
	assert.Equal(t, `<`+path+`/fields?startIndex=2>; rel="next"`, first.header.Get("Link"))
	assert.Len(t, c.must("GET", path+"/fields?startIndex=2", "").list, 1)
}

func TestStateAndMetrics(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1})
	v1, old := "/v1/functions/"+function, "/v0.9/functions/"+function
	summary := c.must("GET", v1+"/summary", "").body
	assert.Equal(t, map[string]any{
		"sampleCount": 6.0, "annotatedSampleCount": 6.0, "labelCounts": map[string]any{"delivery": 3.0, "refund": 3.0},
	}, summary)
	metrics := c.must("GET", old+"/metrics", "").body
	models := c.must("GET", v1+"/models", "").list
	assert.Equal(t, map[string]any{
		"sampleCount": 6.0, "predictionCount": 6.0, "isTraining": false, "modelId": models[0]["id"],
		"annotatedLabelCounts": map[string]any{"delivery": 3.0, "refund": 3.0},
	}, metrics)
	assert.Equal(t, []any{100.0}, pluck(models, "trainingPercentage"))
	assert.Equal(t, "Browsing", c.must("GET", old, "").body["state"])

	tags := strings.Replace(c.create("Text", "Tags"), "v1", "v0.9", 1)
	assert.Equal(t, "Annotating", c.must("GET", tags, "").body["state"])
	search := strings.Replace(c.create("Text", "Search"), "v1", "v0.9", 1)
	assert.Equal(t, "Annotating", c.must("GET", search, "").body["state"], "there is nothing to learn")
	assert.Contains(t, c.must("GET", tags+"/metrics", "").body, "positiveAnnotatedLabelCounts")
	project := c.must("POST", "/v0.9/projects", `{"name":"mail"}`).body
	assert.Equal(t, []any{project["id"]}, pluck(c.must("GET", "/v0.9/projects", "").list, "id"))
	assert.Equal(t, 400, c.do("POST", "/v0.9/projects", `{"name":""}`).status)
}

// FuzzFile sends any file to functions that look at pictures.
func FuzzFile(f *testing.F) {
	c := newClient(f, nyckelsim.Config{Rate: -1, MaxBody: 1 << 20})
	classify, read := c.create("Image", "Classification"), c.create("Image", "Ocr")
	c.label(classify, "x")
	f.Add(withComment(canvas(red), "hello"))
	f.Add(hugePNG(1<<20, 1<<20))
	f.Add([]byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"))
	f.Add([]byte("\xff\xd8\xff\xe0"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		if h, _, err := image.DecodeConfig(bytes.NewReader(file)); err == nil && h.Width*h.Height > 1<<20 && h.Width*h.Height <= 16<<20 {
			t.Skip("it would take a second")
		}
		for _, path := range []string{classify, read} {
			req := httptest.NewRequest("POST", path+"/invoke?capture=false", strings.NewReader("--b\r\nContent-Disposition: form-data; name=data\r\n\r\n"+string(file)+"\r\n--b--\r\n"))
			req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
			checkAnswer(t, c, req, 200, 400, 413)
		}
	})
}
