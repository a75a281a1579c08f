package predictions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrDropped is matched by the error of [Writer.Put] when the queue has no room.
var ErrDropped = errors.New("predictions: the queue of the writer is full, a prediction was dropped")

// WriterOptions configure a [Writer]. The zero value is ready to use.
type WriterOptions struct {
	// Queue and Bytes are how many predictions, and how many bytes of inputs, may
	// wait to be recorded. Zero means 10,000 and 64 MiB. A single input that weighs
	// more waits alone.
	Queue int
	Bytes int64

	// Block is how long Put waits for room before it drops the prediction. Zero
	// means that it drops it at once.
	Block time.Duration

	// OnDrop is told of each prediction that was dropped, on the goroutine that
	// brought it. Nil means that it is only counted.
	OnDrop func(Prediction)

	// OnError is told of each attempt to record that failed, and will be repeated
	// unless the store was closed ([ErrClosed]), and of each prediction that
	// [Writer.RecordPrediction] cannot queue for another reason than want of room. It
	// may be called from several goroutines.
	OnError func(error)
}

// WriterStats are the figures of a [Writer].
type WriterStats struct {
	Queued   int   // wait to be recorded
	Recorded int64 // durable
	Dropped  int64 // for want of room, and of calls what the writer does not take
	Failures int64 // attempts to record that failed
	LastErr  error // of the last one, nil once it went well again
}

// A Writer records predictions off the caller's path: Put returns at once, and one
// goroutine records what has gathered. What was put is durable when [Writer.Flush]
// or [Writer.Close] has returned nil; a crash loses what was put in the last
// moments before it. Use [Store.Record] where that is too much.
//
// While the database is in trouble the writer keeps what it has and tries again,
// after 0.1 s at first and 5 s at last; what does not fit meanwhile is dropped, the
// newest first.
//
// A Writer is a nyckel.Recorder. It is safe for concurrent use.
type Writer struct {
	store   *Store
	options WriterOptions
	wake    chan struct{} // holds one element when there is work
	ended   chan struct{} // closed when the goroutine has ended
	abort   context.CancelFunc

	mu      sync.Mutex
	queue   []Prediction // with those that are being recorded, at its head
	bytes   int64
	put     int64 // how many have ever been queued
	closed  bool
	stats   WriterStats
	changed chan struct{} // closed, and replaced, when the queue gets shorter or takes nothing more
}

// NewWriter returns a Writer and starts its goroutine, which [Writer.Close] ends.
func NewWriter(store *Store, options WriterOptions) *Writer {
	options.Queue = cmp.Or(options.Queue, 10_000)
	options.Bytes = cmp.Or(options.Bytes, 64<<20)
	ctx, abort := context.WithCancel(context.Background())
	w := &Writer{
		store: store, options: options, abort: abort,
		wake: make(chan struct{}, 1), ended: make(chan struct{}), changed: make(chan struct{}),
	}
	go w.run(ctx)
	return w
}

// Put queues a prediction, whose slices must not change any more. The error matches
// [ErrDropped] if there was no room, [ErrClosed] after Close, and [ErrInvalid] if the
// prediction makes no sense.
func (w *Writer) Put(ctx context.Context, p Prediction) error {
	p = p.withDefaults(w.store.options.HashKey)
	if err := p.validate(); err != nil {
		return err
	}
	if !w.store.options.KeepInputs {
		p.Input = nil // has been hashed
	}
	full, err := w.enqueue(p)
	if full == nil {
		return err
	}
	if w.options.Block > 0 {
		timer := time.NewTimer(w.options.Block)
		defer timer.Stop()
		for full != nil {
			select {
			case <-full:
				if full, err = w.enqueue(p); full == nil {
					return err
				}
				continue
			case <-timer.C:
			case <-ctx.Done():
			}
			break
		}
	}
	w.drop(p)
	return ErrDropped
}

func (w *Writer) drop(p Prediction) {
	w.mu.Lock()
	w.stats.Dropped++
	w.mu.Unlock()
	if w.options.OnDrop != nil {
		w.options.OnDrop(p)
	}
}

// enqueue queues p or, if there is no room, returns a channel that is closed when
// there may be.
func (w *Writer) enqueue(p Prediction) (full <-chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, ErrClosed
	}
	size := int64(len(p.Input))
	if len(w.queue) >= w.options.Queue || size > 0 && w.bytes > 0 && w.bytes+size > w.options.Bytes {
		return w.changed, nil
	}
	w.queue = append(w.queue, p)
	w.bytes += size
	w.put++
	w.signal()
	return nil, nil
}

// signal wakes the goroutine.
func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // it is awake
	}
}

// Stats returns the figures up to now.
func (w *Writer) Stats() WriterStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	stats := w.stats
	stats.Queued = len(w.queue)
	return stats
}

// Flush waits until all that was put before is durable.
func (w *Writer) Flush(ctx context.Context) error {
	w.mu.Lock()
	put := w.put
	w.mu.Unlock()
	for {
		w.mu.Lock()
		recorded, changed := w.stats.Recorded, w.changed
		w.mu.Unlock()
		if recorded >= put {
			return nil
		}
		select {
		case <-changed:
		case <-w.ended:
			return w.lost()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close takes nothing more and waits until all that was put is durable. If ctx
// ends before, or ended already, it gives up, and the error says how many
// predictions are lost, as those are for which the store was closed too early. It does
// not close the store.
func (w *Writer) Close(ctx context.Context) error {
	w.shut()
	w.signal()
	select {
	case <-w.ended:
	case <-ctx.Done():
		w.abort()
		<-w.ended
	}
	w.abort()
	return w.lost()
}

// shut has the writer take nothing more, and tells those who wait for room.
func (w *Writer) shut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.changeLocked()
}

// lost returns the error of what a writer that has ended leaves behind.
func (w *Writer) lost() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil
	}
	return fmt.Errorf("predictions: %d predictions were not recorded: %w", len(w.queue), cmp.Or(w.stats.LastErr, context.Canceled))
}

// maxBatch is how many predictions the writer records at once.
const maxBatch = 1000

func (w *Writer) run(ctx context.Context) {
	defer close(w.ended)
	const first, last = 100 * time.Millisecond, 5 * time.Second
	pause := first
	for {
		batch, closed := w.next()
		switch {
		case len(batch) == 0 && closed:
			return
		case len(batch) == 0:
			<-w.wake
			continue
		}
		err := w.store.Record(ctx, batch...)
		w.account(batch, err)
		if err == nil {
			pause = first
			continue
		}
		if w.options.OnError != nil && ctx.Err() == nil {
			w.options.OnError(err)
		}
		if errors.Is(err, ErrClosed) { // the store is: to try again does not help
			w.shut()
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, last)
	}
}

// next returns the predictions at the head of the queue, which stay there until
// they are recorded.
func (w *Writer) next() (batch []Prediction, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.queue[:min(len(w.queue), maxBatch)], w.closed
}

func (w *Writer) account(batch []Prediction, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.LastErr = err
	if err != nil {
		w.stats.Failures++
		return
	}
	for _, p := range batch {
		w.bytes -= int64(len(p.Input))
	}
	clear(w.queue[:len(batch)]) // which may have moved since
	w.queue = w.queue[len(batch):]
	w.stats.Recorded += int64(len(batch))
	w.changeLocked()
}

// changeLocked wakes those who wait for a change.
func (w *Writer) changeLocked() {
	close(w.changed)
	w.changed = make(chan struct{})
}
