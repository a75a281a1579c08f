// Package dataset reads labelled texts from CSV files, such as a function of the
// simulator is trained with, and parts those that are learned from those that are asked.
package dataset

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sparekey/sparekey/nyckel/internal/files"
)

// A Row is one labelled text.
type Row struct {
	Text  string
	Label string
	Line  int // on which the row begins, from 1
}

// Read reads a whole CSV file as RFC 4180 has it, in UTF-8 with or without a
// byte order mark. The first line names the columns: one is "text", one "label"
// or "category", in any case and order; others are passed over, as are empty lines.
// Texts and labels are taken as they are, white space and line breaks included, but
// that a line break of CR and LF becomes one of LF.
//
// An error reads "name:line: what is wrong, what was expected". It fails on the
// first row that has another number of fields than the header, a blank text or
// label, broken quoting or bytes that are not UTF-8, and on a file without rows.
// The error of r itself is wrapped.
func Read(name string, r io.Reader) ([]Row, error) {
	return read(name, r, "label", "category")
}

// ReadFile is [Read] for the file of that name. Of a pipe or a device, which may have no
// end, more than 256 MiB are an error.
func ReadFile(name string) ([]Row, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(name, f)
}

// ReadTexts reads texts that need no labels: it does what [Read] does, but passes
// over labels, too.
func ReadTexts(name string, r io.Reader) ([]Row, error) {
	return read(name, r)
}

// read reads a file with a column that has one of the labels' names, if there are
// such names.
func read(name string, r io.Reader, labels ...string) ([]Row, error) {
	f := file{name: name, csv: csv.NewReader(withoutBOM(r)), label: -1, expected: `"text"`}
	if len(labels) > 0 {
		f.expected = `"text,label" or "text,category"`
	}
	f.csv.FieldsPerRecord = -1 // counted by row, with a message of its own
	if err := f.header(labels); err != nil {
		return nil, err
	}
	var rows []Row
	for {
		row, err := f.row()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil, f.errorf(f.line()+1, "no rows, expected at least one after the header")
	}
	return rows, nil
}

// A file is a CSV file being read.
type file struct {
	name        string
	csv         *csv.Reader
	columns     int    // in the header
	text, label int    // which of them; no label is -1
	expected    string // as header
}

// header reads the line that names the columns.
func (f *file) header(labels []string) error {
	record, err := f.csv.Read()
	if errors.Is(err, io.EOF) {
		return f.errorf(1, "empty file, expected the header %s", f.expected)
	}
	if err != nil {
		return f.wrap(err)
	}
	f.columns = len(record)
	if f.text, err = f.column(record, "text"); err != nil {
		return err
	}
	if len(labels) > 0 {
		f.label, err = f.column(record, labels...)
	}
	return err
}

// maxShown is how many bytes of a header an error shows.
const maxShown = 100

// column returns the index of the one column that has one of the names.
func (f *file) column(header []string, names ...string) (int, error) {
	found := -1
	for i, column := range header {
		if !slices.Contains(names, strings.ToLower(strings.TrimSpace(column))) {
			continue
		}
		if found >= 0 {
			return 0, f.errorf(f.line(), "columns %q and %q, expected one of them", header[found], column)
		}
		found = i
	}
	if found < 0 {
		shown := strings.Join(header, ",")
		if len(shown) > maxShown { // the whole file, if its line breaks are none to package csv
			shown = strings.ToValidUTF8(shown[:maxShown], "") + "…"
		}
		return 0, f.errorf(f.line(), "no column %s in the header %q, expected %s", strings.Join(names, " or "), shown, f.expected)
	}
	return found, nil
}

// row reads the next row. It returns io.EOF after the last.
func (f *file) row() (Row, error) {
	record, err := f.csv.Read()
	if err != nil {
		return Row{}, f.wrap(err)
	}
	line := f.line()
	if len(record) != f.columns {
		return Row{}, f.errorf(line, "%d fields, expected %d as in the header", len(record), f.columns)
	}
	for i, field := range record {
		if !utf8.ValidString(field) {
			line, _ := f.csv.FieldPos(i)
			return Row{}, f.errorf(line, "field %d is not valid UTF-8, expected the file to be UTF-8", i+1)
		}
	}
	row := Row{Text: record[f.text], Line: line}
	if f.label >= 0 {
		row.Label = record[f.label]
	}
	switch {
	case strings.TrimSpace(row.Text) == "":
		return Row{}, f.errorf(line, "empty text, expected one in each row")
	case f.label >= 0 && strings.TrimSpace(row.Label) == "":
		return Row{}, f.errorf(line, "empty label, expected one in each row")
	}
	return row, nil
}

// line returns where the last record began.
func (f *file) line() int {
	line, _ := f.csv.FieldPos(0)
	return line
}

// wrap says where err arose; io.EOF stays as it is.
func (f *file) wrap(err error) error {
	if errors.Is(err, io.EOF) {
		return err
	}
	broken, ok := errors.AsType[*csv.ParseError](err)
	if !ok {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	return f.errorf(broken.StartLine, "broken quoting, seen at line %d, byte %d: %w, expected fields with quotes inside to be quoted and their quotes doubled",
		broken.Line, broken.Column, broken.Err)
}

func (f *file) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: "+format, append([]any{f.name, line}, args...)...)
}

// withoutBOM returns r without the byte order mark that spreadsheets put in
// front of UTF-8.
func withoutBOM(r io.Reader) io.Reader {
	const mark = "\xef\xbb\xbf"
	buffered := bufio.NewReader(r)
	if start, _ := buffered.Peek(len(mark)); bytes.Equal(start, []byte(mark)) {
		_, _ = buffered.Discard(len(mark)) // buffered already: cannot fail
	}
	return buffered
}
