package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// RunConfig configures [Engine.Run]. Its zero value is ready to use.
type RunConfig struct {
	// Queues are the queues whose jobs are taken: of those that are due, the one
	// with the highest priority first, whatever its queue. None means
	// [DefaultQueue].
	Queues []string

	// Workers is how many jobs are done at the same time. Zero means 16.
	Workers int

	// Gate is asked before jobs are taken. Nil means that it is always open.
	Gate Gate

	// Budget is how long a handler has for one delivery; then its context ends.
	// Zero means 30 s.
	Budget time.Duration

	// Drain is how long Run waits for handlers after its context has ended. Only
	// then their contexts end. Zero means 30 s; negative means not at all.
	Drain time.Duration

	// Backoff returns the wait after attempt n, counted from 1, of a job that is to
	// be retried, unless the outcome names one. Nil means [Backoff].
	Backoff func(n int) time.Duration

	// OnSettled is called after a delivery has been settled in the database. It
	// must be quick and safe for concurrent use.
	OnSettled func(Settled)

	// OnError is told of trouble with the database, from which Run recovers by
	// trying again. It must be quick and safe for concurrent use.
	OnError func(error)
}

// WithDefaults returns c with its zero fields filled and each queue named once, in order.
func (c RunConfig) WithDefaults() RunConfig {
	c.Queues = slices.Compact(slices.Sorted(slices.Values(c.Queues)))
	if len(c.Queues) == 0 {
		c.Queues = []string{DefaultQueue}
	}
	c.Workers = cmp.Or(c.Workers, 16)
	if c.Gate == nil {
		c.Gate = openGate{}
	}
	c.Budget = cmp.Or(c.Budget, 30*time.Second)
	c.Drain = cmp.Or(c.Drain, 30*time.Second)
	if c.Backoff == nil {
		c.Backoff = Backoff
	}
	if c.OnSettled == nil {
		c.OnSettled = func(Settled) {}
	}
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
	return c
}

// Validate reports everything that is wrong with the settings.
func (c RunConfig) Validate() error {
	var errs []error
	if c.Workers < 0 {
		errs = append(errs, fmt.Errorf("jobs: Workers is %d, want at least 0", c.Workers))
	}
	if c.Budget < 0 {
		errs = append(errs, fmt.Errorf("jobs: Budget is %v, want at least 0", c.Budget))
	}
	for i, queue := range c.Queues {
		if queue == "" {
			errs = append(errs, fmt.Errorf("jobs: Queues[%d] is empty", i))
		}
	}
	return errors.Join(errs...)
}

// Backoff returns the usual wait after attempt n, counted from 1: 1 s, 2 s, 4 s
// and so on up to 10 min, each by up to a fifth more or less.
func Backoff(n int) time.Duration { return backoff(time.Second, 10*time.Minute, n, rand.Float64()) }

func backoff(base, most time.Duration, n int, random float64) time.Duration {
	usual := policy.Backoff{Base: base, Max: most, Jitter: policy.NoJitter}.Delay(n, 0)
	return time.Duration(float64(usual) * (0.8 + 0.4*random))
}

// openGate is a gate that is always open.
type openGate struct{}

func (openGate) Ready(context.Context, string) time.Duration { return 0 }
