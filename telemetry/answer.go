package telemetry

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/sparekey/sparekey/policy"
)

// A Source says where an answer came from.
type Source string

// The sources. An answer that an endpoint gave in the place of another has its name,
// unless it is the first of the list, of those of our region if there are any: that
// one's are live. Which endpoint was asked by each attempt, whoever was to be, is in
// [Attempt.Endpoint].
const (
	Live    Source = "live"    // the service, just now
	Cache   Source = "cache"   // an earlier answer, still fresh
	Stale   Source = "stale"   // an earlier answer past its lifetime, for want of a live one
	Similar Source = "similar" // the answer to a question much like this one, for want of a live one
	Rule    Source = "rule"    // a rule of the fallback
	Static  Source = "static"  // the fallback's last resort
)

// An Answer describes the answer that the caller got.
type Answer struct {
	Source Source

	// Age is how long ago the service gave the answer. Zero for live answers,
	// rules and static answers.
	Age time.Duration

	// Similarity is how much alike the question and the one that was answered
	// are, 0 to 1. Zero unless Source is Similar.
	Similarity float64

	// Accuracy is the share of such answers that agreed with the service's when the
	// two were compared, 0 to 1, and Samples how many comparisons that rests on.
	// Both are zero if there was none.
	Accuracy float64
	Samples  int

	// Rule is the name of the rule that answered, if one did.
	Rule string

	// Confidence is what a rule or a static answer claims, 0 to 1.
	Confidence float64

	// Cause is why there is no live answer. Unknown for live and fresh ones.
	Cause policy.Class
}

// Degraded reports whether the answer stands in for one that the service could
// not give.
func (a Answer) Degraded() bool {
	switch a.Source {
	case "", Live, Cache:
		return false
	}
	return true
}

// HeaderName is the response field that describes an answer which is not live.
// A field of this name that the service itself sends is removed.
const HeaderName = "Sparekey-Answer"

// Header returns the answer as the value of a [HeaderName] field: a structured
// field (RFC 9651), whose item is the source and whose parameters are those of
// age (whole seconds), similarity, accuracy, samples, rule, confidence and cause that
// are not zero. A source that is no token, as the name of an endpoint may be, is a
// string.
func (a Answer) Header() string {
	var room [128]byte
	text := room[:0]
	if source := string(a.Source); isToken(source) {
		text = append(text, source...)
	} else {
		text = append(text, quoted(source)...)
	}
	if a.Age >= time.Second {
		text = strconv.AppendInt(append(text, ";age="...), int64(a.Age/time.Second), 10)
	}
	if a.Similarity > 0 {
		text = appendDecimal(append(text, ";similarity="...), a.Similarity)
	}
	if a.Samples > 0 {
		text = appendDecimal(append(text, ";accuracy="...), a.Accuracy)
		text = strconv.AppendInt(append(text, ";samples="...), int64(a.Samples), 10)
	}
	if a.Rule != "" {
		text = append(append(text, ";rule="...), quoted(a.Rule)...)
	}
	if a.Confidence > 0 {
		text = appendDecimal(append(text, ";confidence="...), a.Confidence)
	}
	if a.Cause != policy.Unknown {
		text = append(append(text, ";cause="...), a.Cause.String()...)
	}
	return string(text)
}

// appendDecimal writes a decimal of RFC 9651 section 3.3.2.
func appendDecimal(text []byte, x float64) []byte { return strconv.AppendFloat(text, x, 'f', 3, 64) }

// isToken reports whether text is a token of RFC 9651 section 3.3.4.
func isToken(text string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return text != "" && strings.Contains(letters+"*", text[:1]) &&
		strings.Trim(text, letters+"0123456789!#$%&'*+-.^_`|~:/") == ""
}

// quoted writes a string of RFC 9651 section 3.3.3, which is ASCII: what is not
// becomes a question mark.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r > '~':
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// attributes returns those of a span that are set, but for source and cause.
func (a Answer) attributes() []attribute.KeyValue {
	var attributes []attribute.KeyValue
	if a.Age > 0 {
		attributes = append(attributes, keyAge.Float64(a.Age.Seconds()))
	}
	if a.Similarity > 0 {
		attributes = append(attributes, keySimilarity.Float64(a.Similarity))
	}
	if a.Samples > 0 {
		attributes = append(attributes, keyAccuracy.Float64(a.Accuracy), keySamples.Int(a.Samples))
	}
	if a.Rule != "" {
		attributes = append(attributes, keyRule.String(a.Rule))
	}
	if a.Confidence > 0 {
		attributes = append(attributes, keyConfidence.Float64(a.Confidence))
	}
	return attributes
}

// Mark writes the answer into the header of a response, which must not be nil, and into
// the trail of the request's context, if there is one.
func Mark(req *http.Request, header http.Header, a Answer) {
	header.Set(HeaderName, a.Header())
	FromContext(req.Context()).Answered(req.Context(), a)
}
