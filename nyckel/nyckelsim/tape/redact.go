package tape

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
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
	"clientassertion", "cookie", "credential", "credentials", "idtoken", "jwt", "passphrase", "passwd", "password", "privatekey",
	"privatetoken", "pwd", "refreshtoken", "secret", "secretkey", "securitytoken", "session", "sessionid", "sessiontoken", "sig",
	"signature", "subscriptionkey", "token",
}

// isSecret reports whether a value by that name is a secret. The name may have words
// before one of those above, unless that is short: a nextPageToken is no secret.
func isSecret(name string) bool {
	letters := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	return slices.ContainsFunc(secretNames, func(secret string) bool {
		return letters == secret || len(secret) > len("token") && strings.HasSuffix(letters, secret)
	})
}

// isSecretParameter is isSecret for the queries of URLs and for forms, where a key by
// that name alone lets one in to the services of Google.
func isSecretParameter(name string) bool { return isSecret(name) || strings.EqualFold(name, "key") }

// redactValues takes the secrets out of values, and out of their names: what is no form is
// one name to who reads it as such.
func redactValues(values url.Values, own secrets) url.Values {
	clean := url.Values{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		to := redactDocument(name, own)
		for _, value := range values[name] {
			if isSecretParameter(name) {
				value = removed
			} else {
				value = redactDocument(value, own)
			}
			clean.Add(to, value)
		}
	}
	return clean
}

// redactDocument takes the secrets out of a text that may be a JSON document, and leaves
// one without as it is written. JSON may spell the caller's own in ways that nobody finds
// once it is part of a form.
func redactDocument(text string, own secrets) string {
	text = redactText(text)
	document, ok := readJSON([]byte(text))
	if !ok {
		return text
	}
	before, _ := json.Marshal(document) // it was JSON
	after, _ := json.Marshal(redactJSON(document, own))
	if bytes.Equal(before, after) {
		return text
	}
	return string(after)
}

// redactJSON returns the document without its secrets and the caller's own.
func redactJSON(document any, own secrets) any {
	switch v := document.(type) {
	case string:
		return own.hide(redactURLs(v))
	case json.Number:
		if own.hide(v.String()) != v.String() {
			return removed
		}
	case []any:
		for i := range v {
			v[i] = redactJSON(v[i], own)
		}
	case map[string]any:
		clean := make(map[string]any, len(v))
		for name, value := range v {
			value = redactJSON(value, own)
			if isSecret(name) {
				value = blank(value)
			}
			clean[own.hide(name)] = value
		}
		return clean
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

// member finds strings by name in what is JSON in parts only, as lines and events are.
var member = regexp.MustCompile(`("([^"\\]+)"\s*:\s*")(?:[^"\\]|\\.)+`)

// redactText takes the secrets out of a text that is not a JSON document.
func redactText(text string) string {
	return redactURLs(member.ReplaceAllStringFunc(text, func(found string) string {
		parts := member.FindStringSubmatch(found)
		if !isSecret(parts[2]) {
			return found
		}
		return parts[1] + removed
	}))
}

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
		if text = value; isSecretParameter(name) {
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

// secrets are what a request's headers have that must turn up nowhere, longest
// first, for one may be part of another.
type secrets []string

func secretsOf(h http.Header) secrets {
	var own secrets
	for name, values := range h {
		if !isSecret(name) {
			continue
		}
		for _, value := range values {
			for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(" ;,", r) }) {
				_, parameter, _ := strings.Cut(word, "=") // of which the name is none
				own = append(own, strings.Trim(word, `="`), strings.Trim(parameter, `="`))
			}
		}
	}
	// Schemes are short, as are values that say nothing.
	own = slices.DeleteFunc(own, func(word string) bool { return len(word) < 8 })
	slices.SortFunc(own, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(own)
}

// hide takes the secrets out of a text, in which they may be escaped as in URLs.
func (own secrets) hide(text string) string {
	for _, secret := range own {
		for _, spelling := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			text = strings.ReplaceAll(text, spelling, removed)
		}
	}
	return text
}
