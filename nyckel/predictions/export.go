package predictions

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// A Format is a form of [Store.Export].
type Format int

// The formats.
const (
	// CSV has a line of names, then a line per prediction (RFC 4180). Cells are
	// written as they are: a spreadsheet may take one that begins with = for a
	// formula.
	CSV Format = iota

	// JSONLines has an object per line. Of an input that is no UTF-8, as JSON is,
	// U+FFFD takes the place of what is not.
	JSONLines
)

// exported is one prediction as it is exported. Members are only ever added, at
// the end.
type exported struct {
	ID         string            `json:"id"`
	Function   string            `json:"function"`
	Model      string            `json:"model"`
	SampleID   string            `json:"sampleId"`
	ExternalID string            `json:"externalId"`
	InputHash  string            `json:"inputHash"`
	Label      string            `json:"label"`
	LabelID    string            `json:"labelId"`
	Confidence float64           `json:"confidence"`
	Source     string            `json:"source"`
	Similarity float64           `json:"similarity"`
	Rule       string            `json:"rule"`
	Verdict    string            `json:"verdict"`
	Attempts   int               `json:"attempts"`
	LatencyMS  float64           `json:"latencyMs"`
	TraceID    string            `json:"traceId"`
	At         string            `json:"at"` // RFC 3339, UTC, microseconds
	Truth      string            `json:"truth"`
	Labels     []LabelConfidence `json:"labels"`
	Input      string            `json:"input"`
}

var exportedNames = []string{
	"id", "function", "model", "sampleId", "externalId", "inputHash", "label", "labelId", "confidence", "source",
	"similarity", "rule", "verdict", "attempts", "latencyMs", "traceId", "at", "truth", "labels", "input",
}

func newExported(e Entry) exported {
	return exported{
		ID: e.ID, Function: e.Function, Model: e.Model, SampleID: e.SampleID, ExternalID: e.ExternalID,
		InputHash: hex.EncodeToString(e.InputHash), Label: e.Label, LabelID: e.LabelID, Confidence: e.Confidence,
		Source: string(e.Source), Similarity: e.Similarity, Rule: e.Rule, Verdict: e.Verdict.String(),
		Attempts: e.Attempts, LatencyMS: float64(e.Latency.Microseconds()) / 1000, TraceID: e.TraceID,
		At: e.At.UTC().Format("2006-01-02T15:04:05.000000Z07:00"), Truth: e.Truth, Labels: e.Labels, Input: string(e.Input),
	}
}

// cells returns the cells of a line of CSV. The labels are JSON.
func (e exported) cells() ([]string, error) {
	labels := ""
	if e.Labels != nil {
		text, err := json.Marshal(e.Labels)
		if err != nil {
			return nil, err
		}
		labels = string(text)
	}
	return []string{
		e.ID, e.Function, e.Model, e.SampleID, e.ExternalID, e.InputHash, e.Label, e.LabelID, number(e.Confidence), e.Source,
		number(e.Similarity), e.Rule, e.Verdict, strconv.Itoa(e.Attempts), number(e.LatencyMS), e.TraceID, e.At, e.Truth, labels, e.Input,
	}, nil
}

// number writes the shortest text that reads as x again.
func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// Export writes the predictions that a query selects, in the order of
// [Store.Audit].
func (s *Store) Export(ctx context.Context, w io.Writer, f Format, q Query) error {
	write, flush, err := f.writer(w)
	if err != nil {
		return err
	}
	for e, err := range s.Audit(ctx, q) {
		if err != nil {
			return err
		}
		if err := write(newExported(e)); err != nil {
			return fmt.Errorf("predictions: export: %w", err)
		}
	}
	if err := flush(); err != nil {
		return fmt.Errorf("predictions: export: %w", err)
	}
	return nil
}

// writer returns a func that writes one line, and one that writes what is buffered.
func (f Format) writer(w io.Writer) (write func(exported) error, flush func() error, err error) {
	switch f {
	case CSV:
		lines := csv.NewWriter(w)
		write = func(e exported) error {
			cells, err := e.cells()
			if err != nil {
				return err
			}
			return lines.Write(cells)
		}
		flush = func() error { lines.Flush(); return lines.Error() }
		return write, flush, lines.Write(exportedNames)
	case JSONLines:
		buffered := bufio.NewWriter(w)
		encoder := json.NewEncoder(buffered)
		encoder.SetEscapeHTML(false)
		return func(e exported) error { return encoder.Encode(e) }, buffered.Flush, nil
	}
	return nil, nil, fmt.Errorf("predictions: unknown format %d", f)
}
