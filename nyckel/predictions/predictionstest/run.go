// Package predictionstest checks that a prediction store keeps its promises on a
// database.
package predictionstest

import (
	"reflect"
	"testing"

	"github.com/sparekey/sparekey/nyckel/predictions"
)

// Run runs the suite. Every call of open must return a store on an empty database
// of its own, and close both when the test ends; its options do not matter, as
// the suite opens more stores on the same database.
func Run(t *testing.T, open func(t *testing.T) *predictions.Store) {
	for _, c := range []struct {
		name  string
		check func(t *testing.T, s *predictions.Store)
	}{
		{"a prediction comes back as it was recorded", roundTrip},
		{"a second prediction with the same id changes nothing", idempotent},
		{"a wrong prediction is refused, and with it those beside it", refused},
		{"every source is recorded", sources},
		{"a verdict of a later version hides nothing", laterVerdict},
		{"what was predicted cannot be changed", appendOnly},
		{"inputs and labels are kept only if asked for, inputs until they are pruned", retention},
		{"inputs are hashed, with a key or without", hashes},
		{"an update that fails leaves nothing, those beside it stay", updates},
		{"an update that panics panics where it was asked for", panics},
		{"an update within an update is refused, or works", nested},
		{"concurrent updates do not lose each other's work", concurrent},
		{"predictions recorded by several in other orders are recorded once", crossed},
		{"a closed store writes nothing more", closed},
		{"a newer schema is refused", newerSchema},
		{"a changed migration is refused", changedMigration},
		{"programs that start together migrate once", startTogether},
		{"truths are set, corrected and kept", truths},
		{"truths by two at once leave one current", truthsAtOnce},
		{"truths by several in other orders are set once", truthsCrossed},
		{"an audit goes page by page, from any cursor", audit},
		{"an audit selects", auditSelects},
		{"an export has one line per prediction", export},
		{"an erasure leaves nothing of a sample, and all of the others", erase},
		{"figures equal those of an independent computation", figures},
		{"figures of nothing are empty", noFigures},
		{"periods before 1970 begin when others would", before1970},
		{"a context that has ended is an error, and no empty answer", ended},
		{"a writer records what it acknowledged", writer},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t, open(t)) })
	}
}

// reopen opens another store on the same database.
func reopen(t *testing.T, s *predictions.Store, options predictions.Options) *predictions.Store {
	t.Helper()
	again, err := predictions.Open(t.Context(), s.DB(), s.Dialect(), options)
	must(t, err)
	t.Cleanup(func() {
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
	return again
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// all returns the entries of an audit.
func all(t *testing.T, s *predictions.Store, q predictions.Query) []predictions.Entry {
	t.Helper()
	var entries []predictions.Entry
	for e, err := range s.Audit(t.Context(), q) {
		must(t, err)
		entries = append(entries, e)
	}
	return entries
}

// one returns the only entry of an audit.
func one(t *testing.T, s *predictions.Store, q predictions.Query) predictions.Entry {
	t.Helper()
	entries := all(t, s, q)
	if len(entries) != 1 {
		t.Fatalf("%d entries, want 1", len(entries))
	}
	return entries[0]
}

func ids(entries []predictions.Entry) []string {
	var texts []string
	for _, e := range entries {
		texts = append(texts, e.ID)
	}
	return texts
}
