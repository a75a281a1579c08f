package riverjobs

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/nyckel/predictions"
)

// Trouble with the database is no reason to give up what a handler found.
func TestRefusal(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{predictions.ErrInvalid, true},
		{&pgconn.PgError{Code: "22001"}, true},  // a text is too long
		{&pgconn.PgError{Code: "23514"}, true},  // against a check
		{&pgconn.PgError{Code: "40P01"}, false}, // a deadlock
		{&pgconn.PgError{Code: "53100"}, false}, // the disk is full
		{&pgconn.PgError{Code: "57P01"}, false}, // a shutdown
		{context.DeadlineExceeded, false},
	} {
		err := refusal(fmt.Errorf("record: %w", c.err))
		_, refused := errors.AsType[*refusedError](err)
		assert.Equal(t, c.want, refused, "%v", c.err)
		assert.ErrorIs(t, err, c.err)
	}
}
