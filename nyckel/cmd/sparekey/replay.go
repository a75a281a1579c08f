package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/internal/interrupt"
	"github.com/sparekey/sparekey/transport/plan"
)

// batch is how many inputs are asked about before their answers are written to the
// state: what a crash costs at most.
const batch = 100

func (p *program) replay(ctx context.Context, args []string) error {
	flags := p.flags("replay [flags]", "Puts recorded inputs to a function once more, as another model or another\nconfiguration file has it, and tells how labels and times differ. It keeps to the\nlimits of the account, leaves no samples behind, and takes no answer but the\nservice's. With -state it goes on where it was stopped.")
	data := flags.String("data", "", "`file` of inputs: CSV with text,label, JSON lines with data, label, or an export")
	config := flags.String("config", defaultConfig, "configuration `file`")
	function := flags.String("function", "", "`name` of the function; the only one by default")
	model := flags.String("model", "", "`id` of the model that answers")
	state := flags.String("state", "", "`file` to keep the answers in, and to go on from")
	asJSON := flags.Bool("json", false, "print JSON")
	if _, err := flags.parse(args, 0, 0); err != nil {
		return err
	}
	inputs, err := interrupt.OrEnd(ctx, func() ([]recorded, error) { return readRecorded(*data) })
	if err != nil {
		return err
	}
	if inputs, err = p.onlyAnswered(*data, inputs); err != nil {
		return err
	}
	loaded, err := load(*config)
	if err != nil {
		return err
	}
	name := *function
	if name == "" {
		if name, err = onlyFunction(loaded); err != nil {
			return err
		}
	}
	client, err := p.client(loaded, name)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	r := &replaying{p: p, client: client, function: name, model: *model, inputs: inputs, answers: map[int]replayed{}}
	if *state != "" {
		if err := r.open(*state, r.head(loaded)); err != nil {
			return err
		}
		defer func() { _ = r.state.Close() }()
	}
	return r.run(ctx, *asJSON)
}

// onlyFunction returns the function that can be called, if there is just one.
func onlyFunction(loaded *plan.Plan) (string, error) {
	var callable []string
	for _, name := range loaded.Functions() {
		if f, _ := loaded.Function(name); f.ID != "" {
			callable = append(callable, name)
		}
	}
	if len(callable) != 1 {
		return "", misuse("%d functions can be called %v; name one with -function", len(callable), callable)
	}
	return callable[0], nil
}

// A replaying is a replay under way.
type replaying struct {
	p        *program
	client   *nyckel.Client
	function string
	model    string
	inputs   []recorded
	answers  map[int]replayed // by the input's index
	failed   int
	failure  error    // the first
	state    *os.File // nil if nothing is kept

	done, bad atomic.Int64 // for the one who tells how far it is
}

// A replayed is what an input was answered now, and a line of the state.
type replayed struct {
	Index      int     `json:"index"`
	Label      string  `json:"label"`
	Confidence float64 `json:"confidence"`
	ServiceMS  float64 `json:"service_ms"`
}

// run asks, and reports what came of it, also if ctx ended before all were asked.
func (r *replaying) run(ctx context.Context, asJSON bool) error {
	stopped := r.askAll(ctx)
	if stopped != nil && !errors.Is(stopped, context.Cause(ctx)) {
		return stopped
	}
	report := reportOf(r)
	var err error
	if asJSON {
		err = printJSON(r.p.stdout, report)
	} else {
		r.p.printReplay(report)
	}
	if stopped != nil {
		again := ""
		if r.state != nil {
			again = "; the same command goes on from here"
		}
		return errors.Join(err, fmt.Errorf("stopped after %d of %d inputs%s", report.Answered+report.Failed, report.Inputs, again))
	}
	if err == nil && report.Failed > 0 {
		return fmt.Errorf("%d of %d inputs were not answered: %w", report.Failed, report.Inputs, r.failure)
	}
	return err
}

// askAll asks about what has no answer yet. It returns an error if it had to stop.
func (r *replaying) askAll(ctx context.Context) error {
	var left []int
	for i := range r.inputs {
		if _, done := r.answers[i]; !done {
			left = append(left, i)
		}
	}
	defer r.tellEvery(5 * time.Second)()
	for len(left) > 0 {
		n := min(batch, len(left))
		if err := r.askSome(ctx, left[:n]); err != nil {
			return err
		}
		left = left[n:]
	}
	return nil
}

// askSome asks about some inputs and keeps their answers.
func (r *replaying) askSome(ctx context.Context, indexes []int) error {
	inputs := make([]nyckel.Input, len(indexes))
	for i, index := range indexes {
		var err error
		if inputs[i], err = r.inputs[index].input(); err != nil {
			return misuse("line %d: %w", r.inputs[index].line, err)
		}
	}
	before := len(r.answers) + r.failed
	outcomes, stopped := r.client.InvokeAll(ctx, r.function, inputs, nyckel.ModelID(r.model), nyckel.Capture(false), nyckel.Strict(),
		nyckel.Progress(func(done, bad, _ int) { r.count(before+done, r.failed+bad) }))
	for i, o := range outcomes {
		switch {
		case o.Err == nil:
			if err := r.keep(replayed{indexes[i], labelOf(o.Prediction), o.Prediction.Confidence, milliseconds(o.Prediction.ServiceTime)}); err != nil {
				return err
			}
		case stopped == nil: // else many an error is only that of having to stop
			r.failed++
			if r.failure == nil {
				r.failure = fmt.Errorf("line %d: %s", r.inputs[indexes[i]].line, unnamed(o.Err))
			}
		}
	}
	return stopped
}

func (r *replaying) count(done, bad int) {
	r.done.Store(int64(done))
	r.bad.Store(int64(bad))
}

// tellEvery tells from time to time how far the replay is, and once more when the func
// that it returns is called.
func (r *replaying) tellEvery(d time.Duration) (end func()) {
	tell := func() {
		fmt.Fprintf(r.p.stderr, "%d of %d, %d failed\n", r.done.Load(), len(r.inputs), r.bad.Load())
	}
	r.count(len(r.answers), r.failed)
	ended := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		ticker := time.NewTicker(d)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				tell()
			case <-ended:
				return
			}
		}
	})
	return func() {
		close(ended)
		telling.Wait()
		r.count(len(r.answers)+r.failed, r.failed)
		tell()
	}
}

func labelOf(p *nyckel.Prediction) string { return cmp.Or(p.LabelName, p.LabelID) }

func fromMilliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
