package chat_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// FuzzAnswers gives the providers any answer and any invoke: what comes of an
// answer is a label of the list with a confidence up to the cap, or an error with a
// verdict.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"choices":[{"finish_reason":"stop","message":{"content":"{\"label\":\"Billing\",\"confidence\":0.9}"}}]}`))
	f.Add([]byte(`{"choices":[{"finish_reason":"stop","message":{"refusal":"no"}}],"error":{"code":429}}`))
	f.Add([]byte(`{"stop_reason":"tool_use","content":[{"type":"text"},{"type":"tool_use","name":"answer","input":{"label":"Billing","confidence":0.9}}]}`))
	f.Add([]byte(`{"data":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, p := range providers {
			adapter, err := p.new(question)
			require.NoError(t, err)
			answer, err := adapter.ResponseBody(body)
			if err == nil {
				checkPrediction(t, answer)
			} else {
				assert.NotNil(t, policy.ErrorOf(err), "%v", err)
			}
			asked, err := adapter.RequestBody(body)
			assert.True(t, err == nil && json.Valid(asked) || policy.ErrorOf(err) != nil, "%q", body)
		}
	})
}

func checkPrediction(t *testing.T, answer []byte) {
	t.Helper()
	var got struct {
		LabelName  string
		Confidence float64
		Guess      bool
	}
	require.NoError(t, json.Unmarshal(answer, &got))
	assert.Contains(t, question.Labels, got.LabelName)
	assert.True(t, got.Confidence >= 0 && got.Confidence <= 0.8, "confidence %v", got.Confidence)
	assert.True(t, got.Guess)
}
