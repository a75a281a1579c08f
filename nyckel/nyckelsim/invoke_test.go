package nyckelsim_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func TestInvokeAnswer(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1})
	got := c.invoke(function, "where is the parcel")
	assert.Equal(t, "delivery", got.body["labelName"])
	assert.Greater(t, got.body["confidence"], 0.5)
	assert.Len(t, got.body, 3, "labelName, labelId and confidence alone, as recorded from the service")
	label := c.must("GET", "/v1/functions/tickets/labels/"+got.body["labelId"].(string), "")
	assert.Equal(t, "delivery", label.body["name"])
}

func TestInvokeParameters(t *testing.T) {
	tests := []struct {
		name  string
		mode  nyckelsim.Mode
		query string
		body  string
		check func(t *testing.T, got map[string]any)
	}{
		{"one label", nyckelsim.Reference, "?labelCount=1", `{"data":"parcel"}`, func(t *testing.T, got map[string]any) {
			assert.NotContains(t, got, "labelConfidences")
		}},
		{"more labels than there are", nyckelsim.Reference, "?labelCount=9", `{"data":"parcel"}`, func(t *testing.T, got map[string]any) {
			list := got["labelConfidences"].([]any)
			require.Len(t, list, 2)
			best, other := list[0].(map[string]any), list[1].(map[string]any)
			assert.Equal(t, got["labelName"], best["labelName"])
			assert.Equal(t, got["labelId"], best["labelId"])
			assert.InDelta(t, 1, best["confidence"].(float64)+other["confidence"].(float64), 1e-6)
		}},
		{"metadata", nyckelsim.Reference, "?includeMetadata=True", `{"data":"parcel"}`, func(t *testing.T, got map[string]any) {
			assert.Equal(t, map[string]any{"team": "b"}, got["labelMetadata"])
		}},
		{
			"empty parameters are unset", nyckelsim.Reference, "?modelId=&labelCount=&capture=&includeMetadata=", `{"data":"parcel"}`,
			func(t *testing.T, got map[string]any) { assert.Len(t, got, 3) },
		},
		{
			"external id in the body", nyckelsim.Reference, "", `{"data":"parcel","externalId":"b","metadata":{"k":"v"}}`,
			func(t *testing.T, got map[string]any) { assert.Equal(t, "b", got["externalId"]) },
		},
		{
			"external id in the query wins", nyckelsim.Reference, "?externalId=q", `{"data":"parcel","externalId":"b"}`,
			func(t *testing.T, got map[string]any) { assert.Equal(t, "q", got["externalId"]) },
		},
		{"sample id in guide mode", nyckelsim.Guide, "", `{"data":"parcel"}`, func(t *testing.T, got map[string]any) {
			assert.Contains(t, got["sampleId"], "sample_")
		}},
		{"none without capture", nyckelsim.Guide, "?capture=false", `{"data":"parcel"}`, func(t *testing.T, got map[string]any) {
			assert.NotContains(t, got, "sampleId")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, function := newTrained(t, nyckelsim.Config{Rate: -1, Mode: tt.mode})
			labels := "/v1/functions/" + function + "/labels"
			delivery := c.must("GET", labels, "").list[0]["id"].(string)
			c.must("PUT", labels+"/"+delivery, `{"name":"delivery","metadata":{"team":"b"}}`)
			tt.check(t, c.must("POST", invokePath(function)+tt.query, tt.body).body)
		})
	}
}

func TestCapture(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1, Mode: nyckelsim.Guide})
	samples := "/v1/functions/" + function + "/samples"

	c.must("POST", invokePath(function)+"?capture=false", `{"data":"unseen"}`)
	assert.Len(t, c.must("GET", samples, "").list, len(tickets))

	first := c.must("POST", invokePath(function), `{"data":"seen"}`)
	second := c.must("POST", invokePath(function), `{"data":"seen","externalId":"e1"}`)
	third := c.must("POST", invokePath(function), `{"data":"seen","externalId":"e2"}`)
	assert.Equal(t, first.body["sampleId"], second.body["sampleId"], "one text, one sample")
	sample := c.must("GET", samples+"/"+third.body["sampleId"].(string), "").body
	assert.Equal(t, "e1", sample["externalId"])
	assert.Equal(t, map[string]any{"labelId": third.body["labelId"], "confidence": third.body["confidence"]}, sample["prediction"])

	known := c.invoke(function, tickets[0].Text)
	sample = c.must("GET", samples+"/"+known.body["sampleId"].(string), "").body
	assert.Contains(t, sample, "annotation", "an invoke leaves the truth alone")
}

func TestZeroShot(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	function := c.sim.AddFunction("tickets")
	got := c.invoke(function, "hello")
	assert.Equal(t, 400, got.status, "no label to guess")
	assert.NotEmpty(t, got.message())

	for _, name := range []string{"Delivery", "Refund request"} {
		c.must("POST", "/v1/functions/"+function+"/labels", `{"name":"`+name+`"}`)
	}
	got = c.invoke(function, "I have a request: a refund!")
	assert.Equal(t, "Refund request", got.body["labelName"])
	assert.InDelta(t, 2.0/3, got.body["confidence"], 1e-9)
	got = c.invoke(function, "hello")
	assert.InDelta(t, 0.5, got.body["confidence"], 1e-9)
}

func TestQuota(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1, Quota: 2})
	assert.Equal(t, 400, c.do("POST", invokePath(function), `{}`).status, "does not count")
	for range 2 {
		assert.Equal(t, 200, c.invoke(function, "parcel").status)
	}
	got := c.invoke(function, "parcel")
	assert.Equal(t, 402, got.status)
	assert.NotEmpty(t, got.message())
	assert.Equal(t, 200, c.do("GET", "/v1/functions", "").status, "only invokes are refused")
}

func TestLatency(t *testing.T) {
	tests := []struct {
		name    string
		latency time.Duration
		faults  nyckelsim.Faults
		want    time.Duration
		status  int
	}{
		{"none", 0, nyckelsim.Faults{}, 0, 200},
		{"service time", 80 * time.Millisecond, nyckelsim.Faults{}, 80 * time.Millisecond, 200},
		{"slower by a factor", 80 * time.Millisecond, nyckelsim.Faults{LatencyFactor: 2.5}, 200 * time.Millisecond, 200},
		{"slower by a duration", 80 * time.Millisecond, nyckelsim.Faults{Latency: time.Second}, 1080 * time.Millisecond, 200},
		{"an error takes no service time", 80 * time.Millisecond, nyckelsim.Faults{Latency: time.Second, Internal: 1}, time.Second, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, function := newTrained(t, nyckelsim.Config{Latency: tt.latency, Faults: tt.faults})
				start := time.Now()
				assert.Equal(t, tt.status, c.invoke(function, "parcel").status)
				assert.Equal(t, tt.want, time.Since(start))
			})
		})
	}
}

func TestClientLeaves(t *testing.T) {
	tests := []struct {
		name         string
		latency      time.Duration
		faults       nyckelsim.Faults
		wantCaptured bool
	}{
		{"while it is served", time.Minute, nyckelsim.Faults{}, true},
		{"while a fault delays it", 0, nyckelsim.Faults{Latency: time.Minute}, false},
		{"while it stalls", 0, nyckelsim.Faults{Stall: 1}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, function := newTrained(t, nyckelsim.Config{Latency: tt.latency, Faults: tt.faults})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				got := c.doContext(ctx, "POST", invokePath(function), `{"data":"new","externalId":"e"}`)
				assert.True(t, got.aborted)
				assert.Equal(t, time.Second, time.Since(start))

				samples := c.must("GET", "/v1/functions/"+function+"/samples?externalId=e", "").list
				assert.Equal(t, tt.wantCaptured, len(samples) == 1)
				stats := c.sim.Stats()
				assert.Equal(t, 1, stats.Aborted)
				assert.Zero(t, stats.InFlight)
			})
		})
	}
}
