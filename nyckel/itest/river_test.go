package itest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sparekey/sparekey/nyckel/postgres"
	"github.com/sparekey/sparekey/nyckel/postgres/pgtest"
	"github.com/sparekey/sparekey/nyckel/postgres/riverjobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

// server is the PostgreSQL of the test that runs, as that may kill it.
var server struct {
	sync.Mutex
	*pgtest.Server
}

func init() {
	backends["postgres"] = backend{
		create: func(t *testing.T) string {
			s := pgtest.Start(t)
			server.Lock()
			server.Server = s
			server.Unlock()
			return s.Database(t)
		},
		open:     openRiverBackend,
		slow:     true,
		recovers: 105 * time.Second,
		killServer: func(t *testing.T) {
			server.Lock()
			defer server.Unlock()
			server.Kill()
			if err := server.Restart(); err != nil {
				t.Fatal(err)
			}
		},
		check: func(t testing.TB, dsn string) {
			o, err := openRiverBackend(context.Background(), dsn, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer o.close()
			if n := scalar[int](t, o.store.DB(), "SELECT count(*) FROM sparekey_river_inputs"); n != 0 {
				t.Errorf("%d inputs are left over", n)
			}
			if n := scalar[int](t, o.store.DB(), "SELECT count(*) FROM sparekey_public.river_job WHERE state <> 'completed'"); n != 0 {
				t.Errorf("%d of River's jobs are left over", n)
			}
		},
	}
}

// openRiverBackend opens an engine on River. It has no lease: see the budget of its
// Run.
func openRiverBackend(ctx context.Context, dsn string, _ time.Duration) (*opened, error) {
	db, err := postgres.Open(ctx, dsn, postgres.Options{})
	if err != nil {
		return nil, err
	}
	store, err := predictions.Open(ctx, db.SQL, predictions.PostgreSQL, predictions.Options{})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	engine, err := riverjobs.New(ctx, db, store, riverjobs.Options{Bound: -1})
	if err != nil {
		return nil, errors.Join(err, store.Close(), db.Close())
	}
	return &opened{Engine: engine, store: store, db: db}, nil
}
