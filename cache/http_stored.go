package cache

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sparekey/sparekey/telemetry"
)

// keptForValidation is how long past its use an answer is kept so that the origin
// can confirm it.
const keptForValidation = 24 * time.Hour

// stored is an answer to a GET that is kept. It is not changed once it is on a
// shelf.
type stored struct {
	message
	header http.Header // the fields again, to look things up

	cc        directives
	refreshAt time.Time // no refresh begins before; zero unless one failed

	public   bool // may be given to whoever asks
	vary     []string
	selected selection
	language string    // what it is written in, if it varies by Accept-Language
	others   selection // that of the other fields, then
}

// storing returns an answer that is to be stored, yet without its body. It reports
// false if it must not be, or would be of no use.
func storing(w *wanted, resp *http.Response, asked, arrived time.Time, maxStale time.Duration) (*stored, bool) {
	h := canonicalNames(resp.Header)
	cc := readDirectives(h["Cache-Control"])
	if !mayStore(resp, h, cc) {
		return nil, false
	}
	names, ok := variedBy(h, resp.Uncompressed)
	if !ok {
		return nil, false
	}
	s := &stored{message: messageOf(resp), header: storedHeader(h, cc, arrived), vary: names}
	s.selected = selectionOf(w.header, names)
	if languages := h["Content-Language"]; len(languages) == 1 && slices.Contains(names, "Accept-Language") {
		s.language = languages[0]
		s.others = selectionOf(w.header, without(names, "Accept-Language"))
	}
	s.date(h, cc, asked, arrived, maxStale)
	if s.setsCookie() && !w.private && !s.handsOutCookie(arrived) {
		return nil, false
	}
	useful := s.freshUntil.After(s.born) || s.validators() || s.cc.staleIfError > 0
	return s, useful && (!cc.noCache || s.validators())
}

// date sets the times of an answer.
func (s *stored) date(h http.Header, cc directives, asked, arrived time.Time, maxStale time.Duration) {
	s.cc = cc
	s.public = cc.public && !cc.private && !s.setsCookie() // of two that conflict the stricter counts
	s.born = bornAt(h, asked, arrived)
	life, _ := lifetime(s.code, h, cc, arrived)
	s.freshUntil = s.born.Add(life)
	s.dropAt = s.freshUntil.Add(maxStale)
	if s.dropAt.Before(arrived) || s.validators() {
		s.dropAt = later(s.dropAt, arrived.Add(keptForValidation))
	}
}

func (s *stored) setsCookie() bool {
	return len(s.header["Set-Cookie"])+len(s.header["Set-Cookie2"]) > 0
}

// handsOutCookie reports whether an answer with a cookie may be given to others who
// show nothing of themselves. A cookie does not forbid to store an answer, and it is
// for the origin to say what is to be done (RFC 9111 section 7.3): so it must have
// given the answer some time to last, and not have said that it is for one. Servers
// say with an end that is past that a cookie is nobody else's.
func (s *stored) handsOutCookie(arrived time.Time) bool {
	life, explicit := lifetime(s.code, s.header, s.cc, arrived)
	return explicit && life > 0 && !s.cc.noCache && !s.cc.private
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}

// mayStore reports whether an answer to a GET may be stored (RFC 9111 section 3).
func mayStore(resp *http.Response, h http.Header, cc directives) bool {
	if !cc.letStore(resp.StatusCode) {
		return false
	}
	switch resp.StatusCode {
	case http.StatusPartialContent, http.StatusNotModified, http.StatusSwitchingProtocols:
		return false
	}
	_, explicit := h["Expires"]
	explicit = explicit || cc.maxAge != absent || cc.public || cc.private
	if !explicit && !slices.Contains(heuristicStatuses[:], resp.StatusCode) {
		return false
	}
	return resp.Body != nil && len(resp.Trailer) == 0 && !endsWithConnection(resp) &&
		len(h[telemetry.HeaderName]) == 0 && // stands in for a live answer
		!mentions(h["Content-Type"], "text/event-stream")
}

// letStore reports whether what an answer with the status says of itself lets it be
// stored: no-store does not count beside must-understand (RFC 9111 section 5.2.2.3).
func (d directives) letStore(status int) bool {
	if d.mustUnderstand {
		return http.StatusText(status) != ""
	}
	return !d.noStore
}

// storedHeader returns what is kept of a header (RFC 9111 section 3.1). One without
// a Date gets that of its arrival (RFC 9110 section 6.6.1).
func storedHeader(h http.Header, cc directives, arrived time.Time) http.Header {
	kept := lastingHeader(h)
	if len(kept["Date"]) == 0 {
		kept["Date"] = []string{arrived.UTC().Format(http.TimeFormat)}
	}
	for _, name := range cc.noCacheFields {
		kept.Del(name)
	}
	return kept
}

// complete returns the answer with its body.
func (s *stored) complete(data []byte) *stored {
	s.setBody(data)
	if s.code != http.StatusNoContent {
		s.header["Content-Length"] = []string{strconv.Itoa(len(data))}
	}
	s.settle()
	return s
}

// settle ends the changes to the header.
func (s *stored) settle() {
	s.setHeader(s.header)
	s.header, _ = s.fields.header(0, nil)
}

// matches reports whether the answer is one to a request with the header h.
func (s *stored) matches(h http.Header) bool {
	if len(s.vary) == 0 || selectionOf(h, s.vary) == s.selected {
		return true
	}
	return s.language != "" && prefers(h["Accept-Language"], s.language) &&
		selectionOf(h, without(s.vary, "Accept-Language")) == s.others
}

// weight returns about how much memory the answer takes, in bytes.
func (s *stored) weight() int64 {
	n := s.message.weight() + int64(len(s.fields.names)*(fieldOverhead+valueOverhead))
	for _, name := range s.vary {
		n += int64(len(name) + valueOverhead)
	}
	return n
}
