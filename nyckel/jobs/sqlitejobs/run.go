package sqlitejobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

const (
	gateLook  = 250 * time.Millisecond // how often a closed gate is asked, at least: it may open early
	troubleIn = 100 * time.Millisecond // the first wait after trouble with the database,
	troubleTo = 5 * time.Second        // and the longest
	grace     = time.Second            // how long handlers have to return once their contexts have ended
)

// run is one call of [Engine.Run].
type run struct {
	*Engine
	jobs.RunConfig
	handler jobs.Handler
	db      context.Context // for the database: it does not end with Run's
	stop    context.Context // ends when handlers must: at the end of the drain
	slots   chan struct{}   // holds one element per worker at work
	woken   chan struct{}   // has an element if a job was enqueued
	workers sync.WaitGroup
	looking bool // nothing was due last time, and nobody has enqueued a job since

	mu   sync.Mutex
	held map[*held]context.CancelCauseFunc // guarded by mu
}

// Run implements [jobs.Engine].
func (e *Engine) Run(ctx context.Context, c jobs.RunConfig, h jobs.Handler) error {
	if err := errors.Join(e.ready(), c.Validate()); err != nil {
		return err
	}
	c = c.WithDefaults()
	stop, stopNow := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopNow(nil)
	r := &run{
		Engine: e, RunConfig: c, handler: h,
		db:    context.WithoutCancel(ctx),
		stop:  stop,
		slots: make(chan struct{}, c.Workers),
		woken: make(chan struct{}, 1),
		held:  map[*held]context.CancelCauseFunc{},
	}
	e.mu.Lock()
	e.runs[r] = true
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.runs, r)
	}()
	keeping, keepNoMore := context.WithCancel(r.db)
	var keeper sync.WaitGroup
	keeper.Go(func() { r.keepLeases(keeping) })
	r.dispatch(ctx)
	err := r.drain(stopNow)
	keepNoMore()
	keeper.Wait()
	return err
}

// dispatch takes jobs for free workers until ctx ends.
func (r *run) dispatch(ctx context.Context) {
	trouble := troubleIn
	for ctx.Err() == nil {
		free := r.free(ctx)
		taken, wait, more, err := r.next(ctx, free)
		r.release(free - len(taken))
		for _, h := range taken {
			r.start(h)
		}
		switch {
		case err != nil && ctx.Err() == nil:
			r.OnError(err)
			pause(ctx, trouble, nil)
			trouble = min(2*trouble, troubleTo)
			continue
		case wait > 0:
			pause(ctx, wait, nil)
		case !more:
			r.looking = !pause(ctx, r.options.Poll, r.woken)
		default:
			r.looking = false
		}
		trouble = troubleIn
	}
}

// next asks the gate and takes up to n jobs of the queues that are open. If none
// is, it says how long to wait. It reports whether there may be more.
func (r *run) next(ctx context.Context, n int) (taken []*held, wait time.Duration, more bool, err error) {
	if n == 0 { // ctx has ended
		return nil, 0, false, nil
	}
	open, wait := r.open(ctx)
	if len(open) == 0 {
		return nil, wait, true, nil
	}
	if r.looking { // so that an idle worker does not write
		if due, err := r.due(r.db, open); err != nil || !due {
			return nil, 0, false, err
		}
	}
	if gate, ok := r.Gate.(jobs.Rationed); ok {
		for _, queue := range open {
			n = min(n, max(1, gate.Ration(ctx, queue, n)))
		}
	}
	taken, err = r.claim(r.db, open, n)
	return taken, 0, len(taken) == n, err
}

// open returns the queues whose gates are open, and how long to wait if none is.
func (r *run) open(ctx context.Context) (open []string, wait time.Duration) {
	wait = gateLook
	for _, queue := range r.Queues {
		if d := r.Gate.Ready(ctx, queue); d > 0 {
			wait = min(wait, d)
		} else {
			open = append(open, queue)
		}
	}
	return open, max(wait, time.Millisecond)
}

// pause waits for a while, for an early call or for the end of ctx. It reports
// whether there was a call.
func pause(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
		return true
	case <-ctx.Done():
	}
	return false
}

// free waits for a free worker and returns how many there are, all of them
// reserved; zero if ctx has ended.
func (r *run) free(ctx context.Context) int {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	for n := 1; ; n++ {
		select {
		case r.slots <- struct{}{}:
		default:
			return n
		}
	}
}

func (r *run) release(n int) {
	for range n {
		<-r.slots
	}
}

// start has a worker do a job.
func (r *run) start(h *held) {
	ctx, cancel := context.WithCancelCause(r.stop)
	r.mu.Lock()
	r.held[h] = cancel
	r.mu.Unlock()
	r.workers.Go(func() {
		defer r.release(1)
		defer r.leave(h) // also if the handler ends its goroutine: then the lease runs out
		defer cancel(nil)
		r.work(ctx, h)
	})
}

// leave notes that nobody is at work on a job any more.
func (r *run) leave(h *held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, h)
}

// work does one job and settles it.
func (r *run) work(ctx context.Context, h *held) {
	o := jobs.Done()
	var took time.Duration
	if !h.known {
		begin := time.Now()
		o = r.handler.Call(ctx, h.Delivery, r.Budget)
		took = time.Since(begin)
	}
	o = o.Decide(h.Delivery, r.RunConfig)
	if r.stop.Err() != nil && o.Ending != jobs.Finished {
		o = jobs.Outcome{Ending: jobs.GivenBack, Err: o.Err} // the shutdown is to blame
	}
	o, err := r.settleSurely(h, o)
	if err != nil {
		r.OnError(err)
		return
	}
	r.OnSettled(jobs.Settled{
		Delivery: h.Delivery, Ending: o.Ending, Err: o.Err, Wait: o.After,
		Took: took, Picked: max(0, h.taken.Sub(h.RunAt)),
	})
}

// settleSurely settles a delivery and tries again while the database is in
// trouble, until the job is lost or the shutdown cannot wait any longer. A
// prediction that makes no sense makes the job a dead letter: the next call would be
// in vain as well.
func (r *run) settleSurely(h *held, o jobs.Outcome) (jobs.Outcome, error) {
	for wait := troubleIn; ; wait = min(2*wait, troubleTo) {
		err := r.settle(h, o)
		if err == nil || errors.Is(err, errLost) {
			return o, err
		}
		r.OnError(err)
		if errors.Is(err, predictions.ErrInvalid) {
			o = jobs.DeadLetter(fmt.Errorf("sqlitejobs: what the handler found cannot be recorded: %w", err))
			continue
		}
		if r.stop.Err() != nil {
			return o, err
		}
		pause(r.stop, wait, nil)
	}
}

// keepLeases renews the leases of the jobs at work, and frees those of others
// whose leases ran out. Leases that run out all of a sudden, as the host was asleep or
// its clock was set, are renewed first, and others have the time of a look to do so.
func (r *run) keepLeases(ctx context.Context) {
	look := min(time.Second, r.options.Lease/3)
	renewed, looked := time.Now(), time.Now()
	for ctx.Err() == nil {
		now := time.Now()
		ranOut, err := r.ranOut(ctx, now)
		if err == nil && (ranOut || now.Sub(renewed) >= r.options.Lease/3-look/2) {
			renewed = now
			err = r.renewAll(ctx)
		}
		if err == nil && ranOut {
			err = r.lapse(ctx, looked)
		}
		if err != nil && ctx.Err() == nil {
			r.OnError(err)
		}
		looked = now
		pause(ctx, look, nil)
	}
}

// renewAll renews all leases and stops the handlers of jobs that were lost.
func (r *run) renewAll(ctx context.Context) error {
	all := r.atWork()
	if len(all) == 0 {
		return nil
	}
	lost, err := r.renew(ctx, all)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range lost {
		if cancel := r.held[h]; cancel != nil { // else it was settled meanwhile
			cancel(errLost)
		}
	}
	return nil
}

func (r *run) atWork() []*held {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*held, 0, len(r.held))
	for h := range r.held {
		all = append(all, h)
	}
	return all
}

// drain waits for the workers, at the end not for long, and gives back what they
// hold on to.
func (r *run) drain(stopNow context.CancelCauseFunc) error {
	done := make(chan struct{})
	go func() {
		r.workers.Wait()
		close(done)
	}()
	if r.Drain > 0 {
		pause(r.db, r.Drain, done)
	}
	stopNow(errors.New("sqlitejobs: shutdown"))
	pause(r.db, grace, done)
	return r.giveBack(r.db, r.atWork())
}
