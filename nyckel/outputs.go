package nyckel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/sparekey/sparekey/telemetry"
)

// Tags is the answer of a function with the output Tags.
type Tags struct {
	// Labels are those that apply, as the service orders them. There may be none.
	Labels []LabelConfidence

	// Answer says where the answer came from.
	Answer telemetry.Answer

	// Trail is the record of the call.
	Trail *telemetry.Trail
}

// Tag asks a function with the output Tags, of the API's version 0.9: version 1 does
// not say what it answers. See [Client.Invoke].
func (c *Client) Tag(ctx context.Context, name string, input Input, options ...InvokeOption) (*Tags, error) {
	return askOnce[Tags](ctx, c, tags, name, input, options)
}

func (t *Tags) came(trail *telemetry.Trail) { t.Trail, t.Answer = trail, trail.Answer() }

// decodeTags reads a list, or an object with one, as an invoke with labelCount has it.
func decodeTags(content []byte) (result, error) {
	items, err := listIn[LabelConfidence](content, "tags", "labelConfidences", "predictions")
	if err != nil {
		return nil, err
	}
	for i := range items {
		if err := items[i].check(); err != nil {
			return nil, fmt.Errorf("tag %d: %w", i, err)
		}
	}
	return &Tags{Labels: items}, nil
}

// check reports what is wrong with a label, and rounds its confidence.
func (l *LabelConfidence) check() error {
	if l.LabelName == "" && l.LabelID == "" {
		return errNoLabel
	}
	given := l.Confidence
	var ok bool
	if l.Confidence, ok = probability(given); !ok {
		return fmt.Errorf("confidence %v is not between 0 and 1", given)
	}
	return nil
}

// Detections is the answer of a function with the output BoxDetect or Detection.
type Detections struct {
	// Objects are what was found, as the service orders them. There may be none.
	Objects []Detection

	// Answer says where the answer came from.
	Answer telemetry.Answer

	// Trail is the record of the call.
	Trail *telemetry.Trail
}

// A Detection is one object in an image.
type Detection struct {
	LabelConfidence
	Box Box `json:"boundingBox"`
}

// A Box is where an object is: its top left corner and its size, as fractions of
// the image's width and height.
type Box struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// Detect asks a function that finds objects in images: one with the output BoxDetect
// or Detection. See [Client.Invoke].
func (c *Client) Detect(ctx context.Context, name string, input Input, options ...InvokeOption) (*Detections, error) {
	return askOnce[Detections](ctx, c, detection, name, input, options)
}

func (d *Detections) came(trail *telemetry.Trail) { d.Trail, d.Answer = trail, trail.Answer() }

// decodeDetections reads an object with predictions, or their bare list.
func decodeDetections(content []byte) (result, error) {
	type item struct {
		LabelConfidence
		Box *Box `json:"boundingBox"`
	}
	items, err := listIn[item](content, "detections", "predictions")
	if err != nil {
		return nil, err
	}
	d := &Detections{}
	for i, item := range items {
		err := item.check()
		switch {
		case err != nil:
		case item.Box == nil:
			err = errors.New("it has no boundingBox")
		case !item.Box.isFraction():
			err = fmt.Errorf("its boundingBox %+v is not in fractions", *item.Box)
		}
		if err != nil {
			return nil, fmt.Errorf("detection %d: %w", i, err)
		}
		d.Objects = append(d.Objects, Detection{item.LabelConfidence, *item.Box})
	}
	return d, nil
}

// isFraction reports whether a box is in fractions, which may stand out of the image
// a little, and not in pixels.
func (b Box) isFraction() bool {
	const room = 0.1
	in := func(x float64) bool { return x >= -room && x <= 1+room }
	return in(b.X) && in(b.Y) && in(b.Width) && in(b.Height) && b.Width >= 0 && b.Height >= 0
}

// Matches is the answer of a function with the output Search.
type Matches struct {
	// Samples are the nearest, nearest first. One that was asked about by its id is
	// the first itself.
	Samples []Match

	// Answer says where the answer came from.
	Answer telemetry.Answer

	// Trail is the record of the call.
	Trail *telemetry.Trail
}

// A Match is a sample that is like the one asked about.
type Match struct {
	SampleID   string
	ExternalID string

	// Distance is small for what is near. Below 0.05 the vendor takes two for the
	// same.
	Distance float64

	// Data is the sample's data as JSON, nil if [IncludeData] left it out. The URL of
	// an image is good for some minutes only.
	Data json.RawMessage
}

// Search asks a function with the output Search for samples like the input, which
// may be a [SampleID]. [SampleCount] says how many. Nothing is captured. See
// [Client.Invoke].
func (c *Client) Search(ctx context.Context, name string, input Input, options ...InvokeOption) (*Matches, error) {
	return askOnce[Matches](ctx, c, search, name, input, options)
}

func (m *Matches) came(trail *telemetry.Trail) { m.Trail, m.Answer = trail, trail.Answer() }

func searchQuery(o callOptions) url.Values {
	query := url.Values{}
	if o.sampleCount > 0 {
		query.Set("sampleCount", strconv.Itoa(o.sampleCount))
	}
	if o.noData {
		query.Set("includeData", "false")
	}
	return query
}

// decodeMatches reads a list of samples, or an object with one.
func decodeMatches(content []byte) (result, error) {
	type item struct {
		SampleID   optional[string] `json:"sampleId"`
		ExternalID optional[string] `json:"externalId"`
		Distance   *float64         `json:"distance"`
		Data       json.RawMessage  `json:"data"`
	}
	items, err := listIn[item](content, "matches", "searchSamples")
	if err != nil {
		return nil, err
	}
	m := &Matches{}
	for i, item := range items {
		match := Match{SampleID: item.SampleID.value, ExternalID: item.ExternalID.value, Data: present(item.Data)}
		switch {
		case match.SampleID == "" && match.ExternalID == "":
			return nil, fmt.Errorf("match %d: it has neither sampleId nor externalId", i)
		case item.Distance == nil:
			return nil, fmt.Errorf("match %d: it has no distance", i)
		}
		match.Distance = *item.Distance
		m.Samples = append(m.Samples, match)
	}
	return m, nil
}

// Reading is the answer of a function with the output Ocr.
type Reading struct {
	// Text is what stands in the image, "" if nothing does.
	Text string

	// Regions is where, as the service's JSON, if [Regions] asked for it. Its form is
	// not documented.
	Regions json.RawMessage

	// Answer says where the answer came from.
	Answer telemetry.Answer

	// Trail is the record of the call.
	Trail *telemetry.Trail
}

// ReadText asks a function with the output Ocr what is written in an image. The call
// is of the API's version 0.9, on thin evidence. See [Client.Invoke].
func (c *Client) ReadText(ctx context.Context, name string, input Input, options ...InvokeOption) (*Reading, error) {
	return askOnce[Reading](ctx, c, ocr, name, input, options)
}

func (r *Reading) came(trail *telemetry.Trail) { r.Trail, r.Answer = trail, trail.Answer() }

func ocrQuery(o callOptions) url.Values {
	query := url.Values{}
	if o.regions {
		query.Set("includeRegions", "true")
	}
	return query
}

func decodeReading(content []byte) (result, error) {
	var answer struct {
		Text    *string         `json:"text"`
		Regions json.RawMessage `json:"regions"`
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		return nil, misread(err, "a reading", "object")
	}
	if answer.Text == nil {
		return nil, errors.New("it has no text")
	}
	return &Reading{Text: *answer.Text, Regions: present(answer.Regions)}, nil
}

// Locations is the answer of a function with the output Localization.
type Locations struct {
	// Objects are what was found, as the service orders them. There may be none.
	Objects []Location

	// Answer says where the answer came from.
	Answer telemetry.Answer

	// Trail is the record of the call.
	Trail *telemetry.Trail
}

// A Location is where the objects of one label are.
type Location struct {
	// LabelName and LabelID name the label, if the service says so.
	LabelName string  `json:"labelName"`
	LabelID   string  `json:"labelId"`
	Points    []Point `json:"points"`
}

// A Point is where an object's middle is, in the units that the service uses.
type Point struct {
	X          float64 `json:"x"`
	Y          float64 `json:"y"`
	Confidence float64 `json:"confidence"`
}

// Locate asks a function with the output Localization where things are. The call is
// of the API's version 0.9, on thin evidence. See [Client.Invoke].
func (c *Client) Locate(ctx context.Context, name string, input Input, options ...InvokeOption) (*Locations, error) {
	return askOnce[Locations](ctx, c, localization, name, input, options)
}

func (l *Locations) came(trail *telemetry.Trail) { l.Trail, l.Answer = trail, trail.Answer() }

func noQuery(callOptions) url.Values { return nil }

func decodeLocations(content []byte) (result, error) {
	items, err := listIn[Location](content, "locations", "predictions")
	if err != nil {
		return nil, err
	}
	for i, item := range items {
		for _, p := range item.Points {
			if _, ok := probability(p.Confidence); !ok {
				return nil, fmt.Errorf("location %d: confidence %v is not between 0 and 1", i, p.Confidence)
			}
		}
	}
	return &Locations{Objects: items}, nil
}

// listIn reads a JSON list, or an object that has it under one of the names. A list
// that is null is empty; an object without one is an error.
func listIn[T any](content []byte, what string, names ...string) ([]T, error) {
	var list []T
	err := json.Unmarshal(content, &list)
	if err == nil && present(bytes.TrimSpace(content)) != nil {
		return list, nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(content, &members) != nil {
		return nil, misread(err, what, "array or object")
	}
	for _, name := range names {
		if text, ok := members[name]; ok {
			if err := json.Unmarshal(text, &list); err != nil {
				return nil, misread(err, what, "array")
			}
			return list, nil
		}
	}
	return nil, fmt.Errorf("not the JSON of %s: it has no %s", what, names[0])
}

// present returns nil for a member that is absent or null.
func present(text json.RawMessage) json.RawMessage {
	if string(text) == "null" {
		return nil
	}
	return text
}
