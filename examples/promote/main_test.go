package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/nyckel/pin"
)

// play runs the command and returns its figures.
func play(t *testing.T, wantCode int, args ...string) (figures, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	require.Equal(t, wantCode, realMain(t.Context(), append(args, "-json", "-"), &stdout, &stderr), stderr.String())
	decoder := json.NewDecoder(&stdout)
	decoder.DisallowUnknownFields()
	var f figures
	require.NoError(t, decoder.Decode(&f))
	_, err := decoder.Token()
	require.ErrorIs(t, err, io.EOF, "standard output holds the figures alone")
	assertNothingLeft(t)
	return f, stderr.String()
}

// assertNothingLeft fails if goroutines of the demo live on.
func assertNothingLeft(t *testing.T) {
	t.Helper()
	var stacks string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); runtime.Gosched() {
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		_, others, _ := strings.Cut(stacks, "\n\n") // the first is the test's own
		if !strings.Contains(others, "sparekey/nyckel") && !strings.Contains(others, "net/http.") {
			return
		}
	}
	t.Errorf("left over:\n%s", stacks)
}

// assertStory checks what every complete run must show.
func assertStory(t *testing.T, f figures) {
	t.Helper()
	require.Len(t, f.Models, 3)
	require.Len(t, f.Trials, 2)
	for _, tr := range f.Trials {
		assert.Equal(t, pin.ShadowStats{Observed: f.Asked, Compared: f.Asked}, tr.Shadow)
		assert.Equal(t, f.Asked, tr.LiveByIncumbent)
		assert.Equal(t, pin.Proportion{Of: f.Asked}, tr.Report.Failures)
		assert.Equal(t, f.Asked, tr.Report.CandidateAccuracy.Of)
		assert.Equal(t, tr.Report.CandidateAccuracy.Hits-tr.Report.IncumbentAccuracy.Hits, tr.Report.OnlyCandidate-tr.Report.OnlyIncumbent)
		assert.Equal(t, f.Models[0].ID, tr.Report.Incumbent)
		cells := 0
		for _, cell := range tr.Report.Confusion {
			cells += cell.Count
		}
		assert.Equal(t, f.Asked, cells)
	}
	hasty, proper := f.Trials[0], f.Trials[1]
	assert.Equal(t, hasty.Report.IncumbentAccuracy, proper.Report.IncumbentAccuracy, "the same model, the same questions")
	assert.Less(t, hasty.Report.GainHigh, -0.05, "surely worse")
	assert.Less(t, hasty.Report.P, 0.001)
	require.Len(t, hasty.Refused, 1)
	assert.Contains(t, hasty.Refused[0], "it may cost more accuracy than 1.0 points: accuracy ")
	assert.Greater(t, proper.Report.GainLow, 0.0, "surely better")
	assert.Less(t, proper.Report.P, 0.05)
	assert.Empty(t, proper.Refused)

	require.Len(t, f.Journal, 3)
	first, third := f.Models[0].ID, f.Models[2].ID
	for i, want := range []pin.Entry{
		{Action: pin.Pinned, To: first}, {Action: pin.Promoted, From: first, To: third}, {Action: pin.RolledBack, From: third, To: first},
	} {
		got := f.Journal[i]
		assert.Equal(t, want, pin.Entry{Action: got.Action, From: got.From, To: got.To})
		assert.NotEmpty(t, got.Actor)
		assert.NotEmpty(t, got.Reason)
	}
	assert.Equal(t, proper.Report.CandidateAccuracy, f.Journal[1].Report.CandidateAccuracy, "what the decision rests upon")
	require.Len(t, f.Promises, 7)
	for _, p := range f.Promises {
		assert.True(t, p.Kept, "%s: %s", p.Text, p.Figures)
	}
}

func TestRun(t *testing.T) {
	f, text := play(t, 0)
	assertStory(t, f)
	assert.Equal(t, 308, f.Asked)
	assert.Equal(t, []int{137, 473, 473}, []int{f.Models[0].Texts, f.Models[1].Texts, f.Models[2].Texts})
	for _, want := range []string{
		"MCNEMAR P", "the gate refuses: it may cost more accuracy", "the gate lets it pass",
		"rollback  proper  first", "Verdict: 7 of 7 promises were kept.",
	} {
		assert.Contains(t, text, want)
	}
}

// Of a small sample the gate learns too little. That breaks a promise.
func TestABrokenPromiseIsAnError(t *testing.T) {
	f, text := play(t, exitFailed, "-share", "0.1")
	require.Len(t, f.Trials, 2)
	assert.Less(t, f.Trials[1].Shadow.Compared, 100)
	assert.Contains(t, strings.Join(f.Trials[1].Refused, "; "), "want at least 100")
	assert.Len(t, f.Journal, 1)
	assert.Contains(t, text, "NO    the better candidate is promoted")
	assert.Contains(t, text, "Verdict: 3 of 4 promises were kept.")
}

// TestBanking77 plays with real texts of twelve intents, if they are there.
func TestBanking77(t *testing.T) {
	const folder = "../../../shared/data"
	args := make([]string, 0, 4)
	for _, file := range []struct{ flag, name string }{{"-train", "banking77-train.csv"}, {"-input", "banking77-test.csv"}} {
		rows, err := dataset.ReadFile(filepath.Join(folder, file.name))
		if os.IsNotExist(err) {
			t.Skip("the texts are not there:", err)
		}
		require.NoError(t, err)
		args = append(args, file.flag, writeCSV(t, some(rows, 12)))
	}
	f, _ := play(t, 0, args...)
	assertStory(t, f)
	assert.GreaterOrEqual(t, f.Asked, 400)
	assert.Greater(t, f.Trials[1].Report.CandidateAccuracy.Share(), 0.85)
}

// some returns the rows of the first n labels.
func some(rows []dataset.Row, n int) []dataset.Row {
	labels := map[string]bool{}
	var kept []dataset.Row
	for _, row := range rows {
		if labels[row.Label] || len(labels) < n {
			labels[row.Label] = true
			kept = append(kept, row)
		}
	}
	return kept
}

func writeCSV(t *testing.T, rows []dataset.Row) string {
	t.Helper()
	var content strings.Builder
	content.WriteString("text,label\n")
	for _, row := range rows {
		fmt.Fprintf(&content, "\"%s\",%s\n", strings.ReplaceAll(row.Text, `"`, `""`), row.Label)
	}
	name := filepath.Join(t.TempDir(), "texts.csv")
	require.NoError(t, os.WriteFile(name, []byte(content.String()), 0o600))
	return name
}

// Ctrl-C at any time ends the demo at once, with what there is.
func TestStopped(t *testing.T) {
	tests := []struct{ when, want string }{
		{"training the first", "Verdict: stopped; of the promises tried, 0 of 0 were kept."},
		{"the hasty model in the shadow", "Verdict: stopped; of the promises tried, 0 of 0 were kept."},
		{"putting the labels right", "Verdict: stopped; of the promises tried, 2 of 2 were kept."},
	}
	for _, tt := range tests {
		t.Run(tt.when, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var stderr bytes.Buffer
			stdout := stopper{text: tt.when, stop: cancel}
			require.Equal(t, exitFailed, realMain(ctx, nil, &stdout, &stderr))
			require.Contains(t, stdout.String(), tt.want)
			require.Empty(t, stderr.String())
			assertNothingLeft(t)
		})
	}
}

// A stopper presses Ctrl-C when a text is written.
type stopper struct {
	bytes.Buffer
	text string
	stop func()
}

func (s *stopper) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(s.text)) {
		s.stop()
	}
	return s.Buffer.Write(p)
}

func TestBadInput(t *testing.T) {
	few := writeCSV(t, []dataset.Row{{Text: "a", Label: "x"}, {Text: "b", Label: "y"}})
	broken := filepath.Join(t.TempDir(), "broken.csv")
	require.NoError(t, os.WriteFile(broken, []byte("text,label\nhello,x\nonly one field\n"), 0o600))
	link := filepath.Join(t.TempDir(), "link.csv")
	require.NoError(t, os.Symlink(few, link))
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"-share", "0"}, "-share is 0, want above 0 to 1"},
		{[]string{"-input", few}, "-input needs -train"},
		{[]string{"-train", few, "-json", few}, "the figures would replace " + few + "; want another -json"},
		{[]string{"-train", few, "-json", link}, "the figures would replace " + link + "; want another -json"},
		{[]string{few}, "unexpected argument"},
		{[]string{"-train", "missing.csv"}, "missing.csv"},
		{[]string{"-train", few}, "labels have enough texts for the first model, expected at least 3"},
		{[]string{"-train", broken}, broken + ":3: 1 fields, expected 2 as in the header"},
		{[]string{"-nonsense"}, "flag provided but not defined"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		require.Equal(t, exitUsage, realMain(t.Context(), tt.args, &stdout, &stderr), tt.want)
		require.Contains(t, stderr.String(), tt.want)
		require.Empty(t, stdout.String())
	}
	require.Zero(t, realMain(t.Context(), []string{"-h"}, io.Discard, io.Discard))
}

func TestMixedUpMovesEveryThirdLabel(t *testing.T) {
	var rows []dataset.Row
	for _, label := range []string{"d", "a", "b", "c"} {
		rows = append(rows, dataset.Row{Text: label, Label: label})
	}
	var labels []string
	for _, row := range mixedUp(rows) {
		labels = append(labels, row.Label)
	}
	require.Equal(t, []string{"a", "b", "b", "c"}, labels)
	require.Equal(t, "d", rows[0].Label, "the rows given stay as they are")
}

// What nobody can read is no success.
func TestTablesThatCannotBeWritten(t *testing.T) {
	r, w := io.Pipe()
	require.NoError(t, r.Close())
	assert.ErrorIs(t, new(figures).print(w), io.ErrClosedPipe)
}
