package nyckel

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecode(t *testing.T) {
	cat := &Prediction{LabelName: "Cat", Confidence: 0.5}
	tests := []struct {
		name    string
		content string
		want    *Prediction
		wantErr string
	}{
		{
			"as recorded", `{"labelName":"Cat","labelId":"label_02c91lh4rrpyp30u","confidence":0.6337890625}`,
			&Prediction{LabelName: "Cat", LabelID: "label_02c91lh4rrpyp30u", Confidence: 0.6337890625}, "",
		},
		{
			"everything", `{"labelName":"Cat","labelId":"label_1","labelMetadata":{"queue":"pets"},"confidence":0.5,"decisionThreshold":0.4,
			"labelConfidences":[{"labelName":"Cat","labelId":"label_1","confidence":0.5},{"labelName":"Dog","confidence":0.25}],
			"externalId":"e","sampleId":"sample_1"}`,
			&Prediction{
				LabelName: "Cat", LabelID: "label_1", LabelMetadata: map[string]string{"queue": "pets"}, Confidence: 0.5,
				Labels:     []LabelConfidence{{"Cat", "label_1", 0.5}, {"Dog", "", 0.25}},
				ExternalID: "e", SampleID: "sample_1",
			}, "",
		},
		{"null is absent", `{"labelName":"Cat","labelId":null,"labelMetadata":null,"confidence":0.5,"labelConfidences":null,"externalId":null,"sampleId":null}`, cat, ""},
		{"unknown members", `{"labelName":"Cat","confidence":0.5,"model":{"id":1},"prediction":[]}`, cat, ""},
		{"name only, no confidence", `{"labelName":"Cat"}`, &Prediction{LabelName: "Cat"}, ""},
		{"id only", `{"labelId":"label_1","confidence":1}`, &Prediction{LabelID: "label_1", Confidence: 1}, ""},
		{"members of other forms", `{"labelName":"Cat","labelId":7,"labelMetadata":["x"],"confidence":0.5,"labelConfidences":{"Cat":0.5},"externalId":{},"sampleId":1}`, cat, ""},
		{
			"metadata that is not all text", `{"labelName":"Cat","confidence":0.5,"labelMetadata":{"queue":"pets","level":3}}`,
			&Prediction{LabelName: "Cat", Confidence: 0.5, LabelMetadata: map[string]string{"queue": "pets", "level": ""}}, "",
		},
		{
			"labels that cannot be used", `{"labelName":"Cat","confidence":0.5,"labelConfidences":[{"confidence":0.5},{"labelName":"Dog","confidence":7},{"labelName":"Cow","confidence":0.25}]}`,
			&Prediction{LabelName: "Cat", Confidence: 0.5, Labels: []LabelConfidence{{"Cow", "", 0.25}}}, "",
		},
		{
			"confidences that are none", `{"labelName":"Cat","confidence":0.5,"labelConfidences":[{"labelName":"Dog","confidence":"0.3"},{"labelName":"Cow","confidence":1e999},"Hen",null,{"labelName":"Pig","labelId":7,"confidence":0.25}]}`,
			&Prediction{LabelName: "Cat", Confidence: 0.5, Labels: []LabelConfidence{{"Pig", "", 0.25}}}, "",
		},
		{"rounding above", `{"labelName":"Cat","confidence":1.0000001}`, &Prediction{LabelName: "Cat", Confidence: 1}, ""},
		{"rounding below", `{"labelName":"Cat","confidence":-1e-9}`, &Prediction{LabelName: "Cat"}, ""},
		{"percents", `{"labelName":"Cat","confidence":57}`, nil, "confidence 57 is not between 0 and 1"},
		{"negative", `{"labelName":"Cat","confidence":-0.5}`, nil, "confidence -0.5 is not between 0 and 1"},
		{"beyond numbers", `{"labelName":"Cat","confidence":1e999}`, nil, "not the JSON of a prediction: confidence is of the type number 1e999"},
		{"far beyond numbers", `{"labelName":"Cat","confidence":` + strings.Repeat("9", 1000) + `}`, nil, "not the JSON of a prediction: confidence is of the type number"},
		{"confidence as text", `{"labelName":"Cat","confidence":"0.5"}`, nil, "not the JSON of a prediction: confidence is of the type string"},
		{"no label", `{"confidence":0.5}`, nil, "it has neither labelName nor labelId"},
		{"empty label", `{"labelName":"","labelId":"","confidence":0.5}`, nil, "it has neither labelName nor labelId"},
		{"null", `null`, nil, "it has neither labelName nor labelId"},
		{"tags", `[{"labelName":"Cat","confidence":0.5}]`, nil, "not the JSON of a prediction: its type is array, not object"},
		{"something behind", `{"labelName":"Cat"} {}`, nil, "not the JSON of a prediction: invalid character '{' after top-level value"},
		{"nothing", ``, nil, "not the JSON of a prediction: unexpected end of JSON input"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodePrediction([]byte(tt.content))
			if tt.wantErr != "" {
				assert.ErrorContains(t, err, tt.wantErr)
				assert.Less(t, len(err.Error()), 200)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func FuzzDecode(f *testing.F) {
	fuzzDecoder(f, decodePrediction, func(t *testing.T, p *Prediction) {
		for _, l := range append([]LabelConfidence{{p.LabelName, p.LabelID, p.Confidence}}, p.Labels...) {
			checkLabel(t, l)
		}
	},
		`{"labelName":"Cat","labelId":"label_1","confidence":0.5,"labelConfidences":[{"labelName":"Dog","confidence":1.00000001}]}`,
		`{"labelId":"label_1","labelMetadata":{"a":"b","c":[1]},"confidence":-0}`,
		`{"LABELNAME":"x","labelname":"","confidence":1e-400}`,
		`[{"labelName":"x"}]`, `"\ud800"`, "{\"labelName\":\"\xff\"}", `{"labelConfidences":[null]}`,
	)
}

func FuzzReadToken(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"t","token_type":"Bearer","expires_in":3600}`, `{"access_token":"t","expires_in":"60"}`,
		`{"access_token":"t","expires_in":-1e308}`, `{"access_token":"t","expires_in":1e-12}`, `{"expires_in":3600}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		token, lifetime, err := readToken(content)
		if (err == nil) != (token.Reveal() != "") {
			t.Errorf("token %q with error %v", token.Reveal(), err)
		}
		if err == nil && lifetime < 0 {
			t.Errorf("lifetime %v", lifetime)
		}
	})
}
