package policy

import (
	"bytes"
	"slices"
)

// repairJSON closes a JSON text that was cut short, so that what came of it can be
// read: long errors, such as those of Gemini's that list all limits, exceed PeekBytes,
// and connections break. A string is closed where it was cut; else the text is cut back
// to the last member that is whole. It returns nil for what cannot be repaired so.
func repairJSON(text []byte) []byte {
	u := unclosedIn(text)
	if len(u.brackets) == 0 {
		return nil
	}
	if u.inString {
		if whole := closedWith(text, `"`, u.brackets); isJSON(whole) {
			return whole
		}
	} else if last := bytes.TrimRight(text, jsonSpace); bytes.IndexByte([]byte(`"}]`), last[len(last)-1]) >= 0 { // no number, which may go on
		if whole := closedWith(text, "", u.brackets); isJSON(whole) {
			return whole
		}
	}
	members := text[:u.comma]
	if whole := closedWith(members, "", unclosedIn(members).brackets); isJSON(whole) {
		return whole
	}
	return nil
}

// unclosed is what a JSON text has opened and not closed.
type unclosed struct {
	brackets []byte // that would close what is open, the outermost first
	inString bool
	comma    int // index of the last one outside of strings
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

// closedWith returns a copy of a text with a part and then the brackets appended, the
// last bracket first.
func closedWith(text []byte, part string, brackets []byte) []byte {
	whole := append(slices.Clone(text), part...)
	for _, bracket := range slices.Backward(brackets) {
		whole = append(whole, bracket)
	}
	return whole
}
