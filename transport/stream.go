package transport

import (
	"io"
	"net/http"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// Streams returns a layer that looks after answers which are event streams. They
// pass on as they come, byte for byte, and nothing is added to them but the truth
// about their end:
//
//   - A stream that ends before the last event of its format ends in
//     [io.ErrUnexpectedEOF], and counts as truncated with the layers around. One
//     whose last event has come is whole, even if the connection breaks then.
//   - A stream with an error event in it ends in a [*policy.StreamError], and
//     counts as what its verdict says, whether or not it is read to its end.
//
// An answer may be held back until it brings something: see
// [policy.Streams.HoldBytes]. Put inside [Retry], such an answer is asked for again
// if it fails before. Once something of it has been handed on it never is.
//
// It panics if the settings are not valid.
func Streams(cfg policy.Streams) Layer {
	must(cfg.Validate())
	cfg = cfg.WithDefaults()
	return func(next http.RoundTripper) http.RoundTripper {
		if cfg.Off {
			return next
		}
		return &streams{cfg: cfg, next: next}
	}
}

type streams struct {
	cfg  policy.Streams
	next http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (s *streams) CloseIdleConnections() { body.CloseIdle(s.next) }

func (s *streams) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := body.Send(s.next, req)
	if err != nil || !isReadable(resp) || req.Method == http.MethodHead {
		return resp, err
	}
	b := &streamBody{state: s.newState(req)}
	if s.cfg.HoldBytes > 0 {
		b.broken = s.hold(req, resp)
	}
	b.rc = resp.Body
	resp.Body = b
	body.Watch(resp, b)
	return resp, nil
}

// isReadable reports whether resp is a good answer in events that can be read: one
// with a body, though that may be empty.
func isReadable(resp *http.Response) bool {
	return resp.StatusCode/100 == 2 && resp.StatusCode != http.StatusNoContent && isEventStream(resp.Header) && !isEncoded(resp.Header)
}

func isEncoded(header http.Header) bool {
	encoding := header.Get("Content-Encoding")
	return encoding != "" && !strings.EqualFold(encoding, "identity")
}

func isEventStream(header http.Header) bool {
	return strings.EqualFold(mediaType(header), "text/event-stream")
}

// comesInParts reports whether header is that of an answer whose parts are of use
// before it ends: lines of JSON, records, the events of AWS (Bedrock) and the like.
func comesInParts(header http.Header) bool {
	switch kind := strings.ToLower(mediaType(header)); kind {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines",
		"application/json-seq", "application/stream+json", "application/vnd.amazon.eventstream":
		return true
	default:
		return strings.HasPrefix(kind, "multipart/")
	}
}

func mediaType(header http.Header) string {
	kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	return strings.TrimSpace(kind)
}

// hold waits until the stream has brought something, for as long as it may, and
// returns the error if it has failed by then.
func (s *streams) hold(req *http.Request, resp *http.Response) error {
	done := false
	defer func() {
		if !done { // a panic in Judge: nobody gets the response
			_ = resp.Body.Close()
		}
	}()
	seen, ahead := 0, s.newState(req)
	start, err := body.PeekUntil(req.Context(), resp, int(s.cfg.HoldBytes), s.cfg.HoldTime, func(start []byte) bool {
		ahead.read(start[seen:])
		seen = len(start)
		return ahead.settled()
	})
	told := s.newState(req) // the other one may be read on
	told.read(start)
	if err != nil {
		err = told.end(err)
	} else if failure := told.failure.Load(); failure != nil {
		err = failure
	}
	done = true
	if err == nil || told.output || !broken(err) {
		return nil
	}
	return err
}

// A streamBody is the body of a stream, which it follows as it is read.
type streamBody struct {
	rc     io.ReadCloser
	state  *streamState
	broken error // what was found before anything was handed on, or nil
	err    error // what the body has ended in, or nil
}

func (b *streamBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.rc.Read(p)
	b.state.read(p[:n])
	if err != nil {
		b.err = b.state.end(err)
	}
	return n, b.err
}

func (b *streamBody) Close() error { return b.rc.Close() }

// Broken tells those who judge the answer: see [body.Broken].
func (b *streamBody) Broken() error { return b.broken }

// BodyEnd implements [body.Watcher]. Clients leave a stream after an error event,
// which does not make it a good one.
func (b *streamBody) BodyEnd(err error) error {
	if failure := b.state.failure.Load(); failure != nil {
		return failure
	}
	return err
}
