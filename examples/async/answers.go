package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sparekey/sparekey/nyckel/predictions"
)

// records returns what the store has of the function, by the id of the text.
func (w *work) records(ctx context.Context) (map[string][]predictions.Entry, error) {
	found := make(map[string][]predictions.Entry, len(w.texts))
	for e, err := range w.store.Audit(ctx, predictions.Query{Function: function}) {
		if err != nil {
			return nil, err
		}
		found[e.ExternalID] = append(found[e.ExternalID], e)
	}
	return found, nil
}

// writeAnswers writes a file that has a row for each text, in the order in which
// they were given. It is there whole or not at all.
func (w *work) writeAnswers(name string, found map[string][]predictions.Entry) (err error) {
	if name == "-" {
		return w.writeRows(w.stdout, found)
	}
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name()) // the other error says more
		}
	}()
	defer file.Close()
	if err := w.writeRows(file, found); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}

func (w *work) writeRows(out io.Writer, found map[string][]predictions.Entry) error {
	rows := csv.NewWriter(out)
	_ = rows.Write([]string{"line", "text", "label", "confidence", "attempts", "at", "id"}) // Flush keeps the error
	for _, t := range w.texts {
		for _, e := range found[t.id] {
			_ = rows.Write([]string{
				strconv.Itoa(t.line), t.text, e.Label, strconv.FormatFloat(e.Confidence, 'f', 4, 64),
				strconv.Itoa(e.Attempts), e.At.UTC().Format(time.RFC3339Nano), t.id,
			})
		}
	}
	rows.Flush()
	if err := rows.Error(); err != nil {
		return fmt.Errorf("write the answers: %w", err)
	}
	return nil
}
