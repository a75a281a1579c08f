package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Excerpt returns the line that e is about, with a mark below its column, or ""
// if it has none. What follows a key that sounds like a secret's is masked.
func (s *Source) Excerpt(e *Error) string {
	lines := bytes.Split(s.data, []byte("\n"))
	if e.Line < 1 || e.Line > len(lines) {
		return ""
	}
	line := string(bytes.ToValidUTF8(bytes.TrimRight(lines[e.Line-1], "\r"), []byte("\uFFFD")))
	before := min(max(e.Column-1, 0), utf8.RuneCountInString(line))
	margin := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string([]rune(line)[:before]))
	return fmt.Sprintf("%5d | %s\n      | %s^\n", e.Line, maskSecrets(line), margin)
}

// secretKey is a key that may be followed by a secret, up to the end of its value.
var secretKey = regexp.MustCompile(`(?i)([\w-]*(?:secret|token|password|authorization|api-?_?key|cookie)[\w-]*["']?\s*:\s*)("[^"]*"|'[^']*'|[^,}#]+)`)

// userInfo finds what stands before the host of a URL.
var userInfo = regexp.MustCompile(`//[^\s/@"']+@`)

// maskSecrets puts stars in the place of values, so that columns stay.
func maskSecrets(line string) string {
	line = userInfo.ReplaceAllStringFunc(line, func(found string) string {
		return "//" + strings.Repeat("*", utf8.RuneCountInString(found)-3) + "@"
	})
	return secretKey.ReplaceAllStringFunc(line, func(found string) string {
		key, value := found, ""
		if parts := secretKey.FindStringSubmatch(found); parts != nil {
			key, value = parts[1], parts[2]
		}
		if strings.Contains(value, "${") { // a name, not the secret
			return found
		}
		return key + strings.Repeat("*", utf8.RuneCountInString(value))
	})
}
