package outage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/telemetry"
)

func realMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return Program{}.Run(ctx, args, stdout, stderr)
}

// TestRun is the demo itself, without the waiting.
func TestRun(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Zero(t, realMain(t.Context(), []string{"-fast", "-duration", "8s", "-rate", "60", "-json", "-"}, &stdout, &stderr))
	assertNothingLeft(t)

	decoder := json.NewDecoder(&stdout)
	decoder.DisallowUnknownFields()
	var f figures
	require.NoError(t, decoder.Decode(&f))
	_, err := decoder.Token()
	require.ErrorIs(t, err, io.EOF, "standard output holds the figures alone")

	assert.Empty(t, f.Stopped)
	byClient := map[string][]*tally{}
	for _, row := range f.Rows {
		byClient[row.Client] = append(byClient[row.Client], row)
	}
	phases := phasesFor(options{rate: 60, duration: 8 * time.Second})
	for _, client := range clientNames {
		require.Len(t, byClient[client], len(phases))
		for i, row := range byClient[client] {
			assert.Equal(t, phases[i].name, row.Phase)
			assert.Equal(t, phases[i].calls, row.Calls, row.Phase)
		}
	}
	for _, row := range byClient["sparekey"] {
		assert.GreaterOrEqual(t, ratio(row.Answered, row.Calls), 0.995, row.Phase)
	}
	bare, ours := f.Totals[0], f.Totals[1]
	assert.Less(t, bare.Answered, bare.Calls)
	assert.LessOrEqual(t, ratio(int(ours.Upstream), ours.Calls), 1.2)

	named := 0
	for source, c := range ours.Sources {
		assert.Contains(t, sources, source)
		named += c.Answers
	}
	assert.Equal(t, ours.Answered, named, "answers whose source is named")
	for _, source := range sources {
		c := ours.Sources[source]
		if source == endpoint { // the demo's own stack has but one
			assert.Nil(t, c)
			continue
		}
		if !assert.NotNil(t, c, source) || !(telemetry.Answer{Source: source}).Degraded() {
			continue
		}
		assert.Positive(t, c.Stated, "%s answers that state how good they are", source)
		assert.Positive(t, c.Samples, source)
		assert.Equal(t, c.Answers, c.Known, "%s answers that were checked", source)
	}
	for _, source := range []telemetry.Source{telemetry.Cache, telemetry.Stale} {
		assert.Equal(t, ours.Sources[source].Known, ours.Sources[source].Agreed, "%s answers are the service's own", source)
	}
	assert.Equal(t, 1.0, ours.Sources[telemetry.Stale].Predicted)
	similar := ours.Sources[telemetry.Similar]
	assert.GreaterOrEqual(t, similar.Predicted, 0.9)
	assert.InDelta(t, similar.Predicted, ratio(similar.Agreed, similar.Known), 0.15, "a promise that is kept")
	assert.True(t, f.Similar.Serving)
	assert.GreaterOrEqual(t, f.Similar.LowerBound, 0.9)
	assert.Zero(t, bare.Answered-bare.Sources[telemetry.Live].Answers)

	for _, want := range []string{"training three simulators on 473 texts with 14 labels (corpus.csv)", "── total outage ──", "PHASE", "Verdict: the bare client answered"} {
		assert.Contains(t, stderr.String(), want)
	}
}

// Equal seeds have equal figures, to the digit: when time passes as outside, too, and
// however busy the machine is.
func TestSameSeedSameFigures(t *testing.T) {
	run := func(args ...string) (figures, text string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		require.Zero(t, realMain(t.Context(), append(args, "-duration", "3s", "-json", "-"), &stdout, &stderr), stderr.String())
		_, text, _ = strings.Cut(stderr.String(), "each mark") // before it is how long the training took
		return stdout.String(), text
	}
	want, wantText := run("-fast")
	begin := time.Now()
	idle, idleText := run()
	assert.Greater(t, time.Since(begin), 3*time.Second-step, "it passes no faster than outside")
	assert.Equal(t, want, idle)
	assert.Equal(t, wantText, idleText)

	var over atomic.Bool
	for range runtime.GOMAXPROCS(0) {
		go func() {
			for !over.Load() { // busy
			}
		}()
	}
	busy, busyText := run("-fast")
	over.Store(true)
	assert.Equal(t, want, busy)
	assert.Equal(t, wantText, busyText)

	other, _ := run("-fast", "-seed", "2")
	assert.NotEqual(t, want, other)
}

// Wherever Ctrl-C strikes, there is a verdict on what was counted by then.
func TestRunStopped(t *testing.T) {
	tests := []struct {
		name string
		at   string // what is printed then; "" for before the start
		want string
	}{
		{"before the start", "", "no call was answered yet."},
		{"during the training", "training three", "no call was answered yet."},
		{"during the calls", "bare L", "the bare client answered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.at == "" {
				cancel()
			}
			stdout := &trigger{text: tt.at, fire: cancel}
			var stderr bytes.Buffer
			name := filepath.Join(t.TempDir(), "figures.json")
			require.Zero(t, realMain(ctx, []string{"-duration", "30m", "-rate", "20", "-json", name}, stdout, &stderr))
			assert.Contains(t, stdout.String(), "\nVerdict: stopped after ")
			assert.Contains(t, stdout.String(), tt.want)
			assert.Empty(t, stderr.String())
			assertNothingLeft(t)

			var f figures
			content, err := os.ReadFile(name)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(content, &f))
			assert.NotEmpty(t, f.Stopped)
			assert.NotNil(t, f.Rows)
			for _, total := range f.Totals { // what Ctrl-C cut off is nobody's failure
				assert.Equal(t, total.Calls, total.Answered, total.Client)
			}
		})
	}
}

// trigger keeps what is printed, and fires at the first text of its kind.
type trigger struct {
	text string
	fire func()

	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (w *trigger) Write(p []byte) (int, error) {
	if w.text != "" && bytes.Contains(p, []byte(w.text)) {
		w.fire()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *trigger) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// assertNothingLeft waits until nothing of a run is left: no call, no
// connection, no listener.
func assertNothingLeft(t *testing.T) {
	t.Helper()
	var stacks string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); runtime.Gosched() {
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		others := strings.Split(stacks, "\n\n")[1:] // the first is the test's own
		if !slices.ContainsFunc(others, isLeft) {
			return
		}
	}
	t.Errorf("left over:\n%s", stacks)
}

// isLeft reports whether a goroutine is one of the demo's, and no test that waits for
// another.
func isLeft(stack string) bool {
	return (strings.Contains(stack, "sparekey/nyckel") || strings.Contains(stack, "net/http.")) && !strings.Contains(stack, "testing.(*T).Run(")
}

func TestCommonest(t *testing.T) {
	rows := []dataset.Row{{Label: "b"}, {Label: "c"}, {Label: "a"}, {Label: "c"}, {Label: "b"}}
	assert.Equal(t, "b", commonest(rows), "the first by name of those that are equal")
}

// TestReportThatCannotBeWritten: a full disk or a closed pipe is no success.
func TestReportThatCannotBeWritten(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // at once: the verdict is all there is
	var stderr bytes.Buffer
	assert.Equal(t, exitFailed, realMain(ctx, []string{"-duration", "3s"}, brokenWriter{}, &stderr))
	assert.Contains(t, stderr.String(), "the report could not be written: no space")
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space") }
