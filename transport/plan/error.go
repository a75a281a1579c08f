package plan

import (
	"cmp"
	"errors"
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sparekey/sparekey/policy/config"
)

// An Error tells everything that is wrong with a file.
type Error struct {
	// Problems are in the order of the file. No secret is in their texts.
	Problems []*config.Error

	source *config.Source
	hide   *strings.Replacer // puts stars in the place of texts that must not be shown
}

// leastSecret is the length from which on a secret is looked for in texts: shorter
// ones are in many words. None should be there in the first place.
const leastSecret = 4

// shown is how many problems a text has.
const shown = 20

// Error returns a line for each of the first 20 problems, and how many more there
// are. A line begins with the position, in the form that editors follow.
func (e *Error) Error() string { return e.text(false) }

// Excerpts returns the same with the lines of the file that are meant, the place
// marked.
func (e *Error) Excerpts() string { return e.text(true) }

func (e *Error) text(excerpts bool) string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i == shown {
			fmt.Fprintf(&b, "and %d more\n", len(e.Problems)-shown)
			break
		}
		fmt.Fprintln(&b, p)
		if excerpts {
			b.WriteString(e.hide.Replace(e.source.Excerpt(p)))
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// hiding returns what puts stars in the place of secrets, in one pass however many there
// are. Of those that begin at the same place, the one that comes first is taken.
func hiding(secrets []string) *strings.Replacer {
	var pairs []string
	for _, secret := range secrets {
		if len(secret) >= leastSecret {
			pairs = append(pairs, secret, strings.Repeat("*", utf8.RuneCountInString(secret)))
		}
	}
	return strings.NewReplacer(pairs...)
}

// asInGo spells names for who writes a file in Go.
func asInGo(name string) string { return name }

// joined returns the problems of a file that was written in Go.
func joined(problems []problem) error {
	var errs []error
	for _, p := range problems {
		errs = append(errs, fmt.Errorf("plan: %s %w", cmp.Or(p.told, p.path), p.err))
	}
	return errors.Join(errs...)
}

// located returns the problems of a file with their places, and nil if there are
// none.
func located(problems []problem, f File, source *config.Source) error {
	errs := source.Errors()
	for _, p := range problems {
		text := fmt.Errorf("%s: %w", config.Key(cmp.Or(p.told, p.path)), p.err)
		if err := source.Error(p.path, text, p.from...); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	secrets := f.secrets()
	for _, p := range problems {
		if part, ok := errors.AsType[*syntax.Error](p.err); ok && source.FromElsewhere(p.path) {
			secrets = append(secrets, "`"+part.Expr+"`") // as its message has it, the part of a pattern that is wrong
		}
	}
	for _, text := range source.PutIn() {
		secrets = append(secrets, strconv.Quote(text)) // as messages have it; without quotes it may be a part of any word
	}
	e := &Error{Problems: config.Sorted(errs), source: source, hide: hiding(secrets)}
	for _, p := range e.Problems {
		text := p.Err.Error()
		if masked := e.hide.Replace(text); masked != text {
			p.Err = errors.New(masked)
		}
	}
	return e
}
