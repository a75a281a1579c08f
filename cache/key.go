package cache

import (
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

// predictionKey begins what is hashed, so that the key of a question is never that of a
// target of [HTTP] in a shared store: see targetKey.
const predictionKey = 5

// keyOf returns the key of req. Its header must have been read by readQuestion; text is
// what its body means, see meaning.
func (s *scratch) keyOf(req *http.Request, call policy.Call, text []byte) key {
	host := req.Host
	if host == req.URL.Host {
		host = "" // the usual case; it would say nothing new
	}
	parts := append(s.parts[:0], predictionKey)
	parts = parts.add(req.URL.Scheme).add(req.URL.Host).add(host)
	parts = parts.add(req.URL.Opaque).add(req.URL.Path).add(req.URL.RawPath) // which say all that EscapedPath does
	parts = parts.addAll(sortedQuery(req.URL.RawQuery))
	parts = parts.addFields(s.header.question)
	parts = parts.add(call.Function).add(call.Model)
	parts = parts.addIdentity(call.Identity, req.URL.User, s.header.credentials)
	s.parts = append(parts, text...) // the input ends with it, so it needs no length
	return sha256.Sum256(s.parts)
}

// keyParts are what is hashed. Each text is preceded by its length and each list by
// its count, so that two different requests never make the same bytes.
type keyParts []byte

func (p keyParts) add(text string) keyParts {
	return append(binary.AppendUvarint(p, uint64(len(text))), text...)
}

func (p keyParts) addAll(texts []string) keyParts {
	p = binary.AppendUvarint(p, uint64(len(texts)))
	for _, text := range texts {
		p = p.add(text)
	}
	return p
}

func (p keyParts) addFields(all []field) keyParts {
	p = binary.AppendUvarint(p, uint64(len(all)))
	for _, f := range all {
		p = p.add(f.name).addAll(f.values)
	}
	return p
}

// addIdentity adds whose answer this is: an identity, else credentials, none at all being
// a partition of their own. One of these kinds is never taken for another.
func (p keyParts) addIdentity(identity string, user *url.Userinfo, credentials []field) keyParts {
	if identity != "" {
		return append(p, 'i').add(identity)
	}
	p = append(p, 'c').addFields(credentials)
	if user == nil {
		return append(p, 0)
	}
	return append(p, 'u').add(user.String()) // becomes an Authorization field on the wire
}

// sortedQuery returns the pairs of a query as they are spelled, sorted by name.
// The order of pairs with one name is kept, since the first or the last may
// count; names that a server could take for one are one here.
func sortedQuery(raw string) []string {
	if raw == "" {
		return nil
	}
	if strings.Contains(raw, ";") {
		return []string{raw} // some servers end a pair there, too: they see names that we do not
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

// unescaped decodes a part of a query. One that does not decode is returned as it is.
func unescaped(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}
