package fallback

import (
	"maps"
	"slices"
	"sync"
)

// A FidelityFigure says how the answers of a rung compare with the service's, as
// counted on a sample of the calls that the service answered.
type FidelityFigure struct {
	// Function is what was asked, Rung what would have answered.
	Function, Rung string

	// Label is what the service answered, "" for all labels together. There are
	// figures for 256 labels of each function and for 256 functions; what comes
	// later counts as "other". A list of labels counts for each label in it.
	Label string

	// Asked counts the answers that the rung was compared with, Answered how
	// often it had one, and Agreed how often that had the same label. Two lists of
	// labels agree if they have the same, in any order; on a label that the
	// service gave, if the rung gave it, too.
	Asked, Answered, Agreed int

	// Given counts how often the rung's answer is the one that the caller would
	// have got, since no rung before had one, and GivenAgreed how often that had
	// the same label. What is left to a rung is harder than the rest: these, not
	// Agreed, tell what an outage costs.
	Given, GivenAgreed int

	// GivenPartly adds up, over the lists of labels given that do not agree, how
	// much is the same: the share that the labels in both have of those in either,
	// 0 to 1. In the figure of a single label it is zero.
	GivenPartly float64
}

// Coverage returns the share of the calls for which the rung has an answer, 0 to
// 1; zero if it was not asked.
func (f FidelityFigure) Coverage() float64 { return ratio(f.Answered, f.Asked) }

// Accuracy returns the share of the answers given that agree with the service's,
// 0 to 1; zero if there is none.
func (f FidelityFigure) Accuracy() float64 { return ratio(f.GivenAgreed, f.Given) }

// Overlap returns how much of the answers given is the same as the service's, 0 to 1;
// zero if there is none. It is the mean of Jaccard's index, and for answers of one
// label the Accuracy.
func (f FidelityFigure) Overlap() float64 {
	if f.Given == 0 {
		return 0
	}
	return (float64(f.GivenAgreed) + f.GivenPartly) / float64(f.Given)
}

// Interval returns the bounds between which the accuracy lies with a confidence
// of 95 %, by Wilson's score; 0 and 1 if nothing was given.
func (f FidelityFigure) Interval() (low, high float64) {
	const z = 1.959964 // of the normal distribution at 0.975: the interval is two-sided
	return wilson(f.GivenAgreed, f.Given, z)
}

// Bounds of what is counted apart.
const (
	maxFunctions = 256
	maxLabels    = 256 // of a function
	maxLabelText = 256 // bytes
	otherLabel   = "other"
)

// Fidelity returns the figures so far, by function, rung in the ladder's order,
// and label; that for all labels comes first. Rungs and labels that were not met
// have none.
func (l *Ladder) Fidelity() []FidelityFigure {
	l.fidelity.mu.Lock()
	defer l.fidelity.mu.Unlock()
	var figures []FidelityFigure
	for _, function := range slices.Sorted(maps.Keys(l.fidelity.functions)) {
		labels := l.fidelity.functions[function]
		sorted := slices.Sorted(maps.Keys(labels))
		for i, rung := range l.cfg.Rungs {
			for _, label := range sorted {
				f := labels[label][i]
				if f.Asked > 0 {
					f.Function, f.Rung, f.Label = function, rung.Name, label
					figures = append(figures, f)
				}
			}
		}
	}
	return figures
}

// fidelity counts comparisons: by function, label and rung. The label "" is for
// all of a function's.
type fidelity struct {
	rungs int

	mu        sync.Mutex
	functions map[string]map[string][]FidelityFigure // guarded by mu
}

func newFidelity(rungs int) *fidelity {
	return &fidelity{rungs: rungs, functions: map[string]map[string][]FidelityFigure{}}
}

// record counts what the rungs would have given where the service answered with
// live.
func (f *fidelity) record(function string, live labels, given []shadowAnswer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addLocked(function, "", given, func(r shadowAnswer) (bool, float64) { return r.agrees(live), r.overlap(live) })
	for _, label := range live {
		f.addLocked(function, label, given, func(r shadowAnswer) (bool, float64) { return r.has(label), 0 })
	}
}

// addLocked adds one comparison to the figures of a label, where agrees says whether
// the answer of a rung agrees, and how much of it is the same if it does not.
func (f *fidelity) addLocked(function, label string, given []shadowAnswer, agrees func(shadowAnswer) (bool, float64)) {
	row := f.rowLocked(function, label)
	taken := false // a rung before has an answer, which the caller would have got
	for _, r := range given {
		counts := FidelityFigure{Asked: 1}
		if r.answered {
			counts.Answered = 1
			same, partly := agrees(r)
			if same {
				counts.Agreed, partly = 1, 0
			}
			if !taken {
				counts.Given, counts.GivenAgreed, counts.GivenPartly = 1, counts.Agreed, partly
			}
			taken = true
		}
		row[r.rung].add(counts)
	}
}

// rowLocked returns the row of one of a function's labels, "" for all.
func (f *fidelity) rowLocked(function, label string) []FidelityFigure {
	if f.functions[function] == nil && len(f.functions) >= maxFunctions {
		function = otherLabel
	}
	rows := f.functions[function]
	if rows == nil {
		rows = make(map[string][]FidelityFigure)
		f.functions[function] = rows
	}
	if rows[label] == nil && len(rows) > maxLabels || len(label) > maxLabelText {
		label = otherLabel
	}
	if rows[label] == nil {
		rows[label] = make([]FidelityFigure, f.rungs)
	}
	return rows[label]
}

// accuracy returns the accuracy of what a rung gives, and on how many answers it
// rests.
func (f *fidelity) accuracy(function string, rung int) (accuracy float64, samples int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	labels := f.functions[function]
	if labels == nil {
		return 0, 0
	}
	total := labels[""][rung]
	return total.Accuracy(), total.Given
}

func (f *FidelityFigure) add(counts FidelityFigure) {
	f.Asked += counts.Asked
	f.Answered += counts.Answered
	f.Agreed += counts.Agreed
	f.Given += counts.Given
	f.GivenAgreed += counts.GivenAgreed
	f.GivenPartly += counts.GivenPartly
}
