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
	needs need
}

// A need says what has to be found out about an input to know its facts.
type need struct {
	counts    bool // the number of words
	sentiment bool // the tone of the words
	image     bool // an image's header
	source    bool // an image's address
	row       bool // its columns
}

// number returns the number of the field among the facts, which it joins if it is new.
func (f *facts) number(name string) int {
	if i := slices.Index(f.names, name); i >= 0 {
		return i
	}
	switch name {
	case fieldText, fieldLength: // need the text only
	case fieldWords:
		f.needs.counts = true
	case fieldSentiment:
		f.needs.sentiment = true
	case fieldHost, fieldPath:
		f.needs.source = true
	default:
		f.needs.image = f.needs.image || !isColumn(name)
		f.needs.row = f.needs.row || isColumn(name)
	}
	f.names = append(f.names, name)
	return len(f.names) - 1
}

// fill finds out the values of all facts.
func (f *facts) fill(in *input, e *evaluation) {
	if len(f.names) == 0 {
		return
	}
	var header imageHeader
	if f.needs.image {
		header = readHeader(in.image)
	}
	var source imageSource
	if f.needs.source {
		source = sourceOf(in.text)
	}
	var row any
	if f.needs.row {
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
		return numberValue(e.sentiment.score())
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
	object, _ := row.(map[string]any) // nil has no columns
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
