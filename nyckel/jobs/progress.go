package jobs

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ProgressConfig configures a [Progress]. Its zero value counts and shows nothing.
type ProgressConfig struct {
	// Total is how many jobs there are. Zero means that nobody knows.
	Total int

	// Output is where the progress is shown: on a terminal as one line that changes,
	// elsewhere as a line now and then. Nil means nowhere.
	Output io.Writer

	// Every is how often it is shown. Zero means 250 ms on a terminal and for
	// OnFigures, else 5 s.
	Every time.Duration

	// OnFigures is told the figures as often, if it is not nil.
	OnFigures func(Figures)
}

// Figures say how far the work has come.
type Figures struct {
	Done, Failed int // jobs that are finished, and that were given up
	Retries      int // failures that are tried again
	Total        int // zero if nobody knows

	Elapsed time.Duration // since the Progress was made
	Rate    float64       // jobs per second that were done or failed, of the last 10 s
	Left    time.Duration // at that rate; zero if it cannot be told

	// Held is how long jobs have been kept waiting by a gate that [Progress.Gate]
	// watches, zero if it is open. Of several queues it is that held longest.
	Held time.Duration
}

// String returns, for example, "120 of 1000 done (12 %), 3 failed, 45.1/s, 20s left".
// From one second on it says that jobs are held.
func (f Figures) String() string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(f.Done))
	if f.Total > 0 {
		fmt.Fprintf(&b, " of %d", f.Total)
	}
	b.WriteString(" done")
	if f.Total > 0 {
		fmt.Fprintf(&b, " (%d %%)", 100*(f.Done+f.Failed)/f.Total)
	}
	if f.Failed > 0 {
		fmt.Fprintf(&b, ", %d failed", f.Failed)
	}
	fmt.Fprintf(&b, ", %.1f/s", f.Rate)
	if f.Left > 0 {
		fmt.Fprintf(&b, ", %v left", f.Left.Round(time.Second))
	}
	if f.Held >= time.Second {
		fmt.Fprintf(&b, ", held for %v", f.Held.Truncate(time.Second))
	}
	return b.String()
}

// A Progress counts how jobs end and shows it:
//
//	progress := jobs.NewProgress(jobs.ProgressConfig{Total: n, Output: os.Stderr})
//	go progress.Show(ctx)
//	err := engine.Run(ctx, jobs.RunConfig{OnSettled: progress.Settled}, handler)
//
// It is safe for concurrent use.
type Progress struct {
	cfg      ProgressConfig
	start    time.Time
	terminal bool

	mu      sync.Mutex
	figures Figures              // without those that are worked out; guarded by mu, as all below
	recent  [rateSeconds]int     // jobs that ended, by second
	latest  int                  // the second of the last one, since start
	closed  map[string]time.Time // queues whose gate is closed, and since when

	output sync.Mutex // held while something is written to cfg.Output
}

// rateSeconds is what the rate is taken of.
const rateSeconds = 10

// NewProgress returns a Progress that begins now. It starts nothing.
func NewProgress(cfg ProgressConfig) *Progress {
	p := &Progress{cfg: cfg, start: time.Now(), terminal: isTerminal(cfg.Output), closed: map[string]time.Time{}}
	if p.cfg.Every <= 0 {
		p.cfg.Every = 250 * time.Millisecond
		if cfg.Output != nil && !p.terminal && cfg.OnFigures == nil {
			p.cfg.Every = 5 * time.Second
		}
	}
	return p
}

// isTerminal reports whether lines that are written to w can be written over.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// Settled counts one delivery. It is a [RunConfig.OnSettled].
func (p *Progress) Settled(s Settled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s.Ending {
	case Finished:
		p.figures.Done++
	case DeadLettered:
		p.figures.Failed++
	case Retried:
		p.figures.Retries++
		return
	default:
		return
	}
	p.turnLocked()
	p.recent[p.latest%rateSeconds]++
}

// turnLocked brings the seconds up to now.
func (p *Progress) turnLocked() {
	second := int(time.Since(p.start) / time.Second)
	for n := min(second-p.latest, rateSeconds); n > 0; n-- {
		p.recent[(second-n+1)%rateSeconds] = 0
	}
	p.latest = second
}

// Figures returns what the progress is now.
func (p *Progress) Figures() Figures {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turnLocked()
	f := p.figures
	f.Total, f.Elapsed = p.cfg.Total, time.Since(p.start)
	sum := 0
	for _, n := range p.recent {
		sum += n
	}
	// The last second is not over.
	span := min(f.Elapsed, (rateSeconds-1)*time.Second+f.Elapsed%time.Second)
	if span > 0 {
		f.Rate = float64(sum) / span.Seconds()
	}
	for _, since := range p.closed {
		f.Held = max(f.Held, time.Since(since))
	}
	if left := f.Total - f.Done - f.Failed; left > 0 && f.Rate > 0 {
		f.Left = time.Duration(min(float64(left)/f.Rate*float64(time.Second), 1<<62))
	}
	return f
}

// Gate returns a gate that does what g does, while the figures tell for how long it
// has been closed.
func (p *Progress) Gate(g Gate) Gate {
	watched := &watchedGate{g, p}
	if rationed, ok := g.(Rationed); ok {
		return &watchedRation{watched, rationed}
	}
	return watched
}

type watchedGate struct {
	Gate
	progress *Progress
}

// Ready implements [Gate].
func (g *watchedGate) Ready(ctx context.Context, queue string) time.Duration {
	wait := g.Gate.Ready(ctx, queue)
	p := g.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.closed[queue]; wait <= 0 {
		delete(p.closed, queue)
	} else if !known {
		p.closed[queue] = time.Now()
	}
	return wait
}

// A watchedRation is a watchedGate whose gate is [Rationed].
type watchedRation struct {
	*watchedGate
	rationed Rationed
}

// Ration implements [Rationed].
func (g *watchedRation) Ration(ctx context.Context, queue string, n int) int {
	return g.rationed.Ration(ctx, queue, n)
}

// Note writes a line of the program's own to Output, which on a terminal would
// otherwise run into the one that changes.
func (p *Progress) Note(text string) {
	p.output.Lock()
	defer p.output.Unlock()
	switch {
	case p.cfg.Output == nil:
	case p.terminal:
		fmt.Fprintf(p.cfg.Output, "\r%s\x1b[K\n", text)
	default:
		fmt.Fprintln(p.cfg.Output, text)
	}
}

// Show shows the progress until ctx ends, and once more then.
func (p *Progress) Show(ctx context.Context) {
	ticker := time.NewTicker(p.cfg.Every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ticker.C:
			p.show(false)
		case <-ctx.Done():
		}
	}
	p.show(true)
}

func (p *Progress) show(last bool) {
	f := p.Figures()
	if p.cfg.OnFigures != nil {
		p.cfg.OnFigures(f)
	}
	p.output.Lock()
	defer p.output.Unlock()
	switch {
	case p.cfg.Output == nil:
	case !p.terminal:
		fmt.Fprintln(p.cfg.Output, f)
	case last:
		fmt.Fprintf(p.cfg.Output, "\r%v\x1b[K\n", f)
	default:
		fmt.Fprintf(p.cfg.Output, "\r%v\x1b[K", f)
	}
}
