package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/nyckel/predictions/report"
	"github.com/sparekey/sparekey/nyckel/sqlite"
)

// Predictions are recorded as they are made; what was true is learned later.
func ExampleOpen() {
	if err := example(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 1 of 2 right, so the accuracy lies between 9 % and 91 %
	// said delivery, was refund
	// erased: 1 prediction, 1 truth
}

func example(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	db, err := sqlite.Open(ctx, filepath.Join(folder, "predictions.db"), sqlite.Options{})
	if err != nil {
		return err
	}
	store, err := predictions.Open(ctx, db, predictions.SQLite, predictions.Options{OwnDB: true})
	if err != nil {
		return err
	}
	defer store.Close()

	// A program gives the writer to nyckel.WithRecorder.
	writer := predictions.NewWriter(store, predictions.WriterOptions{})
	for _, p := range []predictions.Prediction{
		{Function: "tickets", ExternalID: "ticket-1", Label: "delivery", Confidence: 0.9},
		{Function: "tickets", ExternalID: "ticket-2", Label: "delivery", Confidence: 0.6},
		{Function: "tickets", ExternalID: "ticket-3", Label: "billing", Confidence: 0.8},
	} {
		if err := writer.Put(ctx, p); err != nil {
			return err
		}
	}
	if err := writer.Close(ctx); err != nil {
		return err
	}
	err = store.SetTruth(ctx,
		predictions.Truth{Function: "tickets", ExternalID: "ticket-1", Label: "delivery", By: "ann"},
		predictions.Truth{Function: "tickets", ExternalID: "ticket-2", Label: "refund", By: "ann"})
	if err != nil {
		return err
	}

	performance, err := store.Performance(ctx, predictions.Scope{Function: "tickets"})
	if err != nil {
		return err
	}
	p := performance[0]
	fmt.Printf("%d of %d right, so the accuracy lies between %.0f %% and %.0f %%\n", p.Correct, p.Known, 100*p.Low, 100*p.High)
	for e, err := range store.Audit(ctx, predictions.Query{Function: "tickets", From: time.Now().Add(-time.Hour)}) {
		if err != nil {
			return err
		}
		if e.Truth != "" && e.Truth != e.Label {
			fmt.Printf("said %s, was %s\n", e.Label, e.Truth)
		}
	}
	erased, err := store.Erase(ctx, "tickets", "ticket-1")
	if err != nil {
		return err
	}
	fmt.Printf("erased: %d prediction, %d truth\n", erased.Predictions, erased.Truths)

	page, err := os.Create(filepath.Join(folder, "report.html"))
	if err != nil {
		return err
	}
	defer page.Close()
	return report.Write(ctx, page, store, report.Options{})
}
