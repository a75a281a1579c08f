package predictions

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// RecordPrediction puts the prediction of a call into the queue: give the writer
// to nyckel.WithRecorder. A call that failed predicted nothing and is passed over.
// The trace is that of the caller's context. What cannot be recorded at all, as its
// label is too long for one, is counted as dropped and goes to OnError as well.
func (w *Writer) RecordPrediction(ctx context.Context, r nyckel.Record) {
	if r.Prediction == nil {
		return
	}
	p := FromRecord(ctx, r)
	if err := w.Put(ctx, p); err != nil && !errors.Is(err, ErrDropped) { // that one is counted
		w.drop(p)
		if w.options.OnError != nil {
			w.options.OnError(err)
		}
	}
}

// FromRecord returns the prediction of a call that was answered.
func FromRecord(ctx context.Context, r nyckel.Record) Prediction {
	answer := r.Prediction.Answer
	p := Prediction{
		Function:   plain(r.Function),
		Model:      plain(r.Model),
		SampleID:   plain(r.Prediction.SampleID),
		ExternalID: plain(cmp.Or(r.ExternalID, r.Prediction.ExternalID)),
		Input:      slices.Clone(r.Input),
		Label:      plain(cmp.Or(r.Prediction.LabelName, r.Prediction.LabelID)),
		LabelID:    plain(r.Prediction.LabelID),
		Confidence: r.Prediction.Confidence,
		Source:     answer.Source,
		Similarity: answer.Similarity,
		Rule:       plain(answer.Rule),
		Verdict:    cmp.Or(answer.Cause, policy.OK),
		Latency:    r.Latency,
		At:         r.Start.Add(r.Latency),
	}
	if r.Trail != nil {
		p.Attempts = r.Trail.AttemptCount()
	}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		p.TraceID = span.TraceID().String()
	}
	for _, l := range r.Prediction.Labels {
		p.Labels = append(p.Labels, LabelConfidence{Label: cmp.Or(l.LabelName, l.LabelID), LabelID: l.LabelID, Confidence: l.Confidence})
	}
	if p.Source == telemetry.Similar { // the answer names the sample of another input
		p.SampleID, p.ExternalID = "", plain(r.ExternalID)
	}
	return p
}

// plain makes a text from outside one that every database can hold.
func plain(text string) string {
	if utf8.ValidString(text) && !strings.ContainsRune(text, 0) {
		return text
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
