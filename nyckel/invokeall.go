package nyckel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// An Outcome is what came of one of the inputs of [Client.InvokeAll].
type Outcome struct {
	// Index is the place of the input among all.
	Index int

	// Prediction is the answer, nil if Err is set.
	Prediction *Prediction

	// Err is the error, as [Client.Invoke] has it. An input that makes no sense, such
	// as an unreadable image, is named by its index.
	Err error
}

// An AllOption configures a call of [Client.InvokeAll]. Each [InvokeOption] is one,
// and holds for all inputs.
type AllOption interface{ applyToAll(*allOptions) }

type allOptions struct {
	call        []InvokeOption
	each        func(i int) []InvokeOption
	concurrency int
	progress    func(done, failed, total int)
}

type allOption func(*allOptions)

func (f allOption) applyToAll(o *allOptions)  { f(o) }
func (f callOption) applyToAll(o *allOptions) { o.call = append(o.call, f) }

// Concurrency sets how many inputs are under way at once. Zero means as many as the
// account may have in flight ([WithLimit]), 25 unless told otherwise.
func Concurrency(n int) AllOption {
	return allOption(func(o *allOptions) { o.concurrency = n })
}

// Progress has report called after each input: how many are done, how many of these
// failed, and how many there are. It is called on the goroutine of the caller.
func Progress(report func(done, failed, total int)) AllOption {
	return allOption(func(o *allOptions) { o.progress = report })
}

// Each gives the input at i options of its own, such as its [ExternalID], which it needs
// where the client has one. It must be safe for concurrent use.
func Each(options func(i int) []InvokeOption) AllOption {
	return allOption(func(o *allOptions) { o.each = options })
}

// InvokeAll asks the function of that name about many inputs, several at once, and
// returns one outcome for each, in their order. An input that fails does not keep
// the others from being asked; each has the function's stack, as [Client.Invoke] has.
// Images are read and encoded when their turn comes.
//
// What is refused for its rate, by the service or by the account's own limit, is
// asked again for as long as ctx lasts, no sooner than the service wishes; the stack's
// fallback does not answer it instead. When ctx ends, what the fallback said last holds.
//
// When ctx ends, InvokeAll returns at once what it has, with the cause as its error
// and as that of the inputs that were not answered; a reader of an image that blocks
// keeps it, as a read cannot be broken off. Any other error means that nothing was
// asked, since what was asked for makes no sense. A panic of such a reader, of Each or
// of the [Recorder] is the caller's, once the other inputs have ended.
func (c *Client) InvokeAll(ctx context.Context, name string, inputs []Input, options ...AllOption) ([]Outcome, error) {
	var o allOptions
	for _, option := range options {
		option.applyToAll(&o)
	}
	if err := c.checkAll(name, o); err != nil {
		return nil, fmt.Errorf("nyckel: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a report that panics is the end
	r := &allRun{
		c: c, name: name, inputs: inputs, options: o, cancel: cancel,
		outcomes: make([]Outcome, len(inputs)), done: make(chan bool, len(inputs)),
	}
	r.start(ctx)
	n, failed := 0, 0
	for bad := range r.done {
		n++
		if bad {
			failed++
		}
		if o.progress != nil {
			o.progress(n, failed, len(inputs))
		}
	}
	if value := r.panicked.Load(); value != nil {
		panic(*value)
	}
	if r.cut.Load() {
		return r.outcomes, context.Cause(ctx)
	}
	return r.outcomes, nil
}

// An allRun is a call of InvokeAll.
type allRun struct {
	c        *Client
	name     string
	inputs   []Input
	options  allOptions
	cancel   context.CancelFunc
	outcomes []Outcome
	done     chan bool // an input is; says whether it failed. Nobody has to wait to say so. Closed at the end
	next     atomic.Int64
	cut      atomic.Bool         // ctx ended before an input was answered
	panicked atomic.Pointer[any] // what an input panicked with, for the caller
}

// start sets the workers going.
func (r *allRun) start(ctx context.Context) {
	const mostAtOnce = 1000 // where the account has no limit
	workers := cmp.Or(r.options.concurrency, r.c.inFlight, mostAtOnce)
	var wg sync.WaitGroup
	for range min(workers, len(r.inputs)) {
		wg.Go(func() { r.work(ctx) })
	}
	go func() {
		wg.Wait()
		close(r.done)
	}()
}

// errGone is of inputs whose goroutine ended, or that nobody came to ask about then.
var errGone = errors.New("nyckel: not asked to the end: a func of the caller's ended its goroutine")

// work asks about one input after the other. A panic of what the caller has given,
// such as a reader, is the caller's to see, and ends the rest.
func (r *allRun) work(ctx context.Context) {
	i, took := 0, func() int { return int(r.next.Add(1)) - 1 }
	whole := false
	defer func() {
		if value := recover(); value != nil {
			r.panicked.CompareAndSwap(nil, &value)
			r.cancel()
		} else if !whole { // by runtime.Goexit, which tests like to call
			for ; i < len(r.inputs); i = took() {
				r.settle(ctx, Outcome{Index: i, Err: errGone})
			}
		}
	}()
	for i = took(); i < len(r.inputs); i = took() {
		r.settle(ctx, r.c.invokeItem(ctx, r.name, i, r.inputs[i], r.options))
	}
	whole = true
}

func (r *allRun) settle(ctx context.Context, o Outcome) {
	r.outcomes[o.Index] = o
	if o.Err != nil && ctx.Err() != nil {
		r.cut.Store(true)
	}
	r.done <- o.Err != nil
}

// checkAll reports what makes no sense for any input.
func (c *Client) checkAll(name string, o allOptions) error {
	if _, err := c.function(name); err != nil {
		return err
	}
	if o.concurrency < 0 {
		return fmt.Errorf("Concurrency is %d, want at least 0", o.concurrency)
	}
	call := c.common(o)
	if call.externalID != "" && o.each == nil {
		return errors.New("all inputs would get the same ExternalID; give each its own by Each")
	}
	return call.validate()
}

// common returns what all inputs have, but for what Each says.
func (c *Client) common(o allOptions) callOptions {
	call := c.defaults
	for _, option := range o.call {
		option.applyToCall(&call)
	}
	return call
}

// invokeItem asks about one of many inputs.
func (c *Client) invokeItem(ctx context.Context, name string, i int, input Input, o allOptions) Outcome {
	if ctx.Err() != nil {
		return Outcome{Index: i, Err: context.Cause(ctx)}
	}
	options := o.call
	if o.each != nil {
		options = slices.Concat(options, o.each(i))
	}
	start := time.Now()
	q, err := c.newQuestion(ctx, classification, name, input, options)
	if err == nil && q.call.externalID != "" && q.call.externalID == c.common(o).externalID {
		err = errors.New("it has the ExternalID of all; give it its own by Each")
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return Outcome{Index: i, Err: context.Cause(ctx)}
	case err != nil:
		return Outcome{Index: i, Err: fmt.Errorf("nyckel: input %d: %w", i, err)}
	}
	for {
		ctx, trail := telemetry.NewContext(ctx)
		prediction, err := ask[Prediction](ctx, c, q, trail)
		var stopped error
		if wait, ok := throttled(prediction, err, trail); ok {
			if stopped = pause(ctx, wait); stopped == nil {
				continue
			}
		}
		c.record(ctx, q, Record{Prediction: prediction, Err: err, Start: start, Trail: trail})
		if err != nil && stopped != nil {
			err = fmt.Errorf("%w: %w", stopped, err)
		}
		return Outcome{Index: i, Prediction: prediction, Err: err}
	}
}

// throttled reports whether there is no answer, or one that stands in for it, for want
// of a place in the rate, and how long to wait before the next call.
func throttled(p *Prediction, err error, trail *telemetry.Trail) (wait time.Duration, ok bool) {
	var class policy.Class
	var limited bool
	var retryAt time.Time
	switch e := policy.ErrorOf(err); {
	case e != nil:
		class, limited, retryAt = e.Verdict.Class, errors.Is(err, transport.ErrLimited), e.RetryAt
	case err == nil && p.Answer.Degraded():
		class = p.Answer.Cause
		limited, retryAt = refusedOf(trail)
	}
	if class != policy.RateLimited && !limited {
		return 0, false
	}
	const patience = time.Second // if nobody said when to come back: the rate is that of a second
	if retryAt.IsZero() {
		return patience, true
	}
	return max(time.Until(retryAt), patience/accountRate), true
}

// refusedOf reports whether a limiter had the last word in a call that was answered all
// the same, and when to come back: as it, or else the service, said.
func refusedOf(trail *telemetry.Trail) (limited bool, retryAt time.Time) {
	if refusals := trail.Refusals(); trail.Answer().Cause == policy.Refused && len(refusals) > 0 && refusals[len(refusals)-1].Layer == "limiter" {
		return true, refusals[len(refusals)-1].RetryAt
	}
	if attempts := trail.Attempts(); len(attempts) > 0 && attempts[len(attempts)-1].Verdict.Wait > 0 {
		retryAt = time.Now().Add(attempts[len(attempts)-1].Verdict.Wait)
	}
	return false, retryAt
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
