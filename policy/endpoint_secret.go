package policy

import "strings"

// IsSecret reports whether a header field or a query parameter of that name may
// hold what lets somebody in, or says who he is: Authorization, Cookie, X-Api-Key,
// Api-Key, X-Goog-Api-Key, OpenAI-Organization, key, access_token, sig and
// everything named like them, in any case and with any of the usual separators. It
// is meant to err on the side of secrecy. Known to be none are Idempotency-Key,
// Anthropic-Version, Anthropic-Beta and the tokens that lead to the next page.
func IsSecret(name string) bool {
	var room [64]byte
	word := foldName(room[:0], name)
	switch string(word) {
	case "contenttype", "contentlength", "accept", "acceptencoding", "useragent", // the usual ones, to be quick
		"idempotencykey", "xidempotencykey", "anthropicversion", "anthropicbeta",
		"pagetoken", "nextpagetoken", "nexttoken", "continuationtoken", "author", "authors":
		return false
	case "referer", "code", "pass": // a URL, with its query; a key of Azure's functions; a password, as bypass is none
		return true
	}
	text := string(word)
	for _, part := range [...]string{"auth", "cookie", "secret", "credential", "passw", "passphrase", "pwd", "bearer", "apikey", "signature", "session", "jwt"} {
		if strings.Contains(text, part) {
			return true
		}
	}
	for _, end := range [...]string{
		"key", "keyid", "token", "sig", "organization", "organisation", "project", "tenant", "account", "user", "orgid",
		"organizationid", "projectid", "tenantid", "accountid", "userid", "userproject",
	} {
		if strings.HasSuffix(text, end) {
			return true
		}
	}
	for _, start := range [...]string{"anthropic", "openai", "xamz", "xgoog", "xmsclient"} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return false
}

// foldName appends name to b, in lower case and without separators.
func foldName(b []byte, name string) []byte {
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			b = append(b, c+'a'-'A')
		case c != '-' && c != '_' && c != '.' && c != '[' && c != ']':
			b = append(b, c)
		}
	}
	return b
}
