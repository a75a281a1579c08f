package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// An Endpoint is one place that can answer, with its own credentials: a region, an
// account, another provider. [Failover] has several. It is not changed once it is
// in use; its funcs must be safe for concurrent use.
type Endpoint struct {
	// Name tells the endpoint apart, in the source of answers, in errors and in
	// metrics. It must not be empty, nor hold a secret, nor be "live" or "cache", which
	// are the sources of answers that stand in for no other.
	Name string

	// URL is the base of the endpoint: scheme, host, and the path below which it
	// has what the others have below theirs. Its query is added to each request,
	// in place of parameters of the same names. "" stands for whatever the
	// request says, as for another account at the same place.
	URL string

	// Header is set on each request, in place of fields of the same names; a
	// name without values takes the field away. It is the place for credentials
	// that do not change.
	Header http.Header

	// Token returns the bearer token for the Authorization field. It is asked for
	// each request, so it should keep what it fetches, and return when ctx ends.
	// Nil means none. An error is the endpoint's failure; nothing is sent then.
	Token func(ctx context.Context) (string, error)

	// Path returns the path below URL to ask for what rest, a path below the base
	// of the endpoint that the caller addressed, stands for: "/v1/chat" in place
	// of "/chat". Nil means the same path.
	Path func(rest string) string

	// RequestBody and ResponseBody translate bodies for an endpoint that speaks
	// otherwise than the one that the caller addressed. They get the whole body,
	// at most [MapBytes], and may change it. Answers with a status other than 2xx or
	// without a body, and event streams, are handed on as they are. With an error of
	// RequestBody nothing is sent; one of ResponseBody is the endpoint's failure. Nil
	// means that bodies stay as they are.
	RequestBody, ResponseBody func(body []byte) ([]byte, error)

	// Weight is the endpoint's share of the traffic, in proportion to the others'.
	// It counts for [Weighted] and [Sticky]. Zero means 1.
	Weight float64

	// Region is where the endpoint is; see [Failover.Region]. May be "".
	Region string

	// Price is what one call costs, in a unit of your choice. It is for the sums in
	// the endpoint's state; it has no influence on who is asked. Zero means free.
	Price float64

	// Classify decides what the endpoint's answers mean. Nil means
	// [Failover.Classify]. A layer inside the failover decides before it.
	Classify Classifier
}

// MapBytes bounds the bodies that an [Endpoint] translates: 4 MiB. A longer one cannot
// be translated, which is an error.
const MapBytes = 4 << 20

// HasCredentials reports whether the endpoint has credentials of its own, rather
// than the caller's.
func (e Endpoint) HasCredentials() bool {
	if e.Token != nil {
		return true
	}
	for name, values := range e.Header {
		if len(values) > 0 && IsSecret(name) {
			return true
		}
	}
	return false
}

// String returns the name, and so none of the secrets.
func (e Endpoint) String() string { return e.Name }

// GoString returns the name, and so none of the secrets.
func (e Endpoint) GoString() string { return "policy.Endpoint(" + e.Name + ")" }

// LogValue returns the name, and so none of the secrets.
func (e Endpoint) LogValue() slog.Value { return slog.StringValue(e.Name) }

func (e Endpoint) validate(name string) error {
	return errors.Join(
		check(e.Name != "", name+".Name", `""`, "a name"),
		check(e.Name != "live" && e.Name != "cache", name+".Name", strconv.Quote(e.Name), "one that is not that of a live or cached answer"),
		e.validateURL(name+".URL"),
		e.validateHeader(name+".Header"),
		check(e.Weight >= 0 && !math.IsInf(e.Weight, 1), name+".Weight", e.Weight, "at least 0 and finite"),
		check(e.Price >= 0 && !math.IsInf(e.Price, 1), name+".Price", e.Price, "at least 0 and finite"),
	)
}

// validateHeader does not show what is in the header.
func (e Endpoint) validateHeader(name string) error {
	var errs []error
	seen := make(map[string]bool)
	for _, field := range slices.Sorted(maps.Keys(e.Header)) {
		if field == "" || strings.ContainsFunc(field, notInName) {
			errs = append(errs, check(false, name, fmt.Sprintf("with a name %q", field), "names that can be sent"))
			continue
		}
		sendable := !slices.ContainsFunc(e.Header[field], func(value string) bool { return strings.ContainsFunc(value, notInValue) })
		errs = append(errs, check(sendable, name+"["+field+"]", "with a line break or the like", "a single line"))
		same := http.CanonicalHeaderKey(field)
		errs = append(errs, check(!seen[same], name+"["+field+"]", "one of two names for the same field", "one"))
		seen[same] = true
	}
	return errors.Join(errs...)
}

// notInName and notInValue report whether a header field cannot have r there.
func notInName(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

func notInValue(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// validateURL does not show the URL, which may hold a secret.
func (e Endpoint) validateURL(name string) error {
	if e.URL == "" {
		return nil
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return check(false, name, "malformed", "a URL")
	}
	return errors.Join(
		check(u.Scheme == "http" || u.Scheme == "https", name, "without a scheme that is known", "http:// or https://"),
		check(u.Host != "", name, "without a host", "one with a host"),
		check(u.User == nil, name, "one with a user", "credentials in Header or Token"),
		check(u.Fragment == "", name, "one with a fragment", "one without"),
	)
}
