package itest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/jobs/sqlitejobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/sqlite"
)

// A queue in a file: what was enqueued is done and recorded, once.
func Example() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	db, err := sqlite.Open(ctx, filepath.Join(folder, "predictions.db"), sqlite.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := predictions.Open(ctx, db, predictions.SQLite, predictions.Options{OwnDB: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	engine, err := sqlitejobs.New(ctx, store, sqlitejobs.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()

	for range 2 { // the second time changes nothing
		receipts, err := engine.Enqueue(ctx, jobs.Job{ID: "ticket-17", Payload: []byte("I want my money back")})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(receipts[0].New, receipts[0].State)
	}
	err = engine.Run(ctx, jobs.RunConfig{OnSettled: func(jobs.Settled) { cancel() }},
		func(_ context.Context, d jobs.Delivery) jobs.Outcome {
			fmt.Println("asked about", string(d.Payload))
			return jobs.Done(predictions.Prediction{Function: "tickets", Label: "refund", Confidence: 0.9})
		})
	if err != nil {
		fmt.Println(err)
		return
	}
	state, _, err := engine.Find(context.Background(), "ticket-17")
	fmt.Println(state, err)
	// Output:
	// true waiting
	// false waiting
	// asked about I want my money back
	// recorded <nil>
}
