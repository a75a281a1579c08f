package fallback

import (
	"net/http"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// Wrap is the layer. It answers a request whose outcome is an outage
// ([policy.Class.IsOutage]), as far as the status, the beginning of an error
// body and the transport's error tell. [telemetry.HeaderName] and the trail say
// what the answer is: which rung gave it, its age, similarity, rule and
// confidence as far as there are such, why there is no live one, and, once it has
// been compared with live ones, how many of its kind were right. The failed
// response is discarded.
//
// Every other outcome is handed on as it came, and so is an outage for which no
// rung has an answer, or whose caller has cancelled the request; one whose
// deadline has passed gets the answer. [policy.Without] and [policy.Strict] keep
// rungs from answering a call. Only GET and POST requests for a whole
// answer are served: a change that was not made must not look done. A live answer
// whose body breaks on its way is seen as such only if a layer below has buffered
// it.
//
// Transports of the same Ladder share its figures.
func (l *Ladder) Wrap(next http.RoundTripper) http.RoundTripper {
	return &layer{ladder: l, next: next}
}

// Wrap is the layer of a ladder of the rules and the static answer, in the order
// of [policy.Fallback.Rungs]: see [Ladder.Wrap]. An answer has the status 200 and
// the form that the codec gives it.
//
// The text that the rules see is the member "data" of a JSON object, if that is
// a string; if it is an object, a row, its strings in the order of their names, one
// a line. Of a body that is no JSON object and whose Content-Type is text it is
// the body itself. It is read only when it is needed, from the request's
// GetBody, up to 1 MiB: of a longer text that is the beginning, and a longer object is
// only searched for whether it asks for an event stream. Where there is neither a text
// nor a row nor an image in a data URI, or where GetBody is nil, there is the static
// answer only.
//
// Transports of the same Fallback share its rules and its figures. Without a rung
// of its own among [policy.Fallback.Rungs], it is no layer at all.
func (f *Fallback) Wrap(next http.RoundTripper) http.RoundTripper {
	if f.ladder == nil {
		return next
	}
	return f.ladder.Wrap(next)
}

type layer struct {
	ladder *Ladder
	next   http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (l *layer) CloseIdleConnections() { body.CloseIdle(l.next) }

func (l *layer) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := body.Send(l.next, req)
	verdict := telemetry.Judge(req, resp, err, l.ladder.cfg.Classify)
	if !answerable(req) {
		return resp, err
	}
	done := false
	defer func() {
		if !done && resp != nil { // a hook panicked, or a rung ended the goroutine: nobody gets it
			_ = resp.Body.Close()
		}
	}()
	spare := l.spare(req, resp, err, verdict)
	done = true
	if spare == nil {
		return resp, err
	}
	if resp != nil {
		body.Discard(req.Context(), resp, body.DrainBytes, body.DrainTime)
	}
	return spare, nil
}

// spare returns what stands in for an outcome, nil for nothing. A good one is compared
// with what would have.
func (l *layer) spare(req *http.Request, resp *http.Response, err error, verdict policy.Verdict) *http.Response {
	if telemetry.WantsSpare(req, err, verdict) {
		return l.ladder.answer(req, verdict.Class)
	}
	if err == nil && verdict.Class == policy.OK {
		l.ladder.shadow(req, resp)
	}
	return nil
}

// answerable reports whether a made-up answer may stand for a real one.
func answerable(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodPost:
		return req.Header.Get("Upgrade") == "" && req.Header.Get("Range") == ""
	}
	return false
}
