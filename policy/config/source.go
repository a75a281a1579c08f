package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A Source is where settings came from.
type Source struct {
	name          string
	data          []byte
	places        map[string]place    // by path
	unknown       map[string]bool     // the paths of what has a key that is not known
	around        map[string]bool     // the paths of what has something in it that was not understood
	fromElsewhere map[string][]string // what the values with a reference came to, by path
	expanded      map[*yaml.Node]string
	errs          []*Error
}

// A place is where a value stands.
type place struct {
	line, column int
	text         string // of a single value, references not replaced
	broken       bool   // the value was not understood
}

// FromElsewhere reports whether the value at path has a reference, be it deep in a
// document, and so may be a secret.
func (s *Source) FromElsewhere(path string) bool {
	_, ok := s.fromElsewhere[path]
	return ok
}

// PutIn returns what the values with a reference came to, in no order.
func (s *Source) PutIn() []string {
	return slices.Concat(slices.Collect(maps.Values(s.fromElsewhere))...)
}

// Has reports whether the file has a value at path.
func (s *Source) Has(path string) bool {
	_, ok := s.places[path]
	return ok
}

// Line returns the line of the value at path, or of the nearest around it.
func (s *Source) Line(path string) int {
	at, _ := s.nearest(path)
	return at.line
}

// Text returns the single value at path as it stands in the file, with its
// references, or "" if there is none.
func (s *Source) Text(path string) string { return s.places[path].text }

// Errors returns what was wrong with the file itself.
func (s *Source) Errors() []*Error { return s.errs }

// Error returns err with the place of the setting at path, such as
// "Rules[0].Any[1].Words", or else of the nearest around it. It returns nil if
// err may only follow from something in the file that was not understood, there or
// at the paths of others that have a part in it, which is reported already.
func (s *Source) Error(path string, err error, others ...string) *Error {
	if s.isFollowUp(path) || slices.ContainsFunc(others, s.isFollowUp) {
		return nil
	}
	at, _ := s.nearest(path)
	return &Error{Name: s.name, Line: at.line, Column: at.column, Err: err}
}

func (s *Source) isFollowUp(path string) bool {
	at, found := s.nearest(path)
	return at.broken || s.unknown[path] || found != path && s.unknown[found] || s.around[path]
}

// trouble remembers that something at path was not understood.
func (s *Source) trouble(path string) {
	for path != "" {
		s.around[path] = true
		path = outer(path)
	}
}

// outer returns the path of what path is a part of.
func outer(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// nearest returns the place of path or of the nearest around it, and its path.
func (s *Source) nearest(path string) (place, string) {
	for {
		if at, ok := s.places[path]; ok || path == "" {
			return at, path
		}
		path = outer(path)
	}
}

func (s *Source) record(path string, node *yaml.Node) {
	at := place{line: node.Line, column: node.Column}
	if value := behind(node); value.Kind == yaml.ScalarNode {
		at.text = value.Value
	}
	s.places[path] = at
}

// report adds what is wrong at node, which path leads to.
func (s *Source) report(path string, node *yaml.Node, format string, args ...any) {
	s.places[path] = place{line: node.Line, column: node.Column, broken: true}
	s.trouble(path)
	s.add(path, node, format, args...)
}

func (s *Source) add(path string, node *yaml.Node, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if path != "" {
		err = fmt.Errorf("%s: %w", maskSecrets(Key(path)), err)
	}
	s.errs = append(s.errs, &Error{Name: s.name, Line: node.Line, Column: node.Column, Err: err})
}

// misread says that the value at path has a key that was not understood.
func (s *Source) misread(path string) {
	s.unknown[path] = true
	s.trouble(path)
}
