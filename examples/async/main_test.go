package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/sqlite"
)

// play runs the command and returns its figures, and what it wrote to its standard
// error.
func play(t *testing.T, wantCode int, args ...string) (figures, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	require.Equal(t, wantCode, realMain(t.Context(), append(args, "-json", "-"), &stdout, &stderr), "%s", &stderr)
	return decode(t, &stdout), stderr.String()
}

func decode(t *testing.T, r io.Reader) figures {
	t.Helper()
	decoder := json.NewDecoder(r)
	decoder.DisallowUnknownFields()
	var f figures
	require.NoError(t, decoder.Decode(&f))
	_, err := decoder.Token()
	require.ErrorIs(t, err, io.EOF, "standard output holds the figures alone")
	return f
}

// writeTexts writes a file of n texts, of which some are there twice.
func writeTexts(t *testing.T, n int) string {
	t.Helper()
	var content strings.Builder
	content.WriteString("id,text\n")
	for i := range n {
		fmt.Fprintf(&content, "%d,\"where is my parcel, number %d?\"\n", i, i-i%10/9)
	}
	return writeFile(t, content.String())
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "texts.csv")
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

// assertRecorded checks database and answers of a run that ended well.
func assertRecorded(t *testing.T, f figures, input string) {
	t.Helper()
	texts, err := readTexts(input)
	require.NoError(t, err)
	db, err := sqlite.Open(t.Context(), f.Database, sqlite.Options{})
	require.NoError(t, err)
	defer db.Close()
	store, err := predictions.Open(t.Context(), db, predictions.SQLite, predictions.Options{})
	require.NoError(t, err)
	defer store.Close()
	recorded := map[string]int{}
	for e, err := range store.Audit(t.Context(), predictions.Query{}) {
		require.NoError(t, err)
		assert.NotEmpty(t, e.Label)
		assert.Equal(t, e.ID, e.ExternalID)
		recorded[e.ID]++
	}
	assert.Len(t, recorded, len(texts))

	file, err := os.Open(f.Answers)
	require.NoError(t, err)
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, len(texts)+1)
	for i, text := range texts {
		assert.Equal(t, 1, recorded[text.id])
		row := rows[i+1]
		assert.Equal(t, []string{fmt.Sprint(text.line), text.text, text.id}, []string{row[0], row[1], row[6]})
		assert.NotEmpty(t, row[2])
	}
	left, err := filepath.Glob(f.Answers + ".*")
	require.NoError(t, err)
	assert.Empty(t, left)
}

// Answers that go to the standard output can be read by another program.
func TestAnswersToStandardOutput(t *testing.T) {
	input := writeTexts(t, 5)
	var stdout, stderr bytes.Buffer
	require.Zero(t, realMain(t.Context(), []string{"-input", input, "-db", filepath.Join(t.TempDir(), "async.db"), "-rate", "400", "-outage", "0", "-output", "-"}, &stdout, &stderr), "%s", &stderr)
	rows, err := csv.NewReader(&stdout).ReadAll()
	require.NoError(t, err)
	assert.Len(t, rows, 6)
	assert.Contains(t, stderr.String(), "each text is recorded once")
}

func TestRun(t *testing.T) {
	input, db := writeTexts(t, 300), filepath.Join(t.TempDir(), "async.db")
	f, text := play(t, 0, "-input", input, "-db", db, "-rate", "400", "-outage", "1500ms")
	assertRecorded(t, f, input)
	assert.Equal(t, 300, f.Recorded)
	assert.Zero(t, f.Before)
	assert.GreaterOrEqual(t, f.Calls, 300)
	require.NotNil(t, f.Outage)
	assert.Equal(t, 200, f.Outage.Waiting)
	assert.GreaterOrEqual(t, f.Outage.Opened, 1)
	assert.Less(t, f.Outage.Taken, 100, "the others were left where they were")
	require.Len(t, f.Promises, 3)
	for _, want := range []string{
		"300 texts, 0 of them recorded already; database: " + db, "the service is down for 1.5s; the queue keeps the texts",
		"the service is back", "300 of 300 done (100 %)", "yes   each text is recorded once", "answers: " + f.Answers,
	} {
		assert.Contains(t, text, want)
	}

	// A second run has nothing to do, and makes no call.
	again, _ := play(t, 0, "-input", input, "-db", db)
	assertRecorded(t, again, input)
	assert.Equal(t, 300, again.Before)
	assert.Zero(t, again.Calls)
	assert.Len(t, again.Promises, 2, "there was no outage")

	// Rows that are added are all that is asked.
	content, err := os.ReadFile(input)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(input, bytes.Replace(content, []byte("id,text\n"), []byte("id,text\nx,a new one\n"), 1), 0o600))
	more, _ := play(t, 0, "-input", input, "-db", db, "-faults", "0", "-outage", "0")
	assertRecorded(t, more, input)
	assert.Equal(t, 1, more.Calls)
}

// When the answers cannot be written, nothing is lost.
func TestNoPlaceForAnswers(t *testing.T) {
	input, db := writeTexts(t, 5), filepath.Join(t.TempDir(), "async.db")
	args := []string{"-input", input, "-db", db, "-outage", "0"}
	var stderr bytes.Buffer
	require.Equal(t, exitFailed, realMain(t.Context(), append(args, "-output", filepath.Join(t.TempDir(), "missing", "a.csv")), io.Discard, &stderr))
	assert.Contains(t, stderr.String(), "no such file")
	assert.Contains(t, stderr.String(), "what was recorded stays; run the same command again with -db "+db+" to go on")

	f, _ := play(t, 0, args...)
	assert.Equal(t, []int{5, 0}, []int{f.Before, f.Calls})
	assertRecorded(t, f, input)
}

// Ctrl-C stops the program, which says how to go on.
func TestStopped(t *testing.T) {
	input, db := writeTexts(t, 200), filepath.Join(t.TempDir(), "async.db")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout bytes.Buffer
	stderr := stopper{text: "the service is down", stop: cancel}
	require.Equal(t, exitFailed, realMain(ctx, []string{"-input", input, "-db", db, "-rate", "400", "-outage", "1m"}, &stdout, &stderr), "%s", &stderr)
	assert.Regexp(t, `stopped: \d+ of 200 texts are recorded; run it again with -db `+db+` to finish the rest`, stdout.String())
	assert.NoFileExists(t, options{db: db}.answers())

	f, _ := play(t, 0, "-input", input, "-db", db, "-rate", "400", "-outage", "0")
	assertRecorded(t, f, input)
	assert.Positive(t, f.Before)
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

// Texts that wait as the account is in trouble say so.
func TestAccountInTrouble(t *testing.T) {
	t.Setenv("NYCKEL_CLIENT_ID", "me")
	t.Setenv("NYCKEL_CLIENT_SECRET", "wrong")
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
	}))
	defer service.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	progress := &stopper{text: "texts wait for 10m0s: ", stop: cancel}
	code := realMain(ctx, []string{
		"-input", writeTexts(t, 30), "-db", filepath.Join(t.TempDir(), "a.db"),
		"-url", service.URL, "-function", "function_1",
	}, io.Discard, progress)
	assert.Equal(t, exitFailed, code)
	assert.Equal(t, 1, strings.Count(progress.String(), "texts wait for 10m0s: "), "%s", progress)
}

// What the service does not take is given up, told with its line, and tried again
// by the next run.
func TestGivenUp(t *testing.T) {
	input, db := writeTexts(t, 10), filepath.Join(t.TempDir(), "async.db")
	sim, url, id := serve(t, 0)
	args := []string{"-input", input, "-db", db, "-url", url}
	f, text := play(t, exitFailed, append(args, "-function", "function_unknown")...)
	require.Len(t, f.Dead, 10)
	assert.Contains(t, text, "given up: line 2: ")
	assert.Contains(t, text, "… and 5 more")
	assert.Contains(t, text, "NO    none is given up")
	assert.Zero(t, f.Recorded)

	f, _ = play(t, 0, append(args, "-function", id)...)
	assertRecorded(t, f, input)
	assert.Equal(t, 10, sim.Stats().ByStatus[404], "each was asked for once by the first run")
}

// How often a text is tried is up to the configuration.
func TestConfig(t *testing.T) {
	config := writeFile(t, "version: 1\nqueue: {max_attempts: 7}\nfunctions: {ticket_routing: {queue: {max_attempts: 1}}}\n")
	f, _ := play(t, exitFailed, "-input", writeTexts(t, 10), "-db", filepath.Join(t.TempDir(), "async.db"), "-faults", "1", "-outage", "0", "-config", config)
	assert.NotEmpty(t, f.Dead)
	assert.Zero(t, f.Retries)
}

// Calls that were on their way as the breaker opened are not held against the queue,
// whichever says how many those may be.
func TestWorkers(t *testing.T) {
	config := writeFile(t, "version: 1\nqueue: {workers: 7}\n")
	for _, tt := range []struct {
		args []string
		want int
	}{{nil, 16}, {[]string{"-config", config}, 7}, {[]string{"-config", config, "-workers", "3"}, 3}} {
		o, err := parseFlags(tt.args, io.Discard)
		require.NoError(t, err)
		assert.Equal(t, tt.want, o.workers, tt.args)
	}
}

func TestBadInput(t *testing.T) {
	broken := writeFile(t, "text\nhello\n\"a quote that does not end\n")
	link := filepath.Join(t.TempDir(), "link.csv")
	require.NoError(t, os.Symlink(broken, link))
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"-input", broken}, broken + ":3: broken quoting"},
		{[]string{"-input", broken}, "nothing of the file was asked; mend the row and run the same command again: what is recorded already stays"},
		{[]string{"-input", writeFile(t, "text,id\nhello,1\nbye\n")}, ":3: 1 fields, expected 2 as in the header"},
		{[]string{"-input", writeFile(t, "message\nhello\n")}, `:1: no column text in the header "message", expected "text"`},
		{[]string{"-input", "missing.csv"}, "missing.csv"},
		{[]string{"texts.csv"}, "unexpected argument"},
		{[]string{"-workers", "-1"}, "-workers is -1, want at least 0"},
		{[]string{"-config", "missing.yaml"}, "missing.yaml"},
		{[]string{"-config", writeFile(t, "version: 1\nqueue: {wrokers: 3}\n")}, `:2:9: queue: has the unknown key "wrokers"; did you mean workers?`},
		{[]string{"-rate", "0.5"}, "-rate is 0.5"},
		{[]string{"-faults", "2"}, "-faults is 2"},
		{[]string{"-outage", "-1s"}, "-outage is -1s"},
		{[]string{"-url", "http://127.0.0.1:1"}, "-url and -function go together"},
		{[]string{"-json", "-", "-output", "-"}, "cannot both be standard output"},
		{[]string{"-db", "a.db", "-output", "./a.db"}, "the answers would replace ./a.db"},
		{[]string{"-db", "texts.db", "-input", "texts-answers.csv"}, "the answers would replace texts-answers.csv"},
		{[]string{"-input", "texts.csv", "-json", "texts.csv"}, "the figures would replace texts.csv"},
		{[]string{"-db", "a.db", "-json", "./a-answers.csv"}, "the figures would replace ./a-answers.csv"},
		{[]string{"-input", broken, "-output", link}, "the answers would replace " + link},
		{[]string{"-input", broken, "-json", link}, "the figures would replace " + link},
		{[]string{"-output", broken, "-json", link}, "the figures would replace " + link},
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

// A row that breaks between two runs costs nothing that is recorded or waits.
func TestBrokenRowLosesNothing(t *testing.T) {
	input, db := writeTexts(t, 20), filepath.Join(t.TempDir(), "async.db")
	args := []string{"-input", input, "-db", db, "-faults", "0", "-outage", "0"}
	play(t, 0, args...)
	whole, err := os.ReadFile(input)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(input, append(whole, "20\n"...), 0o600))
	var stderr bytes.Buffer
	require.Equal(t, exitUsage, realMain(t.Context(), args, io.Discard, &stderr))
	assert.Contains(t, stderr.String(), input+":22: 1 fields, expected 2 as in the header")

	require.NoError(t, os.WriteFile(input, append(whole, "20,mended\n"...), 0o600))
	f, _ := play(t, 0, args...)
	assertRecorded(t, f, input)
	assert.Equal(t, []int{20, 21, 1}, []int{f.Before, f.Recorded, f.Calls})
}

func TestNoDatabase(t *testing.T) {
	for _, db := range []string{filepath.Join(t.TempDir(), "missing", "async.db"), writeFile(t, strings.Repeat("this is no database\n", 100))} {
		var stderr bytes.Buffer
		start := time.Now()
		require.Equal(t, exitFailed, realMain(t.Context(), []string{"-db", db}, io.Discard, &stderr))
		assert.Contains(t, stderr.String(), db)
		assert.NotContains(t, stderr.String(), "what was recorded")
		assert.Less(t, time.Since(start), 30*time.Second)
	}
}

// What nobody can read is no success.
func TestTablesThatCannotBeWritten(t *testing.T) {
	r, w := io.Pipe()
	require.NoError(t, r.Close())
	assert.ErrorIs(t, (&figures{Stopped: true}).print(w), io.ErrClosedPipe)
	assert.ErrorIs(t, new(figures).print(w), io.ErrClosedPipe)
}
