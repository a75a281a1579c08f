package policy

import (
	"bytes"
	"encoding/json"
)

// A Codec writes the answers that stand in for the service's own in the form in
// which the service would have sent them, and reads the label of one that the
// service sent, so that the two can be compared. It must be safe for concurrent
// use.
type Codec interface {
	// Encode returns a as a JSON document. The external id is the caller's own, ""
	// if the request has none; a service that sends it back has a place for it.
	Encode(a Answer, externalID string) ([]byte, error)

	// Label returns the label of a document and the confidence that goes with it,
	// zero if there is none. It reports false if the document has no label.
	Label(document []byte) (label string, confidence float64, ok bool)
}

// A ListCodec is a [Codec] that also reads lists of labels, which the service sends
// where any number of labels may be right, so that they can be compared, too.
type ListCodec interface {
	Codec

	// Labels returns the labels of a document that is a list of them, perhaps of
	// none, in any order. It reports false for any other document.
	Labels(document []byte) (labels []string, ok bool)
}

// Classification is the [ListCodec] of Nyckel's functions of the types Classification
// and Tags. Its answers have no ids, which only the service knows.
type Classification struct{}

type classification struct {
	LabelName  string  `json:"labelName"`
	Confidence float64 `json:"confidence"`
	ExternalID string  `json:"externalId,omitempty"`
}

// Encode implements [Codec].
func (Classification) Encode(a Answer, externalID string) ([]byte, error) {
	if a.Document != nil {
		return a.Document, nil
	}
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(classification{a.Label, a.Confidence, externalID})
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// Label implements [Codec].
func (Classification) Label(document []byte) (label string, confidence float64, ok bool) {
	var c classification
	if json.Unmarshal(document, &c) != nil || c.LabelName == "" {
		return "", 0, false
	}
	return c.LabelName, c.Confidence, true
}

// Labels implements [ListCodec]. A list is an array, or the member "tags",
// "labelConfidences" or "predictions" of an object without a label of its own.
func (Classification) Labels(document []byte) (labels []string, ok bool) {
	var items []classification
	if json.Unmarshal(document, &items) != nil {
		var object struct {
			LabelName                           string
			Tags, LabelConfidences, Predictions []classification
		}
		if json.Unmarshal(document, &object) != nil || object.LabelName != "" {
			return nil, false
		}
		for _, list := range [][]classification{object.Tags, object.LabelConfidences, object.Predictions} {
			if items == nil {
				items = list
			}
		}
	}
	for _, item := range items {
		if item.LabelName == "" {
			return nil, false
		}
		labels = append(labels, item.LabelName)
	}
	return labels, items != nil
}
