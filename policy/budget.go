package policy

import (
	"cmp"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Budget bounds how many extra requests (retries, hedges, failovers) a stack
// may add to the traffic, so that it cannot turn a server's bad minute into a
// storm. It is a token bucket: each success pays Ratio tokens in, each second
// PerSecond tokens, each extra request takes one out. See [Bucket].
type Budget struct {
	// Off lifts the bound.
	Off bool

	// Ratio is how many extra requests each success pays for, at most 1. Zero means
	// 0.1; negative means that successes pay nothing.
	Ratio float64

	// PerSecond is how many extra requests a second may be spent whatever the traffic,
	// so that a client with few calls can retry, too. Zero means 1; negative means none.
	PerSecond float64

	// Burst is how many tokens can be saved up. A bucket starts full. Zero means 20.
	Burst float64
}

func (b Budget) withDefaults() Budget {
	b.Ratio = cmp.Or(b.Ratio, 0.1)
	b.PerSecond = cmp.Or(b.PerSecond, 1)
	b.Burst = cmp.Or(b.Burst, 20)
	return b
}

func (b Budget) validate(name string) error {
	b = b.withDefaults()
	if err := b.validateNumbers(name); err != nil {
		return err
	}
	return errors.Join(
		check(b.Ratio <= 1, name+".Ratio", b.Ratio, "at most 1"),
		check(b.Burst >= 0, name+".Burst", b.Burst, "at least 0"),
	)
}

// validateNumbers reports what no bucket can count with.
func (b Budget) validateNumbers(name string) error {
	return errors.Join(
		check(isFinite(b.Ratio), name+".Ratio", b.Ratio, "finite"),
		check(isFinite(b.PerSecond), name+".PerSecond", b.PerSecond, "finite"),
		check(isFinite(b.Burst), name+".Burst", b.Burst, "finite"),
	)
}

// A Bucket holds the tokens of a [Budget]. Layers that are given the same
// Bucket share one budget. It is safe for concurrent use.
//
// A token is reserved before a wait starts, not after it: so the callers that
// wait cannot all find the same last token. A caller who does not use his token
// after all gives it back with Refund.
type Bucket struct {
	settings atomic.Pointer[Budget]

	mu     sync.Mutex
	tokens float64   // guarded by mu
	last   time.Time // when PerSecond was last paid in; guarded by mu
}

// NewBucket returns a full Bucket. It panics if one of the numbers is not finite.
func NewBucket(b Budget) *Bucket {
	if err := b.validateNumbers("Budget"); err != nil {
		panic(err)
	}
	b = b.withDefaults()
	bucket := &Bucket{tokens: b.Burst}
	bucket.settings.Store(&b)
	return bucket
}

// Change gives the bucket other settings from now on. It keeps the tokens that it
// has, as many as it may hold. It panics as [NewBucket] does.
func (b *Bucket) Change(to Budget, now time.Time) {
	if err := to.validateNumbers("Budget"); err != nil {
		panic(err)
	}
	to = to.withDefaults()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refillLocked(now)
	b.tokens = min(b.tokens, to.Burst)
	b.settings.Store(&to)
}

// Reserve takes a token out and reports whether there was one. With a budget that is
// Off there always is.
func (b *Bucket) Reserve(now time.Time) bool {
	if b.settings.Load().Off {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refillLocked(now)
	if b.tokens < 1-tokenEpsilon {
		return false
	}
	b.tokens = max(0, b.tokens-1)
	return true
}

// tokenEpsilon is what a sum of fractions may fall short of the whole: ten tenths are
// not quite one.
const tokenEpsilon = 1e-10

// Refund gives a token back that was reserved and not used.
func (b *Bucket) Refund() { b.add(1) }

// Deposit pays in for one success.
func (b *Bucket) Deposit() { b.add(max(0, b.settings.Load().Ratio)) }

// Withdraw takes back what was paid in for a success that turned out to be none
// when its body broke.
func (b *Bucket) Withdraw() { b.add(-max(0, b.settings.Load().Ratio)) }

// Tokens returns how many whole tokens the bucket holds now. It does not look at Off.
func (b *Bucket) Tokens(now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refillLocked(now)
	if b.tokens >= math.MaxInt {
		return math.MaxInt
	}
	return max(0, int(b.tokens+tokenEpsilon))
}

// Burst returns how many tokens the bucket holds at most.
func (b *Bucket) Burst() float64 { return b.settings.Load().Burst }

func (b *Bucket) add(tokens float64) {
	if b.settings.Load().Off {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.settings.Load().Burst, max(0, b.tokens+tokens))
}

func (b *Bucket) refillLocked(now time.Time) {
	if passed := now.Sub(b.last); !b.last.IsZero() && passed > 0 {
		settings := b.settings.Load()
		b.tokens = min(settings.Burst, b.tokens+passed.Seconds()*max(0, settings.PerSecond))
	}
	if now.After(b.last) {
		b.last = now
	}
}
