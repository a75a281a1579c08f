package riverjobs_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/jobstest"
	"github.com/sparekey/sparekey/nyckel/postgres"
	"github.com/sparekey/sparekey/nyckel/postgres/pgtest"
	"github.com/sparekey/sparekey/nyckel/postgres/riverjobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

// open opens a store and an engine, as a process does. They are closed at the end
// of the test.
func open(t testing.TB, dsn string, o riverjobs.Options) (*riverjobs.Engine, *predictions.Store, *postgres.DB) {
	t.Helper()
	ctx := context.Background()
	db, err := postgres.Open(ctx, dsn, postgres.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	store, err := predictions.Open(ctx, db.SQL, predictions.PostgreSQL, predictions.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	engine, err := riverjobs.New(ctx, db, store, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	return engine, store, db
}

func TestRiverJobs(t *testing.T) {
	jobstest.Run(t, jobstest.Backend{
		Open: func(t *testing.T, engines, bound int) ([]jobs.Engine, *predictions.Store) {
			dsn := pgtest.New(t)
			var all []jobs.Engine
			var first *predictions.Store
			for range engines {
				engine, store, _ := open(t, dsn, riverjobs.Options{Bound: bound})
				all = append(all, engine)
				if first == nil {
					first = store
				}
			}
			return all, first
		},
		Overshoot: 400, // all that the suite enqueues in a quarter of a second
	})
}
