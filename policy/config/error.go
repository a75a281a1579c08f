package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// An Error is something wrong in a file. Its text begins with the position, in
// the form that editors follow.
type Error struct {
	Name         string // of the file
	Line, Column int    // from 1; zero if unknown
	Err          error
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.Name, e.Err)
	}
	return fmt.Sprintf("%s:%d:%d: %v", e.Name, e.Line, e.Column, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Join returns one error with all of list in the order of their places, a line
// each, or nil if there are none.
func Join(list ...*Error) error {
	list = Sorted(list)
	errs := make([]error, len(list))
	for i, err := range list {
		errs[i] = err
	}
	return errors.Join(errs...)
}

// Sorted returns a copy of list in the order of the places.
func Sorted(list []*Error) []*Error {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return list
}
