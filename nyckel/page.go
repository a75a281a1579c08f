package nyckel

import "strings"

// nextLink returns the target of the link to the next page in a Link field (RFC
// 8288 section 3).
func nextLink(field string) (target string, ok bool) {
	for {
		_, rest, found := strings.Cut(field, "<")
		if !found {
			return "", false
		}
		target, rest, found = strings.Cut(rest, ">")
		if !found {
			return "", false
		}
		parameters, following, _ := strings.Cut(rest, "<")
		if isNext(parameters) && !strings.Contains(target, "<") {
			return target, true
		}
		field = "<" + following
		if following == "" {
			return "", false
		}
	}
}

func isNext(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ";") {
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
