package fallback

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	maxInput    = 1 << 20  // how much of a request's body is read, in bytes
	maxSearched = 64 << 20 // how much of a longer one is searched for whether it asks for a stream
)

// An input is what a request asks about.
type input struct {
	text       string
	hasText    bool            // there is a text, "" perhaps
	row        json.RawMessage // an object, if that is what is asked about
	image      string          // a data URI
	externalID string          // the caller's own key, which the service sends back
	streams    bool            // the answer is to be an event stream
}

func (in *input) hasFields() bool { return in.row != nil || in.image != "" }

// readInput reads what it can of the request; what it cannot is left out. An
// external id in the query goes before one in the body.
func readInput(req *http.Request) input {
	data, streams := readBody(req)
	in, isObject := parseObject(data)
	in.streams = in.streams || streams
	if !isObject && len(data) > 0 && declaresText(req.Header) {
		in.text, in.hasText = string(data), true
	}
	query := req.URL.Query()
	in.streams = in.streams || prefersEvents(req.Header) || query.Get("alt") == "sse" // as Gemini has it
	if id := query.Get("externalId"); id != "" {
		in.externalID = id
	}
	return in
}

// prefersEvents reports whether a request asks for an event stream by its header. One that
// names JSON as well and likes it no less, as clients of MCP do, takes a document.
func prefersEvents(h http.Header) bool {
	var events, document float64
	for item := range strings.SplitSeq(strings.Join(h["Accept"], ","), ",") {
		switch name, quality := acceptItem(item); name {
		case "text/event-stream":
			events = max(events, quality)
		case "application/json":
			document = max(document, quality)
		}
	}
	return events > document
}

// acceptItem returns the media type of an item of Accept, and how much it is liked: 0 to
// 1, and 1 if it does not say.
func acceptItem(item string) (name string, quality float64) {
	name, params, _ := strings.Cut(item, ";")
	quality = 1
	for param := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(param, "=")
		if q, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil && strings.EqualFold(strings.TrimSpace(key), "q") {
			quality = q
		}
	}
	return strings.ToLower(strings.TrimSpace(name)), quality
}

// readBody returns the beginning of a copy of the body, or nil if there is no
// copy to be had, and whether one that is too long to be read asks for an event stream.
func readBody(req *http.Request) (data []byte, streams bool) {
	if req.GetBody == nil {
		return nil, false
	}
	rc, err := req.GetBody()
	if err != nil {
		return nil, false
	}
	defer rc.Close()
	data, err = io.ReadAll(io.LimitReader(rc, maxInput))
	if err != nil {
		return nil, false
	}
	if len(data) == maxInput && bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		streams = mentionsStream(io.MultiReader(bytes.NewReader(data), io.LimitReader(rc, maxSearched-maxInput)))
	}
	return data, streams
}

// streamMember matches a member of an object that asks for an event stream. It does not
// match within a string, where a backslash stands before each quote.
var streamMember = regexp.MustCompile(`"stream"[ \t\r\n]{0,16}:[ \t\r\n]{0,16}true`)

// mentionsStream reports whether a JSON text asks for an event stream, in an object at
// any depth: better no answer than one that is taken for an empty stream.
func mentionsStream(text io.Reader) bool {
	const longest = 64 // bytes: no match is longer, so that none is lost between two reads
	room, kept := make([]byte, 32<<10), 0
	for {
		n, err := text.Read(room[kept:])
		seen := room[:kept+n]
		if streamMember.Match(seen) {
			return true
		}
		if err != nil {
			return false
		}
		kept = copy(room, seen[max(0, len(seen)-longest):])
	}
}

// parseObject reads the body of an invoke. It reports false if that is no JSON
// object; null passes as an empty one.
func parseObject(data []byte) (in input, ok bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return input{}, false
	}
	in = dataInput(members["data"])
	in.externalID, _ = jsonString(members["externalId"])
	in.streams = string(members["stream"]) == "true"
	return in, true
}

// dataInput reads the value of "data".
func dataInput(data json.RawMessage) input {
	data = bytes.TrimSpace(data)
	if text, ok := jsonString(data); ok {
		if isDataURI(text) {
			return input{image: text}
		}
		return input{text: text, hasText: true}
	}
	var row map[string]json.RawMessage
	if json.Unmarshal(data, &row) != nil || row == nil {
		return input{}
	}
	in := input{row: data}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(row)) {
		switch text, ok := jsonString(row[name]); {
		case !ok:
		case !isDataURI(text):
			lines = append(lines, text)
		case in.image == "":
			in.image = text
		}
	}
	in.text, in.hasText = strings.Join(lines, "\n"), len(lines) > 0
	return in
}

// jsonString returns raw as a string. It reports false for null, for what is of
// another type and for what is not there.
func jsonString(raw json.RawMessage) (text string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	err := json.Unmarshal(raw, &text)
	return text, err == nil
}

// isDataURI reports whether text is bytes in the form of RFC 2397, as images
// are sent.
func isDataURI(text string) bool {
	_, ok := dataOf(text)
	return ok
}

// dataOf returns the base64 text of a data URI. The names in it may be in any case.
func dataOf(uri string) (text string, ok bool) {
	head, text, ok := strings.Cut(uri, ",")
	if !ok || strings.ContainsAny(head, " \n") {
		return "", false
	}
	head = strings.ToLower(head)
	return text, strings.HasPrefix(head, "data:") && strings.HasSuffix(head, ";base64")
}

func declaresText(header http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && strings.HasPrefix(mediaType, "text/")
}
