package policy

import (
	"cmp"
	"math"
	"time"

	"github.com/sparekey/sparekey/policy/body"
)

// Retry sets how failed attempts are repeated. Its zero value is ready to use.
//
// Not everything may be repeated: the request must be one that the server surely
// did not process, or be idempotent by RFC 9110 section 9.2.2, or carry an
// Idempotency-Key (see the field of that name), or be marked [Call.Replayable] by
// its owner; and it must be possible to replay its body (see ReplayBytes).
type Retry struct {
	// Off lets each request through once.
	Off bool

	// Attempts is the greatest number of attempts, the first included, 1 to 100. Zero
	// means 3.
	Attempts int

	// Backoff is the wait after a fault. Its Base defaults to 100 ms.
	Backoff Backoff

	// Throttled is the wait after RateLimited and Overloaded, unless the server
	// names one. Its Base defaults to 1 s.
	Throttled Backoff

	// Classes has settings of their own for some classes, in place of Attempts,
	// Backoff and Throttled. A class that [Verdict.Again] rules out is not
	// repeated whatever is set for it. Nil means none; see [PerClassRetries].
	Classes map[Class]ClassRetry

	// MaxWait is the longest wait of a server's choosing that is accepted. A
	// longer one ends the call with the server's answer instead of asking again
	// too early. Zero means 60 s; negative means no bound.
	MaxWait time.Duration

	// WaitJitter is how much jitter may add to a wait of a server's choosing, as
	// a share of it: with 0.5, clients who were all told 10 s come back within
	// 10 s to 15 s. Jitter never shortens such a wait. Zero means that it adds
	// nothing; at most 1.
	WaitJitter float64

	// Budget bounds the extra requests. It is not used when Bucket is set.
	Budget Budget

	// Bucket is a budget that is shared with other layers or clients. Nil means
	// one of its own, made from Budget. A retry layer below another one in the
	// same call draws on the bucket of the outermost one, too.
	Bucket *Bucket

	// IdempotencyKey gives each call with an unsafe method that has no
	// Idempotency-Key a random one, the same for all its attempts, and so makes
	// it one that may be repeated. It is for servers that honour the field.
	IdempotencyKey bool

	// ReplayBytes is how much of a request's body is recorded while it is sent,
	// if it cannot be had again in another way. A longer one is sent once. It is
	// no bound for bodies in memory and those with [net/http.Request.GetBody]:
	// they can be read again without a copy, so there is nothing to bound. Zero
	// means 1 MiB; negative means that nothing is recorded.
	ReplayBytes int64

	// SpillBytes lets the recording of a body that is longer than ReplayBytes go
	// on in a temporary file, up to that many bytes in all. Zero means no file.
	SpillBytes int64

	// BufferBytes is the size up to which an answer of known length is read
	// before it is handed on, so that one that was cut short can be asked for
	// again. Answers to requests marked [Call.Replayable] are read up to this
	// size whether or not their length is known, unless their Content-Type says
	// that they come in parts, such as lines of JSON. Event streams never are. Zero
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
	r.Attempts = cmp.Or(r.Attempts, defaultAttempts)
	r.Backoff = r.Backoff.withDefaults(defaultBase)
	r.Throttled = r.Throttled.withDefaults(defaultThrottledBase)
	r.Classes = r.classesWithDefaults()
	r.MaxWait = cmp.Or(r.MaxWait, defaultMaxWait)
	r.Budget = r.Budget.withDefaults()
	r.ReplayBytes = cmp.Or(r.ReplayBytes, 1<<20)
	r.BufferBytes = cmp.Or(r.BufferBytes, 64<<10)
	r.DrainBytes = cmp.Or(r.DrainBytes, body.DrainBytes)
	r.DrainTime = cmp.Or(r.DrainTime, body.DrainTime)
	return r
}

const (
	defaultAttempts      = 3
	defaultBase          = 100 * time.Millisecond
	defaultThrottledBase = time.Second
	defaultMaxWait       = 60 * time.Second
)

// Delay returns how long to wait before retry n, counted from 1, after verdict
// v, and whether such a wait is acceptable. It is [Retry.DelayAfter] for those
// that do not remember the wait before, for which only [DecorrelatedJitter] asks.
func (r Retry) Delay(v Verdict, n int, random float64) (time.Duration, bool) {
	return r.DelayAfter(0, v, n, random)
}

// DelayAfter returns how long to wait before retry n, counted from 1, after
// verdict v, when the wait before it was previous, and whether such a wait is
// acceptable. A wait that the server asked for is never shortened.
func (r Retry) DelayAfter(previous time.Duration, v Verdict, n int, random float64) (time.Duration, bool) {
	if v.Wait <= 0 {
		return r.backoff(v.Class).DelayAfter(previous, n, random), true
	}
	if longest := cmp.Or(r.MaxWait, defaultMaxWait); longest > 0 && v.Wait > longest {
		return v.Wait, false
	}
	return v.Wait + min(share(v.Wait, r.WaitJitter*random), math.MaxInt64-v.Wait), true
}

// ReplayLimits returns how much of a request's body may be recorded in memory,
// and how much in memory and a file together.
func (r Retry) ReplayLimits() (memory, total int64) {
	memory = max(0, r.WithDefaults().ReplayBytes)
	return memory, max(memory, r.SpillBytes)
}
