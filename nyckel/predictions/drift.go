package predictions

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// A Span is a stretch of time: its first moment, and the first one after. Zero
// means unbounded.
type Span struct{ From, To time.Time }

// Drift is how the answers of a model in a period differ from those of a base. It
// needs no truth, and says that something changed, not that it got worse.
//
// PSI is the population stability index, the sum of (p - q) ln(p / q) over the
// shares p of the period and q of the base; shares are taken of counts to which
// 0.5 was added each, as a count of none has no logarithm. Below 0.1 is usually
// called stable, above 0.25 a shift. Small samples drift by themselves: look at N.
type Drift struct {
	Group
	BaseN, N int // live predictions; the figures are zero if BaseN is

	// LabelPSI compares the shares of the labels.
	LabelPSI float64
	Labels   []LabelShare // the most frequent in both together first

	// ConfidencePSI compares the shares of the ten tenths of the confidence;
	// ConfidenceKS is the Kolmogorov-Smirnov distance, 0 to 1, of confidences read
	// at steps of 0.001.
	ConfidencePSI float64
	ConfidenceKS  float64
}

// A LabelShare is the part that a label has of the answers, 0 to 1.
type LabelShare struct {
	Label     string
	Base, Now float64
}

// Drift compares each period of the scope with a base, by function and model. The
// zero base is the first four periods of the scope in which the model predicted.
// There is no figure for a model without predictions in the period.
func (s *Store) Drift(ctx context.Context, base Span, scope Scope) ([]Drift, error) {
	profiles, err := s.profiles(ctx, scope)
	if err != nil {
		return nil, err
	}
	baseProfiles := firstOf(profiles)
	if base != (Span{}) {
		baseProfiles, err = s.profiles(ctx, Scope{Function: scope.Function, From: base.From, To: base.To})
		if err != nil {
			return nil, err
		}
	}
	var figures []Drift
	for group, now := range profiles {
		then := baseProfiles[Group{Function: group.Function, Model: group.Model}]
		if then == nil {
			then = newProfile()
		}
		figures = append(figures, now.drift(group, then))
	}
	slices.SortFunc(figures, func(a, b Drift) int {
		return cmp.Or(strings.Compare(a.Function, b.Function), strings.Compare(a.Model, b.Model), a.Start.Compare(b.Start))
	})
	return figures, nil
}

// steps is how finely confidences are told apart.
const steps = 1000

// A profile is what the answers of a group look like.
type profile struct {
	n           int
	labels      map[string]int
	confidences [steps]int
}

func newProfile() *profile { return &profile{labels: make(map[string]int)} }

func (s *Store) profiles(ctx context.Context, scope Scope) (map[Group]*profile, error) {
	profiles := make(map[Group]*profile)
	// In one query: between two of them somebody may record, and then they disagree.
	err := s.eachGroup(ctx, scope, "SELECT p.label, "+s.dialect.bin(steps)+", COUNT(*) FROM sparekey_predictions p"+inGroup+" GROUP BY 2, 1",
		func(g Group, scan func(...any) error) error {
			var label string
			var step, n int
			if err := scan(&label, &step, &n); err != nil {
				return err
			}
			if profiles[g] == nil {
				profiles[g] = newProfile()
			}
			p := profiles[g]
			p.n += n
			p.labels[label] += n
			p.confidences[step] += n
			return nil
		})
	return profiles, err
}

// firstOf returns the first four profiles of each model as one.
func firstOf(profiles map[Group]*profile) map[Group]*profile {
	const periods = 4
	bases := make(map[Group]*profile)
	added := make(map[Group]int)
	groups := slices.SortedFunc(maps.Keys(profiles), func(a, b Group) int { return a.Start.Compare(b.Start) })
	for _, g := range groups {
		model := Group{Function: g.Function, Model: g.Model}
		if bases[model] == nil {
			bases[model] = newProfile()
		}
		if added[model]++; added[model] <= periods {
			bases[model].add(profiles[g])
		}
	}
	return bases
}

func (p *profile) add(more *profile) {
	p.n += more.n
	for label, n := range more.labels {
		p.labels[label] += n
	}
	for step, n := range more.confidences {
		p.confidences[step] += n
	}
}

func (p *profile) drift(g Group, base *profile) Drift {
	d := Drift{Group: g, BaseN: base.n, N: p.n}
	if base.n == 0 {
		return d
	}
	counts := make(map[string][2]int)
	for label, n := range base.labels {
		counts[label] = [2]int{n, 0}
	}
	for label, n := range p.labels {
		counts[label] = [2]int{counts[label][0], n}
	}
	var labels, tenths [][2]int
	for _, label := range slices.Sorted(maps.Keys(counts)) {
		c := counts[label]
		labels = append(labels, c)
		d.Labels = append(d.Labels, LabelShare{label, ratio(float64(c[0]), base.n), ratio(float64(c[1]), p.n)})
	}
	slices.SortStableFunc(d.Labels, func(a, b LabelShare) int { return cmp.Compare(b.Base+b.Now, a.Base+a.Now) })
	d.LabelPSI = psi(labels)

	tenths = make([][2]int, 10)
	var below [2]int
	for step := range steps {
		then, now := base.confidences[step], p.confidences[step]
		tenths[step*10/steps][0] += then
		tenths[step*10/steps][1] += now
		below[0] += then
		below[1] += now
		d.ConfidenceKS = max(d.ConfidenceKS, math.Abs(ratio(float64(below[1]), p.n)-ratio(float64(below[0]), base.n)))
	}
	d.ConfidencePSI = psi(tenths)
	return d
}

// psi returns the population stability index of the second counts against the
// first.
func psi(counts [][2]int) float64 {
	const smoothing = 0.5
	var totals [2]float64
	for _, c := range counts {
		totals[0] += float64(c[0]) + smoothing
		totals[1] += float64(c[1]) + smoothing
	}
	var sum float64
	for _, c := range counts {
		q, p := (float64(c[0])+smoothing)/totals[0], (float64(c[1])+smoothing)/totals[1]
		sum += (p - q) * math.Log(p/q)
	}
	return sum
}
