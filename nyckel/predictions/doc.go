// Package predictions keeps a record of what was predicted, in a SQL database,
// and later of what was true.
//
// A [Store] holds predictions and the truths of samples in SQLite or PostgreSQL,
// through database/sql; packages nyckel/sqlite and nyckel/postgres bring the
// drivers. What [Store.Record] has acknowledged survives a crash and a power
// cut. A prediction is never changed afterwards; it goes only by [Store.Erase].
//
//	db, err := sqlite.Open(ctx, "predictions.db", sqlite.Options{})
//	…
//	store, err := predictions.Open(ctx, db, predictions.SQLite, predictions.Options{})
package predictions
