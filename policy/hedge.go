package policy

import (
	"cmp"
	"errors"
	"time"

	"github.com/sparekey/sparekey/policy/body"
)

// Hedge sets when a request that takes long is sent once more beside itself, so
// that the caller gets whichever good answer comes first. It is for stragglers:
// the few requests that take much longer than the rest for no reason of their
// own. Its zero value is ready to use.
//
// The number of hedges is bounded, so that they cannot add to a server's bad minute:
//
//   - Every good answer pays Ratio of a hedge, and there are none on credit: at
//     any time there were at most Ratio times as many hedges as good answers.
//   - A call that fails for want of a server or of its time, or is refused, takes
//     back what a hedge costs. At worst 10 hedges' worth of good answers must make
//     up for that before there is another hedge.
//   - When 10 hedges in a row were of no use, because the first request was
//     answered sooner or none was, each further one that is of no use costs twice
//     as much as the one before, up to 64 times as much, until one wins. So with a
//     server that is slow for all there are next to none.
//   - Hedges have the lowest priority ([Call.Priority]) where requests wait for
//     their turn.
//
// Only a request that may be repeated whatever became of it is hedged: one with
// an idempotent method or an Idempotency-Key, or marked [Call.Replayable]; and
// only if its body is in memory or it has none.
type Hedge struct {
	// Off lets each request through once.
	Off bool

	// Delay is how long a request is given before it is hedged. Zero means as long
	// as the share Quantile of the recent ones took to the header of the answer:
	// about the last 2000, and no hedge before there were 20.
	Delay time.Duration

	// Quantile is for a Delay of zero: 0.01 to 0.999. Zero means 0.95.
	Quantile float64

	// Max is the greatest number of hedges of one call, at most 10. The next starts
	// another Delay after the one before, or as soon as one fails. Zero means 1.
	Max int

	// Ratio is how many hedges there may be for each good answer: 0.0001 to 1. Zero
	// means 0.05.
	Ratio float64

	// Bucket is a budget that is shared with other layers, on which hedges draw
	// besides. Nil means none. A retry layer inside draws on it, too.
	Bucket *Bucket

	// IdempotencyKey gives each call with an unsafe method that has no
	// Idempotency-Key a random one, the same for all its hedges, and so makes it
	// one that may be hedged. It is for servers that honour the field.
	IdempotencyKey bool

	// DrainBytes and DrainTime bound how much is read of an answer that came too
	// late or failed, so that its connection can be used again. DrainTime is also
	// how long a request that lost may go on until it is cancelled. Zero means
	// 64 KiB and 50 ms.
	DrainBytes int64
	DrainTime  time.Duration

	// Classify decides what an outcome means. Nil means [Classify].
	Classify Classifier
}

// WithDefaults returns a copy of h with its zero fields filled.
func (h Hedge) WithDefaults() Hedge {
	h.Quantile = cmp.Or(h.Quantile, 0.95)
	h.Max = cmp.Or(h.Max, 1)
	h.Ratio = cmp.Or(h.Ratio, 0.05)
	h.DrainBytes = cmp.Or(h.DrainBytes, body.DrainBytes)
	h.DrainTime = cmp.Or(h.DrainTime, defaultDrainTime)
	return h
}

// Validate reports everything that is wrong with h, a zero field being right.
func (h Hedge) Validate() error {
	h = h.WithDefaults()
	return errors.Join(
		check(h.Delay >= 0, "Hedge.Delay", h.Delay, "at least 0"),
		check(h.Quantile >= 0.01 && h.Quantile <= 0.999, "Hedge.Quantile", h.Quantile, "0.01 to 0.999"),
		check(h.Max >= 1 && h.Max <= 10, "Hedge.Max", h.Max, "1 to 10"),
		check(h.Ratio >= 0.0001 && h.Ratio <= 1, "Hedge.Ratio", h.Ratio, "0.0001 to 1"),
		check(h.DrainBytes > 0, "Hedge.DrainBytes", h.DrainBytes, "above 0"),
		check(h.DrainTime > 0, "Hedge.DrainTime", h.DrainTime, "above 0"),
	)
}

func (h *Hedge) validate() error {
	if h == nil {
		return nil
	}
	return h.Validate()
}
