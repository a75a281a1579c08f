package nyckel

import "strings"

// nextLink returns the target of the link to the next page in a Link field (RFC
// 8288 section 3).
func nextLink(field string) (target string, ok bool) {
	for {
		_, rest, _ := strings.Cut(field, "<")
		target, rest, found := strings.Cut(rest, ">")
		if !found {
			return "", false
		}
		parameters, following := cutUnquoted(rest, '<')
		if isNext(parameters) && !strings.Contains(target, "<") {
			return target, true
		}
		field = "<" + following
	}
}

func isNext(parameters string) bool {
	for parameters != "" {
		var parameter string
		parameter, parameters = cutUnquoted(parameters, ';')
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		value = strings.Trim(strings.TrimSpace(strings.TrimRight(value, ", ")), `"`)
		if !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		for relation := range strings.FieldsSeq(value) {
			if strings.EqualFold(relation, "next") {
				return true
			}
		}
	}
	return false
}

// cutUnquoted cuts text around the first mark that is in no quoted string (RFC 9110
// section 5.6.4).
func cutUnquoted(text string, mark byte) (before, after string) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == mark && !quoted:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}
