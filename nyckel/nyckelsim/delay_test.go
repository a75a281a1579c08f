package nyckelsim_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func TestDelay(t *testing.T) {
	const delay = 2 * time.Second
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, nyckelsim.Config{Rate: -1, Delay: delay})
		id := c.must("POST", "/v1/functions", `{"name":"t","input":"Tabular","output":"Classification"}`).body["id"].(string)
		path := "/v1/functions/" + id
		check := func(what, path string) {
			t.Helper()
			time.Sleep(delay - 1)
			assert.Equal(t, 404, c.do("GET", path, "").status, "%s just before", what)
			time.Sleep(2 * time.Nanosecond)
			assert.Equal(t, 200, c.do("GET", path, "").status, "%s just after", what)
		}
		assert.Empty(t, c.must("GET", "/v1/functions", "").list)
		assert.Equal(t, 404, c.do("POST", path+"/labels", `{"name":"x"}`).status)
		check("function", path)

		for _, kind := range []struct{ list, body string }{
			{"labels", `{"name":"a"}`}, {"fields", `{"name":"n","type":"Number"}`}, {"samples", `{"data":{"n":1}}`},
		} {
			made := c.must("POST", path+"/"+kind.list, kind.body)
			assert.Empty(t, c.must("GET", path+"/"+kind.list, "").list)
			if kind.list == "fields" {
				assert.Equal(t, 400, c.do("POST", path+"/samples", `{"data":{"n":1}}`).status)
			}
			if kind.list != "samples" {
				assert.Equal(t, 409, c.do("POST", path+"/"+kind.list, kind.body).status, "its name is taken already")
			}
			check(kind.list, path+"/"+kind.list+"/"+made.body["id"].(string))
			assert.Len(t, c.must("GET", path+"/"+kind.list, "").list, 1)
		}
	})
}

// What does not show does not count either.
func TestDelayOfCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, function := newTrained(t, nyckelsim.Config{Rate: -1, Delay: time.Second})
		c.must("POST", "/v1/functions/"+function+"/labels", `{"name":"lost"}`)
		c.must("POST", "/v1/functions/"+function+"/samples", `{"data":"unseen","annotation":{"labelName":"refund"}}`)
		counts := func(samples, refund float64, more map[string]any) {
			t.Helper()
			more["delivery"], more["refund"] = 3.0, refund
			summary := c.must("GET", "/v1/functions/"+function+"/summary", "").body
			assert.Equal(t, map[string]any{"sampleCount": samples, "annotatedSampleCount": samples, "labelCounts": more}, summary)
			metrics := c.must("GET", "/v0.9/functions/"+function+"/metrics", "").body
			assert.Equal(t, []any{samples, more}, []any{metrics["sampleCount"], metrics["annotatedLabelCounts"]})
		}
		counts(6, 3, map[string]any{})
		time.Sleep(time.Second)
		counts(7, 4, map[string]any{"lost": 0.0})
	})
}

func TestDelayOfCapture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, function := newTrained(t, nyckelsim.Config{Rate: -1, Delay: time.Second, Mode: nyckelsim.Guide})
		path := "/v1/functions/" + function
		assert.Len(t, c.must("GET", path+"/samples", "").list, 6, "what Go code adds shows at once")
		sample := c.do("POST", path+"/invoke?externalId=e", `{"data":"unseen"}`).body["sampleId"].(string)
		assert.Empty(t, c.must("GET", path+"/samples?externalId=e", "").list)
		assert.Equal(t, 404, c.do("PUT", path+"/samples/"+sample+"/annotation", `{"labelName":"refund"}`).status)
		assert.Equal(t, 404, c.do("DELETE", path+"/samples?externalId=e", "").status)
		got := c.do("POST", path+"/samples", `{"data":"unseen"}`)
		assert.Equal(t, sample, got.body["existingSampleId"], "no second one even so")
		require.NoError(t, c.sim.Import(function, manySamples(1, 1)))
		assert.Len(t, c.must("GET", path+"/samples", "").list, 7)
		time.Sleep(time.Second)
		require.Len(t, c.must("GET", path+"/samples?externalId=e", "").list, 1)
		c.must("PUT", path+"/samples/"+sample+"/annotation", `{"labelName":"refund"}`)

		start := time.Now()
		id := c.must("POST", "/v1/functions?waitUntilReady=true", `{"input":"Text","output":"Tags"}`).body["id"].(string)
		assert.Equal(t, time.Second, time.Since(start))
		c.must("GET", "/v1/functions/"+id, "")
	})
}
