package nyckelsim_test

import (
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func TestTokenEndpoint(t *testing.T) {
	const good = "grant_type=client_credentials&client_id=me&client_secret=s3cret"
	tests := []struct {
		name        string
		method      string
		contentType string
		body        string
		wantStatus  int
		wantError   string
	}{
		{"right credentials", "POST", "application/x-www-form-urlencoded", good, 200, ""},
		{"wrong secret", "POST", "application/x-www-form-urlencoded", good + "x", 400, "invalid_client"},
		{"wrong client", "POST", "application/x-www-form-urlencoded", strings.Replace(good, "=me", "=you", 1), 400, "invalid_client"},
		{"no credentials", "POST", "application/x-www-form-urlencoded", "grant_type=client_credentials", 400, "invalid_client"},
		{"wrong grant", "POST", "application/x-www-form-urlencoded", strings.Replace(good, "client_credentials", "password", 1), 400, "unsupported_grant_type"},
		{"not a form", "POST", "application/json", `{"grant_type":"client_credentials"}`, 400, "unsupported_grant_type"},
		{"a broken form", "POST", "application/x-www-form-urlencoded", "%zz", 400, "invalid_request"},
		{"a body too large", "POST", "application/x-www-form-urlencoded", good + strings.Repeat("&x=y", 300), 413, ""},
		{"wrong method", "GET", "", "", 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim := nyckelsim.New(nyckelsim.Config{ClientID: "me", ClientSecret: "s3cret", MaxBody: 1000})
			req := httptest.NewRequest(tt.method, "/connect/token", strings.NewReader(tt.body))
			req.Header.Set("Content-Type", tt.contentType)
			got := serve(t, sim, req)
			assert.Equal(t, tt.wantStatus, got.status)
			if tt.wantError != "" {
				assert.Equal(t, tt.wantError, got.body["error"])
			}
			if tt.wantStatus == 200 {
				assert.Equal(t, "Bearer", got.body["token_type"])
				assert.Equal(t, 3600.0, got.body["expires_in"])
				assert.Len(t, strings.Split(got.body["access_token"].(string), "."), 3, "a JWT has three parts")
			}
		})
	}
}

func TestTokenCheck(t *testing.T) {
	c := newClient(t, nyckelsim.Config{})
	other := newClient(t, nyckelsim.Config{Seed: 1})
	tests := []struct {
		name   string
		header string
		want   int
	}{
		{"good", "Bearer " + c.token, 200},
		{"scheme in another case", "bearer " + c.token, 200},
		{"missing", "", 401},
		{"empty", "Bearer ", 401},
		{"another scheme", "Basic " + c.token, 401},
		{"garbled", "Bearer not-a-token", 401},
		{"signature cut", "Bearer " + c.token[:len(c.token)-2], 401},
		{"claims changed", "Bearer " + strings.Replace(c.token, ".", ".A", 1), 401},
		{"of another server", "Bearer " + other.token, 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := httptest.NewRequest("GET", "/v1/functions", nil)
			req.Header.Set("Authorization", tt.header)
			got := serve(t, c.sim, req)
			assert.Equal(t, tt.want, got.status)
			if tt.want == 401 {
				assert.NotEmpty(t, got.message())
			}
		})
	}
}

func TestTokenExpiry(t *testing.T) {
	tests := []struct {
		name         string
		lifetime     time.Duration
		age          time.Duration // of the Server when it issues the token
		wantLifetime float64       // in seconds, as announced
		wantGood     time.Duration // how long the token really is good
	}{
		{"default", 0, 0, 3600, time.Hour},
		{"whole seconds", 2 * time.Second, 0, 2, 2 * time.Second},
		{"rounded up", 1500 * time.Millisecond, 0, 2, 2 * time.Second},
		{"never sooner than announced", 2 * time.Second, 300 * time.Millisecond, 2, 2700 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(tt.age)
				c := newClient(t, nyckelsim.Config{TokenLifetime: tt.lifetime})
				got := requestToken(t, c.sim, "sim-client", "sim-secret")
				assert.Equal(t, tt.wantLifetime, got.body["expires_in"])

				time.Sleep(tt.wantGood - 1)
				assert.Equal(t, 200, c.do("GET", "/v1/functions", "").status)
				time.Sleep(2 * time.Nanosecond)
				got = c.do("GET", "/v1/functions", "")
				assert.Equal(t, 401, got.status)
				require.Contains(t, got.message(), "expired")
			})
		})
	}
}

func TestTokenForEver(t *testing.T) {
	c := newClient(t, nyckelsim.Config{TokenLifetime: math.MaxInt64})
	got := requestToken(t, c.sim, "sim-client", "sim-secret")
	assert.Equal(t, math.Ceil(time.Duration(math.MaxInt64).Seconds()), got.body["expires_in"])
	assert.Equal(t, 200, c.do("GET", "/v1/functions", "").status)
}
