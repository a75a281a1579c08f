package nyckel

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// Error is the error of a call that failed for good: the function, the verdict,
// the service's own message, how many attempts were made and when to come back.
type Error = policy.Error

// A Prediction is the answer of a classification function.
type Prediction struct {
	// LabelName and LabelID name the label. One of them may be "".
	LabelName string
	LabelID   string

	// Confidence is how likely the label is right, 0 to 1. The service means it
	// as a calibrated probability; that of a rule or a static answer is a guess.
	Confidence float64

	// LabelMetadata is there if [LabelMetadata] asked for it.
	LabelMetadata map[string]string

	// Labels are the most likely labels, if [LabelCount] asked for them.
	Labels []LabelConfidence

	// SampleID is the sample that the input became, if the service says so.
	SampleID string

	// ExternalID is the caller's own, if the service repeats it.
	ExternalID string

	// Answer says where the answer came from.
	Answer telemetry.Answer

	// Trail is the record of the call.
	Trail *telemetry.Trail
}

// A LabelConfidence is one of several labels with its confidence.
type LabelConfidence struct {
	LabelName  string  `json:"labelName"`
	LabelID    string  `json:"labelId"`
	Confidence float64 `json:"confidence"`
}

// decode reads an answer leniently: members that it does not know are passed
// over, null is the same as absent, and only the label must be there.
func decode(content []byte) (*Prediction, error) {
	var answer struct {
		LabelName        string            `json:"labelName"`
		LabelID          string            `json:"labelId"`
		LabelMetadata    map[string]string `json:"labelMetadata"`
		Confidence       float64           `json:"confidence"`
		LabelConfidences []LabelConfidence `json:"labelConfidences"`
		SampleID         string            `json:"sampleId"`
		ExternalID       string            `json:"externalId"`
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		return nil, fmt.Errorf("not the JSON of a prediction: %w", err)
	}
	if answer.LabelName == "" && answer.LabelID == "" {
		return nil, errors.New("it has neither labelName nor labelId")
	}
	if answer.Confidence < 0 || answer.Confidence > 1 {
		return nil, fmt.Errorf("confidence %v is not between 0 and 1", answer.Confidence)
	}
	return &Prediction{
		LabelName:     answer.LabelName,
		LabelID:       answer.LabelID,
		LabelMetadata: answer.LabelMetadata,
		Confidence:    answer.Confidence,
		Labels:        answer.LabelConfidences,
		SampleID:      answer.SampleID,
		ExternalID:    answer.ExternalID,
	}, nil
}
