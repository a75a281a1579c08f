package nyckelsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// jwtHeader is the first part of every token: {"alg":"HS256","typ":"JWT"}.
const jwtHeader = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

// claims is the second part of a token. Times are seconds since 1970.
type claims struct {
	Subject  string `json:"sub"`
	Scope    string `json:"scope"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// tokens issues access tokens and checks them. It keeps no list: what it signed
// and what has not expired is good.
type tokens struct {
	id, secret string
	lifetime   int64 // seconds
	key        []byte
}

func newTokens(cfg Config) tokens {
	key := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(cfg.ClientSecret), cfg.Seed))
	return tokens{
		id:       cfg.ClientID,
		secret:   cfg.ClientSecret,
		lifetime: int64((cfg.TokenLifetime-1)/time.Second) + 1, // rounded up, without an overflow
		key:      key[:],
	}
}

// serve is the endpoint POST /connect/token. Its errors have OAuth's shape
// rather than the API's.
func (t tokens) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	refuse := func(code string) {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": code})
	}
	err := r.ParseForm()
	if err := tooLarge(err); err != nil {
		reply(w, nil, err)
		return
	}
	if err != nil {
		refuse("invalid_request")
		return
	}
	if grant := r.PostForm.Get("grant_type"); grant != "client_credentials" {
		refuse("unsupported_grant_type")
		return
	}
	if !same(r.PostForm.Get("client_id"), t.id) || !same(r.PostForm.Get("client_secret"), t.secret) {
		refuse("invalid_client")
		return
	}
	writeJSON(w, http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
		TokenType   string `json:"token_type"`
		Scope       string `json:"scope"`
	}{t.issue(time.Now()), t.lifetime, "Bearer", "api"})
}

// issue returns a token that is good for at least t.lifetime from now on: its
// end is rounded up to a whole second.
func (t tokens) issue(now time.Time) string {
	payload, err := json.Marshal(claims{
		Subject:  t.id,
		Scope:    "api",
		IssuedAt: now.Unix(),
		Expires:  now.Add(time.Second-1).Unix() + t.lifetime,
	})
	if err != nil { // strings and integers always marshal
		panic(err)
	}
	signed := jwtHeader + "." + base64.RawURLEncoding.EncodeToString(payload)
	return signed + "." + t.sign(signed)
}

// check returns nil if the request carries a good token, else a 401.
func (t tokens) check(r *http.Request, now time.Time) error {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return failf(http.StatusUnauthorized, "The access token is missing.")
	}
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 || !same(token[dot+1:], t.sign(token[:dot])) {
		return failf(http.StatusUnauthorized, "The access token is not valid.")
	}
	_, encoded, _ := strings.Cut(token[:dot], ".")
	var c claims
	payload, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return failf(http.StatusUnauthorized, "The access token is not valid.")
	}
	if now.Unix() >= c.Expires {
		return failf(http.StatusUnauthorized, "The access token has expired.")
	}
	return nil
}

func (t tokens) sign(text string) string {
	mac := hmac.New(sha256.New, t.key)
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// same compares in a time that does not tell where two secrets differ.
func same(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
