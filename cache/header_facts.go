package cache

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
)

// A role says what a field of a request has to do with the answer, and so with the key.
type role uint8

const (
	asks       role = iota // could say who asks, or what for: part of the key
	harmless               // changes from call to call and does not change the answer
	credential             // an identity stands for it; part of the key of calls without one
)

// roleOf returns the role of a field. The name must be in its canonical form.
func roleOf(name string) role {
	switch name {
	case "User-Agent", "Date", "Content-Length", "Connection", "Cache-Control", "Pragma", "Origin", "Referer",
		"Idempotency-Key", "X-Idempotency-Key", "X-Request-Id", "Request-Id", "X-Correlation-Id",
		"Traceparent", "Tracestate", "Baggage", "X-Stainless-Retry-Count",
		"B3", "X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags", // Zipkin
		"X-Datadog-Trace-Id", "X-Datadog-Parent-Id", "X-Datadog-Sampling-Priority", "X-Datadog-Origin", "X-Datadog-Tags",
		"X-Amzn-Trace-Id", "X-Cloud-Trace-Context", "Sentry-Trace", "Uber-Trace-Id", "Newrelic":
		return harmless
	case "Authorization", "Cookie", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Auth-Token":
		return credential
	}
	return asks
}

// headerFacts are what the header of a request says, read in one pass.
type headerFacts struct {
	contentType string
	question    []field // those that are part of the question, by name
	credentials []field // those that show who asks, by name
	keeps       bool    // an answer may be kept and given again
	refresh     bool    // the caller wants a live answer
}

// A field is a name with its values, one at least.
type field struct {
	name   string
	values []string
}

// readQuestion reads the header of a request that asks for a prediction.
func (s *scratch) readQuestion(h http.Header) {
	head := &s.header
	head.contentType, head.keeps, head.refresh = "", true, false
	for name, values := range h {
		if len(values) == 0 {
			continue // is not sent
		}
		switch roleOf(name) {
		case asks:
			if !head.addQuestion(name, values) {
				s.forgetHeader()
				s.readQuestion(canonicalNames(h))
				return
			}
		case credential:
			head.credentials = append(head.credentials, field{name, values})
		case harmless:
			if name == "Cache-Control" {
				said := readDirectives(values)
				head.keeps, head.refresh = head.keeps && !said.noStore, said.noCache
			}
		}
	}
	sortFields(head.question)
	sortFields(head.credentials)
}

// addQuestion adds a field that is part of the question. It reports false if the name is
// not in its canonical form.
func (head *headerFacts) addQuestion(name string, values []string) bool {
	switch name {
	case "Content-Type":
		head.contentType = values[0]
	case "Accept":
		head.keeps = head.keeps && !mentions(values, "text/event-stream")
	case "Range", "Upgrade", "Content-Encoding": // the last hides what the body asks
		head.keeps = head.keeps && values[0] == ""
	default:
		if http.CanonicalHeaderKey(name) != name {
			return false
		}
	}
	head.question = append(head.question, field{name, values})
	return true
}

// appendCredentials adds the fields of a header that may say who asks, and sorts all by
// name: those that roleOf knows, and those whose names sound like a credential. The
// header's names must be canonical.
func appendCredentials(all []field, h http.Header) []field {
	for name, values := range h {
		if len(values) > 0 && (roleOf(name) == credential || name != "Referer" && policy.IsSecret(name)) {
			all = append(all, field{name, values})
		}
	}
	sortFields(all)
	return all
}

func sortFields(all []field) {
	if len(all) > 1 {
		slices.SortFunc(all, func(a, b field) int { return strings.Compare(a.name, b.name) })
	}
}

// forgetHeader leaves nothing of a header in the scratch.
func (s *scratch) forgetHeader() {
	head := &s.header
	clear(head.question)
	clear(head.credentials)
	*head = headerFacts{question: head.question[:0], credentials: head.credentials[:0]}
}
