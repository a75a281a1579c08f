package nyckel

import (
	"context"
	"image"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Images that are decoded at the same time have no more pixels in sum than one may
// have, and nobody waits for one whose caller has left.
func TestDarkroom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDarkroom()
		leave, err := d.enter(t.Context(), maxPixels)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		leaveNothing, err := d.enter(ctx, 1)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		leaveNothing()
		var entered atomic.Int64
		for range 20 {
			go func() {
				leave, err := d.enter(t.Context(), maxPixels/4)
				assert.NoError(t, err)
				entered.Add(1)
				time.Sleep(time.Minute)
				leave()
			}()
		}
		synctest.Wait()
		assert.Zero(t, entered.Load())
		leave()
		synctest.Wait()
		assert.EqualValues(t, 3, entered.Load(), "a quarter needs a bit more than one")
		time.Sleep(time.Hour)
		assert.EqualValues(t, 20, entered.Load())
		assert.Empty(t, d.slots)
	})
}

func FuzzOrientation(f *testing.F) {
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x22Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x10Exif\x00\x00II\x2a\x00\xff\xff\xff\xff"))
	f.Add([]byte("\xff\xd8\xff\xda\x00\x02"))
	f.Fuzz(func(t *testing.T, content []byte) {
		o := orientation(content, "jpeg")
		if o < 1 || o > 8 {
			t.Errorf("orientation %d", o)
		}
		p := image.NewRGBA(image.Rect(0, 0, 3, 2))
		if q := turned(p, o); q.Rect.Dx()*q.Rect.Dy() != 6 {
			t.Errorf("orientation %d made %v of %v", o, q.Rect, p.Rect)
		}
	})
}

// fuzzDecoder feeds an answer's decoder; check looks at what was accepted.
func fuzzDecoder[T any](f *testing.F, decode func([]byte) (result, error), check func(t *testing.T, answer T), seeds ...string) {
	for _, seed := range append(seeds, `null`, `[]`, `{}`, `[null]`, `""`, `{"predictions":null}`, "\xff", ``) {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		answer, err := decode(content)
		if err != nil {
			assert.Nil(t, answer)
			return
		}
		check(t, any(answer).(T))
	})
}

func checkLabel(t *testing.T, l LabelConfidence) {
	t.Helper()
	if l.LabelName == "" && l.LabelID == "" || !(l.Confidence >= 0 && l.Confidence <= 1) {
		t.Errorf("no label, or no confidence, in %+v", l)
	}
}

func FuzzDecodeTags(f *testing.F) {
	fuzzDecoder(f, decodeTags, func(t *testing.T, answer *Tags) {
		for _, l := range answer.Labels {
			checkLabel(t, l)
		}
	}, `[{"labelName":"a","labelId":"label_1","confidence":0.5}]`, `{"labelConfidences":[{"labelName":"a"}]}`)
}

func FuzzDecodeDetections(f *testing.F) {
	fuzzDecoder(f, decodeDetections, func(t *testing.T, answer *Detections) {
		for _, d := range answer.Objects {
			checkLabel(t, d.LabelConfidence)
			if !d.Box.isFraction() {
				t.Errorf("%+v", d)
			}
		}
	}, `{"predictions":[{"labelName":"a","confidence":0.5,"boundingBox":{"x":0.1,"y":0.2,"width":0.3,"height":0.4}}]}`,
		`[{"labelId":"a","boundingBox":{"x":-1e-7,"y":0,"width":1.000001,"height":-0}}]`)
}

func FuzzDecodeMatches(f *testing.F) {
	fuzzDecoder(f, decodeMatches, func(t *testing.T, answer *Matches) {
		for _, m := range answer.Samples {
			if m.SampleID == "" && m.ExternalID == "" || math.IsNaN(m.Distance) || string(m.Data) == "null" {
				t.Errorf("%+v", m)
			}
		}
	}, `[{"sampleId":"sample_1","distance":0.01,"externalId":null,"data":null}]`, `{"searchSamples":[{"sampleId":"s","distance":0,"data":{"a":1}}]}`)
}

func FuzzDecodeReading(f *testing.F) {
	fuzzDecoder(f, decodeReading, func(t *testing.T, answer *Reading) {
		if string(answer.Regions) == "null" {
			t.Errorf("%+v", answer)
		}
	}, `{"text":"","regions":[{"text":"a"}]}`, `{"text":"a","regions":null}`)
}

func FuzzDecodeLocations(f *testing.F) {
	fuzzDecoder(f, decodeLocations, func(t *testing.T, answer *Locations) {
		for _, l := range answer.Objects {
			for _, p := range l.Points {
				if !(p.Confidence >= -1e-6 && p.Confidence <= 1+1e-6) {
					t.Errorf("%+v", l)
				}
			}
		}
	}, `[{"points":[{"x":0.5,"y":0.5,"confidence":0.9}]}]`, `{"predictions":[{"labelName":"a","points":null}]}`)
}

func FuzzReadLink(f *testing.F) {
	for _, seed := range []string{`</v1/x?startIndex=1>; rel="next"`, `<a>; rel=prev, <b>; title="x, y"; rel="first next"`, `<`, `<>;rel=next`, `; rel=next`, `<a <b>; rel=next`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if next, ok := nextLink(text); ok && strings.ContainsAny(next, "<>") {
			t.Errorf("%q", next)
		}
	})
}
