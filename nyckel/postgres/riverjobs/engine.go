// Package riverjobs is the queue for more than one machine: River
// (riverqueue.com) on PostgreSQL, in the database of the prediction store. That a
// job is done and what it predicted are one commit.
//
//	db, err := postgres.Open(ctx, dsn, postgres.Options{})
//	store, err := predictions.Open(ctx, db.SQL, predictions.PostgreSQL, predictions.Options{})
//	engine, err := riverjobs.New(ctx, db, store, riverjobs.Options{})
//
// River schedules, hands out, retries and rescues. What it does not do is done
// here: an id is accepted once, also after its job is done; a queue has a bound; a
// gate is asked first. For the bound the jobs are counted four times a second, so
// that several producers may exceed it by what they enqueue in that time.
//
// A worker whose process dies leaves its job to River's rescuer, which runs every
// 30 s in one of the processes, 15 s after the death of the one before. It makes
// those jobs wait again that run for longer than their budget, a third of it, but at
// most 10 s, for the gate, half of it, between 5 s and 15 s, to settle the job, and
// 5 s more; of budgets that differ, the longer one of the job's and that process's.
// With the usual budget of 30 s that makes 60 s, and 105 s at worst. An attempt that
// ends so is used up.
//
// While a gate is closed from the start no job is taken. When it closes later, up
// to Workers jobs are held by workers that wait for it; they count as running. The
// same goes for jobs that wait for a worker when Run has several queues: priorities
// hold within a queue.
//
// River has at most 10,000 jobs of a queue done at the same time, and tries none more
// than 32,767 times.
package riverjobs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/postgres"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

//go:embed migrations/*.sql
var migrations embed.FS

// minConns is how many connections it takes: one that listens, one that fetches,
// one that settles, one that works.
const minConns = 4

// Options configure an [Engine]. The zero Options are ready to use.
type Options struct {
	// Bound is how many jobs of a queue may wait and run. Zero means
	// [jobs.DefaultBound]; negative means no bound.
	Bound int

	// ByteBound is what their payloads may weigh, in bytes. Zero means
	// [jobs.DefaultByteBound]; negative means no bound.
	ByteBound int64

	// Schema is the PostgreSQL schema of River's own tables, which New creates. ""
	// means sparekey_ and the name of the schema that the store is in. It must not be
	// shared with another user of River, who would discard jobs of a kind it does not
	// know, nor with the engine of another store.
	Schema string
}

// An Engine is a [jobs.Engine] on River. It is safe for concurrent use.
type Engine struct {
	db      *postgres.DB
	store   *predictions.Store
	options Options
	table   string                // River's table of jobs, with its schema
	client  *river.Client[pgx.Tx] // to enqueue, not to work
	closed  atomic.Bool

	mu     sync.Mutex
	queues map[string]*meter // guarded by mu; what is known of each queue
}

var _ jobs.Engine = (*Engine)(nil)

// New returns an Engine on a database, which must be that of the store, and brings
// its tables and River's up to date. It starts nothing.
func New(ctx context.Context, db *postgres.DB, store *predictions.Store, o Options) (*Engine, error) {
	o.Bound = cmp.Or(o.Bound, jobs.DefaultBound)
	o.ByteBound = cmp.Or(o.ByteBound, jobs.DefaultByteBound)
	if o.ByteBound >= 0 && o.ByteBound < jobs.MaxPayload {
		return nil, fmt.Errorf("riverjobs: ByteBound is %d, want at least %d, one payload", o.ByteBound, jobs.MaxPayload)
	}
	if n := db.Pool.Config().MaxConns; n < minConns {
		return nil, fmt.Errorf("riverjobs: the pool opens at most %d connections, want at least %d", n, minConns)
	}
	if store.DB() != db.SQL {
		return nil, errors.New("riverjobs: the store is on another database")
	}
	e := &Engine{db: db, store: store, options: o, queues: map[string]*meter{}}
	if err := e.migrate(ctx); err != nil {
		return nil, fmt.Errorf("riverjobs: %w", err)
	}
	e.table = pgx.Identifier{e.options.Schema, "river_job"}.Sanitize()
	client, err := river.NewClient(riverpgxv5.New(db.Pool), e.config())
	if err != nil {
		return nil, fmt.Errorf("riverjobs: %w", err)
	}
	e.client = client
	return e, nil
}

// migrate brings the tables up to date. River's migrations need several
// transactions and tolerate no company: they are made under a lock that belongs to
// a connection, as several processes may start at once.
func (e *Engine) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	if err := predictions.Migrate(ctx, e.db.SQL, predictions.PostgreSQL, "riverjobs", files); err != nil {
		return err
	}
	conn, err := e.db.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock(hashtextextended('sparekey_river', 0))"); err != nil {
		return err
	}
	defer func() {
		// A connection that cannot give the lock back is of no more use either.
		if _, err := conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock_all()"); err != nil {
			_ = conn.Conn().Close(ctx)
		}
	}()
	if err := e.createSchema(ctx, conn); err != nil {
		return err
	}
	if err := e.migrateRiver(ctx, conn); err != nil {
		return fmt.Errorf("migrations of River: %w", err)
	}
	return nil
}

// createSchema creates the schema of River's tables, unless somebody did: not
// everybody may.
func (e *Engine) createSchema(ctx context.Context, conn *pgxpool.Conn) error {
	if e.options.Schema == "" {
		if err := conn.QueryRow(ctx, "SELECT 'sparekey_' || current_schema()").Scan(&e.options.Schema); err != nil {
			return err
		}
	}
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", e.options.Schema).Scan(&there); err != nil || there {
		return err
	}
	_, err := conn.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{e.options.Schema}.Sanitize())
	return err
}

func (e *Engine) migrateRiver(ctx context.Context, conn *pgxpool.Conn) error {
	m, err := rivermigrate.New(riverpgxv5.New(e.db.Pool), &rivermigrate.Config{Schema: e.options.Schema, Logger: quiet})
	if err != nil {
		return err
	}
	table := pgx.Identifier{e.options.Schema, "river_migration"}.Sanitize()
	var there bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil {
		return err
	}
	version, newest := 0, m.AllVersions()[len(m.AllVersions())-1].Version
	if there {
		if err := conn.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM "+table+" WHERE line = 'main'").Scan(&version); err != nil {
			return err
		}
	}
	switch {
	case version > newest:
		return fmt.Errorf("%w: it has version %d, want at most %d", predictions.ErrNewerSchema, version, newest)
	case version == newest:
		return nil
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

// Close implements [jobs.Engine].
func (e *Engine) Close() error {
	e.closed.Store(true)
	return nil
}

// ready returns an error if the engine cannot be used.
func (e *Engine) ready() error {
	if e.closed.Load() {
		return jobs.ErrClosed
	}
	return nil
}

// quiet is for what River says when nobody listens.
var quiet = slog.New(slog.DiscardHandler)

// work is the arguments of a River job. All our jobs are of one kind to River, so
// that any process can rescue those of any other.
type work struct {
	ID string `json:"id"`
}

func (work) Kind() string { return "sparekey" }

// riverName is what River accepts as the name of a queue.
var riverName = regexp.MustCompile(`^[a-z0-9]+([_-][a-z0-9]+)*$`)

// made begins those names of queues that are ours.
const made = "made-"

// riverQueue returns River's name for a queue: the same if it can be, so that
// River's own tools show it.
func riverQueue(name string) string {
	if len(name) <= 64 && riverName.MatchString(name) && !strings.HasPrefix(name, made) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return made + hex.EncodeToString(sum[:16])
}

// riverPriority maps a priority, where higher goes first, to River's, from 1 to 4,
// where lower does. It is its own inverse.
func riverPriority(p int) int { return jobs.MaxPriority + 1 - p }
