package pin_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/pin"
)

var _ nyckel.Pins = (*pin.Journal)(nil)

var ann = pin.By{Actor: "ann", Reason: "because"}

func open(t *testing.T, path string) *pin.Journal {
	t.Helper()
	j, err := pin.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { j.Close() })
	return j
}

func pinned(t *testing.T, j *pin.Journal, function string) string {
	t.Helper()
	model, ok := j.Pin(function)
	require.True(t, ok, "nothing is said of %s", function)
	return model
}

// better returns a report that passes the zero Gate.
func better(function, incumbent, candidate string) pin.Report {
	return pin.Compare(pin.Pair{Function: function, Incumbent: incumbent, Candidate: candidate}, func(yield func(pin.Comparison) bool) {
		for i := range 400 {
			c := pin.Comparison{
				Pair:  pin.Pair{Function: function, Incumbent: incumbent, Candidate: candidate},
				Label: "a", CandidateLabel: "a", Truth: "a", Latency: time.Second, CandidateLatency: time.Second,
			}
			if i < 40 {
				c.Label = "b"
			}
			if !yield(c) {
				return
			}
		}
	})
}

func TestJournalPinsPromotesAndRollsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pins.jsonl")
	j := open(t, path)
	_, ok := j.Pin("tickets")
	require.False(t, ok)

	_, err := j.Set("tickets", "one", ann)
	require.NoError(t, err)
	require.Equal(t, "one", pinned(t, j, "tickets"))
	_, err = j.Promote(better("tickets", "one", "two"), pin.Gate{}, ann)
	require.NoError(t, err)
	_, err = j.Promote(better("tickets", "two", "three"), pin.Gate{Better: true}, pin.By{Actor: "ben", Reason: "again"})
	require.NoError(t, err)
	_, err = j.Promote(better("mail", "", "four"), pin.Gate{}, ann)
	require.NoError(t, err, "the newest was in force, as nothing was said")
	require.Equal(t, "three", pinned(t, j, "tickets"))

	for _, want := range []string{"two", "one"} {
		e, err := j.Rollback("tickets", ann)
		require.NoError(t, err)
		require.Equal(t, want, e.To)
		require.Equal(t, want, pinned(t, j, "tickets"))
	}
	_, err = j.Rollback("tickets", ann)
	require.ErrorIs(t, err, pin.ErrNothingBefore)
	_, err = j.Rollback("mail", ann)
	require.NoError(t, err)
	require.Equal(t, "", pinned(t, j, "mail"), "the newest")

	again := open(t, path)
	require.Equal(t, j.History(""), again.History(""))
	require.Equal(t, "one", pinned(t, again, "tickets"))
	require.Equal(t, "", pinned(t, again, "mail"))
	history := again.History("tickets")
	require.Len(t, history, 5)
	promotion := history[2]
	require.Equal(t, []string{"two", "three", "ben", "again"}, []string{promotion.From, promotion.To, promotion.Actor, promotion.Reason})
	require.Equal(t, pin.Promoted, promotion.Action)
	require.Equal(t, 400, promotion.Report.CandidateAccuracy.Hits)
	require.True(t, promotion.Gate.Better)
	require.Equal(t, 200, promotion.Gate.MinOutcomes, "the bar as it was")
	require.Nil(t, again.Torn())
}

func TestJournalRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pins.jsonl")
	j := open(t, path)
	_, err := j.Set("tickets", "one", ann)
	require.NoError(t, err)
	before, err := os.ReadFile(path)
	require.NoError(t, err)

	_, err = j.Set("tickets", "two", pin.By{Actor: "ann"})
	require.EqualError(t, err, "pin: a change needs an actor and a reason")
	_, err = j.Set("", "two", ann)
	require.EqualError(t, err, "pin: a change needs a function")
	_, err = j.Promote(better("tickets", "other", "two"), pin.Gate{}, ann)
	require.ErrorIs(t, err, pin.ErrChanged)
	require.EqualError(t, err, "pin: another model is pinned now: one, and the comparison is with other")
	_, err = j.Promote(better("tickets", "one", "two"), pin.Gate{MinOutcomes: 401}, ann)
	require.ErrorIs(t, err, pin.ErrRefused)

	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
	require.Equal(t, "one", pinned(t, j, "tickets"))
}

// Whatever part of the last line a crash leaves, what was acknowledged before is
// there, and the journal goes on.
func TestJournalToleratesATornLastLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pins.jsonl")
	j := open(t, path)
	_, err := j.Set("tickets", "one", ann)
	require.NoError(t, err)
	first, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = j.Set("tickets", "two", ann)
	require.NoError(t, err)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	torn := [][]byte{append(bytes.Clone(first), `{"longer than what comes":"`+strings.Repeat("x", 1000)...)}
	for cut := len(first) + 1; cut < len(whole); cut++ {
		torn = append(torn, whole[:cut])
	}
	for _, torn := range torn {
		path := filepath.Join(t.TempDir(), "torn.jsonl")
		require.NoError(t, os.WriteFile(path, torn, 0o600))
		j, err := pin.Open(path)
		require.NoError(t, err)
		require.Equal(t, "one", pinned(t, j, "tickets"))
		require.Equal(t, string(torn[len(first):]), string(j.Torn()))
		_, err = j.Set("tickets", "three", ann)
		require.NoError(t, err)
		require.Nil(t, j.Torn())
		require.NoError(t, j.Close())
		again := open(t, path)
		require.Equal(t, "three", pinned(t, again, "tickets"))
		require.Nil(t, again.Torn())
		require.Len(t, again.History(""), 2)
	}
}

func TestOpenRefusesAJournalThatMakesNoSense(t *testing.T) {
	const good = `{"at":"2026-01-02T03:04:05Z","action":"pin","function":"tickets","from":"","to":"one","actor":"ann","reason":"x"}` + "\n"
	tests := []struct{ name, content, want string }{
		{"no JSON", good + "hello\n" + good, `:2: not an entry: invalid character 'h'`},
		{"an empty line", good + "\n", `:2: not an entry: unexpected end of JSON`},
		{"another document", "{}\n", `:1: not an entry: it has no function or no time`},
		{"a change of no known time", strings.Replace(good, `"at":"2026-01-02T03:04:05Z",`, "", 1), `:1: not an entry: it has no function or no time`},
		{"an unknown action", strings.Replace(good, `"pin"`, `"explode"`, 1), `:1: unknown action "explode"`},
		{"a rollback to nowhere", good + strings.Replace(good, `"pin"`, `"rollback"`, 1), `:2: rolls "tickets" back to "one"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pins.jsonl")
			require.NoError(t, os.WriteFile(path, []byte(tt.content), 0o600))
			_, err := pin.Open(path)
			require.ErrorContains(t, err, path+tt.want)
		})
	}
	_, err := pin.Open(t.TempDir())
	require.ErrorContains(t, err, "pin: open ")
}

func TestJournalWatchSeesWhatAnotherProcessWrote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pins.jsonl")
	writer, reader := open(t, path), open(t, path)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var errs []error
		go reader.Watch(ctx, time.Second, func(err error) { errs = append(errs, err) })
		_, err := writer.Set("tickets", "one", ann)
		require.NoError(t, err)
		time.Sleep(time.Second - 1)
		synctest.Wait()
		_, ok := reader.Pin("tickets")
		require.False(t, ok)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, "one", pinned(t, reader, "tickets"))

		require.NoError(t, os.Truncate(path, 3))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Len(t, errs, 2)
		require.ErrorContains(t, errs[0], "its history must not change")
		require.Equal(t, "one", pinned(t, reader, "tickets"), "stays in force")
		cancel()
	})
}

// What is written to a file that has lost its name would be lost with the process; what
// others write under the name would never be seen.
func TestJournalNoticesAnotherFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an open file keeps its name")
	}
	for name, replace := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { return errors.Join(os.Rename(path, path+"~"), os.WriteFile(path, nil, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pins.jsonl")
			j := open(t, path)
			_, err := j.Set("tickets", "one", ann)
			require.NoError(t, err)
			require.NoError(t, replace(path))
			_, err = j.Set("tickets", "two", ann)
			require.EqualError(t, err, "pin: "+path+" is not the file any more that was opened: its history must not change")
			require.Error(t, j.Refresh())
			require.Equal(t, "one", pinned(t, j, "tickets"), "stays in force")
		})
	}
}

// A program that goes elsewhere keeps its journal.
func TestJournalOfARelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	j := open(t, "pins.jsonl")
	t.Chdir(t.TempDir())
	_, err := j.Set("tickets", "one", ann)
	require.NoError(t, err)
}

func TestJournalClosed(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "pins.jsonl"))
	_, err := j.Set("tickets", "one", ann)
	require.NoError(t, err)
	require.NoError(t, j.Close())
	_, err = j.Set("tickets", "two", ann)
	require.ErrorIs(t, err, os.ErrClosed)
	require.Equal(t, "one", pinned(t, j, "tickets"))
}

func TestGateErrorIsFound(t *testing.T) {
	_, err := open(t, filepath.Join(t.TempDir(), "pins.jsonl")).Promote(pin.Report{Pair: pin.Pair{Function: "tickets", Candidate: "x"}}, pin.Gate{}, ann)
	refused, ok := errors.AsType[*pin.Refused](err)
	require.True(t, ok)
	require.Equal(t, "x", refused.Candidate)
}
