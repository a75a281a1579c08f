package policy

import (
	"cmp"
	"time"
)

// Cache sets how answers are remembered. Its zero value is ready to use.
type Cache struct {
	// Off leaves the cache out.
	Off bool

	// MaxBytes bounds the memory that answers and their keys take. Zero means
	// 64 MiB.
	MaxBytes int64

	// MaxEntries bounds how many answers are kept. Zero means 50,000.
	MaxEntries int

	// IdentityShare bounds the share of MaxBytes and of MaxEntries that the
	// answers of one identity take, so that one caller does not push out the
	// others. Zero means 1: no bound of its own.
	IdentityShare float64

	// MaxEntryBytes bounds one answer; a larger one is handed on and not kept.
	// Zero means 256 KiB, or MaxBytes if that is less.
	MaxEntryBytes int64

	// TTL is how long an answer is fresh when the request left the choice of the
	// model to the provider, who may put a new one in place at any time. Zero
	// means 5 min.
	TTL time.Duration

	// PinnedTTL is how long an answer is fresh when the request named its model.
	// Zero means 24 h.
	PinnedTTL time.Duration

	// StaleIfError is how long past its lifetime an answer is still given when
	// the service cannot answer. Zero means 24 h; negative means not at all.
	StaleIfError time.Duration

	// StaleWhileRevalidate is how long past its lifetime an answer is given at
	// once, while a new one is fetched behind it. It is a stale answer to whoever
	// looks at its source, and counts as one given in the service's place, though
	// nothing has failed. Zero means not at all.
	StaleWhileRevalidate time.Duration

	// SoftTimeout is how long a caller waits for a live answer if there is one
	// past its lifetime that StaleIfError allows; that one is given then, while
	// the call goes on behind it. Zero means that he waits to the end.
	SoftTimeout time.Duration

	// EagerRefresh is the last share of the lifetime, below 1, in which a hit has the
	// answer fetched anew behind it. Zero means not at all.
	EagerRefresh float64

	// Jitter is by what share of itself a lifetime is made shorter or longer at
	// random, so that answers kept at one time are not fetched anew at one time:
	// below 1. Zero means 0.1; negative means none.
	Jitter float64

	// MaxRefreshes bounds how many answers are fetched behind callers at a time,
	// which SoftTimeout needs, too: beyond, callers wait to the end. Zero means
	// 16.
	MaxRefreshes int

	// RefreshBackoff is how long after one that failed the next fetch behind
	// callers of the same answer begins, at the earliest. Zero means 10 s.
	RefreshBackoff time.Duration

	// OnlyUncaptured keeps answers only to requests that say capture=false, so
	// that no function misses a sample for a hit.
	OnlyUncaptured bool

	// Similar answers questions that are much like earlier ones when the service
	// cannot. Nil means that it does not.
	Similar *Similar

	// Classify decides what an outcome means. Nil means [Classify].
	Classify Classifier
}

// Similar sets how the answer to a question stands in for that to one much like
// it. How much alike they must be is not a setting: it is found out by comparing,
// while the service answers, what it says with what would have been said in its
// place. Its zero value is ready to use.
type Similar struct {
	// Target is the accuracy that must be shown, by the lower bound of a one-sided
	// 95 % interval, before such answers are given: above 0 and below 1. Zero means
	// 0.9.
	Target float64

	// Field is the member of the request's JSON object that has the text; all
	// others must be equal. Zero means "data".
	Field string

	// MaxConfidence bounds the confidence that such an answer claims, which is at
	// most its measured accuracy. Zero means 0.55, as for [Fallback].
	MaxConfidence float64
}

// WithDefaults returns a copy of s with its zero fields filled.
func (s Similar) WithDefaults() Similar {
	s.Target = cmp.Or(s.Target, 0.9)
	s.Field = cmp.Or(s.Field, "data")
	s.MaxConfidence = cmp.Or(s.MaxConfidence, 0.55)
	return s
}

// WithDefaults returns a copy of c with its zero fields filled.
func (c Cache) WithDefaults() Cache {
	c.MaxBytes = cmp.Or(c.MaxBytes, 64<<20)
	c.MaxEntries = cmp.Or(c.MaxEntries, 50_000)
	c.IdentityShare = cmp.Or(c.IdentityShare, 1)
	c.MaxEntryBytes = cmp.Or(c.MaxEntryBytes, min(256<<10, c.MaxBytes))
	c.TTL = cmp.Or(c.TTL, 5*time.Minute)
	c.PinnedTTL = cmp.Or(c.PinnedTTL, 24*time.Hour)
	c.StaleIfError = cmp.Or(c.StaleIfError, 24*time.Hour)
	c.Jitter = cmp.Or(c.Jitter, 0.1)
	c.MaxRefreshes = cmp.Or(c.MaxRefreshes, 16)
	c.RefreshBackoff = cmp.Or(c.RefreshBackoff, 10*time.Second)
	if c.Similar != nil {
		similar := c.Similar.WithDefaults()
		c.Similar = &similar
	}
	return c
}
