package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/internal/interrupt"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport/plan"
)

func (p *program) invoke(ctx context.Context, args []string) error {
	flags := p.flags("invoke FUNCTION [flags] [TEXT]", "Asks a function of the configuration file about a text (\"-\" is standard input), an\nimage or a row. The exit code is 3 if the answer is not the service's.")
	config := flags.String("config", defaultConfig, "configuration `file`")
	file := flags.String("file", "", "ask about the image in this `file`")
	row := flags.String("row", "", "ask about this row, a `JSON` object")
	model := flags.String("model", "", "`id` of the model that answers")
	labels := flags.Int("labels", 0, "ask for the `n` likeliest labels")
	capture := flags.Bool("capture", false, "let the service keep the input as a sample")
	explain := flags.Bool("explain", false, "print how the answer came about")
	asJSON := flags.Bool("json", false, "print JSON")
	rest, err := flags.parse(args, 1, 2)
	if err != nil {
		return err
	}
	name := rest[0]
	input, err := interrupt.OrEnd(ctx, func() (nyckel.Input, error) { return p.input(rest[1:], *file, *row) })
	if err != nil {
		return err
	}
	loaded, err := load(*config)
	if err != nil {
		return err
	}
	client, err := p.client(loaded, name)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	ctx, trail := telemetry.NewContext(ctx)
	start := time.Now()
	prediction, err := client.Invoke(ctx, name, input, nyckel.ModelID(*model), nyckel.LabelCount(*labels), nyckel.Capture(*capture))
	took := time.Since(start)
	if err != nil && policy.ErrorOf(err) == nil { // nothing was asked
		if ctx.Err() != nil {
			return err
		}
		return misuseError{err}
	}
	if *asJSON {
		if printErr := printJSON(p.stdout, invokedOf(name, prediction, err, trail, start, took)); printErr != nil {
			return printErr
		}
		if err != nil {
			return codeError(exitFailed)
		}
		return degradation(prediction)
	}
	if prediction != nil {
		p.printPrediction(prediction)
	}
	if *explain {
		fmt.Fprintln(p.stdout)
		waterfall(p.stdout, callOf(trail, start, took))
	}
	if err != nil {
		return err
	}
	return degradation(prediction)
}

func degradation(prediction *nyckel.Prediction) error {
	if prediction.Answer.Degraded() {
		return codeError(exitDegraded)
	}
	return nil
}

// input returns what is to be asked about, of which there must be one.
func (p *program) input(text []string, file, row string) (nyckel.Input, error) {
	given := 0
	for _, one := range []bool{len(text) > 0, file != "", row != ""} {
		if one {
			given++
		}
	}
	switch {
	case given != 1:
		return nil, misuse("want one of a text, -file and -row, got %d", given)
	case file != "":
		return imageIn(file)
	case row != "":
		return rowOf([]byte(row))
	case text[0] == "-":
		const most = 1 << 20
		content, err := io.ReadAll(io.LimitReader(p.stdin, most+1))
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		if len(content) > most {
			return nil, misuse("standard input has more than %d bytes", most)
		}
		return nyckel.Text(strings.TrimSuffix(string(content), "\n")), nil
	}
	return nyckel.Text(text[0]), nil
}

// imageIn returns the image in a file. What is no regular one, such as a pipe, is read
// here, where nobody has to wait for its end.
func imageIn(file string) (nyckel.Image, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nyckel.Image{}, misuse("-file: %w", err)
	}
	if info.Mode().IsRegular() {
		return nyckel.ImageFile(file), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nyckel.Image{}, misuse("-file: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxLine)) // more than an image may have
	if err != nil {
		return nyckel.Image{}, misuse("-file: %w", err)
	}
	return nyckel.ImageBytes(content), nil
}

// rowOf reads a row of a table. Numbers stay as they are written.
func rowOf(content []byte) (nyckel.Tabular, error) {
	if !utf8.Valid(content) { // which package json would read as something else
		return nil, misuse("-row is not valid UTF-8")
	}
	d := json.NewDecoder(strings.NewReader(string(content)))
	d.UseNumber()
	var row nyckel.Tabular
	if err := d.Decode(&row); err != nil || row == nil {
		return nil, misuse("-row is no JSON object: want for example '{\"amount\": 12.5}'")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, misuse("-row has something behind the JSON object")
	}
	return row, nil
}

// client returns a client for a function of a configuration file.
func (p *program) client(loaded *plan.Plan, function string) (*nyckel.Client, error) {
	account, err := accountOf(loaded, function)
	if err != nil {
		return nil, err
	}
	options := []nyckel.Option{nyckel.WithPlan(loaded, account)}
	if p.http != nil {
		options = append(options, nyckel.WithHTTPClient(p.http))
	}
	client, err := nyckel.New(options...)
	if err != nil {
		return nil, misuseError{err}
	}
	return client, nil
}

// accountOf returns the account of a function that can be called.
func accountOf(loaded *plan.Plan, function string) (string, error) {
	f, known := loaded.Function(function)
	switch {
	case !known:
		return "", unknownFunction(loaded, function)
	case f.ID == "":
		return "", misuse("function %q has no id: it is a name for calls of other clients", function)
	}
	return f.Account, nil
}

// printPrediction prints an answer for people.
func (p *program) printPrediction(prediction *nyckel.Prediction) {
	paint := painter(p.stdout)
	colour := green
	if prediction.Answer.Degraded() {
		colour = yellow
	}
	fmt.Fprintf(p.stdout, "%s  %.3f  %s\n", printable(labelOf(prediction)), prediction.Confidence, paint(colour, sourceOf(prediction.Answer)))
	for _, l := range prediction.Labels {
		fmt.Fprintf(p.stdout, "  %s  %.3f\n", printable(cmp.Or(l.LabelName, l.LabelID)), l.Confidence)
	}
}

// sourceOf says where an answer came from, and what is known of such ones.
func sourceOf(a telemetry.Answer) string {
	text := string(a.Source)
	var notes []string
	if a.Rule != "" {
		notes = append(notes, "rule "+a.Rule)
	}
	if a.Age > 0 {
		notes = append(notes, "age "+a.Age.Round(time.Second).String())
	}
	if a.Similarity > 0 {
		notes = append(notes, fmt.Sprintf("similarity %.2f", a.Similarity))
	}
	if a.Samples > 0 {
		notes = append(notes, fmt.Sprintf("right %.0f %% of %d", 100*a.Accuracy, a.Samples))
	}
	if a.Degraded() {
		notes = append(notes, "since "+a.Cause.String())
	}
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text
}
