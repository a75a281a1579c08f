package postgres_test

import (
	"testing"

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
