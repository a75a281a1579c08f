package fallback

import (
	"bytes"
	"encoding/json"

	"github.com/sparekey/sparekey/policy"
)

// A classification is what a Nyckel classification function answers, without
// the ids, which only the service knows.
type classification struct {
	LabelName  string  `json:"labelName"`
	Confidence float64 `json:"confidence"`
	ExternalID string  `json:"externalId,omitempty"`
}

// encode writes answer as the service would have.
func encode(answer policy.Answer, externalID string) []byte {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	// It cannot fail: a confidence is a number from 0 to 1.
	_ = encoder.Encode(classification{answer.Label, answer.Confidence, externalID})
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
