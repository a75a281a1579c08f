package outage

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// A timeline prints what happens, a line for each second: a mark for each answer
// of either client. It is safe for concurrent use.
type timeline struct {
	history *history

	mu    sync.Mutex
	out   io.Writer // guarded by mu, as all below
	start time.Time
	since time.Time          // when the current line began
	marks [2]strings.Builder // of the current line
}

func newTimeline(out io.Writer, h *history) *timeline { return &timeline{out: out, history: h} }

// The marks of the answers, by source.
var marks = map[telemetry.Source]byte{
	telemetry.Live: 'L', endpoint: 'e', telemetry.Cache: 'c', telemetry.Stale: 's', telemetry.Similar: 'm', telemetry.Rule: 'r', telemetry.Static: 'd',
}

const failed = '.'

// begin prints what is about to happen and starts the clock.
func (l *timeline) begin(o options, d *data, questions []dataset.Row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	distinct := map[string]bool{}
	for _, q := range questions {
		distinct[q.Text] = true
	}
	fmt.Fprintf(l.out, "now asking %d texts the model has not seen (%s), %d calls in %v, seed %d\n",
		len(distinct), d.askName, len(questions), o.duration, o.seed)
	if d.seen > 0 {
		fmt.Fprintf(l.out, "left out %d texts that are in the training data, too\n", d.seen)
	}
	fmt.Fprintf(l.out, "each mark is an answer: L live  e another endpoint  c cached  s stale  m similar  r rule  d default answer  %c none\n", failed)
	if o.worse {
		fmt.Fprintln(l.out, "press Enter to make it worse")
	}
	fmt.Fprintln(l.out)
	l.start = time.Now()
	l.history.begin()
	l.since = l.start
}

// phase prints the name of the phase that begins.
func (l *timeline) phase(p phase) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history.phase(p.name)
	fmt.Fprintf(l.out, "%6s  ── %s ──\n", l.clock(), p.name)
}

// worse prints that somebody made it worse.
func (l *timeline) worse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushLocked()
	l.history.phase("worse")
	fmt.Fprintf(l.out, "%6s  ── made worse: nobody listens for %v ──\n", l.clock(), worseFor)
}

// transition prints a change of the breaker's state.
func (l *timeline) transition(t policy.Transition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushLocked()
	l.history.transition(t)
	note := ""
	if !t.Until.IsZero() {
		note = fmt.Sprintf(" for %v", t.Until.Sub(t.At).Round(time.Millisecond))
	}
	fmt.Fprintf(l.out, "%6s     breaker: %s → %s%s\n", l.clock(), t.From, t.To, note)
}

// answer adds a mark to the current line.
func (l *timeline) answer(side int, a answer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history.answer(side, a, err)
	if time.Since(l.since) >= time.Second {
		l.flushLocked()
	}
	mark := byte(failed)
	if err == nil {
		mark = marks[a.Source]
	}
	l.marks[side].WriteByte(mark)
}

// flush prints the current line.
func (l *timeline) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushLocked()
}

func (l *timeline) flushLocked() {
	if l.marks[0].Len()+l.marks[1].Len() > 0 {
		fmt.Fprintf(l.out, "%6s     bare %-28s sparekey %s\n", l.clock(), shorten(l.marks[0].String()), shorten(l.marks[1].String()))
	}
	l.marks[0].Reset()
	l.marks[1].Reset()
	l.since = time.Now()
}

// shorten says the same in fewer marks.
func shorten(marks string) string {
	const width = 26
	if len(marks) <= width {
		return marks
	}
	var b strings.Builder
	for i := range width {
		b.WriteByte(marks[i*len(marks)/width])
	}
	return b.String() + "…"
}

func (l *timeline) clock() string { return fmt.Sprintf("%.1fs", time.Since(l.start).Seconds()) }
