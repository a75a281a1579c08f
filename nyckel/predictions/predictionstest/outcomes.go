package predictionstest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/telemetry"
)

func truths(t *testing.T, s *predictions.Store) {
	must(t, s.Record(t.Context(), full(), predictions.Prediction{ID: "nameless", Function: "tickets", Label: "x", At: noon}))
	external := full().ExternalID
	must(t, s.SetTruth(t.Context(),
		predictions.Truth{Function: "tickets", ExternalID: external, Label: "billing", By: "ann", At: noon},
		predictions.Truth{PredictionID: "nameless", Label: "x", At: noon},
		predictions.Truth{Function: "tickets", ExternalID: "not predicted yet", Label: "y", At: noon}))
	equal(t, "truth by external id", one(t, s, predictions.Query{ID: "job-1"}).Truth, "billing")
	equal(t, "truth by prediction", one(t, s, predictions.Query{ID: "nameless"}).Truth, "x")

	must(t, s.SetTruth(t.Context(), predictions.Truth{PredictionID: "job-1", Label: "delivery", By: "bob", At: noon.Add(-time.Hour)}))
	must(t, s.SetTruth(t.Context(), predictions.Truth{PredictionID: "job-1", Label: "delivery", By: "carol"}))
	before := time.Now().Truncate(time.Microsecond)
	must(t, s.SetTruth(t.Context(), predictions.Truth{Function: "tickets", PredictionID: "nameless", Label: "y"}))
	equal(t, "corrected truth", one(t, s, predictions.Query{ID: "job-1"}).Truth, "delivery")
	history, err := s.Truths(t.Context(), "tickets", external)
	must(t, err)
	if len(history) != 2 {
		t.Fatalf("history %+v", history)
	}
	equal(t, "first", fmt.Sprint(history[0].Label, history[0].By, history[0].Current, history[0].Submit), "billingannfalseopen")
	equal(t, "second", fmt.Sprint(history[1].Label, history[1].By, history[1].Current), "deliverybobtrue")
	equal(t, "not submitted", history[1].SubmittedAt.IsZero(), true)
	equal(t, "when it was said", history[1].At.Equal(noon.Add(-time.Hour)), true)
	history, err = s.Truths(t.Context(), "tickets", "nameless")
	must(t, err)
	if at := history[len(history)-1].At; at.Before(before) || at.After(time.Now()) {
		t.Errorf("a truth without a time is of %v, want now", at)
	}

	must(t, s.Record(t.Context(), predictions.Prediction{Function: "tickets", ExternalID: "not predicted yet", Label: "x", At: noon}))
	equal(t, "a truth that was there first", one(t, s, predictions.Query{ExternalID: "not predicted yet"}).Truth, "y")
	must(t, s.Record(t.Context(), predictions.Prediction{Function: "other", ExternalID: external, Label: "x", At: noon}))
	equal(t, "the sample of another function", one(t, s, predictions.Query{Function: "other"}).Truth, "")

	for name, bad := range map[string]predictions.Truth{
		"no label":         {PredictionID: "job-1"},
		"no sample":        {Function: "f", Label: "x"},
		"no function":      {ExternalID: "a", Label: "x"},
		"two samples":      {Function: "tickets", ExternalID: "a", PredictionID: "job-1", Label: "x"},
		"wrong function":   {Function: "other", PredictionID: "job-1", Label: "x"},
		"the year 10000":   {Function: "f", ExternalID: "a", Label: "x", At: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"the far past":     {Function: "f", ExternalID: "a", Label: "x", At: time.Unix(-1<<55, 0)},
		"a long sample":    {Function: "f", ExternalID: strings.Repeat("x", 513), Label: "x"},
		"a label's zero":   {Function: "f", ExternalID: "a", Label: "a\x00b"},
		"a name not UTF-8": {Function: "f", ExternalID: "a", Label: "x", By: "\xff"},
	} {
		if err := s.SetTruth(t.Context(), bad); !errors.Is(err, predictions.ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
	err = s.SetTruth(t.Context(), predictions.Truth{PredictionID: "job-1", Label: "z"}, predictions.Truth{PredictionID: "unknown", Label: "x"})
	if !errors.Is(err, predictions.ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
	equal(t, "all or none", one(t, s, predictions.Query{ID: "job-1"}).Truth, "delivery")
}

func truthsAtOnce(t *testing.T, s *predictions.Store) {
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			if err := s.SetTruth(t.Context(), predictions.Truth{Function: "f", ExternalID: "e", Label: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	history, err := s.Truths(t.Context(), "f", "e")
	must(t, err)
	equal(t, "truths", len(history), 16)
	for i, r := range history {
		equal(t, "current", r.Current, i == len(history)-1)
	}
}

// truthsCrossed has two say the same truths in opposite orders, as they do who read
// one file from both ends.
func truthsCrossed(t *testing.T, s *predictions.Store) {
	const n = 100
	var up, down []predictions.Truth
	for i := range n {
		up = append(up, predictions.Truth{Function: "f", ExternalID: fmt.Sprint(i), Label: "x", At: noon})
		down = append(down, predictions.Truth{Function: "f", ExternalID: fmt.Sprint(n - 1 - i), Label: "x", At: noon})
	}
	var group sync.WaitGroup
	for _, some := range [][]predictions.Truth{up, down} {
		group.Go(func() {
			if err := s.SetTruth(t.Context(), some...); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for i := range n {
		history, err := s.Truths(t.Context(), "f", fmt.Sprint(i))
		must(t, err)
		equal(t, "truths", len(history), 1)
	}
}

// recordMany records n predictions of two functions, at times that go up and down.
func recordMany(t *testing.T, s *predictions.Store, n int) {
	t.Helper()
	var ps []predictions.Prediction
	for i := range n {
		ps = append(ps, predictions.Prediction{
			ID: fmt.Sprintf("%05d", i), Function: []string{"f", "g"}[i%2], ExternalID: fmt.Sprint("e", i),
			Label: fmt.Sprint("l", i%3), Model: fmt.Sprint("m", i%2), Confidence: float64(i%100) / 100,
			At: noon.Add(time.Duration(i*7%n) * time.Second),
		})
	}
	must(t, s.Record(t.Context(), ps...))
}

func audit(t *testing.T, s *predictions.Store) {
	const n = 1203 // more than two pages
	recordMany(t, s, n)
	for _, function := range []string{"", "f"} {
		q := predictions.Query{Function: function}
		whole := all(t, s, q)
		equal(t, "entries", len(whole), map[string]int{"": n, "f": (n + 1) / 2}[function])
		seen := make(map[string]bool)
		for i, e := range whole {
			seen[e.ID] = true
			if function != "" && i > 0 && e.At.Before(whole[i-1].At) {
				t.Fatal("not in the order of time")
			}
		}
		equal(t, "distinct entries", len(seen), len(whole))

		var paged []predictions.Entry
		q.Limit = 100
		for {
			page := all(t, s, q)
			paged = append(paged, page...)
			if len(page) < q.Limit {
				break
			}
			q.After = page[len(page)-1].Cursor
		}
		equal(t, "pages together", ids(paged), ids(whole))
		for _, limit := range []int{1, 500, 501} { // one page, and a bit of the next
			q.After, q.Limit = "", limit
			equal(t, "the first of them", ids(all(t, s, q)), ids(whole[:limit]))
		}
	}
	for e, err := range s.Audit(t.Context(), predictions.Query{}) {
		must(t, err)
		equal(t, "the first", e.ID, "00000")
		break
	}
	same := predictions.Query{Function: "same"} // whose predictions are all of one moment
	for i := range 3 {
		must(t, s.Record(t.Context(), predictions.Prediction{ID: fmt.Sprint("same", i), Function: same.Function, Label: "x", At: noon}))
	}
	same.After = all(t, s, same)[0].Cursor
	equal(t, "behind the first of one moment", ids(all(t, s, same)), []string{"same1", "same2"})
	for _, wrong := range []string{"yesterday", "1", "1.x", "x.1"} {
		var last error
		for _, last = range s.Audit(t.Context(), predictions.Query{After: wrong}) {
		}
		if last == nil {
			t.Errorf("the cursor %q was accepted", wrong)
		}
	}
}

func auditSelects(t *testing.T, s *predictions.Store) {
	recordMany(t, s, 60)
	for _, c := range []struct {
		q    predictions.Query
		want int
	}{
		{predictions.Query{Model: "m1"}, 30},
		{predictions.Query{Function: "f", Label: "l0"}, 10},
		{predictions.Query{ExternalID: "e17"}, 1},
		{predictions.Query{ExternalID: "e17", Function: "f"}, 0},
		{predictions.Query{Source: telemetry.Cache}, 0},
		{predictions.Query{From: noon.Add(50 * time.Second)}, 10},
		{predictions.Query{To: noon.Add(50 * time.Second)}, 50},
		{predictions.Query{From: noon.Add(10 * time.Second), To: noon.Add(20 * time.Second), Function: "f"}, 5},
		{predictions.Query{Limit: 7}, 7},
		{predictions.Query{ID: "00003' OR '1'='1"}, 0},
	} {
		equal(t, fmt.Sprintf("%+v", c.q), len(all(t, s, c.q)), c.want)
	}
}

// A disk is full.
type disk struct{}

var errFull = errors.New("no space left")

func (disk) Write([]byte) (int, error) { return 0, errFull }

func export(t *testing.T, s *predictions.Store) {
	keep := reopen(t, s, predictions.Options{KeepInputs: true, KeepLabels: true})
	odd := full()
	odd.Label, odd.Rule = "=1+1", "two\nlines, a \"quote\""
	must(t, keep.Record(t.Context(), odd, predictions.Prediction{ID: "least", Function: "f", At: noon}))
	must(t, s.SetTruth(t.Context(), predictions.Truth{PredictionID: "least", Label: "y"}))

	var b bytes.Buffer
	must(t, s.Export(t.Context(), &b, predictions.CSV, predictions.Query{}))
	lines, err := csv.NewReader(&b).ReadAll()
	must(t, err)
	equal(t, "CSV", lines, [][]string{
		{
			"id", "function", "model", "sampleId", "externalId", "inputHash", "label", "labelId", "confidence", "source", "similarity",
			"rule", "verdict", "attempts", "latencyMs", "traceId", "at", "truth", "labels", "input",
		},
		{
			"job-1", "tickets", "m1", "sample_1", odd.ExternalID, "010203", "=1+1", "label_1", "0.875", "similar", "0.75",
			odd.Rule, "overloaded", "3", "1234.567", odd.TraceID, "2026-03-01T12:00:00.123456Z", "",
			`[{"label":"delivery","labelId":"label_1","confidence":0.875},{"label":"billing","confidence":0.125}]`, `"where is my parcel?"`,
		},
		{"least", "f", "", "", "", "", "", "", "0", "live", "0", "", "ok", "0", "0", "", "2026-03-01T12:00:00.123456Z", "y", "", ""},
	})

	b.Reset()
	must(t, s.Export(t.Context(), &b, predictions.JSONLines, predictions.Query{}))
	decoder := json.NewDecoder(&b)
	var labels []any
	for decoder.More() {
		var object map[string]any
		must(t, decoder.Decode(&object))
		equal(t, "members", len(object), 20)
		labels = append(labels, object["label"])
	}
	must(t, s.Record(t.Context(), predictions.Prediction{ID: "sign", Function: "f", Label: "<a & b>", At: noon}))
	must(t, s.Export(t.Context(), &b, predictions.JSONLines, predictions.Query{ID: "sign"}))
	equal(t, "signs as they are", strings.Contains(b.String(), `"<a & b>"`), true)
	equal(t, "labels of JSON lines", labels, []any{"=1+1", ""})
	if s.Export(t.Context(), &b, predictions.Format(7), predictions.Query{}) == nil {
		t.Error("an unknown format was written")
	}
	for _, format := range []predictions.Format{predictions.CSV, predictions.JSONLines} {
		if err := s.Export(t.Context(), disk{}, format, predictions.Query{}); !errors.Is(err, errFull) {
			t.Errorf("format %d, onto what is full: %v", format, err)
		}
	}
}

func erase(t *testing.T, s *predictions.Store) {
	keep := reopen(t, s, predictions.Options{KeepInputs: true})
	second, other := full(), full()
	second.ID = "job-2"
	other.ID, other.ExternalID = "job-3", "another"
	must(t, keep.Record(t.Context(), full(), second, other, predictions.Prediction{ID: "g", Function: "g", ExternalID: full().ExternalID, Label: "x", At: noon}))
	for _, label := range []string{"a", "b"} {
		must(t, s.SetTruth(t.Context(), predictions.Truth{PredictionID: "job-1", Label: label}))
	}
	must(t, s.SetTruth(t.Context(), predictions.Truth{PredictionID: "job-3", Label: "c"}, predictions.Truth{PredictionID: "g", Label: "d"}))

	erased, err := s.Erase(t.Context(), "tickets", full().ExternalID)
	must(t, err)
	equal(t, "erased", erased, predictions.Erased{Predictions: 2, Inputs: 2, Truths: 2})
	equal(t, "left", ids(all(t, s, predictions.Query{})), []string{"job-3", "g"})
	equal(t, "truth of another sample", one(t, s, predictions.Query{ID: "job-3"}).Truth, "c")
	equal(t, "input of another sample", string(one(t, s, predictions.Query{ID: "job-3"}).Input), string(full().Input))
	equal(t, "truth of another function", one(t, s, predictions.Query{ID: "g"}).Truth, "d")
	history, err := s.Truths(t.Context(), "tickets", full().ExternalID)
	must(t, err)
	equal(t, "truths", len(history), 0)
	again, err := s.Erase(t.Context(), "tickets", full().ExternalID)
	must(t, err)
	equal(t, "erased again", again, predictions.Erased{})
	if _, err := s.Erase(t.Context(), "", "e"); err == nil {
		t.Error("an erasure without a function was accepted")
	}
	if _, err := s.Erase(t.Context(), "tickets", ""); err == nil {
		t.Error("everything without an external id was erased")
	}
}

func writer(t *testing.T, s *predictions.Store) {
	w := predictions.NewWriter(s, predictions.WriterOptions{Queue: 5000, Block: time.Minute})
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 500 {
				if err := w.Put(t.Context(), predictions.Prediction{ID: fmt.Sprintf("%d-%d", g, i), Function: "f", Label: "x"}); err != nil {
					t.Error(err)
				}
			}
			if err := w.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			has, err := s.Has(t.Context(), fmt.Sprintf("%d-0", g), fmt.Sprintf("%d-499", g))
			if err != nil || len(has) != 2 {
				t.Errorf("flushed, but has %v, %v", has, err)
			}
		})
	}
	group.Wait()
	must(t, w.Put(t.Context(), predictions.Prediction{Function: "f", Label: "last"}))
	must(t, w.Close(t.Context()))
	equal(t, "entries", len(all(t, s, predictions.Query{})), 4001)
	equal(t, "stats", w.Stats(), predictions.WriterStats{Recorded: 4001})
	if err := w.Put(t.Context(), full()); !errors.Is(err, predictions.ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}
