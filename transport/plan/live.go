package plan

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// Options set how a [Live] follows its file. The zero value is ready to use.
type Options struct {
	// Every is how often [Live.Run] looks at the file, give or take a tenth. Zero
	// means 2 s.
	Every time.Duration

	// Logger gets a record when a plan is put in force and when one is not, and is
	// that of all stacks. Nil means none.
	Logger *slog.Logger

	// Lookup says what a reference stands for: see [Parse]. Nil means
	// [Environment] of the file's folder. It is asked at each look, and must return
	// the same as long as nothing has changed: what is another value each time, such
	// as a token that is made for whoever asks, is never found twice, and no change
	// put in force. Of errors only that there is one counts, not the text.
	Lookup func(reference string) (string, bool, error)
}

// A Live is a plan that follows its file. What is in the file, and what it refers to,
// is put in force when two looks in a row have found the same, so that a file that is
// still being written is not taken for a whole one. It does not matter how the file
// is changed: written in place, replaced by another of its name, or behind a link.
//
// A file that has problems changes nothing. They are logged, once, and are in
// [Live.Status] and [Live.Snapshot] until the file is right again.
//
// What the stacks have found out stays: see [transport.Live]. It has nothing to close
// and is safe for concurrent use.
type Live struct {
	name    string
	options Options
	events  telemetry.Events

	polling sync.Mutex // held while the file is read, which may take its time
	last    sight      // of the file; guarded by polling, as the next two
	decided sum        // of what was put in force, or was not
	inForce sum        // of what the plan was read from

	mu      sync.Mutex
	plan    *Plan // in force; guarded by mu, as all below
	status  telemetry.ConfigSnapshot
	stacks  map[string]*transport.Live // by function
	fixed   map[string]any             // what settings must stay, by path
	models  map[string]string          // of the functions that the file has, or had
	changed chan struct{}              // closed when another plan is put in force
}

// Open returns a Live with the plan that is in a file, or an error as [Load] does. It
// looks at the file again only when [Live.Run] or [Live.Poll] is called.
func Open(name string, options Options) (*Live, error) {
	if options.Every <= 0 {
		options.Every = 2 * time.Second
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Lookup == nil {
		options.Lookup = Environment(filepath.Dir(name))
	}
	l := &Live{
		name: name, options: options,
		stacks: make(map[string]*transport.Live), fixed: make(map[string]any), models: make(map[string]string), changed: make(chan struct{}),
	}
	l.last = look(name, options.Lookup)
	if l.last.err != nil {
		return nil, l.last.err
	}
	l.plan, l.decided, l.inForce = l.last.plan, l.last.sum, l.last.sum
	l.rememberLocked()
	for _, function := range l.plan.Functions() {
		if _, err := l.stackLocked(function); err != nil {
			return nil, err
		}
	}
	l.status = telemetry.ConfigSnapshot{Name: name, AppliedAt: time.Now()}
	return l, nil
}

// Run looks at the file again and again until ctx ends. It starts no goroutine.
func (l *Live) Run(ctx context.Context) {
	for {
		select {
		case <-time.After(time.Duration((0.9 + 0.2*rand.Float64()) * float64(l.options.Every))):
			l.Poll(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// Poll looks at the file once, for programs that have their own reason to, such as a
// signal. A change that no look has found before takes two: where [Live.Run] does not
// look as well, call it twice. The context is for the records.
func (l *Live) Poll(ctx context.Context) {
	l.polling.Lock()
	defer l.polling.Unlock()
	seen := l.last.again(l.name, l.options.Lookup)
	settled := seen.sum == l.last.sum
	l.last = seen
	if !settled {
		return
	}
	if seen.sum == l.decided {
		l.restate(seen)
		return
	}
	l.decided = seen.sum
	before := l.Plan()
	outcome, problems := l.decide(seen)
	event := telemetry.Event{Kind: "config", Text: l.name + " is in force"}
	if problems != "" {
		event.Text = l.name + " has problems, what was in force stays"
	}
	l.events.Add(event)
	telemetry.Reloaded(ctx, l.options.Logger, l.name, outcome, problems)
	if outcome == telemetry.ConfigApplied {
		l.tell(before)
	}
}

// restate keeps the problems of a file up to date: the same one may have another reason
// by now.
func (l *Live) restate(seen sight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seen.err != nil {
		l.status.Problems = seen.err.Error()
	}
}

// decide puts what was seen in force, unless it has problems or is in force already.
func (l *Live) decide(seen sight) (outcome, problems string) {
	err, outcome := seen.err, telemetry.ConfigUnchanged
	if err == nil && seen.sum != l.inForce { // else it is as it was
		if err = l.apply(seen.plan); err == nil {
			l.inForce, outcome = seen.sum, telemetry.ConfigApplied
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Problems = ""
	if err != nil {
		l.status.Problems, outcome = err.Error(), telemetry.ConfigRejected
	}
	if outcome == telemetry.ConfigApplied {
		l.status.AppliedAt = time.Now()
		close(l.changed)
		l.changed = make(chan struct{})
	}
	return outcome, l.status.Problems
}

// apply puts a plan in force, all of it or nothing. Stacks are built without the lock,
// which many of them take long for: calls that ask for their model do not wait for it.
func (l *Live) apply(p *Plan) error {
	names := slices.AppendSeq(p.Functions(), maps.Keys(l.known()))
	for _, name := range names {
		if _, err := transport.Build(l.stackOf(p, name)); err != nil {
			return err
		}
	}
	if err := l.take(p); err != nil {
		return err
	}
	for name, stack := range l.known() {
		if err := stack.Apply(l.stackOf(p, name)); err != nil {
			return err // it cannot be: it was built already
		}
	}
	return nil
}

// known returns the stacks that were made.
func (l *Live) known() map[string]*transport.Live {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.stacks)
}

// take makes a plan the one that stacks are made by, unless it changes what is fixed.
func (l *Live) take(p *Plan) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refusedLocked(p); err != nil {
		return err
	}
	l.plan = p
	l.rememberLocked()
	return nil
}

// rememberLocked keeps in mind the models of the functions.
func (l *Live) rememberLocked() {
	for _, name := range l.plan.Functions() {
		f, _ := l.plan.Function(name)
		l.models[name] = f.Model
	}
}

// Model returns the model that a function pins, "" for the newest. One that the file
// does not have any more keeps the model that it had. It reports false if the file
// never had the function.
func (l *Live) Model(function string) (model string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	model, ok = l.models[function]
	return model, ok
}

// stackOf returns the settings of a function's stack.
func (l *Live) stackOf(p *Plan, function string) policy.Stack {
	f, _ := p.Function(function)
	f.Logger = l.options.Logger // a file has none
	return f.Stack
}

// stackLocked returns a function's stack, which it makes if need be.
func (l *Live) stackLocked(function string) (*transport.Live, error) {
	if stack, ok := l.stacks[function]; ok {
		return stack, nil
	}
	stack, err := transport.NewLive(l.stackOf(l.plan, function))
	if err != nil {
		return nil, err
	}
	l.stacks[function] = stack
	return stack, nil
}

// Layer returns the stack of a function as a layer, whose settings are always those
// in force. One that the file does not have, be it not yet or no more, has the
// default stack: a record and an event say so.
func (l *Live) Layer(function string) transport.Layer {
	if _, ok := l.Plan().Function(function); !ok {
		l.missing(function, "does not have it, so it has the default stack")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	stack, err := l.stackLocked(function)
	if err != nil {
		panic(err) // it cannot be: the plan was checked
	}
	return stack.Wrap
}

// Plan returns the plan that is in force.
func (l *Live) Plan() *Plan {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.plan
}

// Changed returns a channel that is closed when another plan than the one of now has
// been put in force.
func (l *Live) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// Status returns the state of the file.
func (l *Live) Status() telemetry.ConfigSnapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// Snapshot returns that of [transport.Snapshot], with the state of the file and what
// happened to it.
func (l *Live) Snapshot(transports ...http.RoundTripper) telemetry.Snapshot {
	s := transport.Snapshot(transports...)
	status := l.Status()
	s.Config = &status
	s.Events = telemetry.Newest(append(s.Events, l.events.Last()...))
	return s
}
