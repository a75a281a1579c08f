package policy

import (
	"bytes"
	"slices"
)

// uncut gives a JSON text whose end is missing an end, so that what came of it can
// be read: errors that say much, such as those of Gemini's that list all limits,
// are longer than PeekBytes, and connections break. A string is ended where it was
// cut; else the text ends with the last member that is whole. It returns nil for what
// cannot be ended so.
func uncut(text []byte) []byte {
	var open, openAtComma []byte // the brackets that end what is open
	inString, comma := false, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			open = append(open, c+2) // "}" and "]" are two further in ASCII
		case (c == '}' || c == ']') && len(open) > 0:
			open = open[:len(open)-1]
		case c == ',':
			comma, openAtComma = i, append(openAtComma[:0], open...)
		}
	}
	if len(open) == 0 {
		return nil
	}
	if inString {
		if whole := ended(text, `"`, open); isJSON(whole) {
			return whole
		}
	} else if last := bytes.TrimRight(text, jsonSpace); bytes.IndexByte([]byte(`"}]`), last[len(last)-1]) >= 0 { // no number, which may go on
		if whole := ended(text, "", open); isJSON(whole) {
			return whole
		}
	}
	if whole := ended(text[:comma], "", openAtComma); isJSON(whole) {
		return whole
	}
	return nil
}

// ended returns a new text that ends with a part and the brackets, the last of which
// comes first.
func ended(text []byte, part string, brackets []byte) []byte {
	whole := append(slices.Clone(text), part...)
	for _, bracket := range slices.Backward(brackets) {
		whole = append(whole, bracket)
	}
	return whole
}
