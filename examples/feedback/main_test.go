package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

// play runs the command and returns its figures, and what it wrote for people.
func play(t *testing.T, wantCode int, args ...string) (figures, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	args = append(args, "-json", "-", "-report", filepath.Join(t.TempDir(), "report.html"))
	require.Equal(t, wantCode, realMain(t.Context(), args, &stdout, &stderr), "%s", &stderr)
	decoder := json.NewDecoder(&stdout)
	decoder.DisallowUnknownFields()
	var f figures
	require.NoError(t, decoder.Decode(&f))
	_, err := decoder.Token()
	require.ErrorIs(t, err, io.EOF, "standard output holds the figures alone")
	return f, stderr.String()
}

// assertStory checks what every complete run must show.
func assertStory(t *testing.T, f figures) {
	t.Helper()
	require.Len(t, f.Models, 2)
	before, after := f.Models[0], f.Models[1]
	assert.NotEqual(t, before.ID, after.ID)
	assert.Greater(t, after.Accuracy, before.Accuracy)
	for _, m := range f.Models {
		assert.Positive(t, m.ECE)
		assert.LessOrEqual(t, m.Low, m.Accuracy)
		assert.GreaterOrEqual(t, m.High, m.Accuracy)
		assert.InDelta(t, 0.8, float64(m.Known)/float64(m.N), 0.1)
	}

	// Every correction is annotated, once; what was confirmed is a part of the rest.
	assert.Positive(t, f.Corrections)
	assert.Equal(t, f.Corrections, f.Annotated)
	assert.Equal(t, f.Corrections, int(float64(before.Known)*(1-before.Accuracy)+0.5))
	confirmed := f.Submitted.Done - f.Corrections
	assert.Equal(t, predictions.Submitted{Done: f.Submitted.Done, Skipped: before.Known - f.Corrections - confirmed}, f.Submitted)
	assert.InDelta(t, 0.5, float64(confirmed)/float64(before.Known-f.Corrections), 0.1)
	assert.Equal(t, []int{f.Submitted.Done, 1}, []int{f.Puts, f.MostPuts})
	assert.Equal(t, predictions.Submitted{}, f.Again)
	assert.Equal(t, before.Texts+f.Submitted.Done, after.Texts)

	require.Len(t, f.Weeks, weeksBefore+weeksAfter)
	sum := 0
	for i, w := range f.Weeks {
		sum += w.N
		assert.Equal(t, i >= weeksBefore+weeksAfter-weeksRush, w.Rush)
		assert.Equal(t, w.Rush, w.Labels > 0.3, "week %d: %v", i, w.Labels)
	}
	assert.Equal(t, f.Asked, sum)
	for _, p := range f.Promises {
		assert.True(t, p.Kept, "%s: %s", p.Text, p.Figures)
	}
	require.Len(t, f.Promises, 5)

	page, err := os.ReadFile(f.Report)
	require.NoError(t, err)
	for _, m := range f.Models {
		assert.Contains(t, string(page), m.Name+" model")
		assert.NotContains(t, string(page), m.ID)
	}
	assert.True(t, strings.HasSuffix(string(page), "</html>\n"))
	assert.NotContains(t, string(page), "NaN")
}

func TestRun(t *testing.T) {
	f, text := play(t, 0)
	assertStory(t, f)
	assert.Equal(t, 730, f.Asked)
	assert.Less(t, f.Models[1].ECE, f.Models[0].ECE, "a model of few texts is not sure enough of itself")
	for _, want := range []string{"training the first model on 42 texts", "yes   the model that learned from it is better", "rush", "report: " + f.Report} {
		assert.Contains(t, text, want)
	}

	again, _ := play(t, 0)
	again.Report = f.Report
	assert.Equal(t, f, again, "same seed, same figures")
}

// Without a truth in time there is nothing to learn from, which breaks a promise.
func TestABrokenPromiseIsAnError(t *testing.T) {
	f, text := play(t, exitFailed, "-truths", "0.001")
	assert.Equal(t, f.Models[0].ID, f.Models[1].ID, "there was nothing to train on")
	assert.Contains(t, text, "NO    the model that learned from it is better")
}

// TestBanking77 plays with real texts of twelve intents, if they are there.
func TestBanking77(t *testing.T) {
	const folder = "../../../shared/data"
	args := make([]string, 0, 4)
	for _, file := range []struct{ flag, name string }{{"-train", "banking77-train.csv"}, {"-input", "banking77-test.csv"}} {
		rows, err := readRows(filepath.Join(folder, file.name))
		if os.IsNotExist(err) {
			t.Skip("the texts are not there:", err)
		}
		require.NoError(t, err)
		rows = slices.DeleteFunc(rows, func(row dataset.Row) bool { return row.Label > "card_payment_wrong" })
		args = append(args, file.flag, writeCSV(t, rows))
	}
	f, _ := play(t, 0, args...)
	assertStory(t, f)
	assert.Greater(t, f.Models[1].Accuracy, 0.75)
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

func TestPlan(t *testing.T) {
	d, err := loadData(options{seed: 7, learn: 0.1})
	require.NoError(t, err)
	require.Len(t, d.weeks, weeksBefore+weeksAfter)
	texts, ids := map[string]bool{}, map[string]bool{}
	for _, s := range d.first {
		texts[s.Text] = true
	}
	for w, questions := range d.weeks {
		start := firstWeek.AddDate(0, 0, 7*w)
		for _, q := range questions {
			assert.False(t, q.at.Before(start) || !q.at.Before(start.Add(week)), "%v is in week %d", q.at, w)
			assert.False(t, texts[q.text] || ids[q.externalID], "each text is asked once, and none that was learned")
			texts[q.text], ids[q.externalID] = true, true
		}
		assert.Len(t, questions, len(d.weeks[0]))
	}
}

// A page that cannot be written takes nothing else along.
func TestNoPlaceForThePage(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"-report", filepath.Join(t.TempDir(), "missing", "report.html"), "-json", "-"}
	require.Equal(t, exitFailed, realMain(t.Context(), args, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "no such file")
	assert.Contains(t, stderr.String(), "each answer is recorded")
	assert.NotContains(t, stderr.String(), "report: ")
	assert.Contains(t, stdout.String(), `"promises"`)
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
		{[]string{"-train", few, "-report", link}, "the page would replace " + link + "; want another -report"},
		{[]string{"-train", few, "-json", link}, "the figures would replace " + link + "; want another -json"},
		{[]string{"-learn", "1"}, "-learn is 1, want more than 0 and less than 1"},
		{[]string{"-truths", "0"}, "-truths is 0"},
		{[]string{"-confirmations", "2"}, "-confirmations is 2, want 0 to 1"},
		{[]string{"-input", few}, "-input needs -train"},
		{[]string{"-train", few, "-json", few}, "the figures would replace " + few + "; want another -json"},
		{[]string{"-train", few, "-report", few}, "the page would replace " + few + "; want another -report"},
		{[]string{"-report", "page.html", "-json", "./page.html"}, "the figures would replace ./page.html; want another -json"},
		{[]string{few}, "unexpected argument"},
		{[]string{"-train", "missing.csv"}, "missing.csv"},
		{[]string{"-train", few}, "0 labels have 2 texts or more, expected at least 3"},
		{[]string{"-train", broken}, broken + ":3: 1 fields, expected 2 as in the header"},
		{[]string{"-nonsense"}, "flag provided but not defined"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, exitUsage, realMain(t.Context(), tt.args, &stdout, &stderr), tt.want)
		assert.Contains(t, stderr.String(), tt.want)
		assert.Empty(t, stdout.String())
	}
	assert.Zero(t, realMain(t.Context(), []string{"-h"}, io.Discard, io.Discard))
}

// What nobody can read is no success.
func TestTablesThatCannotBeWritten(t *testing.T) {
	r, w := io.Pipe()
	require.NoError(t, r.Close())
	assert.ErrorIs(t, new(figures).print(w), io.ErrClosedPipe)
}
