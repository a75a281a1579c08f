package nyckelsim

import (
	"context"
	"fmt"
	"time"
)

// A Phase is a stretch of time under one set of faults.
type Phase struct {
	Duration time.Duration
	Faults   Faults
}

// Run puts each phase's faults in force in turn, each for its duration, and
// leaves the server healthy. It calls onPhase, unless nil, as each begins,
// after its faults are in force.
//
// Run returns the context's cause if that ends first, and an error before the
// first phase if any phase is not valid.
func Run(ctx context.Context, s *Server, phases []Phase, onPhase func(i int, p Phase)) (err error) {
	if err := validatePhases(phases); err != nil {
		return fmt.Errorf("nyckelsim: %w", err)
	}
	defer func() {
		if healthy := s.SetFaults(Faults{}); err == nil {
			err = healthy
		}
	}()
	for i, p := range phases {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.SetFaults(p.Faults); err != nil {
			return err
		}
		if onPhase != nil {
			onPhase(i, p)
		}
		if err := sleep(ctx, p.Duration); err != nil {
			return err
		}
	}
	return nil
}

func validatePhases(phases []Phase) error {
	for i, p := range phases {
		if err := p.validate(); err != nil {
			return fmt.Errorf("phase %d: %w", i, err)
		}
	}
	return nil
}

func (p Phase) validate() error {
	if p.Duration < 0 {
		return fmt.Errorf("negative Duration: %v", p.Duration)
	}
	return p.Faults.validate()
}

// sleep returns nil after d, or the context's cause if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
