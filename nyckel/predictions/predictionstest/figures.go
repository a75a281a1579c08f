package predictionstest

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/telemetry"
)

const day = 24 * time.Hour

// A known is a prediction and its truth, as the suite itself remembers them.
type known struct {
	predictions.Prediction
	truth string
}

// history makes predictions of two functions and three models over 20 days, whose
// accuracy falls and whose labels shift, with a truth for a third.
func history(n int) []known {
	random := rand.New(rand.NewPCG(1, 2))
	labels := []string{"a", "b", "c", "d"}
	all := make([]known, n)
	for i := range all {
		at := noon.Add(time.Duration(random.Int64N(int64(20 * day)))).Truncate(time.Microsecond)
		late := at.Sub(noon).Hours() / 480
		confidence := math.Sqrt(random.Float64())
		switch i % 50 {
		case 0:
			confidence = 1
		case 1:
			confidence = float64(random.IntN(11)) / 10
		case 2:
			confidence = float64(random.IntN(1001)) / 1000
		}
		k := known{Prediction: predictions.Prediction{
			ID: fmt.Sprint(i), Function: []string{"f", "g"}[random.IntN(2)], Model: []string{"", "m1", "m2"}[random.IntN(3)],
			Label: labels[int(float64(len(labels))*math.Pow(random.Float64(), 1+late))], Confidence: confidence, At: at,
			Source: telemetry.Live,
		}}
		if random.IntN(10) == 0 {
			k.Source = telemetry.Rule
		}
		if random.IntN(4) > 0 {
			k.ExternalID = fmt.Sprint("e", i)
		}
		if random.IntN(3) == 0 {
			k.truth = k.Label
			if random.Float64() > confidence-late/4 {
				k.truth = labels[random.IntN(len(labels))]
			}
		}
		all[i] = k
	}
	return all
}

func figures(t *testing.T, s *predictions.Store) {
	all := history(6000)
	for chunk := range slices.Chunk(all, 1000) {
		var ps []predictions.Prediction
		var truths []predictions.Truth
		for _, k := range chunk {
			ps = append(ps, k.Prediction)
			if k.truth != "" {
				truths = append(truths, predictions.Truth{PredictionID: k.ID, Label: k.truth})
			}
		}
		must(t, s.Record(t.Context(), ps...))
		must(t, s.SetTruth(t.Context(), truths...))
	}
	for _, scope := range []predictions.Scope{
		{},
		{Step: day},
		{Function: "f", Step: 5 * day},
		{Function: "g", From: noon.Add(3 * day), To: noon.Add(9 * day), Step: day},
	} {
		t.Run(fmt.Sprintf("function %q, step %v", scope.Function, scope.Step), func(t *testing.T) {
			groups := grouped(all, scope)
			checkPerformance(t, s, scope, groups)
			checkCalibration(t, s, scope, groups)
			checkConfusion(t, s, scope, groups)
			checkSources(t, s, scope, all)
			base := predictions.Span{To: noon.Add(5 * day)}
			checkDrift(t, s, scope, base, groups, grouped(all, predictions.Scope{Function: scope.Function, To: base.To}))
			checkDrift(t, s, scope, predictions.Span{}, groups, beginnings(groups))
		})
	}
}

// before1970 checks that periods are the same for every figure, also where times
// are negative.
func before1970(t *testing.T, s *predictions.Store) {
	midnight := time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC)
	must(t, s.Record(t.Context(),
		predictions.Prediction{Function: "f", Label: "x", At: midnight},
		predictions.Prediction{Function: "f", Label: "x", At: midnight.Add(day - time.Microsecond)},
		predictions.Prediction{Function: "f", Label: "x", At: midnight.Add(day)}))
	scope := predictions.Scope{Step: day}
	performance, err := s.Performance(t.Context(), scope)
	must(t, err)
	sources, err := s.Sources(t.Context(), scope)
	must(t, err)
	if len(performance) != 2 || len(sources) != 2 {
		t.Fatalf("%d and %d periods, want 2", len(performance), len(sources))
	}
	for i, start := range []time.Time{midnight, midnight.Add(day)} {
		equal(t, "start", performance[i].Start, start)
		equal(t, "start of the sources", sources[i].Start, start)
		equal(t, "n", performance[i].N, 2-i)
		equal(t, "n of the sources", sources[i].N, 2-i)
	}
}

func within(all []known, scope predictions.Scope) (inside []known) {
	for _, k := range all {
		if (scope.Function == "" || k.Function == scope.Function) && (scope.From.IsZero() || !k.At.Before(scope.From)) && (scope.To.IsZero() || k.At.Before(scope.To)) {
			inside = append(inside, k)
		}
	}
	return inside
}

func periodOf(k known, scope predictions.Scope) time.Time {
	if scope.Step == 0 {
		return time.Time{}
	}
	return time.Unix(0, k.At.UnixNano()/int64(scope.Step)*int64(scope.Step)).UTC()
}

func grouped(all []known, scope predictions.Scope) map[predictions.Group][]known {
	groups := make(map[predictions.Group][]known)
	for _, k := range within(all, scope) {
		if k.Source == telemetry.Live {
			g := predictions.Group{Function: k.Function, Model: k.Model, Start: periodOf(k, scope)}
			groups[g] = append(groups[g], k)
		}
	}
	return groups
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > 1e-9 {
		t.Errorf("%s = %.12f, want %.12f", what, got, want)
	}
}

// roots returns the two shares that lie z standard errors from k of n: the
// definition of the Wilson interval, solved as the quadratic equation that it is.
func roots(k, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z2 = 1.959963984540054 * 1.959963984540054
	p, m := float64(k)/float64(n), float64(n)
	a, b, c := 1+z2/m, -(2*p + z2/m), p*p
	d := math.Sqrt(max(b*b-4*a*c, 0))
	return (-b - d) / (2 * a), (-b + d) / (2 * a)
}

func checkPerformance(t *testing.T, s *predictions.Store, scope predictions.Scope, groups map[predictions.Group][]known) {
	got, err := s.Performance(t.Context(), scope)
	must(t, err)
	equal(t, "groups", len(got), len(groups))
	for i, f := range got {
		if i > 0 && fmt.Sprint(got[i-1].Function, "\x00", got[i-1].Model, "\x00", got[i-1].Start.Unix()) > fmt.Sprint(f.Function, "\x00", f.Model, "\x00", f.Start.Unix()) {
			t.Error("figures are not in order")
		}
		var known, correct int
		var squares, confidences float64
		for _, k := range groups[f.Group] {
			confidences += k.Confidence
			if k.truth == "" {
				continue
			}
			known++
			hit := 0.0
			if k.truth == k.Label {
				hit, correct = 1, correct+1
			}
			squares += (k.Confidence - hit) * (k.Confidence - hit)
		}
		n := len(groups[f.Group])
		equal(t, "counts", []int{f.N, f.Known, f.Correct}, []int{n, known, correct})
		near(t, "confidence", f.Confidence, confidences/float64(n))
		near(t, "share", f.Share(), float64(known)/float64(n))
		if known > 0 {
			near(t, "accuracy", f.Accuracy, float64(correct)/float64(known))
			near(t, "Brier", f.Brier, squares/float64(known))
		}
		low, high := roots(correct, known)
		near(t, "low", f.Low, low)
		near(t, "high", f.High, high)
	}
}

func checkCalibration(t *testing.T, s *predictions.Store, scope predictions.Scope, groups map[predictions.Group][]known) {
	got, err := s.Calibration(t.Context(), scope)
	must(t, err)
	equal(t, "groups", len(got), len(groups))
	for _, c := range got {
		var n, correct [10]int
		var sums [10]float64
		total := 0
		for _, k := range groups[c.Group] {
			bin := 0
			for bin < 9 && k.Confidence*10 >= float64(bin+1) {
				bin++
			}
			if k.truth == "" {
				continue
			}
			total++
			n[bin]++
			sums[bin] += k.Confidence
			if k.truth == k.Label {
				correct[bin]++
			}
		}
		equal(t, "counts", []int{c.N, c.Known}, []int{len(groups[c.Group]), total})
		ece := 0.0
		for i, b := range c.Bins {
			equal(t, "bin", []int{b.N, b.Correct}, []int{n[i], correct[i]})
			near(t, "from", b.From, float64(i)/10)
			near(t, "to", b.To, float64(i+1)/10)
			if n[i] == 0 {
				continue
			}
			near(t, "confidence of a bin", b.Confidence, sums[i]/float64(n[i]))
			near(t, "accuracy of a bin", b.Accuracy, float64(correct[i])/float64(n[i]))
			low, high := predictions.Wilson(correct[i], n[i])
			near(t, "low of a bin", b.Low, low)
			near(t, "high of a bin", b.High, high)
			ece += math.Abs(sums[i]-float64(correct[i])) / float64(total)
		}
		near(t, "ECE", c.ECE, ece)
	}
}

func checkConfusion(t *testing.T, s *predictions.Store, scope predictions.Scope, groups map[predictions.Group][]known) {
	type pair struct {
		predictions.Group
		truth, label string
	}
	want := make(map[pair]int)
	for g, ks := range groups {
		for _, k := range ks {
			if k.truth != "" {
				want[pair{g, k.truth, k.Label}]++
			}
		}
	}
	confusion, err := s.Confusion(t.Context(), scope)
	must(t, err)
	got := make(map[pair]int)
	for i, c := range confusion {
		got[pair{c.Group, c.Truth, c.Label}] = c.N
		if i > 0 && confusion[i-1].Group == c.Group && confusion[i-1].N < c.N {
			t.Error("the most frequent pair does not come first")
		}
	}
	equal(t, "confusion", got, want)
}

func checkSources(t *testing.T, s *predictions.Store, scope predictions.Scope, all []known) {
	type key struct {
		function string
		start    time.Time
		source   telemetry.Source
	}
	want, totals := make(map[key]int), make(map[key]int)
	for _, k := range within(all, scope) {
		want[key{k.Function, periodOf(k, scope), k.Source}]++
		totals[key{k.Function, periodOf(k, scope), ""}]++
	}
	shares, err := s.Sources(t.Context(), scope)
	must(t, err)
	got := make(map[key]int)
	for _, f := range shares {
		got[key{f.Function, f.Start, f.Source}] = f.N
		near(t, "share", f.Share, float64(f.N)/float64(totals[key{f.Function, f.Start, ""}]))
	}
	equal(t, "sources", got, want)
}

func checkDrift(t *testing.T, s *predictions.Store, scope predictions.Scope, base predictions.Span, groups, bases map[predictions.Group][]known) {
	got, err := s.Drift(t.Context(), base, scope)
	must(t, err)
	equal(t, "groups", len(got), len(groups))
	equal(t, "they are in order", slices.IsSortedFunc(got, func(a, b predictions.Drift) int {
		return cmp.Or(cmp.Compare(a.Function, b.Function), cmp.Compare(a.Model, b.Model), a.Start.Compare(b.Start))
	}), true)
	for _, d := range got {
		equal(t, "the most frequent label is first", slices.IsSortedFunc(d.Labels, func(a, b predictions.LabelShare) int {
			return cmp.Compare(b.Base+b.Now, a.Base+a.Now)
		}), true)
		now, then := groups[d.Group], bases[predictions.Group{Function: d.Function, Model: d.Model}]
		equal(t, "counts", []int{d.BaseN, d.N}, []int{len(then), len(now)})
		near(t, "label PSI", d.LabelPSI, stability(then, now, func(k known) string { return k.Label }, nil))
		tenths := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
		near(t, "confidence PSI", d.ConfidencePSI, stability(then, now, func(k known) string { return fmt.Sprint(min(int(k.Confidence*1000)/100, 9)) }, tenths))
		near(t, "KS", d.ConfidenceKS, kolmogorov(then, now))
		labels := make(map[string]bool)
		for _, k := range slices.Concat(then, now) {
			labels[k.Label] = true
		}
		equal(t, "labels", len(d.Labels), len(labels))
		for _, l := range d.Labels {
			near(t, "share of a label before", l.Base, share(then, l.Label))
			near(t, "share of a label now", l.Now, share(now, l.Label))
		}
	}
}

// beginnings returns the first four periods of each model as one group.
func beginnings(groups map[predictions.Group][]known) map[predictions.Group][]known {
	first := make(map[predictions.Group][]known)
	for g := range groups {
		earlier := 0
		for other := range groups {
			if other.Function == g.Function && other.Model == g.Model && other.Start.Before(g.Start) {
				earlier++
			}
		}
		if earlier < 4 {
			model := predictions.Group{Function: g.Function, Model: g.Model}
			first[model] = append(first[model], groups[g]...)
		}
	}
	return first
}

func share(ks []known, label string) float64 {
	n := 0
	for _, k := range ks {
		if k.Label == label {
			n++
		}
	}
	return float64(n) / float64(len(ks))
}

// stability is the population stability index, from its definition.
func stability(then, now []known, category func(known) string, categories []string) float64 {
	count := func(ks []known, c string) (n float64) {
		for _, k := range ks {
			if category(k) == c {
				n++
			}
		}
		return n
	}
	if categories == nil {
		seen := make(map[string]bool)
		for _, k := range slices.Concat(then, now) {
			if c := category(k); !seen[c] {
				seen[c] = true
				categories = append(categories, c)
			}
		}
	}
	sum := 0.0
	for _, c := range categories {
		q := (count(then, c) + 0.5) / (float64(len(then)) + 0.5*float64(len(categories)))
		p := (count(now, c) + 0.5) / (float64(len(now)) + 0.5*float64(len(categories)))
		sum += (p - q) * math.Log(p/q)
	}
	return sum
}

// kolmogorov walks through both sorted samples at once.
func kolmogorov(then, now []known) (distance float64) {
	read := func(ks []known) (xs []int) {
		for _, k := range ks {
			xs = append(xs, min(int(k.Confidence*1000), 999))
		}
		slices.Sort(xs)
		return xs
	}
	a, b := read(then), read(now)
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		x := math.MaxInt
		if i < len(a) {
			x = a[i]
		}
		if j < len(b) {
			x = min(x, b[j])
		}
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		distance = max(distance, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return distance
}

func noFigures(t *testing.T, s *predictions.Store) {
	performance, err := s.Performance(t.Context(), predictions.Scope{Step: day})
	must(t, err)
	calibration, err := s.Calibration(t.Context(), predictions.Scope{})
	must(t, err)
	drift, err := s.Drift(t.Context(), predictions.Span{}, predictions.Scope{})
	must(t, err)
	equal(t, "figures", len(performance)+len(calibration)+len(drift), 0)

	must(t, s.Record(t.Context(), predictions.Prediction{Function: "f", Label: "x", Confidence: 0.5, At: noon}))
	performance, err = s.Performance(t.Context(), predictions.Scope{})
	must(t, err)
	equal(t, "performance without a truth", performance, []predictions.Performance{{
		Group: predictions.Group{Function: "f"}, Counts: predictions.Counts{N: 1}, High: 1, Confidence: 0.5,
	}})
	drift, err = s.Drift(t.Context(), predictions.Span{To: noon.Add(-time.Second)}, predictions.Scope{})
	must(t, err)
	equal(t, "drift without a base", drift, []predictions.Drift{{Group: predictions.Group{Function: "f"}, N: 1}})
}
