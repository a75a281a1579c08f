package cache

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// maxQuestion bounds the body of a request that is read to tell what is asked, in bytes:
// as the layers do that replay requests.
const maxQuestion = 1 << 20

// A question is what the cache knows of a request that it may answer.
type question struct {
	key      key
	pinned   bool // the request names its model
	captured bool // a live answer would be captured as a sample
	refresh  bool // the caller wants a live answer
}

// questionOf returns what req asks. It reports false if the answer must be a
// live one and must not be kept. The request's own body is left unread; sent says that
// somebody else may have read it, or be about to.
func questionOf(req *http.Request, sent bool) (question, bool) {
	call := policy.CallOf(req.Context())
	if !call.Replayable || req.Method != http.MethodPost {
		return question{}, false
	}
	query := readQuery(req.URL.RawQuery)
	if query.ownRecord {
		return question{}, false
	}
	room := scratches.Get().(*scratch)
	defer room.release()
	room.readQuestion(req.Header)
	if !room.header.keeps {
		return question{}, false
	}
	text, ok := room.snapshot(req, sent)
	if !ok {
		return question{}, false
	}
	text, ok = room.meaning(text)
	if !ok {
		return question{}, false
	}
	return question{
		key:      room.keyOf(req, call, text),
		pinned:   call.Model != "" || query.pinned,
		captured: !query.uncaptured,
		refresh:  room.header.refresh,
	}, true
}

// queryFacts are what the query of a prediction request says. The names are
// Nyckel's, in any case, as its servers read them.
type queryFacts struct {
	ownRecord  bool // externalId: the call is to be a record of its own
	pinned     bool // modelId: names its model
	uncaptured bool // capture=false: the input is not kept as a sample
}

// readQuery reads a query as any server may: pairs end at "&", and for some at ";",
// too, and of several with one name any may be the one that counts. Where servers may
// differ, it takes the reading that asks for a live answer, or else for a short life.
func readQuery(raw string) (facts queryFacts) {
	if raw == "" {
		return facts
	}
	var pinned, floating, uncaptured, captured bool
	for pair := range strings.FieldsFuncSeq(raw, func(r rune) bool { return r == '&' || r == ';' }) {
		_, value, _ := strings.Cut(pair, "=")
		switch queryName(pair) {
		case "externalid":
			facts.ownRecord = facts.ownRecord || value != ""
		case "modelid":
			pinned, floating = pinned || value != "", floating || value == ""
		case "capture":
			no := strings.EqualFold(unescaped(value), "false")
			uncaptured, captured = uncaptured || no, captured || !no
		}
	}
	whole := !strings.Contains(raw, ";") // else a value may go on after what looks like its end
	facts.pinned = pinned && !floating && whole
	facts.uncaptured = uncaptured && !captured && whole
	return facts
}

// snapshot returns a copy of the body of req in the memory of s, and leaves the body itself
// unread. It reports false if none can be had. A body in memory is copied as it is, unless
// req was sent: then GetBody alone tells, as the body may be under way, or taken out. If
// GetBody panics, the body is closed, as a RoundTripper owes.
func (s *scratch) snapshot(req *http.Request, sent bool) (text []byte, ok bool) {
	if req.Body == http.NoBody || req.Body == nil && (!sent || req.GetBody == nil) {
		return nil, true
	}
	announced := max(req.ContentLength, 0)
	if req.GetBody == nil || announced > maxQuestion {
		return nil, false
	}
	var inMemory body.Snapshot
	if !sent && inMemory.Take(req.Body) && int64(inMemory.Len()) == announced {
		s.body = inMemory.Append(s.body[:0])
		return s.body, true
	}
	done := false
	defer func() {
		if !done {
			body.CloseRequest(req)
		}
	}()
	text, ok = s.read(req.GetBody, announced)
	done = true
	return text, ok
}

// read reads a copy of a body of announced bytes, 0 if its length is not known. It reports
// false if the copy fails, has another length, or is longer than maxQuestion.
func (s *scratch) read(getBody func() (io.ReadCloser, error), announced int64) ([]byte, bool) {
	rc, err := getBody()
	if err != nil {
		return nil, false
	}
	defer rc.Close() // a copy: nobody could act on the error
	s.body = slices.Grow(s.body[:0], int(announced)+bytes.MinRead)
	for len(s.body) <= maxQuestion {
		s.body = slices.Grow(s.body, 1)
		n, err := rc.Read(s.body[len(s.body):cap(s.body)])
		s.body = s.body[:len(s.body)+n]
		if err == io.EOF {
			asAnnounced := announced == 0 || int64(len(s.body)) == announced
			return s.body, asAnnounced && len(s.body) <= maxQuestion
		}
		if err != nil {
			break
		}
	}
	return nil, false
}

// deciding is what JSON without a canonical form is passed by for, in small letters: the
// names that decide, in any case as [bytes.EqualFold] has it, and the escapes of their letters.
var deciding = []string{"stream", "ſtream", "externalid", `\u004`, `\u005`, `\u006`, `\u007`, `\u017f`}

// meaning returns what tells the body apart from others: its canonical form if
// it is JSON and has one, else its bytes. It reports false if the body asks for
// a stream or for a record of its own, whatever its Content-Type. JSON without a
// canonical form does so if the names occur in it at all, or escapes that can spell
// them: readers take it in different ways.
func (s *scratch) meaning(text []byte) ([]byte, bool) {
	form, ok := s.parser.parse(text)
	switch {
	case ok && (form.streams || form.ownRecord):
		return nil, false
	case ok && isJSON(s.header.contentType):
		return form.text, true
	case !ok && (isJSON(s.header.contentType) || json.Valid(text)):
		lower := string(bytes.ToLower(text))
		return text, !slices.ContainsFunc(deciding, func(s string) bool { return strings.Contains(lower, s) })
	}
	return text, true
}

// isJSON reports whether a Content-Type is application/json or has +json.
func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	mediaType, _, _ := mime.ParseMediaType(contentType) // "" if it does not parse
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}
