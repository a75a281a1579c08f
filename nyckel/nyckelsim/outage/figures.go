package outage

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sparekey/sparekey/nyckel/internal/interrupt"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/telemetry"
)

// figures are what a run counted. Nothing in them is typed in.
type figures struct {
	Seed       uint64      `json:"seed"`
	Rate       float64     `json:"rate_per_second"`
	Duration   string      `json:"duration"`
	Stopped    string      `json:"stopped_after,omitempty"` // "" if it ran to the end
	Worsened   int         `json:"made_worse,omitempty"`    // how often, by hand
	TrainTexts int         `json:"train_texts"`
	Labels     int         `json:"labels"`
	Repeated   float64     `json:"repeated_share"` // of the calls, asking a text again
	Rows       []*tally    `json:"phases"`
	Totals     []*tally    `json:"totals"`
	Similar    similarity  `json:"similar"`
	phases     [][2]*tally // Rows, by phase and client

	history *history // for the plots

	said map[string]string // by text, what the service says; nil if it was not asked
}

// clientNames are the two clients, in the order of everything else.
var clientNames = [2]string{"bare", "sparekey"}

// A tally counts what one client made of one phase. It is safe for concurrent
// use until it is summed up.
type tally struct {
	Phase    string                        `json:"phase"`
	Client   string                        `json:"client"`
	Calls    int                           `json:"calls"`
	Answered int                           `json:"answered"`
	Right    int                           `json:"right"`
	Upstream int64                         `json:"upstream_calls"`
	P50      float64                       `json:"p50_ms"`
	P99      float64                       `json:"p99_ms"`
	Sources  map[telemetry.Source]*counter `json:"sources"`

	mu      sync.Mutex
	times   []time.Duration
	replies []reply
}

// A reply is what was answered to a text.
type reply struct {
	text, label string
	source      telemetry.Source
}

// A counter counts answers of one source.
type counter struct {
	Answers int `json:"answers"`
	Right   int `json:"right"`

	// What the answers said of themselves: how many stated how often such answers
	// agree with the service, how often that is on average, and on how many
	// comparisons it rested at most.
	Stated    int     `json:"stated"`
	Predicted float64 `json:"predicted"`
	Samples   int     `json:"samples"`

	// What became of it: how many answers are to texts of which it is known what
	// the service says, and how many of these say the same.
	Known  int `json:"known"`
	Agreed int `json:"agreed"`
}

// state takes in what an answer says of itself.
func (c *counter) state(accuracy float64, samples, answers int) {
	if samples == 0 {
		return
	}
	c.Stated += answers
	c.Predicted += (accuracy - c.Predicted) * ratio(answers, c.Stated)
	c.Samples = max(c.Samples, samples)
}

func newFigures(o options, d *data, phases []phase, questions []dataset.Row) *figures {
	distinct := map[string]bool{}
	for _, q := range questions {
		distinct[q.Text] = true
	}
	f := &figures{
		history: newHistory(o),
		Seed:    o.seed, Rate: o.rate, Duration: o.duration.String(),
		TrainTexts: len(d.train), Labels: len(labelsOf(d.train)),
		Repeated: 1 - ratio(len(distinct), len(questions)),
	}
	for _, p := range phases {
		var both [2]*tally
		for i, client := range clientNames {
			both[i] = newTally(p.name, client)
			f.Rows = append(f.Rows, both[i])
		}
		f.phases = append(f.phases, both)
	}
	return f
}

func newTally(phase, client string) *tally {
	return &tally{Phase: phase, Client: client, Sources: map[telemetry.Source]*counter{}}
}

// add counts one call.
func (t *tally) add(question dataset.Row, a answer, err error, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Calls++
	t.times = append(t.times, took)
	if err != nil {
		return
	}
	t.replies = append(t.replies, reply{question.Text, a.label, a.Source})
	c := t.counter(a.Source)
	c.state(a.Accuracy, a.Samples, 1)
	t.Answered++
	c.Answers++
	if a.label == question.Label {
		t.Right++
		c.Right++
	}
}

func (t *tally) counter(source telemetry.Source) *counter {
	if t.Sources[source] == nil {
		t.Sources[source] = &counter{}
	}
	return t.Sources[source]
}

// check counts how many answers have the label that the service says.
func (t *tally) check(said map[string]string) {
	for _, r := range t.replies {
		label, ok := said[r.text]
		if !ok || r.source == telemetry.Live {
			continue
		}
		c := t.counter(r.source)
		c.Known++
		if r.label == label {
			c.Agreed++
		}
	}
}

// merge adds another tally to t.
func (t *tally) merge(other *tally) {
	t.Calls += other.Calls
	t.Answered += other.Answered
	t.Right += other.Right
	t.Upstream += other.Upstream
	t.times = append(t.times, other.times...)
	for source, c := range other.Sources {
		sum := t.counter(source)
		sum.Answers += c.Answers
		sum.Right += c.Right
		sum.Known += c.Known
		sum.Agreed += c.Agreed
		sum.state(c.Predicted, c.Samples, c.Stated)
	}
}

// sumUp computes what depends on all calls, once they are over.
func (f *figures) sumUp() {
	f.Totals = []*tally{newTally("all phases", clientNames[0]), newTally("all phases", clientNames[1])}
	for _, both := range f.phases {
		for i, t := range both {
			t.check(f.said)
			f.Totals[i].merge(t)
		}
	}
	f.Rows = slices.DeleteFunc(f.Rows, func(t *tally) bool { return t.Calls == 0 }) // phases that Ctrl-C cut off
	for _, t := range slices.Concat(f.Rows, f.Totals) {
		slices.Sort(t.times)
		t.P50, t.P99 = milliseconds(t.times, 0.50), milliseconds(t.times, 0.99)
	}
}

// milliseconds returns a quantile of sorted times: the least of them that a share
// q of all does not exceed.
func milliseconds(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := sorted[int(math.Ceil(q*float64(len(sorted))))-1]
	return float64(at.Round(100*time.Microsecond)) / float64(time.Millisecond)
}

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// write writes the reports that are wanted. A pipe waits for its reader, until ctx ends;
// if that has ended the run, it does not take the reports away.
func (f *figures) write(ctx context.Context, o options, stdout io.Writer) error {
	if ctx.Err() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	_, err := interrupt.OrEnd(ctx, func() (none struct{}, err error) {
		if o.json != "" {
			err = f.writeJSON(o.json, stdout)
		}
		if err == nil && o.html != "" {
			err = f.writeHTML(o.html)
		}
		return none, err
	})
	return err
}

// writeJSON writes the figures to a file, or to stdout for "-".
func (f *figures) writeJSON(name string, stdout io.Writer) error {
	content, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	content = append(content, '\n')
	if name == "-" {
		_, err = stdout.Write(content)
		return err
	}
	if err := os.WriteFile(name, content, 0o644); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}
