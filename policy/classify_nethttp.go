package policy

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Errors that net/http keeps to itself are known by their texts alone: by the
// whole text of one of the errors in the chain, since a part may be what a server
// wrote.

// says reports whether one of the errors in err has one of these texts.
func says(err error, texts ...string) bool {
	return hasText(err, func(text string) bool { return slices.Contains(texts, text) })
}

func hasText(err error, is func(text string) bool) bool {
	if err == nil {
		return false
	}
	if is(err.Error()) {
		return true
	}
	switch e := err.(type) { //nolint:errorlint // each error on the way is looked at
	case interface{ Unwrap() error }:
		return hasText(e.Unwrap(), is)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), func(err error) bool { return hasText(err, is) })
	}
	return false
}

// isUnsent reports whether net/http says of a request that HTTP/2 rules out that
// the server processed it: its stream was above the last one that the server's
// GOAWAY says it may act on (RFC 9113 section 6.8), it was turned away (section
// 8.7), or its connection took no more requests.
func isUnsent(err error) bool {
	return hasText(err, func(text string) bool {
		if inner, ok := strings.CutPrefix(text, "http2: Transport: cannot retry err ["); ok {
			// It would have sent the request again if it still had the body.
			text, _, _ = strings.Cut(inner, "] after Request.Body was written")
			if stream, ok := strings.CutPrefix(text, "stream error: stream ID "); ok {
				_, reason, _ := strings.Cut(stream, "; ")
				return reason == "REFUSED_STREAM" || reason == "REFUSED_STREAM; received from peer"
			}
		}
		switch text {
		case "http2: Transport received Server's graceful shutdown GOAWAY",
			"http2: client conn not usable", "http2: client conn could not be established":
			return true
		}
		return strings.HasPrefix(text, "http2: Transport received GOAWAY from server ErrCode:")
	})
}

// isBrokenNetHTTP reports whether a connection of net/http's ended too early, or
// brought something that is no answer. A connection that is closed after a GOAWAY
// leaves those requests without an answer on which the server may have acted.
func isBrokenNetHTTP(err error) bool {
	return hasText(err, func(text string) bool {
		switch text {
		case "http: server closed idle connection", "http2: client connection lost", "http2: client conn is closed":
			return true
		}
		if cause, ok := strings.CutPrefix(text, "net/http: HTTP/1.x transport connection broken: "); ok {
			return !isLengthMismatch(cause)
		}
		return strings.HasPrefix(text, "http2: server sent GOAWAY and closed the connection;")
	})
}

// withoutQuote returns the text of an error, cut off before what net/http quotes of an
// answer that it cannot read: a line of its header or of its body, however long.
func withoutQuote(text string) string {
	for _, complaint := range [...]string{
		"malformed HTTP response", "malformed HTTP status code", "malformed HTTP version",
		"malformed MIME header initial line", "malformed MIME header line", "malformed MIME header: missing colon",
		"invalid empty Content-Length", "bad Content-Length", "http: message cannot contain multiple Content-Length headers",
		"unsupported transfer encoding", "too many transfer encodings", "bad trailer key",
		"failed to parse Location header",
	} {
		if strings.HasPrefix(text, complaint) {
			return complaint
		}
	}
	return text
}

// isLengthMismatch reports whether net/http broke a connection by itself, as the body of
// the request was not as long as the request said.
func isLengthMismatch(text string) bool {
	lengths, ok := strings.CutPrefix(text, "http: ContentLength=")
	said, is, two := strings.Cut(lengths, " with Body length ")
	return ok && two && isNumber(said) && isNumber(is)
}

func isNumber(text string) bool {
	_, err := strconv.ParseInt(text, 10, 64)
	return err == nil
}

// isProxyDown reports whether err may be what a proxy said to a CONNECT: net/http
// makes its reason phrase a plain error, from which nothing else can be told. Nor
// does it show that the error is net/http's, so the request counts as one that may
// have been processed. Other reasons, such as that the proxy wants to know the
// client, are left unknown.
func isProxyDown(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if reflect.TypeOf(err) != plainError {
			continue
		}
		switch err.Error() {
		case http.StatusText(http.StatusInternalServerError), http.StatusText(http.StatusBadGateway),
			http.StatusText(http.StatusServiceUnavailable), http.StatusText(http.StatusGatewayTimeout):
			return true
		}
	}
	return false
}

var plainError = reflect.TypeOf(errors.New(""))
