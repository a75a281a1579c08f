package sqlite_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/predictions/report"
	"github.com/sparekey/sparekey/telemetry"
)

var reportFile = flag.String("report", "", "file for the page that TestReport makes")

// season is 30 days of a function whose first model gets worse and is replaced,
// and whose service was down for two days.
func season(t *testing.T) *predictions.Store {
	t.Helper()
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{})
	random := rand.New(rand.NewPCG(3, 4))
	labels := []string{"delivery", "billing", "refund", `<b onclick="x">odd & label</b>`}
	for day := range 30 {
		var ps []predictions.Prediction
		var truths []predictions.Truth
		for i := range 120 {
			model, aim := "model_a", 0.92-0.012*float64(day)
			if day >= 16 && i%4 > 0 || day > 20 {
				model, aim = "model_b", 0.93
			}
			p := predictions.Prediction{
				ID: fmt.Sprintf("%d-%d", day, i), Function: "ticket_routing", Model: model, Source: telemetry.Live,
				Label:      labels[int(math.Pow(random.Float64(), 1+float64(day)/20)*4)],
				Confidence: min(aim+0.08*random.NormFloat64(), 1), At: start.AddDate(0, 0, day).Add(time.Duration(i) * 12 * time.Minute),
			}
			p.Confidence = max(p.Confidence, 0)
			switch down := day == 9 || day == 10; {
			case down && i%2 == 0:
				p.Source = telemetry.Rule
			case down && i%3 == 0:
				p.Source = telemetry.Stale
			case i%6 == 0:
				p.Source = telemetry.Cache
			}
			ps = append(ps, p)
			if random.IntN(3) == 0 {
				truth := p.Label
				if random.Float64() > aim-0.05 {
					truth = labels[random.IntN(4)]
				}
				truths = append(truths, predictions.Truth{PredictionID: p.ID, Label: truth})
			}
		}
		require.NoError(t, store.Record(t.Context(), ps...))
		require.NoError(t, store.SetTruth(t.Context(), truths...))
	}
	return store
}

func TestReport(t *testing.T) {
	store := season(t)
	var b bytes.Buffer
	require.NoError(t, report.Write(t.Context(), &b, store, report.Options{Title: "Spring <1>"}))
	if *reportFile != "" {
		require.NoError(t, os.WriteFile(*reportFile, b.Bytes(), 0o600))
	}
	text := b.String()
	assert.NotRegexp(t, regexp.MustCompile(`(?i)<script|<link|<img|\ssrc=|\shref=|url\(|@import|https?://`), text, "it needs nothing from elsewhere")
	assert.NotContains(t, text, "<b onclick")
	assert.NotContains(t, text, "<1>")
	assert.NotContains(t, text, "NaN")
	assert.Contains(t, text, "prefers-color-scheme: dark")
	assert.Equal(t, 5, strings.Count(text, `role="img"`))
	assert.Equal(t, 5, strings.Count(text, "<title id="))
	assert.Equal(t, 6, strings.Count(text, "<caption>"))

	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
		decoder := xml.NewDecoder(strings.NewReader(svg))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, svg)
		}
	}
	whole, err := store.Performance(t.Context(), predictions.Scope{})
	require.NoError(t, err)
	require.Len(t, whole, 2)
	for _, p := range whole {
		assert.Contains(t, text, fmt.Sprintf("<td>%d</td><td>%d</td><td>%.1f %%</td>", p.N, p.Known, 100*p.Accuracy), "the table has %s", p.Model)
	}
}

// Models go by the names that they are given, in tables and plots.
func TestReportNames(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, report.Write(t.Context(), &b, season(t), report.Options{Names: map[string]string{"model_a": "the <old> one"}}))
	assert.NotContains(t, b.String(), "model_a")
	assert.NotContains(t, b.String(), "<old>")
	assert.Contains(t, b.String(), "the &lt;old&gt; one</td>")
	assert.Contains(t, b.String(), "</svg>the &lt;old&gt; one</li>")
	assert.Contains(t, b.String(), "model_b</td>", "which has no name")
}

func TestReportOfNothing(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{})
	var b bytes.Buffer
	require.NoError(t, report.Write(t.Context(), &b, store, report.Options{}))
	assert.Contains(t, b.String(), "There are no predictions to report.")

	// One cached answer, and no live one.
	require.NoError(t, store.Record(t.Context(), predictions.Prediction{Function: "f", Label: "x", Source: telemetry.Cache}))
	b.Reset()
	require.NoError(t, report.Write(t.Context(), &b, store, report.Options{}))
	assert.NotContains(t, b.String(), "NaN")
	assert.Contains(t, b.String(), "0 live predictions")
}

// busy is a context during which somebody else is at work whenever it is looked at.
type busy struct {
	context.Context
	work func()
}

func (b busy) Done() <-chan struct{} {
	b.work()
	return b.Context.Done()
}

// What is recorded while drift is worked out is no drift.
func TestDriftWhileOthersRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	store, other := openStore(t, openDB(t, path), predictions.Options{}), openStore(t, openDB(t, path), predictions.Options{})
	const day = 24 * time.Hour
	record := func(at time.Time) error {
		return other.Record(t.Context(), predictions.Prediction{Function: "f", Label: "x", Confidence: 0.5, At: at})
	}
	require.NoError(t, record(time.Unix(0, 0)))
	require.NoError(t, record(time.Unix(0, 0).Add(day)))
	// A goroutine of database/sql may look when the store is closed already.
	ctx := busy{t.Context(), func() { _ = record(time.Unix(0, 0).Add(day)) }}
	drifts, err := store.Drift(ctx, predictions.Span{To: time.Unix(0, 0).Add(day)}, predictions.Scope{Step: day})
	require.NoError(t, err)
	require.Len(t, drifts, 2)
	assert.Greater(t, drifts[1].N, 1)
	assert.Zero(t, drifts[1].ConfidenceKS)
}
