package policy

import (
	"errors"
	"fmt"
	"slices"
)

// Lint reports what is wrong with a stack of layers, outermost first: settings
// that are wrong by themselves, else orders and figures that are right alone and
// defeat each other. Each finding is a line that names the parts and the figures,
// says why they do not go together, and what to do.
//
// A foreign layer may be anything: what stands on both sides of one, such as two
// retries around a failover, may have its reasons. Lint says nothing where it
// cannot be sure.
func Lint(parts []Part) error {
	parts = withoutOff(parts)
	var errs []error
	for _, p := range parts {
		errs = append(errs, p.validate())
	}
	if err := joinDifferent(errs); err != nil {
		return err // figures that are wrong would only lead to more of them
	}
	for _, path := range paths(parts) {
		for _, stack := range stacks(path) {
			errs = append(errs, lintOrder(stack)...)
			for i := range stack {
				errs = append(errs, lintFigures(stack, i)...)
			}
		}
		errs = append(errs, lintNested(path))
	}
	return joinDifferent(errs)
}

// joinDifferent joins errors without those that say the same as an earlier one, as
// the findings about several endpoints do.
func joinDifferent(errs []error) error {
	said := map[string]bool{}
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool {
		if err == nil || said[err.Error()] {
			return true
		}
		said[err.Error()] = true
		return false
	})...)
}

// paths returns the ways through parts, one for each endpoint.
func paths(parts []Part) [][]Part {
	var names []string
	for _, p := range parts {
		if p.Endpoint != "" && !slices.Contains(names, p.Endpoint) {
			names = append(names, p.Endpoint)
		}
	}
	if len(names) == 0 {
		return [][]Part{parts}
	}
	var all [][]Part
	for _, name := range names {
		all = append(all, slices.DeleteFunc(slices.Clone(parts), func(p Part) bool { return p.Endpoint != "" && p.Endpoint != name }))
	}
	return all
}

func (p Part) validate() error {
	if checked, ok := p.Settings.(interface{ Validate() error }); ok {
		return checked.Validate()
	}
	return nil
}

// stacks returns the stacks that stand on each other in parts: each begins with
// the record of a call, but for what stands around the first.
func stacks(parts []Part) [][]Part {
	var all [][]Part
	start, calls := 0, 0
	for i, p := range parts {
		if p.Kind != KindCall {
			continue
		}
		if calls++; calls > 1 {
			all = append(all, parts[start:i])
			start = i
		}
	}
	return append(all, parts[start:])
}

func lintNested(parts []Part) error {
	const why = "call around call: a whole stack stands within another one, so that each call is recorded twice and retried in two places; take one of them out"
	open := false
	for _, p := range parts {
		switch {
		case p.Kind == KindForeign:
			open = false
		case p.Kind == KindCall && open:
			return finding(why)
		case p.Kind == KindCall:
			open = true
		}
	}
	return nil
}

// finding returns a finding as an error.
func finding(format string, args ...any) error { return fmt.Errorf("policy: "+format, args...) }
