package fallback

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// What a field may be about other than a column of a row.
const (
	fieldText      = "text"
	fieldLength    = "text.length"
	fieldWords     = "text.words"
	fieldSentiment = "text.sentiment"

	fieldFormat = "image.format"
	fieldWidth  = "image.width"
	fieldHeight = "image.height"
	fieldAspect = "image.aspect"
	fieldBytes  = "image.bytes"
	fieldHost   = "image.source.host"
	fieldPath   = "image.source.path"

	rowPrefix = "row." // for columns whose names are those of the fields above
)

// fieldKinds says of what type the fields are.
var fieldKinds = map[string]valueKind{
	fieldText: isText, fieldLength: isNumber, fieldWords: isNumber, fieldSentiment: isNumber,
	fieldFormat: isText, fieldWidth: isNumber, fieldHeight: isNumber, fieldAspect: isNumber, fieldBytes: isNumber,
	fieldHost: isText, fieldPath: isText,
}

// isColumn reports whether name, of a field, is one of a row's columns.
func isColumn(name string) bool {
	return name != fieldText && !strings.HasPrefix(name, "text.") &&
		name != "image" && !strings.HasPrefix(name, "image.")
}

// facts are the fields that the rules ask for, each of which is found out once.
type facts struct {
	names []string
	what  need
}

// A need is what has to be found out.
type need struct {
	counts bool // the number of words
	moody  bool // the sentiment
	image  bool // an image's header
	source bool // an image's address
	row    bool
}

// number returns the number of the field.
func (f *facts) number(name string) int {
	if i := slices.Index(f.names, name); i >= 0 {
		return i
	}
	switch name {
	case fieldText, fieldLength:
	case fieldWords:
		f.what.counts = true
	case fieldSentiment:
		f.what.moody = true
	case fieldHost, fieldPath:
		f.what.source = true
	default:
		f.what.image = f.what.image || !isColumn(name)
		f.what.row = f.what.row || isColumn(name)
	}
	f.names = append(f.names, name)
	return len(f.names) - 1
}

// fill finds out all that is asked for.
func (f *facts) fill(in *input, e *evaluation) {
	if len(f.names) == 0 {
		return
	}
	var header imageHeader
	if f.what.image {
		header = readHeader(in.image)
	}
	var source imageSource
	if f.what.source {
		source = sourceOf(in.text)
	}
	var row any
	if f.what.row {
		row = decodeRow(in.row)
	}
	values := e.values()
	for i, name := range f.names {
		switch {
		case isColumn(name):
			values[i] = column(row, strings.TrimPrefix(name, rowPrefix))
		case strings.HasPrefix(name, "image.source."):
			values[i] = source.value(name)
		case strings.HasPrefix(name, "image."):
			values[i] = header.value(name)
		case in.hasText:
			values[i] = textFact(name, in, e)
		}
	}
}

func textFact(name string, in *input, e *evaluation) value {
	switch name {
	case fieldLength:
		return numberValue(float64(utf8.RuneCountInString(in.text)))
	case fieldWords:
		return numberValue(float64(e.words))
	case fieldSentiment:
		return numberValue(e.mood.score())
	}
	return textValue(in.text)
}

// decodeRow returns nil if there is no row.
func decodeRow(data json.RawMessage) any {
	if len(data) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var row any
	if decoder.Decode(&row) != nil {
		return nil
	}
	return row
}

// column returns the value at a dotted path. A name that has dots itself goes
// before a path with the same text.
func column(row any, path string) value {
	object, ok := row.(map[string]any)
	if !ok {
		return value{}
	}
	if x, ok := object[path]; ok {
		return valueOf(x)
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if inner, ok := object[path[:i]]; ok {
			if v := column(inner, path[i+1:]); v.is != missing {
				return v
			}
		}
	}
	return value{}
}
