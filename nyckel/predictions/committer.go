package predictions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// maxGroup is how many updates one transaction holds.
const maxGroup = 256

// A committer does the updates of a SQLite database in one goroutine. SQLite has
// one writer at a time anyway, and the sync of the disk, which is what a commit
// costs, is shared by all updates of a group.
type committer struct {
	db      *sql.DB
	updates chan *update
	done    chan struct{} // closed when the goroutine has ended

	mu     sync.RWMutex // held for reading while an update is handed over
	closed bool
}

// An update is what one caller of Store.Update waits for.
type update struct {
	ctx   context.Context
	fn    func(context.Context, *sql.Tx) error
	once  sync.Once
	ended chan struct{}
	err   error
	panic any

	settled bool // ended is closed; only the committer looks
}

// take reports whether the update is the caller's to do, or to give up.
func (u *update) take() (mine bool) {
	u.once.Do(func() { mine = true })
	return mine
}

// insideUpdate marks the context of an update that is being done.
type insideUpdate struct{}

func newCommitter(db *sql.DB) *committer {
	c := &committer{db: db, updates: make(chan *update, maxGroup), done: make(chan struct{})}
	go c.run()
	return c
}

func (c *committer) update(ctx context.Context, fn func(context.Context, *sql.Tx) error) error {
	if ctx.Value(insideUpdate{}) == c {
		return errors.New("predictions: an update within an update would wait for itself")
	}
	u := &update{ctx: ctx, fn: fn, ended: make(chan struct{})}
	if err := c.hand(u); err != nil {
		return err
	}
	select {
	case <-u.ended:
	case <-ctx.Done():
		if u.take() {
			return context.Cause(ctx)
		}
		<-u.ended
	}
	if u.panic != nil {
		panic(u.panic)
	}
	return u.err
}

func (c *committer) hand(u *update) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return ErrClosed
	}
	if u.ctx.Err() != nil { // else the select below would draw lots
		return context.Cause(u.ctx)
	}
	select {
	case c.updates <- u:
		return nil
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	}
}

// close waits for the updates that were handed over.
func (c *committer) close() {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.updates)
	}
	c.mu.Unlock()
	<-c.done
}

// errGone is of updates whose transaction was not to be: one of them ended the
// goroutine, as tests like to.
var errGone = errors.New("predictions: not committed: a func of an update ended its goroutine")

func (c *committer) run() {
	var group []*update // those that are being done
	whole := false
	defer func() {
		if whole {
			close(c.done)
			return
		}
		for _, u := range group {
			if !u.settled {
				u.err = errGone
			}
			u.settle()
		}
		go c.run()
	}()
	for first := range c.updates {
		group = c.gather(first)
		if len(group) == 0 {
			continue
		}
		if err := c.commit(group); err != nil {
			c.alone(group, err)
		}
		for _, u := range group {
			u.settle()
		}
		group = nil
	}
	whole = true
}

// settle tells the caller that the update is done, once.
func (u *update) settle() {
	if !u.settled {
		u.settled = true
		close(u.ended)
	}
}

// gather returns the updates that wait now and are still wanted.
func (c *committer) gather(first *update) []*update {
	group := make([]*update, 0, 1+len(c.updates))
	for u, ok := first, true; ok; {
		if u.take() {
			group = append(group, u)
		}
		if len(group) == maxGroup {
			break
		}
		select {
		case u, ok = <-c.updates:
		default:
			return group
		}
	}
	return group
}

// alone does the updates of a group that failed as a whole one by one, so that
// the trouble of one, a full disk for example, is not that of the others.
func (c *committer) alone(group []*update, err error) {
	if len(group) == 1 {
		group[0].err = fmt.Errorf("predictions: commit: %w", err)
		return
	}
	for _, u := range group {
		if err := c.commit([]*update{u}); err != nil {
			u.err = fmt.Errorf("predictions: commit: %w", err)
		}
		u.settle()
	}
}

// commit does all updates in one transaction. An update that fails is undone and
// has its error; the error of commit means that nothing of the group is there.
func (c *committer) commit(group []*update) error {
	// Not a context of a caller's: SQLite rolls back the whole transaction when it
	// interrupts a statement that writes.
	ctx := context.WithValue(context.Background(), insideUpdate{}, c)
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil { // whoever holds the lock would have each of them wait again
		for _, u := range group {
			u.err = fmt.Errorf("predictions: begin: %w", err)
		}
		return nil
	}
	defer tx.Rollback() //nolint:errcheck // of no use after a commit
	for _, u := range group {
		if err := c.do(tx, u, len(group) > 1); err != nil {
			return err
		}
	}
	if len(group) == 1 && group[0].err != nil {
		return nil
	}
	return tx.Commit()
}

// do calls the update. Within a group it stands between two savepoints. The error
// is that of the transaction; the update has its own.
func (c *committer) do(tx *sql.Tx, u *update, savepoint bool) error {
	ctx := context.WithValue(context.WithoutCancel(u.ctx), insideUpdate{}, c)
	if savepoint {
		if _, err := tx.ExecContext(ctx, "SAVEPOINT sparekey"); err != nil {
			return err
		}
	}
	u.call(ctx, tx)
	failed := u.err != nil || u.panic != nil
	if !savepoint {
		if failed && u.err == nil {
			u.err = errors.New("predictions: the update panicked")
		}
		return nil
	}
	if failed {
		if _, err := tx.ExecContext(ctx, "ROLLBACK TO sparekey"); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "RELEASE sparekey")
	return err
}

func (u *update) call(ctx context.Context, tx *sql.Tx) {
	defer func() { u.panic = recover() }()
	u.err = u.fn(ctx, tx)
}
