package tape_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/tape"
)

// Secrets hide in places where nobody looks.
func TestNoHiddenSecretIsRecorded(t *testing.T) {
	kind, withURL := form(t, "data", "https://ann:"+secret+"@host.test/")
	cutKind, cut := form(t, "password", secret)
	keyKind, withKey := form(t, "key", secret)
	tests := map[string]*http.Request{
		"user of a URL":            request("POST", "/x", "application/json", `{"data":"https://ann:`+secret+`@host.test/a.png"}`),
		"user of a URL in a form":  request("POST", "/x", kind, withURL),
		"user of a URL in text":    request("POST", "/x", "text/plain", "see https://"+secret+"@host.test/"),
		"fragment of a URL":        request("POST", "/x", "application/json", `{"data":"https://host.test/#access_token=`+secret+`"}`),
		"query of a URL":           request("POST", "/x", "application/json", `{"data":"https://host.test/?a=1&api_key=`+secret+`"}`),
		"key of a URL":             request("POST", "/x", "application/json", `{"data":"https://host.test/?Key=`+secret+`"}`),
		"key of a form":            request("POST", "/x", keyKind, withKey),
		"key in the query":         request("GET", "/x?alt=sse&key="+secret, "", ""),
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
		"lines of JSON":            request("POST", "/x", "application/x-ndjson", `{"a":1}`+"\n"+`{"a":2,"api_key" : "`+secret+`","b":"c"}`),
		"events of JSON":           request("POST", "/x", "text/event-stream", `data: {"token":"\"`+secret+`"}`+"\n\n"),
		"JSON after a mark":        request("POST", "/x", "application/json", "\ufeff"+`{"password":"`+secret+`"}`),
		"JSON that breaks off":     request("POST", "/x", "application/json", `{"password":"`+secret),
		"lines in a form":          request("POST", "/x", kind, strings.ReplaceAll(withURL, `https://ann:`+secret+`@host.test/`, `{} {"password":"`+secret+`"}`)),
		"form":                     request("POST", "/x", "application/x-www-form-urlencoded", "a=b&password="+secret),
		"part of a form":           request("POST", "/x", cutKind, cut),
		"form that is broken":      request("POST", "/x", "application/x-www-form-urlencoded", "password="+secret+"&data=100%"),
		"JSON said to be a form":   request("POST", "/x", "application/x-www-form-urlencoded", `{"password":"`+secret+`"}`),
		"form that breaks off":     request("POST", "/x", cutKind, strings.TrimRight(cut, "-\r\n")),
		"JSON in a form":           request("POST", "/x", "application/x-www-form-urlencoded", "data=%7B%22password%22%3A%22"+secret+"%22%7D"),
		"list in JSON in a form":   request("POST", "/x", "application/x-www-form-urlencoded", "data=%7B%22password%22%3A%5B%22"+secret+"%22%5D%7D"),
		"list in JSON in a query":  request("GET", "/x?data=%7B%22password%22%3A%5B%22"+secret+"%22%5D%7D", "", ""),
		"name spelled in a form":   request("POST", "/x", "application/x-www-form-urlencoded", "data=%7B%22p%5Cu0061ssword%22%3A%22"+secret+"%22%7D"),
		"list in a form's name":    request("POST", "/x", "application/x-www-form-urlencoded", "%7B%22password%22%3A%5B%22"+secret+"%22%5D%7D"),
		"broken JSON as a form":    request("POST", "/x", "application/x-www-form-urlencoded", `{"password":"`+secret),
		"lines as a form":          request("POST", "/x", "application/x-www-form-urlencoded", `{"password":"`+secret+`"}`+"\n"+`{"password":"`+secret+`"}`),
		"marks of a form in JSON":  request("POST", "/x", "application/x-www-form-urlencoded", `{"password":"a=b&c;`+secret),
		"JSON as a form's name":    request("POST", "/x", "application/x-www-form-urlencoded", "%7B%22password%22%3A%22"+secret+"%22%7D"),
		"text as a form":           request("POST", "/x", "application/x-www-form-urlencoded", `at https://ann:`+secret+`@host.test/`),
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

// A number may be a secret, too. What is none stays as it is written, so that tapes of
// before are played.
func TestNumbersInAForm(t *testing.T) {
	const kind = "application/x-www-form-urlencoded"
	_, file := record(t, request("POST", "/x", kind, url.Values{"data": {`{"pwd": 90210417, "n": 1.0}`}}.Encode()))
	assert.Equal(t, url.Values{"data": {`{"n":1.0,"pwd":"removed"}`}}.Encode(), textOf(t, file))
	plain := url.Values{"data": {`{"n": 1.0, "a": ["b"]}`}}.Encode()
	_, file = record(t, request("POST", "/x", kind, plain))
	assert.Equal(t, plain, textOf(t, file))
}

// Lines of JSON are no document: none but the first would be kept.
func TestLinesAreKept(t *testing.T) {
	const lines = `{"a":1}` + "\n" + `{"a":2}`
	_, file := record(t, request("POST", "/x", "application/x-ndjson", lines))
	assert.Equal(t, lines, textOf(t, file))
}

// The caller's own token is found however JSON spells it, in a form and in a query.
func TestTokenSpelledWithinAForm(t *testing.T) {
	spelled := url.Values{"data": {`{"a":"` + strings.ReplaceAll(secret, "-", `\u002d`) + `"}`}}.Encode()
	want := url.Values{"data": {`{"a":"removed"}`}}.Encode()
	_, file := record(t, request("POST", "/x", "application/x-www-form-urlencoded", spelled))
	assert.Equal(t, want, textOf(t, file))
	_, file = record(t, request("GET", "/x?"+spelled, "", ""))
	assert.Contains(t, file, `"query":"`+want+`"`)
}

func textOf(t *testing.T, file string) string {
	t.Helper()
	var e tape.Exchange
	require.NoError(t, json.Unmarshal([]byte(file), &e))
	return e.Body.Text
}

// Services have many names for what nobody else is to know.
func TestNamesOfSecrets(t *testing.T) {
	for _, name := range []string{
		"access_key", "accessToken", "api-key", "api_secret", "api_token", "auth_token", "bearer_token", "client_secret", "Passphrase",
		"pwd", "refresh_token", "SecretAccessKey", "secret_key", "session_token", "subscription-key", "X-Auth-Token",
		"OPENAI_API_KEY", "newPassword", "webhook_secret", "aws_secret_access_key", "GOOG-ID-TOKEN", "user_credentials",
	} {
		req := request("POST", "/x?"+name+"="+secret, "application/json", `{"`+name+`":"`+secret+`","data":"https://host.test/?`+name+`=`+secret+`"}`)
		req.Header.Set("Authorization", "Bearer another-0123456789")
		req.Header.Del("Cookie")
		_, file := record(t, req)
		assert.NotContains(t, file, secret, name)
	}
}

// Not all that is called a token is one to get in by, and without some of them
// what was recorded could not be played.
func TestNamesOfWhatIsNoSecret(t *testing.T) {
	for _, name := range []string{"nextPageToken", "max_tokens", "author", "design", "secretary", "keyword"} {
		_, file := record(t, request("POST", "/x?"+name+"=harmless", "application/json", `{"`+name+`":"harmless"}`))
		assert.Equal(t, 3, strings.Count(file, "harmless"), name) // in the query, the body and the answer
	}
}

// What members of JSON call a key tells rows apart, where the key of a query lets one in.
func TestKeyOfJSONIsNoSecret(t *testing.T) {
	_, file := record(t, request("POST", "/x?key="+secret, "application/json", `{"key":"harmless"}`))
	assert.Contains(t, file, `"json":{"key":"harmless"}`)
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

// What the caller sends may be like what it is answered, in names, numbers and
// beginnings. None of it may keep a secret from being found.
func TestOwnSecretsHideNoOthers(t *testing.T) {
	const signed = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-west-1/service/aws4_request, SignedHeaders=host, Signature=0123456789abcdef"
	tests := map[string]struct {
		header http.Header
		body   string
	}{
		"name of a cookie":          {http.Header{"Cookie": {"access_token=yesterdays-0123"}}, `{"access_token":"` + secret + `"}`},
		"name in a URL":             {http.Header{"Authorization": {signed}}, `{"data":"https://host.test/?X-Amz-Signature=` + secret + `"}`},
		"value like a name":         {http.Header{"Cookie": {"view=password"}}, `{"password":"` + secret + `"}`},
		"number":                    {http.Header{"Cookie": {"uid=1234567890"}}, `{"user":1234567890,"password":"` + secret + `"}`},
		"beginning of another":      {http.Header{"Cookie": {"user=" + secret[:8], "session=" + secret}}, `{"data":"` + secret + `"}`},
		"header of Google":          {http.Header{"X-Goog-Api-Key": {secret}}, `{"data":"` + secret + `"}`},
		"header of Azure":           {http.Header{"Ocp-Apim-Subscription-Key": {secret}}, `{"data":"` + secret + `"}`},
		"header in lower case":      {http.Header{"authorization": {"Bearer " + secret}}, `{"data":"` + secret + `"}`},
		"token with padding":        {http.Header{"Authorization": {"Basic " + secret + "=="}}, `{"data":"` + secret + `"}`},
		"quoted parameter":          {http.Header{"Authorization": {`Digest username="` + secret + `"`}}, `{"data":"` + secret + `"}`},
		"name of a member":          {http.Header{"Authorization": {"Bearer " + secret}}, `{"` + secret + `":1}`},
		"name in a secret's object": {http.Header{"Authorization": {"Bearer " + secret}}, `{"token":{"` + secret + `":1}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req := request("POST", "/x", "application/json", tt.body)
			req.Header = tt.header
			_, file := record(t, req)
			assert.NotContains(t, file, secret[8:])
			var e tape.Exchange
			require.NoError(t, json.Unmarshal([]byte(file), &e))
			assert.NotEmpty(t, e.Body.JSON, "it is still JSON: %s", file)
			assert.NotEmpty(t, e.Answer.JSON, "so is the answer")
		})
	}
}
