package outage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset/tickets"
)

// The texts that come with the demo.
func TestCorpus(t *testing.T) {
	rows, err := tickets.Rows()
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(rows), 600)
	assert.GreaterOrEqual(t, len(labelsOf(rows)), 12)

	first := map[string]int{}
	perLabel := map[string]int{}
	for _, row := range rows {
		text := dataset.Fold(row.Text)
		if line, ok := first[text]; ok {
			t.Errorf("line %d repeats line %d: %q", row.Line, line, row.Text)
		}
		first[text] = row.Line
		perLabel[row.Label]++
		if row.Text != strings.TrimSpace(row.Text) || !utf8.ValidString(row.Text) || strings.ContainsRune(row.Text, utf8.RuneError) {
			t.Errorf("line %d is not clean: %q", row.Line, row.Text)
		}
		if strings.Trim(row.Label, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("line %d has the label %q", row.Line, row.Label)
		}
	}
	for label, n := range perLabel {
		assert.GreaterOrEqual(t, n, 20, "texts of %s", label)
	}
}

func TestLoadDataErrors(t *testing.T) {
	const train = "text,label\nwhere is it,delivery\nwhen will it come,delivery\nmy money back,refund\nrefund me,refund\n"
	tests := []struct {
		name         string
		train, input string // contents of the files; no -input if ""
		want         string // after the path of the directory
	}{
		{"empty file", "", "", `train.csv:1: empty file, expected the header "text,label"`},
		{"missing column", "text,topic\na,b\n", "", "train.csv:1: no column "},
		{"header only", "text,label\n", "", "train.csv:2: no rows, expected at least one"},
		{"broken quoting", "text,label\nfine,a\nsay \"hello,a\n", "", "train.csv:3: broken quoting"},
		{"not UTF-8", "text,label\nfine,a\ncaf\xe9,a\n", "", "train.csv:3: field 1 is not valid UTF-8, expected"},
		{"empty text", "text,label\nfine,a\n  ,a\n", "", "train.csv:3: empty text, expected"},
		{"field too many", "text,label\nfine,a,b\n", "", "train.csv:2: 3 fields, expected 2"},
		{"one label", "text,label\na,x\nb,x\nc,x\nd,x\n", "", "train.csv: 1 labels have 2 texts or more to learn from, expected at least 2"},
		{"too few to hold any back", "text,label\na,x\nb,x\nc,y\nd,y\n", "", "train.csv, held back: no text to ask that the model has not seen, expected at least one"},
		{
			"label that nobody learns", train, "text,label\nhello,delivery\nbye,smalltalk\n",
			`input.csv:3: label "smalltalk", expected one of those in `,
		},
		{"nothing new to ask", train, "text,label\nWhere  is IT,delivery\n", "input.csv: no text to ask that the model has not seen"},
		{"bad questions", train, "label\nx\n", "input.csv:1: no column "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			args := []string{"-train", write(t, dir, "train.csv", tt.train)}
			if tt.input != "" {
				args = append(args, "-input", write(t, dir, "input.csv", tt.input))
			}
			var stdout, stderr bytes.Buffer
			assert.Equal(t, 2, realMain(t.Context(), args, &stdout, &stderr))
			assert.Empty(t, stdout.String())
			assert.Contains(t, stderr.String(), "outage: "+dir+string(filepath.Separator)+tt.want)
			assert.Equal(t, 1, strings.Count(stderr.String(), "\n"), "lines of %q", stderr.String())
		})
	}
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestLoadDataInput(t *testing.T) {
	dir := t.TempDir()
	d, err := loadData(t.Context(), options{
		train: write(t, dir, "train.csv", "text,label\na,x\nb,x\nc,y\nd,y\n"),
		input: write(t, dir, "input.csv", "category,text\nx,new\ny,A\ny,newer\n"),
	})
	require.NoError(t, err)
	assert.Len(t, d.train, 4)
	assert.Equal(t, []string{"new", "newer"}, texts(d.ask))
	assert.Equal(t, 1, d.seen)
	assert.False(t, d.own)
}

func texts(rows []dataset.Row) []string {
	var all []string
	for _, row := range rows {
		all = append(all, row.Text)
	}
	return all
}

func TestSplit(t *testing.T) {
	var rows []dataset.Row
	for label, n := range map[string]int{"one": 1, "two": 2, "ten": 10, "fifty": 50} {
		for i := range n {
			rows = append(rows, dataset.Row{Text: fmt.Sprint(label, " ", i), Label: label})
		}
	}
	count := func(rows []dataset.Row) map[string]int {
		n := map[string]int{}
		for _, row := range rows {
			n[row.Label]++
		}
		return n
	}
	d := split("x.csv", rows, 1)
	assert.Equal(t, map[string]int{"one": 1, "two": 2, "ten": 6, "fifty": 30}, count(d.train))
	assert.Equal(t, map[string]int{"ten": 4, "fifty": 20}, count(d.ask))
	assert.ElementsMatch(t, texts(rows), append(texts(d.train), texts(d.ask)...))
	assert.Zero(t, d.seen)

	own, err := loadData(t.Context(), options{seed: 1})
	require.NoError(t, err)
	again, err := loadData(t.Context(), options{seed: 1})
	require.NoError(t, err)
	assert.Equal(t, own, again)
	other, err := loadData(t.Context(), options{seed: 2})
	require.NoError(t, err)
	assert.NotEqual(t, texts(own.ask), texts(other.ask))
}

// A file may have a text twice. It is not asked if it is learned.
func TestSplitRepeatedTexts(t *testing.T) {
	var rows []dataset.Row
	for i := range 40 {
		rows = append(rows, dataset.Row{Text: fmt.Sprint("Text ", i%10), Label: "x"}, dataset.Row{Text: fmt.Sprint("other  ", i), Label: "y"})
	}
	d := split("x.csv", rows, 1)
	assertUnseen(t, d)
	assert.Positive(t, d.seen)
	assert.Equal(t, len(rows), len(d.train)+len(d.ask)+d.seen)
}

func assertUnseen(t *testing.T, d *data) {
	t.Helper()
	known := map[string]bool{}
	for _, row := range d.train {
		known[dataset.Fold(row.Text)] = true
	}
	for _, row := range d.ask {
		if known[dataset.Fold(row.Text)] {
			t.Errorf("%q is learned and asked", row.Text)
		}
	}
}

func TestQuestions(t *testing.T) {
	d, err := loadData(t.Context(), options{seed: 1})
	require.NoError(t, err)
	assertUnseen(t, d)

	asked := d.questions(200, 1)
	assert.Len(t, asked, 200)
	assert.Equal(t, asked, d.questions(200, 1), "same seed")
	assert.Equal(t, asked[:50], d.questions(50, 1), "a shorter run asks the same at first")
	assert.NotEqual(t, asked, d.questions(200, 2), "other seed")

	label := map[string]string{}
	for _, row := range d.ask {
		label[row.Text] = row.Label
	}
	distinct, originals := map[string]bool{}, map[string]bool{}
	for _, row := range asked {
		distinct[row.Text] = true
		if of, ok := label[row.Text]; ok {
			originals[row.Text] = true
			assert.Equal(t, of, row.Label)
		}
	}
	assert.InDelta(t, 200*(1-repeats), len(distinct), 25)
	assert.InDelta(t, 200*(1-repeats-rewords), len(originals), 25)

	many := d.questions(8*len(d.ask), 1) // more than there are texts
	assert.Len(t, many, 8*len(d.ask))
	assert.Subset(t, many, d.ask)
}

// A variant that the model has learned is not asked.
func TestQuestionsUnseen(t *testing.T) {
	d := &data{ask: []dataset.Row{{Text: "card lost", Label: "x"}}, train: []dataset.Row{{Text: "LOST card", Label: "x"}}}
	texts := texts(d.questions(500, 1))
	assert.Contains(t, texts, "card lost")
	assert.NotContains(t, texts, "lost card")
	assert.Contains(t, texts, "card please lost")
}
