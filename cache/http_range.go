package cache

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/sparekey/sparekey/policy/body"
)

// part returns what a Range field asks of a body of that size, from one byte up to
// before another (RFC 9110 section 14.1.2). It reports false if that is not
// exactly one part that exists, in bytes.
func part(field string, size int64) (from, to int64, ok bool) {
	unit, spec, _ := strings.Cut(field, "=")
	first, last, dashed := strings.Cut(strings.TrimSpace(spec), "-")
	if !strings.EqualFold(unit, "bytes") || !dashed {
		return 0, 0, false
	}
	to = size
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 63)
		return max(size-int64(n), 0), size, err == nil && n > 0 && size > 0
	}
	start, err := strconv.ParseUint(first, 10, 63)
	if err != nil || int64(start) >= size {
		return 0, 0, false
	}
	if last != "" {
		end, err := strconv.ParseUint(last, 10, 63)
		if err != nil || end < start {
			return 0, 0, false
		}
		to = min(int64(end), size-1) + 1
	}
	return int64(start), to, true
}

// partOf makes of a whole answer the part that h asks for. It reports false if it
// cannot: then the origin is to be asked.
func (s *stored) partOf(resp *http.Response, h http.Header) bool {
	lines := h["Range"]
	if s.code != http.StatusOK || len(lines) != 1 || len(s.header["Content-Range"]) > 0 {
		return false
	}
	if condition := h["If-Range"]; len(condition) > 0 && !s.unchanged(condition) {
		return true // the whole is what the caller wants then
	}
	from, to, ok := part(lines[0], int64(len(s.body)))
	if !ok {
		return false
	}
	resp.StatusCode, resp.Status = http.StatusPartialContent, "206 Partial Content"
	resp.Body, resp.ContentLength = body.Bytes(s.body[from:to]), to-from
	resp.Header["Content-Length"] = []string{strconv.FormatInt(to-from, 10)}
	resp.Header["Content-Range"] = []string{fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(s.body))}
	return true
}

// unchanged reports whether an If-Range field names this answer, which it must do
// exactly (RFC 9110 section 13.1.5). A date does so only if the answer was made in a
// later second: there may have been two in that one (section 8.8.2.2).
func (s *stored) unchanged(condition []string) bool {
	if len(condition) != 1 || strings.HasPrefix(condition[0], "W/") {
		return false
	}
	if strings.HasPrefix(condition[0], `"`) {
		own := s.header["Etag"]
		return len(own) == 1 && own[0] == condition[0]
	}
	own := s.header["Last-Modified"]
	changed, dated := dateOf(s.header, "Last-Modified")
	made, known := dateOf(s.header, "Date")
	return dated && known && changed.Before(made) && own[0] == condition[0]
}
