package transport

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLineageRepeats(t *testing.T) {
	request := func(method, url string) *http.Request {
		req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		require.NoError(t, err)
		return req
	}
	const method, url = http.MethodPost, "https://up.test/a%2Fb?c=d"
	first := request(method, url)
	moved := first.Clone(t.Context())
	moved.URL.Host = "other.test"
	get := first.WithContext(t.Context())
	get.Method = http.MethodGet
	tests := []struct {
		name string
		req  *http.Request
		want bool
	}{
		{"itself", first, true},
		{"with another context", first.WithContext(t.Context()), true},
		{"a clone", first.Clone(t.Context()), true},
		{"one with the same URL", request(method, url), true},
		{"a clone to another host", moved, false},
		{"another method", get, false},
		{"another method, and a URL of its own", request(http.MethodGet, url), false},
		{"another scheme", request(method, "http://up.test/a%2Fb?c=d"), false},
		{"another path", request(method, "https://up.test/a?c=d"), false},
		{"a path that is written another way", request(method, "https://up.test/a/b?c=d"), false},
		{"another query", request(method, "https://up.test/a%2Fb?c=e"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, newLineage(first, nil).repeats(tt.req))
		})
	}
}
