package config

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shownBeside is how many characters are shown on each side of a column.
const shownBeside = 100

// Excerpt returns the line that e is about, or the part around its column if it is
// long, with a mark below the column, or "" if it has none. What follows a key that
// sounds like a secret's is masked.
func (s *Source) Excerpt(e *Error) string {
	lines := bytes.Split(s.data, []byte("\n"))
	if e.Line < 1 || e.Line > len(lines) {
		return ""
	}
	text, above := printable(lines[e.Line-1]), lines[:e.Line-1]
	part := secretPart(above, text)
	if endsInSecret(bytes.Join(above, []byte("\n"))) {
		part = len(text)
	}
	line := []rune(stars(text[:part]) + maskSecrets(text[part:]))
	at := min(max(e.Column-1, 0), len(line))
	if end := at + shownBeside; end < len(line) {
		line = append(line[:end:end], '…')
	}
	if start := at - shownBeside; start > 0 {
		line, at = append([]rune("…"), line[start:]...), shownBeside+1
	}
	margin := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string(line[:at]))
	return fmt.Sprintf("%5d | %s\n      | %s^\n", e.Line, string(line), margin)
}

// printable returns a line as a terminal can show it, rune for rune.
func printable(line []byte) string {
	line = bytes.ToValidUTF8(bytes.TrimRight(line, "\r"), []byte("\uFFFD"))
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return '\uFFFD'
		}
		return r
	}, string(line))
}

var (
	// ownKey finds the keys of a line that are ones for sure: not the http of a URL.
	ownKey = regexp.MustCompile(`([\w-]+)["']?\s*:(?:\s|$)`)

	// aValue finds one after a key, on the same line.
	aValue = regexp.MustCompile(`^["']?\s*:\s+(?:[&!]\S*\s+)*[^\s#&!]`)

	// anIndent is what a line begins with, up to the first key of an item.
	anIndent = regexp.MustCompile(`^\s*(?:- +)*`)
)

// secretPart returns how much of a line goes on with the value of a key above that
// sounds like a secret's: all up to its own first key if that is of the nearest key, and
// all of it if the line is indented below the key, where what looks like a key is a part
// of the value.
func secretPart(above [][]byte, line string) (part int) {
	whole, first := len(line), len(line)
	if key := ownKey.FindStringIndex(line); key != nil {
		first = len(strings.TrimRight(line[:key[0]], " \t-[{\"'"))
	}
	nearest, indent := true, len(anIndent.FindString(line))
	for _, line := range slices.Backward(above) {
		keys := ownKey.FindAllSubmatchIndex(line, -1)
		if len(keys) == 0 {
			continue
		}
		key := keys[len(keys)-1]
		isSecret := soundsSecret(string(line[key[2]:key[3]]))
		below := len(anIndent.Find(line)) < indent
		if isSecret && nearest {
			part = first
		}
		if isSecret && below && aValue.Match(line[key[3]:]) {
			return whole
		}
		nearest = false
		if below {
			indent = len(anIndent.Find(line))
		}
	}
	return part
}

// openKey finds a key whose value begins with what is closed at its end.
var openKey = regexp.MustCompile(`([\w-]+)["']?\s*:\s*(?:[&!]\S*\s+)*[\[{"']`)

// endsInSecret reports whether text ends within the brackets, braces or quotes of a value
// whose key sounds like a secret's.
func endsInSecret(text []byte) bool {
	for {
		key := openKey.FindSubmatchIndex(text)
		if key == nil {
			return false
		}
		isSecret := soundsSecret(string(text[key[2]:key[3]]))
		text = text[key[1]-1:]
		end, closed := 1, true
		if isSecret || text[0] == '"' || text[0] == '\'' { // in others there may be keys
			end, closed = nested(text)
		}
		switch {
		case closed:
			text = text[end:]
		case isSecret:
			return true
		default: // it is broken, and what follows may be a secret
			text = text[1:]
		}
	}
}

var (
	// aKey finds a key and what stands between it and its value, be it something else
	// than the colon, or nothing where a key may begin.
	aKey = regexp.MustCompile(`([\w-]+)["']?\s*[:=]\s*|(?:^|[{,]|\s--)[\s"']*(?:-\s+)*([\w-]+)["']?\s+`)

	// quoted is a text in quotes that are closed.
	quoted = regexp.MustCompile(`(?s)^(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')`)

	// bare is a text without quotes within braces or brackets, up to its end.
	bare = regexp.MustCompile(`^(?:\$\{[^}]*\}|[^,}])+`)

	// aReference is a value that only says where it is from.
	aReference = regexp.MustCompile(`^["']?\$\{(?:file:)?[^{}:#]*\}?["']?(?:\s+#.*|\s*)$`)

	// userInfo finds what stands before the host of a URL, be it with marks in it that
	// make it none, and query its query.
	userInfo = regexp.MustCompile(`//[^\s"']+@`)
	query    = regexp.MustCompile(`//[^\s?"']*\?[^\s"'#]+`)

	// curlUser finds who calls, as curl is told.
	curlUser = regexp.MustCompile(`\s(?:-u|--user)[\s=]+("[^"]*"|'[^']*'|\S+)`)
)

// maskSecrets puts stars in the place of values, so that columns stay.
func maskSecrets(line string) string {
	line = userInfo.ReplaceAllStringFunc(line, func(found string) string { return "//" + stars(found[3:]) + "@" })
	line = query.ReplaceAllStringFunc(line, func(found string) string {
		address, secret, _ := strings.Cut(found, "?")
		return address + "?" + stars(secret)
	})
	line = curlUser.ReplaceAllStringFunc(line, func(found string) string {
		at := curlUser.FindStringSubmatchIndex(found)
		return found[:at[2]] + stars(found[at[2]:])
	})
	inside := strings.IndexAny(line, "{[") // where what is within braces or brackets begins
	var values []int                       // where those there begin
	for _, at := range aKey.FindAllStringSubmatchIndex(line, -1) {
		start, end := max(at[2], at[4]), max(at[3], at[5]) // of the key, the other is -1
		switch {
		case !soundsSecret(line[start:end]):
		case inside >= 0 && inside < start:
			values = append(values, at[1])
		case !aReference.MatchString(line[at[1]:]): // it goes on to the end of the line
			return line[:at[1]] + stars(line[at[1]:])
		}
	}
	return maskInside(line, values)
}

// maskInside masks the values within braces or brackets that begin at those places: the
// last first, for what is masked ends none that it is a part of. Until the end there is
// one star for each that is masked, so that those around it need not read it again.
func maskInside(line string, values []int) string {
	type run struct{ at, width int }
	var runs []run // of stars in room, the last first
	room := []byte(line)
	at, rest := len(line), len(line) // room[at:] is what line[rest:] has become
	for _, start := range slices.Backward(values) {
		at -= copy(room[at-(rest-start):], line[start:rest])
		rest = start
		value := valueInside(room[at:])
		if len(value) == 0 || aReference.Match(value) {
			continue
		}
		end, width := at+len(value), utf8.RuneCount(value)
		for len(runs) > 0 && runs[len(runs)-1].at < end {
			width += runs[len(runs)-1].width - 1
			runs = runs[:len(runs)-1]
		}
		at = end - 1
		room[at] = '*'
		runs = append(runs, run{at, width})
	}
	masked := []byte(line[:rest])
	for _, r := range slices.Backward(runs) {
		masked = append(masked, room[at:r.at]...)
		masked = append(masked, strings.Repeat("*", r.width)...)
		at = r.at + 1
	}
	return string(append(masked, room[at:]...))
}

// valueInside returns the value that text begins with, within braces or brackets.
func valueInside(text []byte) []byte {
	if len(text) > 0 && strings.ContainsRune("[{\"'", rune(text[0])) {
		end, _ := nested(text)
		return text[:end]
	}
	return bare.Find(text)
}

// nested returns where the bracket, brace or quote that text begins with is closed, or the
// end of text if it is not.
func nested(text []byte) (end int, closed bool) {
	depth := 0
	for end < len(text) {
		switch text[end] {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '"', '\'':
			if end > 0 && !bytes.ContainsAny(text[end-1:end], " \t\r\n,:[{") {
				break // it is a part of a text without quotes
			}
			whole := quoted.Find(text[end:])
			if whole == nil {
				return len(text), false
			}
			end += len(whole) - 1
		}
		end++
		if depth == 0 {
			return end, true
		}
	}
	return end, false
}

func stars(text string) string { return strings.Repeat("*", utf8.RuneCountInString(text)) }

// soundsSecret reports whether a key may be followed by a secret, be it misspelled.
func soundsSecret(key string) bool {
	key = strings.ToLower(key)
	words := strings.FieldsFunc(key, func(r rune) bool { return r == '_' || r == '-' })
	for _, secret := range [...]string{"secret", "token", "password", "passphrase", "authorization", "auth", "apikey", "cookie", "credential"} {
		near := func(word string) bool { return distance(word, secret, 1+len(secret)/3) <= len(secret)/3 }
		if strings.Contains(key, secret) || slices.ContainsFunc(words, near) {
			return true
		}
	}
	for _, secret := range [...]string{"bearer", "jwt", "pwd", "session", "signature"} { // a letter or two off, they are other words
		if strings.Contains(key, secret) {
			return true
		}
	}
	return slices.ContainsFunc(words, func(word string) bool { return word == "pass" || strings.HasSuffix(word, "key") })
}
