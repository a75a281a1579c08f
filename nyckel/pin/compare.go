package pin

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// A Pair is which models of which function are compared. "" is the newest model.
type Pair struct {
	Function  string `json:"function"`
	Incumbent string `json:"incumbent"`
	Candidate string `json:"candidate"`
}

// A Comparison is one input that both models were asked about.
type Comparison struct {
	Pair

	// ID is the caller's own, by which the outcome is told later. It may be "".
	ID string

	// Of the incumbent, whose answer the caller got.
	Label      string
	Confidence float64
	Latency    time.Duration // the service's, without waits of ours

	// Of the candidate. The label is "" if it gave no answer; Failure then says how
	// that came, in the words of [policy.Class].
	CandidateLabel      string
	CandidateConfidence float64
	CandidateLatency    time.Duration
	Failure             string

	// Truth is the true label, "" as long as it is not known.
	Truth string

	At time.Time
}

// A Cell counts the inputs to which the incumbent gave one label and the candidate
// another, or the same.
type Cell struct {
	Label          string `json:"label"`
	CandidateLabel string `json:"candidateLabel"`
	Count          int    `json:"count"`
}

// A Report is what comparisons come to.
type Report struct {
	Pair

	// Agreement is how often both gave the same label, where both gave one.
	Agreement Proportion `json:"agreement"`

	// Failures is how often the candidate gave no answer.
	Failures Proportion `json:"failures"`

	// Confusion has a cell for each pair of labels that occurred, the greatest
	// count first.
	Confusion []Cell `json:"confusion,omitempty"`

	// IncumbentAccuracy and CandidateAccuracy are how often each was right, where
	// the truth is known and both gave an answer.
	IncumbentAccuracy Proportion `json:"incumbentAccuracy"`
	CandidateAccuracy Proportion `json:"candidateAccuracy"`

	// OnlyIncumbent and OnlyCandidate are how often one was right and the other was
	// wrong.
	OnlyIncumbent int `json:"onlyIncumbent"`
	OnlyCandidate int `json:"onlyCandidate"`

	// P is the probability of a split at least as uneven if both were equally good:
	// McNemar's test, two-sided; exact up to 1000 such inputs.
	P float64 `json:"p"`

	// Gain is by how much the candidate's accuracy is greater, and between which
	// bounds that lies with a confidence of 95 %.
	Gain     float64 `json:"gain"`
	GainLow  float64 `json:"gainLow"`
	GainHigh float64 `json:"gainHigh"`

	// The medians of the latencies where both answered; zero if there are none.
	IncumbentLatency time.Duration `json:"incumbentLatency"`
	CandidateLatency time.Duration `json:"candidateLatency"`
}

// LatencyRatio returns how many times as long as the incumbent the candidate takes;
// zero if that is not known.
func (r Report) LatencyRatio() float64 {
	if r.IncumbentLatency <= 0 {
		return 0
	}
	return float64(r.CandidateLatency) / float64(r.IncumbentLatency)
}

// Compare sums up those of the comparisons that are of the pair.
func Compare(pair Pair, comparisons iter.Seq[Comparison]) Report {
	r := Report{Pair: pair}
	cells := map[Cell]int{}
	var latencies [2][]time.Duration
	for c := range comparisons {
		if c.Pair != pair {
			continue
		}
		r.Failures.Of++
		if c.CandidateLabel == "" {
			r.Failures.Hits++
			continue
		}
		r.Agreement.count(c.Label == c.CandidateLabel)
		cells[Cell{Label: c.Label, CandidateLabel: c.CandidateLabel}]++
		latencies[0], latencies[1] = append(latencies[0], c.Latency), append(latencies[1], c.CandidateLatency)
		if c.Truth != "" {
			r.judge(c.Label == c.Truth, c.CandidateLabel == c.Truth)
		}
	}
	r.P = mcnemar(r.OnlyIncumbent, r.OnlyCandidate)
	r.Gain, r.GainLow, r.GainHigh = difference(r.OnlyIncumbent, r.OnlyCandidate, r.CandidateAccuracy.Of)
	r.Confusion = sorted(cells)
	r.IncumbentLatency, r.CandidateLatency = median(latencies[0]), median(latencies[1])
	return r
}

func (p *Proportion) count(hit bool) {
	p.Of++
	if hit {
		p.Hits++
	}
}

// judge counts an input whose outcome is known.
func (r *Report) judge(incumbent, candidate bool) {
	r.IncumbentAccuracy.count(incumbent)
	r.CandidateAccuracy.count(candidate)
	switch {
	case incumbent && !candidate:
		r.OnlyIncumbent++
	case candidate && !incumbent:
		r.OnlyCandidate++
	}
}

func sorted(counts map[Cell]int) []Cell {
	var cells []Cell
	for cell, count := range counts {
		cell.Count = count
		cells = append(cells, cell)
	}
	slices.SortFunc(cells, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Label, b.Label), cmp.Compare(a.CandidateLabel, b.CandidateLabel))
	})
	return cells
}

// median returns the middle one, the lower of two.
func median(durations []time.Duration) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	slices.Sort(durations)
	return durations[(len(durations)-1)/2]
}
