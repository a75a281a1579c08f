package nyckel

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

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

	// Model is the model that was asked for: the pin, or "" for the newest. The
	// service does not say which one answered.
	Model string

	// ServiceTime is how long the service took to begin its last answer, be it an
	// error, without waits for retries and limits. Zero if it gave none to this call.
	ServiceTime time.Duration

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

func (p *Prediction) came(trail *telemetry.Trail) { p.Trail, p.Answer = trail, trail.Answer() }

// decodePrediction reads an answer leniently: members that it does not know are
// passed over, as are labels of the list that cannot be used, and only the label
// itself must be there.
func decodePrediction(content []byte) (result, error) {
	var answer struct {
		LabelName        optional[string]            `json:"labelName"`
		LabelID          optional[string]            `json:"labelId"`
		LabelMetadata    optional[map[string]string] `json:"labelMetadata"`
		Confidence       float64                     `json:"confidence"`
		LabelConfidences optional[[]json.RawMessage] `json:"labelConfidences"`
		SampleID         optional[string]            `json:"sampleId"`
		ExternalID       optional[string]            `json:"externalId"`
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		return nil, misread(err, "a prediction", "object")
	}
	p := &Prediction{
		LabelName:     answer.LabelName.value,
		LabelID:       answer.LabelID.value,
		LabelMetadata: answer.LabelMetadata.value,
		SampleID:      answer.SampleID.value,
		ExternalID:    answer.ExternalID.value,
	}
	if p.LabelName == "" && p.LabelID == "" {
		return nil, errNoLabel
	}
	var ok bool
	if p.Confidence, ok = probability(answer.Confidence); !ok {
		return nil, fmt.Errorf("confidence %v is not between 0 and 1", answer.Confidence)
	}
	for _, text := range answer.LabelConfidences.value {
		var item struct {
			LabelName  optional[string] `json:"labelName"`
			LabelID    optional[string] `json:"labelId"`
			Confidence float64          `json:"confidence"`
		}
		if json.Unmarshal(text, &item) != nil {
			continue
		}
		l := LabelConfidence{item.LabelName.value, item.LabelID.value, item.Confidence}
		if l.check() == nil {
			p.Labels = append(p.Labels, l)
		}
	}
	return p, nil
}

var errNoLabel = errors.New("it has neither labelName nor labelId")

// An optional is a member that may be absent, null or of a form that nobody
// foresaw. It keeps what can be read of it.
type optional[T any] struct{ value T }

// UnmarshalJSON never fails.
func (o *optional[T]) UnmarshalJSON(data []byte) error {
	_ = json.Unmarshal(data, &o.value)
	return nil
}

// probability forgives x the error of a rounding, and nothing more: a 57 that
// means percents must not pass for certainty.
func probability(x float64) (float64, bool) {
	const rounding = 1e-6
	return min(max(x, 0), 1), x >= -rounding && x <= 1+rounding
}
