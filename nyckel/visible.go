package nyckel

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How often and for how long the service is asked whether it shows what was made: as
// the vendor's own client does.
const (
	visibleWithin = 5 * time.Second
	pollFunction  = 250 * time.Millisecond
	pollPart      = 500 * time.Millisecond
	againSample   = time.Second
)

// onceMore makes a call about a sample that may just have been made, and makes it
// again after a second if there is none.
func onceMore[T any](ctx context.Context, call func() (obtained[T], error)) (obtained[T], error) {
	got, err := call()
	if errors.Is(err, ErrNotFound) && pause(ctx, againSample) == nil {
		return call()
	}
	return got, err
}

// untilVisible asks look again and again until what it looks for is there. The time that
// there is bounds a look that hangs, too.
func untilVisible(ctx context.Context, what string, every time.Duration, look func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, visibleWithin)
	defer cancel()
	for start := time.Now(); ; {
		err := look(within)
		switch over := within.Err() != nil && ctx.Err() == nil; {
		case err == nil:
			return nil
		case !over && !errors.Is(err, ErrNotFound): // nobody knows
			return fmt.Errorf("nyckel: %s: %w: %w", what, ErrNotVisible, err)
		case over || time.Since(start)+every > visibleWithin:
			return fmt.Errorf("nyckel: %s: %w (after %v)", what, ErrNotVisible, visibleWithin)
		}
		if err := pause(ctx, every); err != nil {
			return fmt.Errorf("nyckel: %s: %w: %w", what, ErrNotVisible, err)
		}
	}
}
