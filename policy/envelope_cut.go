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
	u := unclosedIn(text)
	if len(u.brackets) == 0 {
		return nil
	}
	if u.inString {
		if whole := ended(text, `"`, u.brackets); isJSON(whole) {
			return whole
		}
	} else if last := bytes.TrimRight(text, jsonSpace); bytes.IndexByte([]byte(`"}]`), last[len(last)-1]) >= 0 { // no number, which may go on
		if whole := ended(text, "", u.brackets); isJSON(whole) {
			return whole
		}
	}
	members := text[:u.comma]
	if whole := ended(members, "", unclosedIn(members).brackets); isJSON(whole) {
		return whole
	}
	return nil
}

// unclosed is what a JSON text has begun and not ended.
type unclosed struct {
	brackets []byte // those that end what is open
	inString bool
	comma    int // where the last one stands
}

func unclosedIn(text []byte) (u unclosed) {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case u.inString && c == '\\':
			i++
		case c == '"':
			u.inString = !u.inString
		case u.inString:
		case c == '{' || c == '[':
			u.brackets = append(u.brackets, c+2) // "}" and "]" are two further in ASCII
		case (c == '}' || c == ']') && len(u.brackets) > 0:
			u.brackets = u.brackets[:len(u.brackets)-1]
		case c == ',':
			u.comma = i
		}
	}
	return u
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
