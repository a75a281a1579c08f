package fallback

import (
	"slices"

	"github.com/sparekey/sparekey/policy"
)

// A Sample is an input whose labels are known.
type Sample struct {
	// Text is what is asked about. For what is no text, Data is that in JSON, as in
	// the member "data" of a request. If both are set, Data counts.
	Text string
	Data []byte

	// Labels are the right labels, mostly one.
	Labels []string
}

// A Figure says how one rule did.
type Figure struct {
	// Rule is the rule's name, "" for the static answer.
	Rule string

	// Samples is how many inputs were asked about, Answered how many of them got this
	// rule's answer, and Right how many of those a right label.
	Samples, Answered, Right int
}

// Precision is the share of the answers that were right, 0 if there are none.
func (f Figure) Precision() float64 { return ratio(f.Right, f.Answered) }

// Coverage is the share of the samples that got this answer, 0 if there are none.
func (f Figure) Coverage() float64 { return ratio(f.Answered, f.Samples) }

// Confidence is what the rule may claim by this evidence: the lower bound of
// the precision, right 19 times in 20 (Wilson's score interval, one-sided). It
// is 0 without answers.
func (f Figure) Confidence() float64 {
	const z = 1.6449 // of the normal distribution at 0.95
	low, _ := wilson(f.Right, f.Answered, z)
	return low
}

// Measure asks f about all samples and returns a figure for each rule in their
// order, then one for the static answer, so that confidences can be set by data.
// Use samples that the rules were not written from: on its own examples each
// rule looks good.
func Measure(f *Fallback, samples []Sample) []Figure {
	figures := make([]Figure, len(f.rules)+1)
	for i := range f.rules {
		figures[i].Rule = f.rules[i].name
	}
	for i := range figures {
		figures[i].Samples = len(samples)
	}
	for _, sample := range samples {
		in := input{text: sample.Text, hasText: true}
		if sample.Data != nil {
			in = dataInput(sample.Data)
		}
		f.each(&in, func(rule int, label string) {
			figures[rule].Answered++
			if slices.Contains(sample.Labels, label) {
				figures[rule].Right++
			}
		})
	}
	return figures
}

// each calls answered for each answer that in gets: for the first rule that matches, or
// for all that do where all answer. The static answer has the number after the last
// rule's.
func (f *Fallback) each(in *input, answered func(rule int, label string)) {
	some := false
	var e evaluation
	if f.prepare(in, &e) {
		for i := range f.rules {
			r := &f.rules[i]
			if some && !f.matchAll {
				return
			}
			if !r.matches(&e) {
				continue
			}
			if answer, ok := r.reply(in); ok {
				answered(i, f.labelOf(answer))
				some = true
			}
		}
	}
	if !some && f.static != nil {
		answered(len(f.rules), f.labelOf(*f.static))
	}
}

// labelOf returns the label of an answer, which may stand in its document only.
func (f *Fallback) labelOf(a policy.Answer) string {
	if a.Label == "" && a.Document != nil {
		a.Label, _, _ = f.codec.Label(a.Document)
	}
	return a.Label
}
