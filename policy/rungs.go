package policy

import (
	"context"
	"slices"
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
