package pin

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strings"
)

// ErrRefused is matched by the error with which a [Gate] refuses.
var ErrRefused = errors.New("pin: refused")

// A Refused says what a candidate lacks, one sentence with figures for each.
type Refused struct {
	Pair
	Findings []string
}

// Error returns all findings in one line.
func (r *Refused) Error() string {
	return fmt.Sprintf("pin: %s is not promoted over %s for %q: %s",
		name(r.Candidate), name(r.Incumbent), r.Function, strings.Join(r.Findings, "; "))
}

// Unwrap returns [ErrRefused].
func (r *Refused) Unwrap() error { return ErrRefused }

// A Gate is the bar that a candidate must pass. Its zero value is a sound one: as
// good as the incumbent within one percentage point, by 200 outcomes at least.
type Gate struct {
	// MinCompared is how many inputs both must have answered. Zero means 200.
	MinCompared int `json:"minCompared"`

	// MinOutcomes is of how many of them the truth must be known. Zero means 200.
	// Negative means that accuracy is not looked at; MinAgreement must be set then, and
	// Better must not be.
	MinOutcomes int `json:"minOutcomes"`

	// Margin is how much accuracy the candidate may cost: the lower bound of its
	// gain must not be below -Margin. Zero means 0.01, negative none at all.
	Margin float64 `json:"margin"`

	// Better demands more: that the candidate is right more often, with P below
	// Alpha, instead of Margin.
	Better bool `json:"better"`

	// Alpha is for Better. Zero means 0.05.
	Alpha float64 `json:"alpha"`

	// MinAgreement is the share of inputs on which both must agree, 0 to 1. Zero
	// asks for none.
	MinAgreement float64 `json:"minAgreement"`

	// MaxLatencyRatio is how many times as long as the incumbent the candidate may
	// take. Zero means 1.5, negative any.
	MaxLatencyRatio float64 `json:"maxLatencyRatio"`

	// MaxFailures is the share of inputs that the candidate may leave unanswered.
	// Zero means 0.01, negative none.
	MaxFailures float64 `json:"maxFailures"`
}

func (g Gate) withDefaults() Gate {
	g.MinCompared = cmp.Or(g.MinCompared, 200)
	g.MinOutcomes = cmp.Or(g.MinOutcomes, 200)
	g.Margin = max(0, cmp.Or(g.Margin, 0.01))
	g.Alpha = cmp.Or(g.Alpha, 0.05)
	g.MaxLatencyRatio = cmp.Or(g.MaxLatencyRatio, 1.5)
	g.MaxFailures = max(0, cmp.Or(g.MaxFailures, 0.01))
	return g
}

// isSound reports whether the numbers can be a bar: a Margin of 1 that means percents
// would let all pass, and NaN is not above anything.
func (g Gate) isSound() bool {
	for _, share := range []float64{g.Margin, g.Alpha, g.MaxFailures} {
		if !(share < 1) {
			return false
		}
	}
	return g.MinAgreement <= 1 && g.MaxLatencyRatio <= math.MaxFloat64
}

// Check returns nil if the candidate passes, else a [*Refused] with everything that
// speaks against it.
func (g Gate) Check(r Report) error {
	g = g.withDefaults()
	var findings []string
	refuse := func(when bool, format string, args ...any) {
		if when {
			findings = append(findings, fmt.Sprintf(format, args...))
		}
	}
	refuse(!g.isSound(), "the gate makes no sense: a share is not below 1, or a number is none")
	refuse(r.Incumbent == r.Candidate, "it is the incumbent itself")
	refuse(r.Agreement.Of < g.MinCompared, "both answered %d inputs, want at least %d", r.Agreement.Of, g.MinCompared)
	refuse(r.Failures.Share() > g.MaxFailures, "it left %s unanswered, want at most %.1f %%", r.Failures, 100*g.MaxFailures)
	refuse(r.Agreement.Share() < g.MinAgreement, "both agree on %s, want at least %.1f %%", r.Agreement, 100*g.MinAgreement)
	refuse(g.MaxLatencyRatio > 0 && r.LatencyRatio() > g.MaxLatencyRatio, "it takes %.2f times as long (median %v, was %v), want at most %.2f times",
		r.LatencyRatio(), r.CandidateLatency, r.IncumbentLatency, g.MaxLatencyRatio)
	refuse(g.MinOutcomes < 0 && g.MinAgreement <= 0, "the gate asks for neither outcomes nor agreement")
	refuse(g.MinOutcomes < 0 && g.Better, "the gate asks for better, but for no outcomes")
	if g.MinOutcomes > 0 {
		refuse(r.CandidateAccuracy.Of < g.MinOutcomes, "the truth is known of %d inputs, want at least %d", r.CandidateAccuracy.Of, g.MinOutcomes)
		figures := fmt.Sprintf("accuracy %s, was %s; right alone on %d, the incumbent on %d", r.CandidateAccuracy, r.IncumbentAccuracy, r.OnlyCandidate, r.OnlyIncumbent)
		refuse(g.Better && !(r.Gain > 0 && r.P < g.Alpha), "it is not surely better: %s; McNemar p = %.4f, want below %.4f", figures, r.P, g.Alpha)
		refuse(!g.Better && r.GainLow < -g.Margin, "it may cost more accuracy than %.1f points: %s; gain %+.1f points, between %+.1f and %+.1f",
			100*g.Margin, figures, 100*r.Gain, 100*r.GainLow, 100*r.GainHigh)
	}
	if len(findings) == 0 {
		return nil
	}
	return &Refused{Pair: r.Pair, Findings: findings}
}
