package cache

import (
	"net/http"
	"net/textproto"
	"strings"
	"time"
)

// absent is the value of a directive that is not there.
const absent time.Duration = -1

// maxSeconds is what larger counts of seconds are read as (RFC 9111 section
// 1.2.2).
const maxSeconds = 1 << 31

// directives are what Cache-Control says, in a request or in a response (RFC
// 9111 section 5.2, RFC 5861).
type directives struct {
	noStore, noCache, onlyIfCached         bool
	public, mustRevalidate, mustUnderstand bool
	private                                bool // whether or not it names fields

	// The fields that no-cache names. It then says nothing of the others.
	noCacheFields []string

	maxAge, minFresh, maxStale         time.Duration
	staleWhileRevalidate, staleIfError time.Duration
}

// readDirectives returns what the lines of a Cache-Control field say. Of one that
// comes twice the stricter counts.
func readDirectives(lines []string) directives {
	d := directives{maxAge: absent, minFresh: absent, maxStale: absent, staleWhileRevalidate: absent, staleIfError: absent}
	for _, line := range lines {
		for line = strings.TrimLeft(line, ", \t"); line != ""; line = strings.TrimLeft(line, ", \t") {
			var name, value string
			name, value, line = cutDirective(line)
			d.add(name, value)
		}
	}
	return d
}

func (d *directives) add(name, value string) {
	switch strings.ToLower(name) {
	case "no-store":
		d.noStore = true
	case "no-cache":
		fields := listed([]string{value})
		d.noCache = d.noCache || len(fields) == 0
		for _, field := range fields {
			d.noCacheFields = append(d.noCacheFields, http.CanonicalHeaderKey(field))
		}
	case "only-if-cached":
		d.onlyIfCached = true
	case "public":
		d.public = true
	case "private":
		d.private = true
	case "must-revalidate":
		d.mustRevalidate = true
	case "must-understand":
		d.mustUnderstand = true
	case "max-age": // one that cannot be read is no permission
		age, _ := readSeconds(value)
		d.maxAge = stricter(d.maxAge, age)
	case "min-fresh":
		if fresh, ok := readSeconds(value); ok {
			d.minFresh = max(d.minFresh, fresh)
		}
	case "max-stale":
		stale, ok := readSeconds(value)
		if value == "" {
			stale, ok = maxSeconds*time.Second, true // however stale
		}
		if ok {
			d.maxStale = stricter(d.maxStale, stale)
		}
	case "stale-while-revalidate":
		if window, ok := readSeconds(value); ok {
			d.staleWhileRevalidate = stricter(d.staleWhileRevalidate, window)
		}
	case "stale-if-error":
		window, ok := readSeconds(value)
		if value == "" {
			window, ok = maxSeconds*time.Second, true
		}
		if ok {
			d.staleIfError = stricter(d.staleIfError, window)
		}
	}
}

func stricter(a, b time.Duration) time.Duration {
	if a == absent {
		return b
	}
	return min(a, b)
}

// cutDirective returns the first member of a Cache-Control line, its value
// without quotes, and what comes after it.
func cutDirective(line string) (name, value, rest string) {
	end := strings.IndexAny(line, "=,")
	if end < 0 {
		return textproto.TrimString(line), "", ""
	}
	name, rest = textproto.TrimString(line[:end]), line[end+1:]
	if line[end] == ',' {
		return name, "", rest
	}
	if rest = textproto.TrimString(rest); strings.HasPrefix(rest, `"`) {
		value, rest = cutQuoted(rest)
		_, rest, _ = strings.Cut(rest, ",")
		return name, value, rest
	}
	value, rest, _ = strings.Cut(rest, ",")
	return name, textproto.TrimString(value), rest
}

// cutQuoted returns the text of the quoted string that s begins with, and what
// comes after it. One that does not end goes to the end.
func cutQuoted(s string) (text, rest string) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i == len(s) {
				return b.String(), ""
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// readSeconds reads a count of seconds (RFC 9111 section 1.2.2).
func readSeconds(text string) (time.Duration, bool) {
	var n int64
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), maxSeconds)
	}
	return time.Duration(n) * time.Second, text != ""
}

// requestDirectives returns what the header of a request says. Pragma counts
// where Cache-Control is absent (RFC 9111 section 5.4).
func requestDirectives(h http.Header) directives {
	lines := h["Cache-Control"]
	d := readDirectives(lines)
	if len(lines) == 0 && mentions(h["Pragma"], "no-cache") {
		d.noCache = true
	}
	return d
}
