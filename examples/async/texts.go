package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset/tickets"
)

// A text is a row of the file that is asked.
type text struct {
	id   string // of its job and its prediction
	text string
	line int
}

// readTexts reads the whole file before any of it is asked, so that a row that is
// broken is told at once.
func readTexts(name string) ([]text, error) {
	rows, err := readRows(name, dataset.ReadTexts)
	if err != nil {
		return nil, fmt.Errorf("%w\nnothing of the file was asked; mend the row and run the same command again: what is recorded already stays", err)
	}
	seen := map[string]int{}
	texts := make([]text, len(rows))
	for i, row := range rows {
		seen[row.Text]++
		texts[i] = text{id: idOf(row.Text, seen[row.Text]), text: row.Text, line: row.Line}
	}
	return texts, nil
}

// idOf returns the id of a text that the file has for the nth time.
func idOf(text string, n int) string {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%s-%d", hex.EncodeToString(sum[:12]), n)
}

// readLabelled reads what the simulator learns.
func readLabelled(name string) ([]nyckelsim.Sample, error) {
	rows, err := readRows(name, dataset.Read)
	if err != nil {
		return nil, err
	}
	samples := make([]nyckelsim.Sample, len(rows))
	for i, row := range rows {
		samples[i] = nyckelsim.Sample{Text: row.Text, Label: row.Label}
	}
	return samples, nil
}

// readRows reads a file, or the texts of the demos if it has no name.
func readRows(name string, read func(string, io.Reader) ([]dataset.Row, error)) ([]dataset.Row, error) {
	if name == "" {
		return tickets.Rows()
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return read(name, file)
}

// jobsOf returns the jobs that ask the texts.
func jobsOf(texts []text, settings *jobs.Settings) ([]jobs.Job, error) {
	list := make([]jobs.Job, len(texts))
	for i, t := range texts {
		job, err := jobs.Text(function, t.text).Job(t.id)
		if err != nil {
			return nil, err
		}
		list[i] = settings.Job(job)
	}
	return list, nil
}
