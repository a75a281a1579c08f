package policy_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

func TestClassificationEncode(t *testing.T) {
	tests := map[string]struct {
		answer     policy.Answer
		externalID string
		want       string
	}{
		"label":       {policy.Answer{Label: "billing", Confidence: 0.5}, "", `{"labelName":"billing","confidence":0.5}`},
		"external id": {policy.Answer{Label: "billing"}, "t-1", `{"labelName":"billing","confidence":0,"externalId":"t-1"}`},
		"signs":       {policy.Answer{Label: `R&D "<new>"`}, "", `{"labelName":"R&D \"<new>\"","confidence":0}`},
		"document":    {policy.Answer{Label: "not used", Document: json.RawMessage(`[{"labelName":"a"}]`)}, "t-1", `[{"labelName":"a"}]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			document, err := policy.Classification{}.Encode(tt.answer, tt.externalID)
			require.NoError(t, err)
			assert.Equal(t, tt.want, string(document))
		})
	}
}

func TestClassificationLabel(t *testing.T) {
	label, confidence, ok := policy.Classification{}.Label([]byte(`{"labelName":"billing","confidence":0.75,"sampleId":"s"}`))
	assert.True(t, ok)
	assert.Equal(t, "billing", label)
	assert.InDelta(t, 0.75, confidence, 0)
	for _, document := range []string{``, `{}`, `null`, `[]`, `{"labelName":1}`, `{"labelName":""}`, `{"labelName":"a"`} {
		_, _, ok := policy.Classification{}.Label([]byte(document))
		assert.False(t, ok, document)
	}
}

func TestClassificationLabels(t *testing.T) {
	for document, want := range map[string][]string{
		`[]`:                  nil,
		`[{"labelName":"a"}]`: {"a"},
		`[{"labelName":"b","confidence":0.9},{"labelName":"a"}]`:    {"b", "a"},
		`{"tags":[{"labelName":"a"}]}`:                              {"a"},
		`{"tags":[]}`:                                               nil,
		`{"labelConfidences":[{"labelName":"a","confidence":0.5}]}`: {"a"},
		`{"predictions":[{"labelName":"a"}],"sampleId":"s"}`:        {"a"},
	} {
		labels, ok := policy.Classification{}.Labels([]byte(document))
		assert.True(t, ok, document)
		assert.Equal(t, want, labels, document)
	}
	for _, document := range []string{
		``, `null`, `{}`, `"a"`, `["a"]`, `[{"labelName":""}]`, `[{}]`, `[{"labelName":"a"}`, `{"tags":null}`,
		`{"labelName":"a","labelConfidences":[{"labelName":"a"},{"labelName":"b"}]}`,
	} {
		_, ok := policy.Classification{}.Labels([]byte(document))
		assert.False(t, ok, document)
	}
}
