package cache

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
)

// A key stands for all that tells one question from another. It is a hash, so
// that memory holds no input and no credential beyond the call.
type key [sha256.Size]byte

// keyVersion is part of each key. It changes with what goes into one.
const keyVersion = 3

// The fields of a request that change from call to call and do not change its
// answer. All others are part of the key, known or not: each could say who asks,
// or what for.
var harmless = [...]string{
	"User-Agent", "Date", "Content-Length", "Connection", "Cache-Control", "Pragma", "Origin", "Referer",
	"Idempotency-Key", "X-Idempotency-Key", "X-Request-Id", "Request-Id", "X-Correlation-Id",
	"Traceparent", "Tracestate", "Baggage", "X-Stainless-Retry-Count",
}

// The fields that an identity stands for. They are part of the key of calls
// without one.
var credentials = [...]string{"Authorization", "Cookie", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Auth-Token"}

// keyOf returns the key of req, whose header is h and whose body means text.
func (s *scratch) keyOf(req *http.Request, h http.Header, call policy.Call, text []byte) key {
	parts := append(s.parts[:0], keyVersion)
	parts.add(req.Method)
	parts.add(req.URL.Scheme)
	parts.add(req.URL.Host)
	parts.add(cmp.Or(req.Host, req.URL.Host))
	parts.add(req.URL.Opaque)
	parts.add(req.URL.Path)
	parts.add(req.URL.RawPath) // with Path it says all that EscapedPath does
	parts.addAll(sortedQuery(req.URL.RawQuery))
	parts.addFields(h)
	parts.add(call.Function)
	parts.add(call.Model)
	parts.addIdentity(call.Identity, req.URL.User, h)

	parts = append(parts, text...) // the input ends with it, so it needs no length
	s.parts = parts
	return sha256.Sum256(parts)
}

// keyParts are what is hashed. Each text is preceded by its length and each list by
// its count, so that two different requests never make the same bytes.
type keyParts []byte

func (p *keyParts) add(text string) {
	*p = binary.AppendUvarint(*p, uint64(len(text)))
	*p = append(*p, text...)
}

func (p *keyParts) addAll(texts []string) {
	*p = binary.AppendUvarint(*p, uint64(len(texts)))
	for _, text := range texts {
		p.add(text)
	}
}

// addFields adds all fields but the harmless ones and the credentials.
func (p *keyParts) addFields(h http.Header) {
	var room [16]string
	names := room[:0]
	for name := range h {
		if !slices.Contains(harmless[:], name) && !slices.Contains(credentials[:], name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		p.add(name)
		p.addAll(h[name])
	}
	p.add("") // the end of the list
}

// addIdentity adds whose answer this is. Who has an identity, who shows
// credentials and who has neither are never the same.
func (p *keyParts) addIdentity(identity string, user *url.Userinfo, h http.Header) {
	if identity != "" {
		p.add("identity")
		p.add(identity)
		return
	}
	p.add("credentials") // all of them absent is a partition of its own
	for _, name := range credentials {
		p.addAll(h[name])
	}
	var users []string
	if user != nil { // becomes an Authorization field on the wire
		users = []string{user.String()}
	}
	p.addAll(users)
}

// sortedQuery returns the pairs of a query as they are spelled, sorted by name.
// The order of pairs with one name is kept, since the first or the last may
// count; names that a server could take for one are one here.
func sortedQuery(raw string) []string {
	if raw == "" {
		return nil
	}
	pairs := strings.Split(raw, "&")
	slices.SortStableFunc(pairs, func(a, b string) int {
		return strings.Compare(queryName(a), queryName(b))
	})
	return pairs
}

func queryName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return strings.ToLower(unescaped(name))
}

// unescaped returns a part of a query as it is meant, or as it is spelled if that
// means nothing.
func unescaped(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}
