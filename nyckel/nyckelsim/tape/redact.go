package tape

import (
	"encoding/json"
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
	"accesskey", "accesstoken", "apikey", "apisecret", "apitoken", "auth", "authorization", "authtoken", "bearer", "bearertoken",
	"clientassertion", "clientsecret", "cookie", "credential", "credentials", "idtoken", "jwt", "passphrase", "passwd", "password",
	"privatekey", "pwd", "refreshtoken", "secret", "secretaccesskey", "secretkey", "session", "sessionid", "sessiontoken", "setcookie",
	"sig", "signature", "subscriptionkey", "token",
	"xamzcredential", "xamzsecuritytoken", "xamzsignature", "xapikey", "xauthtoken", "xgoogcredential", "xgoogsignature",
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
			} else {
				list[i] = redactURLs(list[i])
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
			if isSecret(name) {
				v[name] = blank(value)
			} else {
				v[name] = redactJSON(value)
			}
		}
	}
	return document
}

// blank returns a value of which nothing is to be kept but its form.
func blank(value any) any {
	switch v := value.(type) {
	case string, json.Number:
		if v != "" {
			return removed
		}
	case []any:
		for i := range v {
			v[i] = blank(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = blank(v[name])
		}
	}
	return value
}

var (
	// parameter finds the names of the parameters of URLs.
	parameter = regexp.MustCompile(`[?&#;]([\w.~%-]+)=`)

	// userinfo finds the user and password of URLs.
	userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s"'<>]+@`)
)

// redactURLs takes users and signatures out of the URLs in a text.
func redactURLs(text string) string {
	text = userinfo.ReplaceAllString(text, "${1}"+removed+"@")
	var clean strings.Builder
	for {
		found := parameter.FindStringSubmatchIndex(text)
		if found == nil {
			return clean.String() + text
		}
		clean.WriteString(text[:found[1]])
		name, value := text[found[2]:found[3]], text[found[1]:]
		if text = value; isSecret(name) {
			end := strings.IndexAny(value, "& \t\r\n\"'<>")
			if end < 0 {
				end = len(value)
			}
			if end > 0 {
				clean.WriteString(removed)
			}
			text = value[end:]
		}
	}
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
