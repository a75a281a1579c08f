package batch

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// A Config says how requests are gathered. Its zero value is ready to use.
type Config struct {
	// Size is how many different items a batch may have. Zero means 32.
	Size int

	// Delay is how long the first request of a batch waits for others. Zero means
	// 5 ms; negative means not at all: then a batch gathers only while it waits
	// for a slot, which where there is no array call it does not.
	Delay time.Duration

	// Concurrency is how many calls may be under way at once: array calls, or
	// single ones where there is no array call. Zero means 16.
	Concurrency int

	// MaxQueue is how many requests may wait to be sent. Zero means 10,000.
	MaxQueue int

	// Name tells the metrics of several batchers apart. Empty means no such label.
	Name string
}

func (c Config) withDefaults() Config {
	c.Size = cmp.Or(c.Size, 32)
	c.Delay = max(0, cmp.Or(c.Delay, 5*time.Millisecond))
	c.Concurrency = cmp.Or(c.Concurrency, 16)
	c.MaxQueue = cmp.Or(c.MaxQueue, 10_000)
	return c
}

func (c Config) check() {
	for _, setting := range []struct {
		name  string
		value int
	}{{"Size", c.Size}, {"Concurrency", c.Concurrency}, {"MaxQueue", c.MaxQueue}} {
		if setting.value < 0 {
			panic(fmt.Sprintf("batch: Config.%s is %d, want at least 0", setting.name, setting.value))
		}
	}
}

// A Service is what a [Batcher] calls. All or Each must be set, not both; the
// rest may be nil. Its funcs are called concurrently.
type Service[In, Out any] struct {
	// All is the array call. It returns one result per item, in their order, or an
	// error that stands for all of them. Its context ends at the latest deadline of
	// those who wait, or when nobody does any more; it has no values of theirs.
	All func(ctx context.Context, items []In) ([]Result[Out], error)

	// Each asks about one item. Its context ends as that of All does, and has the
	// values of the first who asked.
	Each func(ctx context.Context, item In) (Out, error)

	// Group says which requests may share an array call: those for which it
	// returns equal values. They must be comparable. Nil means all.
	Group func(ctx context.Context, item In) any

	// Key says which requests of a group are the same one: those for which it
	// returns equal values. They must be comparable; nil is equal to nothing. A nil
	// func means that none are.
	Key func(item In) any

	// Copy returns what all but one of several equal requests get. It must be
	// quick. Nil means that they share the value.
	Copy func(Out) Out

	// Suspect reports whether an error of All may be the fault of one item, which
	// is then looked for in at most 2n-1 calls for n items. Nil means that errors
	// of the classes [policy.Invalid] and [policy.Filtered] may.
	Suspect func(error) bool
}

// A Result is the outcome of one item.
type Result[Out any] struct {
	Value Out
	Err   error
}

func (s Service[In, Out]) withDefaults() Service[In, Out] {
	if (s.All == nil) == (s.Each == nil) {
		panic("batch: a Service needs either All or Each")
	}
	if s.Group == nil {
		s.Group = func(context.Context, In) any { return nil }
	}
	if s.Key == nil {
		s.Key = func(In) any { return nil }
	}
	if s.Copy == nil {
		s.Copy = func(value Out) Out { return value }
	}
	if s.Suspect == nil {
		s.Suspect = suspect
	}
	return s
}

func suspect(err error) bool {
	e := policy.ErrorOf(err)
	return e != nil && (e.Verdict.Class == policy.Invalid || e.Verdict.Class == policy.Filtered)
}
