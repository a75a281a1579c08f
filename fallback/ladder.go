package fallback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// LadderConfig configures a [Ladder].
type LadderConfig struct {
	// Rungs are asked in this order. There must be one at least, and no two of a
	// name.
	Rungs []Rung

	// Function names what is asked in the figures of [Ladder.Fidelity], for
	// requests that carry no [policy.Call]. May be "".
	Function string

	// Fidelity says how many of the service's answers are compared, while it gives
	// some, with those that the rungs would have given. Zero means 5 %.
	Fidelity policy.Fidelity

	// Codec reads the labels that are compared. Nil means
	// [policy.Classification].
	Codec policy.Codec

	// Classify decides what an outcome means. Nil means [policy.Classify].
	Classify policy.Classifier

	// OnPanic is told of a rung that panicked, and with what. It may be called
	// concurrently. Should it panic itself, that reaches the caller in an outage;
	// in shadow, where the caller has a live answer, it ends nothing. Nil means that
	// only the trail's metrics and log have it.
	OnPanic func(rung string, value any)
}

// A Ladder is rungs in order: the first that has an answer gives it. It is safe
// for concurrent use.
//
// A rung that panics is passed over, since the outage of a service must not
// become the crash of its callers: the panic is counted, logged and told to
// OnPanic.
type Ladder struct {
	cfg      LadderConfig
	fidelity *fidelity    // shared with the ladders that [Ladder.With] makes of this one
	foreign  bool         // some rungs are not this package's
	shadows  atomic.Int32 // goroutines that ask such rungs in shadow
}

// NewLadder returns a ladder. It panics if cfg is invalid.
func NewLadder(cfg LadderConfig) *Ladder {
	cfg.Rungs = slices.Clone(cfg.Rungs)
	if err := checkRungs(cfg.Rungs); err != nil {
		panic(err.Error())
	}
	defaults := policy.Fallback{Fidelity: cfg.Fidelity, Codec: cfg.Codec}.WithDefaults()
	cfg.Fidelity, cfg.Codec = defaults.Fidelity, defaults.Codec
	if !(cfg.Fidelity.Share <= 1) { // a NaN, too
		panic(fmt.Sprintf("fallback: Fidelity.Share is %v, want at most 1", cfg.Fidelity.Share))
	}
	if cfg.Fidelity.Random == nil {
		cfg.Fidelity.Random = rand.Float64
	}
	return &Ladder{
		cfg:      cfg,
		fidelity: newFidelity(len(cfg.Rungs)),
		foreign:  slices.ContainsFunc(cfg.Rungs, func(r Rung) bool { return r.own == nil }),
	}
}

func checkRungs(rungs []Rung) error {
	if len(rungs) == 0 {
		return errors.New("fallback: a ladder has no rung")
	}
	taken := map[string]bool{"": true, string(telemetry.Live): true, string(telemetry.Cache): true}
	for i, r := range rungs {
		switch {
		case taken[r.Name]:
			return fmt.Errorf("fallback: Rungs[%d] has the name %q, want one that is not empty, not taken, and not that of a live or cached answer", i, r.Name)
		case r.Answer == nil:
			return fmt.Errorf("fallback: Rungs[%d] %q has no Answer", i, r.Name)
		}
		taken[r.Name] = true
	}
	return nil
}

// With returns a ladder of other settings that goes on with the figures of this one,
// if its rungs have the same names in the same order. It panics as [NewLadder] does.
func (l *Ladder) With(cfg LadderConfig) *Ladder {
	other := NewLadder(cfg)
	same := slices.EqualFunc(l.cfg.Rungs, cfg.Rungs, func(a, b Rung) bool { return a.Name == b.Name })
	if same {
		other.fidelity = l.fidelity
	}
	return other
}

// Layer returns a layer with a ladder of its own, for programs that bring their
// own rungs: see [Ladder.Wrap]. It panics as [NewLadder] does.
func Layer(rungs ...Rung) func(http.RoundTripper) http.RoundTripper {
	return NewLadder(LadderConfig{Rungs: rungs}).Wrap
}

// newLadder returns the ladder of what f has, in the order of cfg.
func (f *Fallback) newLadder(cfg policy.Fallback) *Ladder {
	var rungs []Rung
	for _, name := range cfg.Rungs {
		switch {
		case name == policy.RungRules && len(cfg.Rules) > 0:
			rungs = append(rungs, f.Rules())
		case name == policy.RungStatic && cfg.Static != nil:
			rungs = append(rungs, f.Static())
		}
	}
	if len(rungs) == 0 {
		return nil
	}
	return NewLadder(LadderConfig{Rungs: rungs, Fidelity: cfg.Fidelity, Codec: cfg.Codec, Classify: cfg.Classify})
}

// answer returns the response of the first rung that has one, nil if none has.
func (l *Ladder) answer(req *http.Request, cause policy.Class) *http.Response {
	ctx := req.Context()
	var read func() input
	for i, r := range l.cfg.Rungs {
		if telemetry.CallerLeft(ctx) {
			return nil
		}
		if policy.Excluded(ctx, r.Name) {
			continue
		}
		if r.own != nil && read == nil {
			read = readOnce(req)
		}
		resp, about, ok := l.ask(ctx, r, req, read, false)
		if !ok {
			continue
		}
		about.Cause = cause
		if about.Samples == 0 {
			about.Accuracy, about.Samples = l.fidelity.accuracy(l.function(ctx), i)
		}
		telemetry.Mark(req, resp.Header, about)
		return resp
	}
	return nil
}

// ask asks one rung. A panic is reported to the trail in ctx: in shadow, the one
// of the request is not the call's.
func (l *Ladder) ask(ctx context.Context, r Rung, req *http.Request, read func() input, shadow bool) (resp *http.Response, about telemetry.Answer, ok bool) {
	defer func() {
		if value := recover(); value != nil {
			l.panicked(ctx, r.Name, value, shadow)
		}
	}()
	if r.own != nil {
		resp, about, ok = r.own(req, read)
	} else {
		resp, about, ok = r.Answer(req, shadow)
	}
	if resp != nil && resp.Body != nil && !ok {
		_ = resp.Body.Close() // nobody gets to see it
	}
	if resp == nil || !ok {
		return nil, about, false
	}
	complete(req, resp)
	if !about.Degraded() {
		about.Source = telemetry.Source(r.Name)
	}
	return resp, about, true
}

// panicked reports a panic. Its value may hold the input, so that only what the
// runtime itself says is written down.
func (l *Ladder) panicked(ctx context.Context, rung string, value any, shadow bool) {
	if shadow {
		defer func() { _ = recover() }() // of OnPanic: it may be in a goroutine of ours, or in who reads a live answer
	}
	err := fmt.Errorf("panic with a %T", value)
	if known, ok := value.(runtime.Error); ok {
		err = fmt.Errorf("panic: %w", known)
	}
	telemetry.FromContext(ctx).RungFailed(ctx, rung, err)
	if l.cfg.OnPanic != nil {
		l.cfg.OnPanic(rung, value)
	}
}

// function names what a call asks.
func (l *Ladder) function(ctx context.Context) string {
	return cmp.Or(policy.CallOf(ctx).Function, l.cfg.Function)
}
