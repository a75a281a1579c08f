package predictions

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// locked is a database whose lock another process holds: each transaction waits for so
// long and does not begin.
type locked time.Duration

var errLocked = errors.New("database is locked")

func (l locked) Connect(context.Context) (driver.Conn, error) { return l, nil }
func (l locked) Driver() driver.Driver                        { return nil }
func (l locked) Prepare(string) (driver.Stmt, error)          { return nil, errLocked }
func (l locked) Close() error                                 { return nil }
func (l locked) Begin() (driver.Tx, error) {
	time.Sleep(time.Duration(l))
	return nil, errLocked
}

// Updates that wait together for a lock that is not to be had wait for it once, not
// one after the other.
func TestCommitterLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sql.OpenDB(locked(10 * time.Second))
		defer db.Close()
		c := newCommitter(db)
		defer c.close()
		const n = 100
		begin, errs := time.Now(), make(chan error)
		for range n {
			go func() {
				errs <- c.update(t.Context(), func(context.Context, *sql.Tx) error { return nil })
			}()
		}
		for range n {
			require.ErrorIs(t, <-errs, errLocked)
		}
		assert.LessOrEqual(t, time.Since(begin), 20*time.Second, "that of the first, and that of those who came meanwhile")
	})
}

// An update whose caller has gone before is not even handed over.
func TestCommitterEndedContext(t *testing.T) {
	const tries = 20
	c := &committer{updates: make(chan *update, tries)}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	for range tries {
		assert.ErrorIs(t, c.hand(&update{ctx: ctx}), gone)
	}
	assert.Empty(t, c.updates)
}
