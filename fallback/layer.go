package fallback

import (
	"net/http"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// Wrap is the layer. It answers a request whose outcome is an outage
// ([policy.Class.IsOutage]), as far as the status, the beginning of an error
// body and the transport's error tell. The answer has the status 200 and the
// shape of a Nyckel classification; [telemetry.HeaderName] and the trail say
// what it is. The failed response is discarded.
//
// Every other outcome is handed on as it came, and so is an outage for which
// there is no answer, or whose caller has cancelled the request; one whose
// deadline has passed gets the answer. Only GET and POST requests for a whole
// answer are served: a change that was not made must not look done. A live answer whose body breaks
// on its way is seen as such only if a layer below has buffered it.
//
// The text that the rules see is the member "data" of a JSON object, if that is
// a string; if it is an object, a row, its strings in the order of their names, one
// a line. Of a body that is no JSON object and whose Content-Type is text it is
// the body itself. It is read only when it is needed, from the request's
// GetBody, up to 1 MiB. Where there is neither a text nor a row nor an image in a
// data URI, or where GetBody is nil, there is the static answer only.
//
// Transports of the same Fallback share its rules and nothing else.
func (f *Fallback) Wrap(next http.RoundTripper) http.RoundTripper {
	return &layer{fallback: f, next: next}
}

type layer struct {
	fallback *Fallback
	next     http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (l *layer) CloseIdleConnections() {
	if c, ok := l.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func (l *layer) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := body.Send(l.next, req)
	verdict := telemetry.Judge(req, resp, err, l.fallback.classify)
	if !answerable(req) || !telemetry.WantsSpare(req, err, verdict) {
		return resp, err
	}
	in := readInput(req)
	answer, rule, ok := l.fallback.answerTo(in)
	if !ok {
		return resp, err
	}
	if resp != nil {
		body.Discard(req.Context(), resp, body.DrainBytes, body.DrainTime)
	}
	header := make(http.Header, 4)
	telemetry.Mark(req, header, origin(answer, rule, verdict.Class))
	return respond(req, header, encode(answer, in.externalID)), nil
}

// answerable reports whether a made-up answer may stand for a real one.
func answerable(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodPost:
		return req.Header.Get("Upgrade") == "" && req.Header.Get("Range") == ""
	}
	return false
}

// origin describes an answer by a rule, or the static one if rule is "".
func origin(answer policy.Answer, rule string, cause policy.Class) telemetry.Answer {
	source := telemetry.Static
	if rule != "" {
		source = telemetry.Rule
	}
	return telemetry.Answer{Source: source, Rule: rule, Confidence: answer.Confidence, Cause: cause}
}
