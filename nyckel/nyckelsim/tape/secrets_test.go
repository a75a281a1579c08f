package tape_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/tape"
)

// Secrets hide in places where nobody looks.
func TestNoHiddenSecretIsRecorded(t *testing.T) {
	kind, withURL := form(t, "data", "https://ann:"+secret+"@host.test/")
	tests := map[string]*http.Request{
		"user of a URL":            request("POST", "/x", "application/json", `{"data":"https://ann:`+secret+`@host.test/a.png"}`),
		"user of a URL in a form":  request("POST", "/x", kind, withURL),
		"user of a URL in text":    request("POST", "/x", "text/plain", "see https://"+secret+"@host.test/"),
		"fragment of a URL":        request("POST", "/x", "application/json", `{"data":"https://host.test/#access_token=`+secret+`"}`),
		"query of a URL":           request("POST", "/x", "application/json", `{"data":"https://host.test/?a=1&api_key=`+secret+`"}`),
		"URL in a URL":             request("POST", "/x", "application/json", `{"data":"https://host.test/?next=https://host.test/?sig=`+secret+`"}`),
		"question mark in it":      request("POST", "/x", "application/json", `{"data":"https://host.test/?token=why?`+secret+`"}`),
		"signature of GCS":         request("POST", "/x", "application/json", `{"data":"https://host.test/?X-Goog-Signature=`+secret+`"}`),
		"list":                     request("POST", "/x", "application/json", `{"password":["`+secret+`"]}`),
		"object":                   request("POST", "/x", "application/json", `{"token":{"value":"`+secret+`"}}`),
		"token in the path":        request("GET", "/x/"+secret, "", ""),
		"token in the query":       request("GET", "/x?who="+secret, "", ""),
		"token spelled in a query": request("GET", "/x?who="+strings.ReplaceAll(secret, "-", "%2D"), "", ""),
		"token spelled in JSON":    request("POST", "/x", "application/json", `{"data":"`+strings.ReplaceAll(secret, "-", `\u002d`)+`"}`),
		"token spelled in a form":  request("POST", "/x", "application/x-www-form-urlencoded", "data="+strings.ReplaceAll(secret, "-", "%2D")),
		"token spelled in a part":  request("POST", "/x", kind, strings.ReplaceAll(withURL, `https://ann:`+secret+`@host.test/`, `"`+strings.ReplaceAll(secret, "-", `\u002d`)+`"`)),
		"URL in the query":         request("GET", "/x?at=https%3A%2F%2Fhost.test%2F%3Fsig%3D"+secret, "", ""),
	}
	for name, req := range tests {
		t.Run(name, func(t *testing.T) {
			// The caller's token is another: nothing of what the body has is known.
			if !strings.HasPrefix(name, "token") {
				req.Header.Set("Authorization", "Bearer another-0123456789")
				req.Header.Del("Cookie")
			}
			_, file := record(t, req)
			require.NotEmpty(t, file)
			assert.NotContains(t, file, secret)
			for _, text := range decoded(t, file) {
				assert.NotContains(t, text, secret)
			}
		})
	}
}

// Services have many names for what nobody else is to know.
func TestNamesOfSecrets(t *testing.T) {
	for _, name := range []string{
		"access_key", "accessToken", "api-key", "api_secret", "api_token", "auth_token", "bearer_token", "client_secret", "Passphrase",
		"pwd", "refresh_token", "SecretAccessKey", "secret_key", "session_token", "subscription-key", "X-Auth-Token",
	} {
		req := request("POST", "/x?"+name+"="+secret, "application/json", `{"`+name+`":"`+secret+`","data":"https://host.test/?`+name+`=`+secret+`"}`)
		req.Header.Set("Authorization", "Bearer another-0123456789")
		req.Header.Del("Cookie")
		_, file := record(t, req)
		assert.NotContains(t, file, secret, name)
	}
}

// decoded returns the parts of forms in a file, which are in base64 there.
func decoded(t *testing.T, file string) (texts []string) {
	t.Helper()
	var e tape.Exchange
	require.NoError(t, json.Unmarshal([]byte(file), &e))
	for _, values := range e.Body.Parts {
		for _, value := range values {
			texts = append(texts, string(value))
		}
	}
	return texts
}

// What a caller asks about may be any words, those of the player's token, too.
func TestPlayToWhoeverHasItsToken(t *testing.T) {
	const body = `{"data":"The match was replayed."}`
	_, file := record(t, request("POST", "/x", "application/json", body))
	p, err := tape.NewPlayer(strings.NewReader(file))
	require.NoError(t, err)
	var grant struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal(play(p, request("POST", "/connect/token", "", "")).Body.Bytes(), &grant))
	req := request("POST", "/x", "application/json", body)
	req.Header.Set("Authorization", "Bearer "+grant.Token)
	assert.Equal(t, http.StatusOK, play(p, req).Code)
}
