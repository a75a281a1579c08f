package config

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Key returns the key of the Go field with that name, or a path of keys for one
// of fields. The keys of maps, which stand in brackets in a path, stay as they
// are, after a dot: Functions[myOwn].Retry is functions.myOwn.retry.
func Key(name string) string {
	var b strings.Builder
	for name != "" {
		field, rest, _ := strings.Cut(name, "[")
		writeKey(&b, field)
		index, after, inBrackets := strings.Cut(rest, "]")
		switch _, err := strconv.Atoi(index); {
		case !inBrackets:
			b.WriteString(rest)
		case err == nil:
			b.WriteString("[" + index + "]")
		default:
			b.WriteString("." + index)
		}
		name = after
	}
	return b.String()
}

// writeKey writes the keys of fields.
func writeKey(b *strings.Builder, name string) {
	inWord := false
	for _, r := range name {
		if unicode.IsUpper(r) {
			if inWord {
				b.WriteByte('_')
			}
			r = unicode.ToLower(r)
			inWord = false
		} else {
			inWord = unicode.IsLetter(r) || unicode.IsDigit(r)
		}
		b.WriteRune(r)
	}
}

// Suggest returns a hint that names the one of known that is most like name, or
// all of them if none is like it and they are few. It returns "" if there is
// nothing to say.
func Suggest(name string, known []string) string {
	best, least := "", 1+min(2, len(name)/2)
	for _, candidate := range known {
		if d := distance(name, candidate, least); d < least {
			best, least = candidate, d
		}
	}
	switch {
	case best != "":
		return "; did you mean " + best + "?"
	case len(known) > 0 && len(known) <= 20:
		return "; known are " + strings.Join(known, ", ")
	}
	return ""
}

// distance returns how many bytes of a must be put in, left out, replaced or
// swapped with the next to get b, case aside; bound or more stands for any number from
// bound on. Texts that are not alike are told apart by the beginning of where they differ.
func distance(a, b string, bound int) int {
	if max(len(a)-len(b), len(b)-len(a)) >= bound {
		return bound
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	width := len(b) + 1
	cells := make([]int, 3*width)
	earlier, above, row := cells[:width], cells[width:2*width], cells[2*width:]
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		earlier, above, row = above, row, earlier
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], earlier[j-2]+1)
			}
		}
		if slices.Min(row) >= bound { // and so is that of all rows to come
			return bound
		}
	}
	return row[len(b)]
}
