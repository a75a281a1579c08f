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

	// Classify decides what an outcome means. Nil means [Classify].
	Classify Classifier
}

// WithDefaults returns a copy of c with its zero fields filled.
func (c Cache) WithDefaults() Cache {
	c.MaxBytes = cmp.Or(c.MaxBytes, 64<<20)
	c.MaxEntryBytes = cmp.Or(c.MaxEntryBytes, min(256<<10, c.MaxBytes))
	c.TTL = cmp.Or(c.TTL, 5*time.Minute)
	c.PinnedTTL = cmp.Or(c.PinnedTTL, 24*time.Hour)
	c.StaleIfError = cmp.Or(c.StaleIfError, 24*time.Hour)
	return c
}
