package policy

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Classify is the generic [Classifier]. It looks at the error body first, at
// the status second: a 429 that says that the quota is used up is not a rate
// limit. It reads the envelopes {"message"}, {"error": "…"},
// {"error": {"message", "code", "type"}} and {"error_description"}, which cover
// Nyckel and most providers, and knows the codes of OpenAI, Azure, Anthropic,
// Gemini and Amazon Bedrock where they are nobody else's. Bodies in another form,
// or in an encoding other than gzip, count by status alone. An error counts unless
// the status is one already.
//
// Where the provider is known, its own classifier is surer: see [ClassifierFor].
func Classify(o Outcome) Verdict { return classify(o, ProviderGeneric) }

func classify(o Outcome, p Provider) Verdict {
	switch {
	case o.Err != nil && o.Status == 0:
		return classifyError(o.Err)
	case o.Err != nil && o.Status < 400:
		return ClassifyBody(o.Err)
	}
	if o.Status < 400 {
		return Verdict{Class: OK, Executed: Executed}
	}
	v := byStatus(o.Status)
	var e envelope
	e.read(plainBody(o))
	if e.exception = exceptionName(o.Header, e.outer.exception); e.exception != "" {
		e.code = firstOf(e.code, oneLine(e.exception))
	}
	told := e.classOf(p, o.Status)
	if told != Unknown {
		v = meaning(told)
	}
	v.Code, v.Message = e.code, e.message
	v.RequestID = oneLine(firstOf(valueOf(o.Header, "X-Request-Id"), valueOf(o.Header, "Request-Id"), jsonText(e.outer.requestID)))
	if wait, ok := WaitHint(o.Header, o.Now); ok {
		v.Wait = wait
		if o.Status == http.StatusServiceUnavailable {
			v.Executed = NotExecuted // a server that says when to come back turned the request away
		}
	} else {
		v.Wait = e.wait()
	}
	if v.Wait == 0 && o.Status == http.StatusTooManyRequests {
		v.Wait, _ = ResetHint(o.Header, o.Now)
	}
	switch valueOf(o.Header, "X-Should-Retry") {
	case "false":
		v.Again = Nobody
	case "true":
		if told != QuotaExceeded { // which the field, made from the status, knows nothing of
			v.Again = Anywhere
		}
	}
	return v
}

// byStatus is the table of the statuses from RFC 9110 section 15 and the ones
// beyond it that providers use. What is not in it is Unknown.
func byStatus(status int) Verdict {
	switch status {
	case http.StatusUnauthorized:
		return Verdict{Class: Unauthenticated, Again: Elsewhere, Executed: NotExecuted}
	case http.StatusPaymentRequired:
		return Verdict{Class: QuotaExceeded, Again: Elsewhere, Executed: NotExecuted}
	case http.StatusForbidden, http.StatusUnavailableForLegalReasons:
		return Verdict{Class: Forbidden, Again: Elsewhere, Executed: NotExecuted}
	case http.StatusNotFound, http.StatusGone:
		return Verdict{Class: NotFound, Again: Elsewhere, Executed: NotExecuted}
	case http.StatusRequestTimeout: // the request never arrived whole
		return Verdict{Class: TimedOut, Again: Anywhere, Executed: NotExecuted}
	case http.StatusConflict:
		return Verdict{Class: Conflict}
	case http.StatusTooEarly: // RFC 8470: not processed, send it again
		return Verdict{Class: Overloaded, Again: Anywhere, Executed: NotExecuted}
	case http.StatusTooManyRequests:
		return Verdict{Class: RateLimited, Again: Anywhere, Executed: NotExecuted}
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return Verdict{Class: Invalid, Executed: NotExecuted}
	case http.StatusServiceUnavailable, statusOverloaded:
		return Verdict{Class: Overloaded, Again: Anywhere}
	case http.StatusGatewayTimeout:
		return Verdict{Class: TimedOut, Again: Anywhere}
	}
	switch {
	case status < 500:
		return Verdict{Class: Invalid, Executed: NotExecuted}
	case status < 600:
		return Verdict{Class: Internal, Again: Anywhere}
	}
	return Verdict{Class: Unknown}
}

// statusOverloaded is what some providers answer when a model is overloaded.
const statusOverloaded = 529

// valueOf is [http.Header.Get] for a name that is in canonical form. Get would check
// that, which takes longer than the lookup.
func valueOf(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// maxMessage bounds a foreign text that goes into errors, in bytes.
const maxMessage = 300

// oneLine makes a foreign text fit for a log line: one line, printable, at most
// maxMessage bytes.
func oneLine(text string) string {
	if isOneLine(text) {
		return text
	}
	var b strings.Builder
	b.Grow(min(len(text), maxMessage))
	space := false           // is due before the next rune
	for _, r := range text { // what is no UTF-8 becomes U+FFFD
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			space = b.Len() > 0
			continue
		}
		size := utf8.RuneLen(r)
		if space {
			size++
		}
		if b.Len()+size > maxMessage {
			break
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isOneLine reports whether oneLine has nothing to do, as far as that is seen at a
// glance.
func isOneLine(text string) bool {
	if len(text) > maxMessage {
		return false
	}
	afterSpace := true
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c > '~' || c == ' ' && afterSpace {
			return false
		}
		afterSpace = c == ' '
	}
	return text == "" || !afterSpace
}
