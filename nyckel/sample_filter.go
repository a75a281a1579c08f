package nyckel

import (
	"net/url"
	"strconv"
	"time"
)

// A Flag is a condition that may be left open.
type Flag int8

// Either leaves it open.
const (
	Either Flag = iota
	Yes
	No
)

// A SampleFilter says which samples to list, and how. Its zero value lists all.
type SampleFilter struct {
	ExternalID        string
	Annotated         Flag
	Predicted         Flag
	Agree             Flag // prediction and annotation do
	InTrainSet        Flag
	AnnotationLabelID string
	PredictionLabelID string
	CaptureReason     string
	Origin            string // "InvokeCapture", for one
	SearchText        string
	SampleIDs         []string
	SampleSetID       string
	CreatedAfter      time.Time // zero for no bound; both bounds are in
	CreatedBefore     time.Time
	SortBy            string // "creation", for one
	SortOrder         string // "descending", for one; only with SortBy

	// NoData leaves the data of the samples out.
	NoData bool

	// PageSize is how many samples are asked for at once. Zero means 500.
	PageSize int
}

func (f SampleFilter) query() url.Values {
	query := url.Values{}
	for name, value := range map[string]string{
		"externalId": f.ExternalID, "annotationLabelId": f.AnnotationLabelID, "predictionLabelId": f.PredictionLabelID,
		"captureReason": f.CaptureReason, "origin": f.Origin, "searchText": f.SearchText, "sampleSetId": f.SampleSetID,
		"sortBy": f.SortBy, "sortOrder": f.SortOrder,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, flag := range map[string]Flag{
		"annotated": f.Annotated, "predicted": f.Predicted, "predictionAndAnnotationAgree": f.Agree, "inTrainSet": f.InTrainSet,
	} {
		if flag != Either {
			query.Set(name, strconv.FormatBool(flag == Yes))
		}
	}
	for name, at := range map[string]time.Time{"createdAfter": f.CreatedAfter, "createdBefore": f.CreatedBefore} {
		if !at.IsZero() {
			query.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	for _, id := range f.SampleIDs {
		query.Add("sampleIds", id)
	}
	if f.NoData {
		query.Set("includeData", "false")
	}
	query.Set("count", strconv.Itoa(f.PageSize))
	return query
}
