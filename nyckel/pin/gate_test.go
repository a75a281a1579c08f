package pin_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/pin"
)

// report makes a report of comparisons of which so many have each outcome: both
// right, only the incumbent, only the candidate, both wrong; and failed ones.
func report(both, incumbent, candidate, none, failed int) pin.Report {
	pair := pin.Pair{Function: "tickets", Incumbent: "old", Candidate: "new"}
	return pin.Compare(pair, func(yield func(pin.Comparison) bool) {
		yield(pin.Comparison{Pair: pin.Pair{Function: "tickets", Incumbent: "older", Candidate: "new"}}) // of others: not counted
		for _, kind := range []struct {
			n     int
			label string
			other string
		}{{both, "a", "a"}, {incumbent, "a", "b"}, {candidate, "b", "a"}, {none, "b", "b"}, {failed, "a", ""}} {
			for range kind.n {
				yield(pin.Comparison{
					Pair: pair, Label: kind.label, CandidateLabel: kind.other, Truth: "a",
					Latency: 100 * time.Millisecond, CandidateLatency: 120 * time.Millisecond,
				})
			}
		}
	})
}

func TestCompare(t *testing.T) {
	r := report(80, 4, 12, 3, 1)
	require.Equal(t, pin.Proportion{Hits: 83, Of: 99}, r.Agreement)
	require.Equal(t, pin.Proportion{Hits: 1, Of: 100}, r.Failures)
	require.Equal(t, pin.Proportion{Hits: 84, Of: 99}, r.IncumbentAccuracy)
	require.Equal(t, pin.Proportion{Hits: 92, Of: 99}, r.CandidateAccuracy)
	require.Equal(t, []int{4, 12}, []int{r.OnlyIncumbent, r.OnlyCandidate})
	require.InDelta(t, 0.076813, r.P, 1e-6) // 2 × 2517 / 2^16
	require.InDelta(t, 8./99, r.Gain, 1e-12)
	require.Equal(t, []pin.Cell{{"a", "a", 80}, {"b", "a", 12}, {"a", "b", 4}, {"b", "b", 3}}, r.Confusion)
	require.InDelta(t, 1.2, r.LatencyRatio(), 1e-12)
}

func TestGateCheck(t *testing.T) {
	const prefix = `pin: new is not promoted over old for "tickets": `
	few := report(90, 0, 10, 0, 0)
	worse := report(350, 40, 10, 0, 0)
	slightly := report(180, 4, 14, 2, 0)
	failing := report(300, 0, 30, 0, 10)
	tests := []struct {
		name   string
		gate   pin.Gate
		report pin.Report
		want   string // "" passes
	}{
		{"better", pin.Gate{}, report(300, 0, 30, 0, 0), ""},
		{"surely better", pin.Gate{Better: true}, report(300, 0, 30, 0, 0), ""},
		{"too few", pin.Gate{}, few, "both answered 100 inputs, want at least 200; the truth is known of 100 inputs, want at least 200"},
		{"enough for a lower bar", pin.Gate{MinCompared: 100, MinOutcomes: 100}, few, ""},
		{"worse", pin.Gate{}, worse, "it may cost more accuracy than 1.0 points: accuracy 90.0 % (86.7–92.6 %, 360 of 400), was 97.5 % (95.5–98.6 %, 390 of 400); " +
			"right alone on 10, the incumbent on 40; gain -7.5 points, between -10.9 and -4.0"},
		{
			"not surely better",
			pin.Gate{Better: true},
			report(180, 7, 14, 2, 0),
			"it is not surely better: accuracy 95.6 % (91.8–97.7 %, 194 of 203), was 92.1 % (87.6–95.1 %, 187 of 203); " +
				"right alone on 14, the incumbent on 7; McNemar p = 0.1892, want below 0.0500",
		},
		{"not surely better, but not worse", pin.Gate{}, slightly, ""},
		{"failing", pin.Gate{}, failing, "it left 2.9 % (1.6–5.3 %, 10 of 340) unanswered, want at most 1.0 %"},
		{"failing within bounds", pin.Gate{MaxFailures: 0.03}, failing, ""},
		{"slow", pin.Gate{MaxLatencyRatio: 1.1}, report(300, 0, 30, 0, 0), "it takes 1.20 times as long (median 120ms, was 100ms), want at most 1.10 times"},
		{"by agreement alone", pin.Gate{MinOutcomes: -1, MinAgreement: 0.9}, report(300, 0, 30, 0, 0), ""},
		{"disagreeing", pin.Gate{MinOutcomes: -1, MinAgreement: 0.95}, report(300, 0, 30, 0, 0), "both agree on 90.9 % (87.3–93.6 %, 300 of 330), want at least 95.0 %"},
		{"no bar", pin.Gate{MinOutcomes: -1}, report(300, 0, 30, 0, 0), "the gate asks for neither outcomes nor agreement"},
		{"better by no outcomes", pin.Gate{MinOutcomes: -1, MinAgreement: 0.9, Better: true}, report(300, 0, 30, 0, 0), "the gate asks for better, but for no outcomes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.gate.Check(tt.report)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, pin.ErrRefused)
			require.EqualError(t, err, prefix+tt.want)
		})
	}
	for _, gate := range []pin.Gate{
		{Margin: 1},
		{Alpha: 5, Better: true},
		{MaxFailures: 1},
		{MinAgreement: 95},
		{Margin: math.NaN()},
		{MaxFailures: math.NaN()},
		{MinAgreement: math.NaN()},
		{MaxLatencyRatio: math.NaN()},
		{MaxLatencyRatio: math.Inf(1)},
	} {
		require.ErrorContains(t, gate.Check(worse), "the gate makes no sense", "%+v", gate)
	}
	same := better("tickets", "old", "old")
	require.ErrorContains(t, pin.Gate{}.Check(same), "it is the incumbent itself")
}
