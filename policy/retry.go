package policy

import (
	"cmp"
	"time"
)

// Retry sets how failed attempts are repeated. Its zero value is ready to use.
//
// What may be repeated at all is not a setting: a request whose body can be
// replayed, that the server surely did not process, or that is idempotent by
// RFC 9110 section 9.2.2, or carries an Idempotency-Key, or is marked
// [Call.Replayable] by its owner.
type Retry struct {
	// Off lets each request through once.
	Off bool

	// Attempts is the greatest number of attempts, the first included. Zero
	// means 3.
	Attempts int

	// Backoff is the wait after a fault. Its Base defaults to 100 ms.
	Backoff Backoff

	// Throttled is the wait after RateLimited and Overloaded, unless the server
	// names one. Its Base defaults to 1 s.
	Throttled Backoff

	// MaxWait is the longest wait of a server's choosing that is accepted. A
	// longer one ends the call with the server's answer instead of asking again
	// too early. Zero means 60 s; negative means no bound.
	MaxWait time.Duration

	// Budget bounds the extra requests. It is not used when Bucket is set.
	Budget Budget

	// Bucket is a budget that is shared with other layers or clients. Nil means
	// one of its own, made from Budget.
	Bucket *Bucket

	// BufferBytes is the size up to which an answer of known length is read
	// before it is handed on, so that one that was cut short can be asked for
	// again. Answers to requests marked [Call.Replayable] are read up to this
	// size whether or not their length is known. Event streams never are. Zero
	// means 64 KiB; negative means none.
	BufferBytes int64

	// DrainBytes and DrainTime bound how much of a discarded answer is read, so
	// that its connection can be used again. Zero means 64 KiB and 50 ms.
	DrainBytes int64
	DrainTime  time.Duration

	// Classify decides what an outcome means. Nil means [Classify].
	Classify Classifier

	// Random returns numbers in [0, 1) for the jitter. Nil means
	// math/rand/v2.Float64. It must be safe for concurrent use.
	Random func() float64
}

// WithDefaults returns a copy of r with its zero fields filled.
func (r Retry) WithDefaults() Retry {
	r.Attempts = cmp.Or(r.Attempts, 3)
	r.Backoff = r.Backoff.withDefaults(100 * time.Millisecond)
	r.Throttled = r.Throttled.withDefaults(time.Second)
	r.MaxWait = cmp.Or(r.MaxWait, 60*time.Second)
	r.Budget = r.Budget.withDefaults()
	r.BufferBytes = cmp.Or(r.BufferBytes, 64<<10)
	r.DrainBytes = cmp.Or(r.DrainBytes, 64<<10)
	r.DrainTime = cmp.Or(r.DrainTime, 50*time.Millisecond)
	return r
}

// Delay returns how long to wait before retry n, counted from 1, after verdict
// v, and whether such a wait is acceptable. A wait that the server asked for is
// never shortened.
func (r Retry) Delay(v Verdict, n int, random float64) (time.Duration, bool) {
	r = r.WithDefaults()
	backoff := r.Backoff
	if v.Class == RateLimited || v.Class == Overloaded {
		backoff = r.Throttled
	}
	if v.Wait <= 0 {
		return backoff.Delay(n, random), true
	}
	if r.MaxWait > 0 && v.Wait > r.MaxWait {
		return v.Wait, false
	}
	return v.Wait, true
}
