package main

import (
	"context"

	"github.com/sparekey/sparekey/nyckel/internal/interrupt"
)

// atOnce returns a command that ends when ctx does, whatever it is about.
func atOnce(run func(*program, context.Context, []string) error) func(*program, context.Context, []string) error {
	return func(p *program, ctx context.Context, args []string) error {
		_, err := interrupt.OrEnd(ctx, func() (struct{}, error) { return struct{}{}, run(p, ctx, args) })
		return err
	}
}
