package interrupt_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/nyckel/internal/interrupt"
)

func TestOrEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		value, err := interrupt.OrEnd(t.Context(), func() (int, error) { return 3, errors.New("both") })
		assert.Equal(t, 3, value)
		assert.EqualError(t, err, "both")

		ctx, cancel := context.WithCancelCause(t.Context())
		over := make(chan struct{})
		go func() {
			synctest.Wait() // until all wait
			cancel(errors.New("Ctrl-C"))
		}()
		value, err = interrupt.OrEnd(ctx, func() (int, error) { <-over; return 3, nil })
		assert.Zero(t, value)
		assert.EqualError(t, err, "Ctrl-C")
		close(over)

		_, err = interrupt.OrEnd(ctx, func() (int, error) { t.Error("called after the end"); return 3, nil })
		assert.EqualError(t, err, "Ctrl-C")
	})
}
