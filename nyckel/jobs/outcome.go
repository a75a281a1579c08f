package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/sparekey/sparekey/nyckel/predictions"
)

// A Handler does one job. Its context ends when the budget is spent, when the job
// was lost to another worker, or when a shutdown can wait no longer. A handler that
// panics has failed: its job is retried.
type Handler func(ctx context.Context, d Delivery) Outcome

// An Ending says how a delivery ended.
type Ending uint8

// The endings. The zero Ending, which no func here returns, is taken for a failure.
const (
	Finished     Ending = iota + 1 // the job is done
	Retried                        // it failed and waits for its next attempt
	Snoozed                        // it waits; the attempt does not count
	DeadLettered                   // it is given up
	GivenBack                      // it waits; a shutdown came first, and the attempt does not count
)

var endingNames = [...]string{"unknown", "finished", "retried", "snoozed", "dead_lettered", "given_back"}

// String returns, for example, "finished". It is fit for a metric's label.
func (e Ending) String() string {
	if int(e) < len(endingNames) {
		return endingNames[e]
	}
	return fmt.Sprintf("ending(%d)", uint8(e))
}

// An Outcome is what a handler says of a job: one of [Done], [Retry], [Snooze] and
// [DeadLetter].
type Outcome struct {
	Ending      Ending
	Predictions []predictions.Prediction // of Finished
	After       time.Duration            // of Retried and Snoozed
	Err         error
}

// Done says that the job is done, and what is to be recorded with it, in the same
// commit. A prediction without an ID gets the job's; of several, the second gets
// that with "/2" behind it, and so on. One that makes no sense to the store (see
// [predictions.ErrInvalid]) makes the job a dead letter at once.
func Done(found ...predictions.Prediction) Outcome {
	return Outcome{Ending: Finished, Predictions: found}
}

// Retry says that the job failed and may be tried again after so long. Zero means
// the wait of [RunConfig.Backoff]. After its last attempt the job becomes a dead
// letter.
func Retry(after time.Duration, err error) Outcome {
	return Outcome{Ending: Retried, After: after, Err: err}
}

// Snooze says that the job could not be tried, and when to look at it again. The
// attempt does not count, and the error is not kept with the job: it is for
// [RunConfig.OnSettled]. Less than a millisecond means one second, so that a mistake
// makes no busy loop.
func Snooze(after time.Duration, err error) Outcome {
	return Outcome{Ending: Snoozed, After: after, Err: err}
}

// DeadLetter says that trying again does not help.
func DeadLetter(err error) Outcome { return Outcome{Ending: DeadLettered, Err: err} }

// Settled is a delivery with how it ended.
type Settled struct {
	Delivery
	Ending Ending
	Err    error         // the handler's
	Wait   time.Duration // until it is due again, of Retried and Snoozed
	Took   time.Duration // by the handler; zero if it was done without a call
	Picked time.Duration // how long it had been due when it was taken
}

// Call has h do one job within a time limit, and turns a panic into a failure. It
// is for engines.
func (h Handler) Call(ctx context.Context, d Delivery, budget time.Duration) (o Outcome) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	defer func() {
		if value := recover(); value != nil {
			o = Retry(0, fmt.Errorf("jobs: handler panicked: %v\n%s", value, debug.Stack()))
		}
	}()
	return h(ctx, d)
}

// Decide says how a delivery ends for an engine, which is to say what o comes to
// once the attempts are counted and the waits known. It is for engines.
func (o Outcome) Decide(d Delivery, c RunConfig) Outcome {
	switch o.Ending {
	case Finished:
		found := make([]predictions.Prediction, len(o.Predictions))
		for i, p := range o.Predictions {
			if p.ID == "" {
				p.ID = d.ID
				if i > 0 {
					p.ID += "/" + strconv.Itoa(i+1)
				}
			}
			found[i] = p
		}
		o.Predictions = found
		return o
	case Snoozed:
		if o.After < time.Millisecond {
			o.After = time.Second
		}
		return o
	case DeadLettered:
	default:
		if o.Ending != Retried {
			o = Retry(0, errors.New("jobs: the handler returned no outcome"))
		}
		if d.Attempt < d.MaxAttempts {
			if o.After <= 0 {
				o.After = max(0, c.Backoff(d.Attempt))
			}
			return o
		}
		o.Ending, o.After = DeadLettered, 0
	}
	if o.Err == nil {
		o.Err = errors.New("jobs: the handler gave no reason")
	}
	return o
}

// MaxErrorText is how much of an error's text an engine keeps.
const MaxErrorText = 2000 // bytes

// ErrorText returns the text that an engine keeps of an error, "" for nil. It is
// for engines.
func ErrorText(err error) string {
	if err == nil {
		return ""
	}
	text := fmt.Sprint(err) // which survives an Error that panics, as that of a nil pointer does
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "�")
	if len(text) > MaxErrorText {
		text = strings.ToValidUTF8(text[:MaxErrorText], "")
	}
	return text
}
