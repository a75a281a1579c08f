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
	"captureReason", "inTrainSet",
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
		return m.prediction != nil && m.annotation != nil && m.agrees()
	})
	if id := values.Get("annotationLabelId"); id != "" {
		id = withPrefix(labelPrefix, id)
		f.accept = append(f.accept, func(m *sample) bool {
			return slices.ContainsFunc(m.annotation, func(m mark) bool { return m.present && m.label.id == id })
		})
	}
	if id := values.Get("predictionLabelId"); id != "" {
		id = withPrefix(labelPrefix, id)
		f.accept = append(f.accept, func(m *sample) bool {
			return slices.ContainsFunc(m.prediction, func(r ranked) bool { return r.label.id == id })
		})
	}
	if id := values.Get("externalId"); id != "" {
		f.accept = append(f.accept, func(m *sample) bool { return m.externalID == id })
	}

	f.accept = append(f.accept, madeFilters(&q)...)
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

// madeFilters are the conditions on how and when a sample was made, and on what
// it holds.
func madeFilters(q *query) (accept []func(*sample) bool) {
	add := func(has func(*sample) bool) { accept = append(accept, has) }
	switch origin := q.values.Get("origin"); origin {
	case "":
	case "InvokeCapture":
		add(func(m *sample) bool { return m.captured })
	default:
		q.fail(badRequest("The simulator knows the origin InvokeCapture only, not %q.", origin))
	}
	if text := strings.ToLower(q.values.Get("searchText")); text != "" {
		add(func(m *sample) bool {
			return slices.ContainsFunc(m.parts, func(p part) bool { return strings.Contains(strings.ToLower(p.text), text) })
		})
	}
	if ids := q.list("sampleIds", samplePrefix); ids != nil {
		add(func(m *sample) bool { return slices.Contains(ids, m.id) })
	}
	if id := q.values.Get("sampleSetId"); id != "" {
		add(func(m *sample) bool { return slices.Contains(m.sets, sampleSetJSON{id}) })
	}
	if at, ok := q.time("createdBefore"); ok {
		add(func(m *sample) bool { return !m.created.After(at) })
	}
	if at, ok := q.time("createdAfter"); ok {
		add(func(m *sample) bool { return !m.created.Before(at) })
	}
	return accept
}

// agrees reports whether exactly the labels were predicted that are true.
func (m *sample) agrees() bool {
	present := m.annotation.present()
	return len(present) == len(m.prediction) &&
		!slices.ContainsFunc(m.prediction, func(r ranked) bool { return !slices.Contains(present, r.label) })
}
