package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/postgres"
	"github.com/sparekey/sparekey/nyckel/postgres/pgtest"
	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/predictions/predictionstest"
)

func TestPredictions(t *testing.T) {
	predictionstest.Run(t, func(t *testing.T) *predictions.Store {
		db := open(t, pgtest.New(t), postgres.Options{})
		store, err := predictions.Open(t.Context(), db.SQL, predictions.PostgreSQL, predictions.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		return store
	})
}

// TestEraseWhileRecording has a prediction of the sample recorded, with its input, once
// an erasure has deleted the inputs: it is not yet one of those that go.
func TestEraseWhileRecording(t *testing.T) {
	ctx := t.Context()
	db := open(t, pgtest.New(t), postgres.Options{})
	store, err := predictions.Open(ctx, db.SQL, predictions.PostgreSQL, predictions.Options{KeepInputs: true})
	require.NoError(t, err)
	defer store.Close()
	before := predictions.Prediction{ID: "before", Function: "f", ExternalID: "e", Label: "x", Input: []byte("before")}
	meanwhile := predictions.Prediction{ID: "meanwhile", Function: "f", ExternalID: "e", Label: "x", Input: []byte("meanwhile")}
	require.NoError(t, store.Record(ctx, before))
	_, err = db.Pool.Exec(ctx, `CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
		CREATE TRIGGER pause AFTER DELETE ON sparekey_inputs FOR EACH STATEMENT EXECUTE FUNCTION pause()`)
	require.NoError(t, err)

	type outcome struct {
		erased predictions.Erased
		err    error
	}
	outcomes := make(chan outcome, 1)
	require.NoError(t, db.InTx(ctx, func(tx *postgres.Tx) error {
		_, err := tx.SQL.ExecContext(ctx, "SELECT pg_advisory_xact_lock(1)")
		require.NoError(t, err)
		go func() {
			erased, err := store.Erase(ctx, "f", "e")
			outcomes <- outcome{erased, err}
		}()
		require.Eventually(t, func() bool {
			var waits bool
			err := db.Pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)").Scan(&waits)
			return err == nil && waits
		}, 20*time.Second, time.Millisecond)
		return store.RecordTx(ctx, tx.SQL, meanwhile)
	}))
	o := <-outcomes
	require.NoError(t, o.err)
	assert.Equal(t, predictions.Erased{Predictions: 1, Inputs: 1}, o.erased)
	var left []string
	for e, err := range store.Audit(ctx, predictions.Query{}) {
		require.NoError(t, err)
		left = append(left, string(e.Input))
	}
	assert.Equal(t, []string{"meanwhile"}, left)
}
