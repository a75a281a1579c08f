package nyckel_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// Each call's answer in each of the forms that the sources have, and in some that
// none has.
func TestOutputs(t *testing.T) {
	cat, dog := nyckel.LabelConfidence{LabelName: "Cat", LabelID: "label_1", Confidence: 0.5}, nyckel.LabelConfidence{LabelID: "label_2"}
	tag := func(ctx context.Context, c *nyckel.Client) (any, error) {
		a, err := c.Tag(ctx, "tickets", nyckel.Text("x"), nyckel.ModelID("m"), nyckel.ExternalID("e"))
		if err != nil {
			return nil, err
		}
		return a.Labels, stamped(t, a.Answer, a.Trail)
	}
	detect := func(ctx context.Context, c *nyckel.Client) (any, error) {
		a, err := c.Detect(ctx, "tickets", nyckel.ImageURL("https://p.test/1"))
		if err != nil {
			return nil, err
		}
		return a.Objects, stamped(t, a.Answer, a.Trail)
	}
	find := func(ctx context.Context, c *nyckel.Client) (any, error) {
		a, err := c.Search(ctx, "tickets", nyckel.Text("x"), nyckel.SampleCount(2), nyckel.IncludeData(false), nyckel.ExternalID("e"), nyckel.LabelCount(3))
		if err != nil {
			return nil, err
		}
		return a.Samples, stamped(t, a.Answer, a.Trail)
	}
	findLike := func(ctx context.Context, c *nyckel.Client) (any, error) {
		a, err := c.Search(ctx, "tickets", nyckel.SampleID("sample_7"))
		if err != nil {
			return nil, err
		}
		return a.Samples, stamped(t, a.Answer, a.Trail)
	}
	readText := func(ctx context.Context, c *nyckel.Client) (any, error) {
		a, err := c.ReadText(ctx, "tickets", nyckel.ImageURL("https://p.test/1"), nyckel.Regions())
		if err != nil {
			return nil, err
		}
		return []string{a.Text, string(a.Regions)}, stamped(t, a.Answer, a.Trail)
	}
	locate := func(ctx context.Context, c *nyckel.Client) (any, error) {
		a, err := c.Locate(ctx, "tickets", nyckel.ImageURL("https://p.test/1"))
		if err != nil {
			return nil, err
		}
		return a.Objects, stamped(t, a.Answer, a.Trail)
	}
	const v1, v09 = "https://api.test/v1/functions/function_1/", "https://api.test/v0.9/functions/function_1/"
	const searchURL = "https://api.test/v1/search-functions/function_1/invoke"
	tests := []struct {
		name    string
		call    func(context.Context, *nyckel.Client) (any, error)
		answer  string
		wantURL string
		wantReq string
		want    any
		wantErr string
	}{
		{
			"tags", tag, `[{"labelName":"Cat","labelId":"label_1","confidence":0.5},{"labelId":"label_2"}]`, v09 + "invoke?modelId=m", `{"data":"x","externalId":"e"}`,
			[]nyckel.LabelConfidence{cat, dog},
			"",
		},
		{"no tags", tag, `[]`, "", "", []nyckel.LabelConfidence{}, ""},
		{"tags in an object", tag, `{"labelConfidences":[{"labelName":"Cat","labelId":"label_1","confidence":0.5}]}`, "", "", []nyckel.LabelConfidence{cat}, ""},
		{"tag without a label", tag, `[{"labelName":"Cat"},{"confidence":0.5}]`, "", "", nil, "tag 1: it has neither labelName nor labelId"},
		{"tag in percent", tag, `[{"labelName":"Cat","confidence":50}]`, "", "", nil, "tag 0: confidence 50 is not between 0 and 1"},
		{"classification for tags", tag, `{"labelName":"Cat"}`, "", "", nil, "not the JSON of tags: it has no labelConfidences"},
		{"null for tags", tag, ` null `, "", "", nil, "not the JSON of tags: it has no labelConfidences"},

		{
			"boxes", detect, `{"predictions":[{"labelName":"Cat","labelId":"label_1","confidence":0.5,"boundingBox":{"x":0.1,"y":0.2,"width":0.3,"height":0.4}}]}`,
			v1 + "invoke", `{"data":"https://p.test/1"}`,
			[]nyckel.Detection{{LabelConfidence: cat, Box: nyckel.Box{X: 0.1, Y: 0.2, Width: 0.3, Height: 0.4}}},
			"",
		},
		{
			"boxes in a bare list", detect, `[{"labelName":"Cat","labelId":"label_1","confidence":0.5,"boundingBox":{"x":0.1,"y":0.2,"width":0.3,"height":0.4}}]`,
			"", "",
			[]nyckel.Detection{{LabelConfidence: cat, Box: nyckel.Box{X: 0.1, Y: 0.2, Width: 0.3, Height: 0.4}}},
			"",
		},
		{"no boxes", detect, `{"predictions":[]}`, "", "", []nyckel.Detection(nil), ""},
		{"no boxes, as null", detect, `{"predictions":null}`, "", "", []nyckel.Detection(nil), ""},
		{
			"box in pixels", detect, `[{"labelName":"Cat","confidence":0.5,"boundingBox":{"x":10,"y":0.2,"width":30,"height":40}}]`, "", "", nil,
			"detection 0: its boundingBox {X:10 Y:0.2 Width:30 Height:40} is not in fractions",
		},
		{"no box", detect, `[{"labelName":"Cat","confidence":0.5}]`, "", "", nil, "detection 0: it has no boundingBox"},
		{"no list of boxes", detect, `{"labelName":"Cat"}`, "", "", nil, "not the JSON of detections: it has no predictions"},

		{
			"matches", find, `[{"sampleId":"sample_1","distance":0.25,"externalId":"e","data":null},{"sampleId":"sample_2","distance":1}]`,
			searchURL + "?includeData=false&sampleCount=2", `{"data":"x"}`,
			[]nyckel.Match{{SampleID: "sample_1", ExternalID: "e", Distance: 0.25}, {SampleID: "sample_2", Distance: 1}},
			"",
		},
		{"matches in an object", find, `{"searchSamples":[{"sampleId":"sample_1","distance":0}]}`, "", "", []nyckel.Match{{SampleID: "sample_1"}}, ""},
		{
			"matches with data", findLike, `{"searchSamples":[{"sampleId":"sample_1","distance":0,"externalId":"e","data":{"a":1}}]}`,
			searchURL, `{"sampleId":"sample_7"}`,
			[]nyckel.Match{{SampleID: "sample_1", ExternalID: "e", Data: json.RawMessage(`{"a":1}`)}},
			"",
		},
		{"no matches", find, `[]`, "", "", []nyckel.Match(nil), ""},
		{"match of nothing", find, `[{"distance":0.5}]`, "", "", nil, "match 0: it has neither sampleId nor externalId"},
		{"match without a distance", find, `[{"sampleId":"sample_1"}]`, "", "", nil, "match 0: it has no distance"},
		{"no list of matches", find, `"none"`, "", "", nil, "not the JSON of matches: its type is string, not array or object"},

		{"reading", readText, `{"text":"STOP","regions":[{"text":"STOP"}]}`, v09 + "ocr?includeRegions=true", `{"data":"https://p.test/1"}`, []string{"STOP", `[{"text":"STOP"}]`}, ""},
		{"nothing to read", readText, `{"text":"","regions":null}`, "", "", []string{"", ""}, ""},
		{"no text", readText, `{"labelName":"Cat"}`, "", "", nil, "it has no text"},
		{"text as a list", readText, `[]`, "", "", nil, "not the JSON of a reading: its type is array, not object"},

		{
			"locations", locate, `[{"labelName":"Cat","points":[{"x":0.5,"y":0.25,"confidence":0.75}]}]`, v09 + "locate", `{"data":"https://p.test/1"}`,
			[]nyckel.Location{{LabelName: "Cat", Points: []nyckel.Point{{X: 0.5, Y: 0.25, Confidence: 0.75}}}},
			"",
		},
		{"location in percent", locate, `[{"points":[{"x":0.5,"y":0.25,"confidence":75}]}]`, "", "", nil, "location 0: confidence 75 is not between 0 and 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(answer(http.StatusOK, "<html>"), answer(http.StatusOK, tt.answer))
				got, err := tt.call(t.Context(), s.client(t, policy.Stack{}))
				assert.Equal(t, 2, s.calls.Calls(), "a page is none of the answers")
				if tt.wantURL != "" {
					assert.Equal(t, tt.wantURL, s.calls.Requests()[1].URL)
					assert.Equal(t, tt.wantReq+"\n", s.calls.Requests()[1].Body)
				}
				if tt.wantErr != "" {
					assert.ErrorContains(t, err, "sparekey: tickets: unknown: status 200: malformed answer: "+tt.wantErr)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, tt.want, got)
			})
		})
	}
}

// stamped checks what each answer says of how it came.
func stamped(t *testing.T, a telemetry.Answer, trail *telemetry.Trail) error {
	assert.Equal(t, telemetry.Answer{Source: telemetry.Live}, a)
	assert.Equal(t, 2, trail.AttemptCount())
	return nil
}

func TestSampleIDIsForSearchOnly(t *testing.T) {
	client := newService().client(t, once)
	_, err := client.Invoke(t.Context(), "tickets", nyckel.SampleID("sample_1"))
	assert.EqualError(t, err, "nyckel: a SampleID is an input for Search only")
	_, err = client.Search(t.Context(), "tickets", nyckel.SampleID(""))
	assert.EqualError(t, err, "nyckel: the sample id is empty")
	_, err = client.Search(t.Context(), "tickets", nyckel.Text("x"), nyckel.SampleCount(-1))
	assert.EqualError(t, err, "nyckel: SampleCount is -1, want at least 0")
}

// A tag that a rule gives comes in the form of a live answer.
func TestTagDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newService(answer(http.StatusBadGateway, "")).client(t, policy.Stack{Fallback: &policy.Fallback{
			Match: policy.MatchAll,
			Rules: []policy.Rule{
				{Name: "money", Any: []policy.Condition{{Words: []string{"refund"}}}, Answer: policy.Answer{Label: "refund", Confidence: 0.5}},
				{Name: "late", Any: []policy.Condition{{Words: []string{"late"}}}, Answer: policy.Answer{Label: "delay", Confidence: 0.25}},
			},
		}})
		tags, err := client.Tag(t.Context(), "tickets", nyckel.Text("late: I want a refund"))
		require.NoError(t, err)
		assert.Equal(t, []nyckel.LabelConfidence{{LabelName: "refund", Confidence: 0.5}, {LabelName: "delay", Confidence: 0.25}}, tags.Labels)
		assert.Equal(t, telemetry.Rule, tags.Answer.Source)
	})
}

// A question that can name no model is not taken for one that did: a cache keeps its
// answer for as long as that of the newest.
func TestOutputsWithoutModels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(answer(http.StatusOK, `[]`))
		stack := policy.Stack{Cache: &policy.Cache{Jitter: -1}}
		client := s.client(t, stack, nyckel.WithFunction("pinned", nyckel.Function{ID: "function_2", Model: "m"}))
		search := func(options ...nyckel.InvokeOption) {
			_, err := client.Search(t.Context(), "pinned", nyckel.Text("x"), options...)
			require.NoError(t, err)
		}
		search()
		time.Sleep(4 * time.Minute)
		search(nyckel.ModelID("other"))
		require.Equal(t, 1, s.calls.Calls())
		time.Sleep(2 * time.Minute)
		search()
		assert.Equal(t, 2, s.calls.Calls())
	})
}
