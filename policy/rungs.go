package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The rungs that the toolkit has, by the names that settings and [Without] use.
const (
	RungStale   = "stale"   // an earlier answer to the same question
	RungSimilar = "similar" // the answer to a question that is much like this one
	RungRules   = "rules"   // the first rule that matches
	RungStatic  = "static"  // always the same answer
)

// Rungs returns the names of all rungs in their usual order: the most faithful
// answer first.
func Rungs() []string { return []string{RungStale, RungSimilar, RungRules, RungStatic} }

// excluded says which rungs a call does not want.
type excluded struct {
	all   bool
	rungs []string
}

type excludedKey struct{}

// Without returns a context for calls that would rather fail than be answered by
// one of the rungs, which add to those that ctx excludes already. A name that no
// ladder has excludes nothing.
func Without(ctx context.Context, rungs ...string) context.Context {
	e, _ := ctx.Value(excludedKey{}).(excluded)
	e.rungs = slices.Concat(e.rungs, rungs)
	return context.WithValue(ctx, excludedKey{}, e)
}

// Strict returns a context for calls that would rather fail than be answered by
// any rung.
func Strict(ctx context.Context) context.Context {
	return context.WithValue(ctx, excludedKey{}, excluded{all: true})
}

// Excluded reports whether [Without] or [Strict] keeps that rung from answering
// calls with ctx.
func Excluded(ctx context.Context, rung string) bool {
	e, _ := ctx.Value(excludedKey{}).(excluded)
	return e.all || slices.Contains(e.rungs, rung)
}

// CheckLadder reports what is wrong with the rungs and their order, and with how
// they are compared. Rules are checked where they are compiled, in package
// fallback.
func (f Fallback) CheckLadder() error {
	f = f.WithDefaults()
	errs := []error{
		check(len(f.Rungs) > 0, "Fallback.Rungs", "empty", "one rung at least"),
		check(f.Fidelity.Share <= 1, "Fallback.Fidelity.Share", f.Fidelity.Share, "at most 1"),
	}
	for i, rung := range f.Rungs {
		field, quoted := fmt.Sprintf("Fallback.Rungs[%d]", i), strconv.Quote(rung)
		last := i == len(f.Rungs)-1
		errs = append(errs,
			check(slices.Contains(Rungs(), rung), field, quoted, "one of "+strings.Join(Rungs(), ", ")),
			check(!slices.Contains(f.Rungs[:i], rung), field, quoted+" a second time", "each once"),
			check(rung != RungStatic || f.Static == nil || last, field, quoted, "it to be the last: it always answers, so none after it is asked"))
	}
	return errors.Join(errs...)
}

// LadderRungs returns the names of the rungs of s that are set up, in their
// order: of those of its Fallback, stale if there is a Cache, similar if that has
// a Similar, and rules and static if there are such.
func (s Stack) LadderRungs() []string {
	if s.Fallback == nil {
		return nil
	}
	return s.Fallback.ladder(s.Cache).Rungs
}

// ladder returns f with those of its rungs that are set up, given the cache
// beside it.
func (f Fallback) ladder(c *Cache) Fallback {
	f = f.WithDefaults()
	cached := c != nil && !c.Off
	f.Rungs = slices.DeleteFunc(slices.Clone(f.Rungs), func(rung string) bool {
		switch rung {
		case RungStale:
			return !cached || c.StaleIfError < 0
		case RungSimilar:
			return !cached || c.Similar == nil
		case RungRules:
			return len(f.Rules) == 0
		case RungStatic:
			return f.Static == nil
		}
		return false
	})
	return f
}
