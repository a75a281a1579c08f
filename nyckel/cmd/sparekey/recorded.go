package main

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/internal/files"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
)

// A recorded is an input with what was answered to it once, or is right.
type recorded struct {
	line    int
	data    []byte // JSON: a text, an image in a data URI, a row; nil if there is no answer
	label   string
	truth   string        // "" if it is not known
	latency time.Duration // zero if it is not known
}

// rightLabel is the label that counts as right.
func (r recorded) rightLabel() string {
	return cmp.Or(r.truth, r.label)
}

// readRecorded reads a file of recorded inputs. Its errors name the line. Calls that
// failed, or whose input was not kept, have no data.
func readRecorded(name string) ([]recorded, error) {
	if name == "" {
		return nil, misuse("-data is missing: a file with recorded inputs")
	}
	content, err := files.Read(name)
	if err != nil {
		return nil, misuseError{err}
	}
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	var all []recorded
	switch start := bytes.TrimSpace(content); {
	case bytes.HasPrefix(start, []byte("{")):
		all, err = readLines(name, content)
	case bytes.HasPrefix(start, []byte("[")) && bytes.HasPrefix(bytes.TrimSpace(start[1:]), []byte("{")):
		err = fmt.Errorf("%s: is one JSON array, expected an object on each line, without brackets and commas", name)
	case hasColumn(content, "input"):
		all, err = readExported(name, content)
	default:
		all, err = readLabelled(name, content)
	}
	if err != nil {
		return nil, misuseError{err}
	}
	return all, nil
}

// onlyAnswered returns the inputs with an answer, of which there must be one, and tells
// how many others it passes over.
func (p *program) onlyAnswered(name string, all []recorded) ([]recorded, error) {
	without := func(r recorded) bool { return r.data == nil }
	answered := slices.DeleteFunc(slices.Clone(all), without)
	if len(answered) == 0 {
		return nil, misuse("%s: no input with a label, expected one at least", name)
	}
	if n := len(all) - len(answered); n > 0 {
		first := all[slices.IndexFunc(all, without)].line
		fmt.Fprintf(p.stderr, "%s: %d of %d passed over, without an input or a label; the first is on line %d\n", name, n, len(all), first)
	}
	return answered, nil
}

// hasColumn reports whether the header of a CSV file has a column of that name.
func hasColumn(content []byte, name string) bool {
	header, _ := csv.NewReader(bytes.NewReader(content)).Read() // an error is told when all is read
	return slices.Contains(header, name)
}

// readLabelled reads texts and labels.
func readLabelled(name string, content []byte) ([]recorded, error) {
	rows, err := dataset.Read(name, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	all := make([]recorded, len(rows))
	for i, row := range rows {
		all[i] = recorded{line: row.Line, data: quote(row.Text), label: row.Label}
	}
	return all, nil
}

func quote(text string) []byte {
	data, _ := json.Marshal(text) // a string always can
	return data
}

// A line is an object of a file of JSON lines.
type line struct {
	Data      json.RawMessage `json:"data"`
	Input     string          `json:"input"` // JSON within a text, as exported
	Label     string          `json:"label"`
	Truth     string          `json:"truth"`
	LatencyMS float64         `json:"latencyMs"`
}

// recorded returns what a line says, which is without data if there is no answer, or
// the input was not kept.
func (l line) recorded(number int) (recorded, error) {
	if l.Input != "" {
		l.Data = json.RawMessage(l.Input)
	}
	switch data := bytes.TrimSpace(l.Data); {
	case len(data) == 0, l.Label == "" && l.Truth == "":
		return recorded{line: number}, nil
	case !json.Valid(data):
		return recorded{}, errors.New("the input is no JSON")
	case data[0] != '"' && data[0] != '{':
		return recorded{}, errors.New("the input is neither a text nor an object")
	default:
		latency := time.Duration(l.LatencyMS * float64(time.Millisecond))
		return recorded{number, data, l.Label, l.Truth, latency}, nil
	}
}

// maxLine bounds a line of a file: an image with room.
const maxLine = 64 << 20

func readLines(name string, content []byte) ([]recorded, error) {
	if err := checkUTF8(name, content); err != nil {
		return nil, err
	}
	var all []recorded
	n := 0
	for text := range bytes.Lines(content) {
		n++
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if len(text) > maxLine {
			return nil, fmt.Errorf("%s:%d: has more than %d bytes", name, n, maxLine)
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("%s:%d: no object with data and label: %w", name, n, err)
		}
		r, err := l.recorded(n)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// checkUTF8 refuses what package json would read as something else.
func checkUTF8(name string, content []byte) error {
	n := 0
	for line := range bytes.Lines(content) {
		if n++; !utf8.Valid(line) {
			return fmt.Errorf("%s:%d: is not valid UTF-8", name, n)
		}
	}
	return nil
}

// readExported reads the CSV of a store of predictions.
func readExported(name string, content []byte) ([]recorded, error) {
	if err := checkUTF8(name, content); err != nil {
		return nil, err
	}
	rows := csv.NewReader(bytes.NewReader(content))
	header, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var all []recorded
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			if at, ok := errors.AsType[*csv.ParseError](err); ok {
				return nil, fmt.Errorf("%s:%d: %w", name, at.Line, at.Err)
			}
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		number, _ := rows.FieldPos(0)
		l, err := lineOf(header, row)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		r, err := l.recorded(number)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
		all = append(all, r)
	}
}

func lineOf(header, row []string) (line, error) {
	var l line
	for i, column := range header {
		switch column {
		case "input":
			l.Input = row[i]
		case "label":
			l.Label = row[i]
		case "truth":
			l.Truth = row[i]
		case "latencyMs":
			var err error
			if l.LatencyMS, err = strconv.ParseFloat(row[i], 64); row[i] != "" && err != nil {
				return l, fmt.Errorf("latencyMs is %q, want a number", row[i])
			}
		}
	}
	return l, nil
}

// input returns what to ask about.
func (r recorded) input() (nyckel.Input, error) {
	if r.data[0] == '{' {
		return rowOf(r.data)
	}
	var text string
	if err := json.Unmarshal(r.data, &text); err != nil {
		return nil, err
	}
	if strings.HasPrefix(text, "data:image/") {
		return nyckel.ImageDataURI(text), nil
	}
	return nyckel.Text(text), nil
}
