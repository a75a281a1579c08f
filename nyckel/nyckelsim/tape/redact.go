package tape

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// removed stands where a secret was.
const removed = "removed"

// secretNames are names of what must not be kept, in lower case and without
// anything but letters.
var secretNames = []string{
	"accesstoken", "apikey", "auth", "authorization", "bearer", "clientassertion", "clientsecret", "cookie", "credential", "credentials",
	"idtoken", "jwt", "passwd", "password", "privatekey", "refreshtoken", "secret", "session", "sessionid", "setcookie", "sig", "signature", "token",
	"xamzcredential", "xamzsecuritytoken", "xamzsignature", "xapikey",
}

// isSecret reports whether a value by that name is a secret.
func isSecret(name string) bool {
	letters := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	return slices.Contains(secretNames, letters)
}

func redactValues(values url.Values) {
	for name, list := range values {
		for i := range list {
			if isSecret(name) {
				list[i] = removed
			}
		}
	}
}

// redactJSON returns the document without its secrets.
func redactJSON(document any) any {
	switch v := document.(type) {
	case string:
		return redactURLs(v)
	case []any:
		for i := range v {
			v[i] = redactJSON(v[i])
		}
	case map[string]any:
		for name, value := range v {
			if text, ok := value.(string); ok && isSecret(name) && text != "" {
				v[name] = removed
			} else {
				v[name] = redactJSON(value)
			}
		}
	}
	return document
}

// signed finds the values of a signed URL that make it a credential.
var signed = regexp.MustCompile(`(?i)([?&](?:X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|Signature|sig|access_token|token)=)[^&\s"'<>]+`)

// redactURLs takes signatures out of the URLs in a text.
func redactURLs(text string) string {
	return signed.ReplaceAllString(text, "${1}"+removed)
}

// secretsOf returns what the request's headers have that must turn up nowhere.
func secretsOf(req *http.Request) []string {
	var secrets []string
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "Api-Key"} {
		for _, value := range req.Header.Values(name) {
			// Schemes are short, as are names and values that say nothing.
			for _, word := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" ;,=\"", r) }) {
				if len(word) >= 8 {
					secrets = append(secrets, word)
				}
			}
		}
	}
	return secrets
}
