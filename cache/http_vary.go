package cache

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxVary bounds how many fields an answer that is stored may vary by.
const maxVary = 32

// variedBy returns the request fields that an answer with the header h depends on
// (RFC 9111 section 4.1), sorted. It reports false if it depends on more than fields
// tell.
//
// A coded answer depends on Accept-Encoding, whether it says so or not; so does one
// that net/http has decoded, which it does not for callers who ask for a coding
// themselves.
func variedBy(h http.Header, uncompressed bool) ([]string, bool) {
	var names []string
	for _, name := range listed(h["Vary"]) {
		if name == "*" {
			return nil, false
		}
		names = append(names, http.CanonicalHeaderKey(name))
	}
	if uncompressed || len(h["Content-Encoding"]) > 0 {
		names = append(names, "Accept-Encoding")
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names, len(names) <= maxVary
}

// A selection stands for the values of the fields that an answer depends on. It
// is a hash: they may be secret.
type selection [sha256.Size]byte

// selectionOf returns the selection of a request with the header h.
func selectionOf(h http.Header, names []string) selection {
	if len(names) == 0 {
		return selection{}
	}
	parts := keyParts(make([]byte, 0, 256))
	for _, name := range names {
		parts = parts.add(name)
		if lines := h[name]; len(lines) > 0 { // an empty one is not like none (RFC 9111 section 4.1)
			parts = append(parts, 1).addAll(normalised(name, lines))
		} else {
			parts = append(parts, 0)
		}
	}
	return sha256.Sum256(parts)
}

// normalised returns the members of a field so that values that mean the same are
// the same, as far as that holds for all fields: it does not matter how a list is
// put on lines and spaced. Quoted texts are left alone. The order of languages
// does not matter, since what is preferred is said by weights.
func normalised(name string, lines []string) []string {
	if slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, `"`) }) {
		return lines
	}
	members := listed(lines)
	if name == "Accept-Language" {
		for i := range members {
			members[i] = strings.ToLower(members[i])
		}
		slices.Sort(members)
	}
	return members
}

// prefers reports whether one language is what the lines of an Accept-Language
// field want most.
func prefers(lines []string, language string) bool {
	best, wanted := 0.0, 0.0
	for _, member := range listed(lines) {
		tag, parameter, _ := strings.Cut(member, ";")
		weight := 1.0
		if _, q, ok := strings.Cut(parameter, "="); ok {
			var err error
			if weight, err = strconv.ParseFloat(strings.TrimSpace(q), 64); err != nil {
				return false
			}
		}
		if strings.EqualFold(strings.TrimSpace(tag), language) {
			wanted = weight
		} else {
			best = max(best, weight)
		}
	}
	return wanted > best
}
