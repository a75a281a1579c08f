package riverjobs_test

import (
	"context"
	"log"
	"os"
	"os/signal"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/postgres"
	"github.com/sparekey/sparekey/nyckel/postgres/riverjobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

// It needs a server, and so has no output to check.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	db, err := postgres.Open(ctx, os.Getenv("DATABASE_URL"), postgres.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := predictions.Open(ctx, db.SQL, predictions.PostgreSQL, predictions.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	engine, err := riverjobs.New(ctx, db, store, riverjobs.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	if _, err := engine.Enqueue(ctx, jobs.Job{ID: "ticket-17", Payload: []byte("my card was stolen")}); err != nil {
		log.Fatal(err)
	}
	err = engine.Run(ctx, jobs.RunConfig{}, func(context.Context, jobs.Delivery) jobs.Outcome {
		return jobs.Done(predictions.Prediction{Function: "tickets", Label: "lost_or_stolen_card", Confidence: 0.93})
	})
	if err != nil {
		log.Fatal(err)
	}
}
