package policy

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// These read a JSON text (RFC 8259) in one pass: they check it as far as they go, as
// strictly as package encoding/json does, and hand out the parts as they stand in the
// text. Each returns where what begins at i ends, -1 if it is not valid.

// maxJSONDepth is how deep values may be nested, as in package encoding/json.
const maxJSONDepth = 10000

// jsonSpace is what may stand between the parts of a JSON text.
const jsonSpace = " \t\r\n"

// isJSON reports whether a text without space around it is one JSON value.
func isJSON(text []byte) bool { return valueEnd(text, 0, 0) == len(text) }

func valueEnd(text []byte, i, depth int) int {
	if i >= len(text) {
		return -1
	}
	switch text[i] {
	case '"':
		return stringEnd(text, i)
	case '{':
		return objectEnd(text, i, depth, nil)
	case '[':
		return arrayEnd(text, i, depth, nil)
	case 't':
		return wordEnd(text, i, "true")
	case 'f':
		return wordEnd(text, i, "false")
	case 'n':
		return wordEnd(text, i, "null")
	}
	return numberEnd(text, i)
}

// objectEnd calls member, if it is not nil, with the name and the value of each
// member.
func objectEnd(text []byte, i, depth int, member func(name, value []byte)) int {
	if !has(text, i, '{') || depth == maxJSONDepth {
		return -1
	}
	if i = skipSpace(text, i+1); has(text, i, '}') {
		return i + 1
	}
	for {
		nameEnd := stringEnd(text, i)
		if nameEnd < 0 {
			return -1
		}
		colon := skipSpace(text, nameEnd)
		if !has(text, colon, ':') {
			return -1
		}
		start := skipSpace(text, colon+1)
		end := valueEnd(text, start, depth+1)
		if end < 0 {
			return -1
		}
		if member != nil {
			member(text[i:nameEnd], text[start:end])
		}
		if i = skipSpace(text, end); has(text, i, '}') {
			return i + 1
		}
		if !has(text, i, ',') {
			return -1
		}
		i = skipSpace(text, i+1)
	}
}

// arrayEnd calls element, if it is not nil, with each element.
func arrayEnd(text []byte, i, depth int, element func(value []byte)) int {
	if !has(text, i, '[') || depth == maxJSONDepth {
		return -1
	}
	if i = skipSpace(text, i+1); has(text, i, ']') {
		return i + 1
	}
	for {
		end := valueEnd(text, i, depth+1)
		if end < 0 {
			return -1
		}
		if element != nil {
			element(text[i:end])
		}
		if i = skipSpace(text, end); has(text, i, ']') {
			return i + 1
		}
		if !has(text, i, ',') {
			return -1
		}
		i = skipSpace(text, i+1)
	}
}

func stringEnd(text []byte, i int) int {
	if !has(text, i, '"') {
		return -1
	}
	for i++; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c == '\\':
			if i = escapeEnd(text, i+1) - 1; i < 0 {
				return -1
			}
		}
	}
	return -1
}

// escapeEnd is for what follows a backslash.
func escapeEnd(text []byte, i int) int {
	if i >= len(text) {
		return -1
	}
	switch text[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		for n := 1; n <= 4; n++ {
			if i+n >= len(text) || !isHex(text[i+n]) {
				return -1
			}
		}
		return i + 5
	}
	return -1
}

func numberEnd(text []byte, i int) int {
	if has(text, i, '-') {
		i++
	}
	if has(text, i, '0') {
		i++
	} else if i = digitsEnd(text, i); i < 0 {
		return -1
	}
	if has(text, i, '.') {
		if i = digitsEnd(text, i+1); i < 0 {
			return -1
		}
	}
	if has(text, i, 'e') || has(text, i, 'E') {
		if i++; has(text, i, '+') || has(text, i, '-') {
			i++
		}
		return digitsEnd(text, i)
	}
	return i
}

// digitsEnd is for one digit or more.
func digitsEnd(text []byte, i int) int {
	start := i
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

func wordEnd(text []byte, i int, word string) int {
	if end := i + len(word); end <= len(text) && string(text[i:end]) == word {
		return end
	}
	return -1
}

// skipSpace returns where the space ends that begins at i, if there is any.
func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r') {
		i++
	}
	return i
}

// has reports whether c is at i.
func has(text []byte, i int, c byte) bool { return i < len(text) && text[i] == c }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// member returns the value of a member of a JSON object that is valid, nil if it has
// none or is no object. The name counts in any case, and of several the last.
func member(object []byte, want string) (value []byte) {
	objectEnd(object, 0, 0, func(raw, v []byte) {
		if strings.EqualFold(string(unquoted(raw)), want) {
			value = v
		}
	})
	return value
}

// firstElement returns the first element of the JSON array with which a text begins,
// nil if it has none, and where the array ends.
func firstElement(text []byte) (first []byte, end int) {
	end = arrayEnd(text, 0, 0, func(value []byte) {
		if first == nil {
			first = value
		}
	})
	return first, end
}

// unquoted returns the name of a member without quotes and escapes.
func unquoted(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') >= 0 {
		return []byte(jsonText(raw))
	}
	return raw[1 : len(raw)-1]
}

// lowerCase returns a name in lower case, as far as it has letters that are
// ASCII ones or count as such in any case.
func lowerCase(name []byte) []byte {
	for _, c := range name {
		if c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return bytes.Map(lowerRune, name)
		}
	}
	return name
}

func lowerRune(r rune) rune {
	if r >= utf8.RuneSelf {
		r = unicode.SimpleFold(r) // the ASCII letter, if it counts as one
	}
	if 'A' <= r && r <= 'Z' {
		return r - 'A' + 'a'
	}
	return r
}
