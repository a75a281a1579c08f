package nyckelsim

import (
	"net/url"
	"slices"
	"strings"
)

// A sampleFilter is what the query of GET samples asks for, pages aside.
type sampleFilter struct {
	accept      []func(*sample) bool // all must agree
	descending  bool
	withoutData bool
}

// unfiltered are the documented parameters that the simulator has no answer to.
// To ignore them would be to give a wrong one.
var unfiltered = []string{
	"captureReason", "origin", "searchText", "sampleIds", "sampleSetId", "inTrainSet", "createdBefore", "createdAfter",
}

func parseSampleFilter(values url.Values) (sampleFilter, error) {
	var f sampleFilter
	q := query{values: values}
	for _, name := range unfiltered {
		if values.Get(name) != "" {
			return f, badRequest("The simulator does not filter by %q yet.", name)
		}
	}
	// when adds a condition on samples for a boolean parameter that is set.
	when := func(name string, has func(*sample) bool) {
		if want := q.boolean(name, false); values.Get(name) != "" {
			f.accept = append(f.accept, func(m *sample) bool { return has(m) == want })
		}
	}
	when("annotated", func(m *sample) bool { return m.annotation != nil })
	when("predicted", func(m *sample) bool { return m.prediction != nil })
	when("predictionAndAnnotationAgree", func(m *sample) bool {
		return m.prediction != nil && m.prediction == m.annotation
	})
	// labelled adds a condition on a sample's label for an id that is set.
	labelled := func(name string, of func(*sample) *label) {
		if id := values.Get(name); id != "" {
			id = withPrefix(labelPrefix, id)
			f.accept = append(f.accept, func(m *sample) bool { return of(m) != nil && of(m).id == id })
		}
	}
	labelled("annotationLabelId", func(m *sample) *label { return m.annotation })
	labelled("predictionLabelId", func(m *sample) *label { return m.prediction })
	if id := values.Get("externalId"); id != "" {
		f.accept = append(f.accept, func(m *sample) bool { return m.externalID == id })
	}

	if by := values.Get("sortBy"); by != "" && !strings.EqualFold(by, "creation") {
		q.fail(badRequest("The simulator sorts by creation only, not by %q.", by))
	}
	switch order := values.Get("sortOrder"); strings.ToLower(order) {
	case "", "ascending":
	case "descending":
		f.descending = true
	default:
		q.fail(badRequest("The query parameter \"sortOrder\" is neither ascending nor descending: %q.", order))
	}
	if values.Get("sortOrder") != "" && values.Get("sortBy") == "" {
		q.fail(badRequest(`The query parameter "sortOrder" needs "sortBy".`))
	}
	f.withoutData = !q.boolean("includeData", true)
	return f, q.err
}

// apply returns the accepted samples of list, which is in order of creation.
func (f sampleFilter) apply(list []*sample) []*sample {
	var accepted []*sample
	for _, m := range list {
		if !slices.ContainsFunc(f.accept, func(accept func(*sample) bool) bool { return !accept(m) }) {
			accepted = append(accepted, m)
		}
	}
	if f.descending {
		slices.Reverse(accepted)
	}
	return accepted
}
