package cache

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestResourceKey: targets have one key if, and only if, they are the same on the wire;
// one that is opaque is another than all that are not.
func TestResourceKey(t *testing.T) {
	at := func(path, raw string) *url.URL {
		return &url.URL{Scheme: "https", Host: "api.test", Path: path, RawPath: raw}
	}
	tests := []struct {
		name  string
		a, b  *url.URL
		field string // of the second
		same  bool
	}{
		{"no path is the root", at("", ""), at("/", ""), "", true},
		{"a space", at("/a b", ""), at("/a b", "/a%20b"), "", true},
		{"a slash that is escaped", at("/a/b", ""), at("/a/b", "/a%2Fb"), "", false},
		{"a slash that is escaped, both times", at("/a/b", "/a%2Fb"), at("/a/b", "/a%2Fb"), "", true},
		{"in lower case", at("/a/b", "/a%2Fb"), at("/a/b", "/a%2fb"), "", false},
		{"a letter that is escaped", at("/a", ""), at("/a", "/%61"), "", false},
		{"an escape that is escaped", at("/%61", ""), at("/a", "/%61"), "", false},
		{"another path's spelling", at("/a", ""), at("/a", "/b"), "", true},
		{"a broken spelling", at("/a", ""), at("/a", "/%6"), "", true},
		{"a double slash", at("//a", ""), at("/a", ""), "", false},
		{"all of it", at("*", ""), at("*", "%2A"), "", false},
		{"case", at("/a", ""), &url.URL{Scheme: "HTTPS", Host: "API.test", Path: "/a"}, "api.TEST", true},
		{"case of the path", at("/a", ""), at("/A", ""), "", false},
		{"its own port", at("/a", ""), &url.URL{Scheme: "HTTPS", Host: "api.test:443", Path: "/a"}, "api.test", true},
		{"its own port in the field", at("/a", ""), at("/a", ""), "api.test:443", true},
		{"another scheme's port", at("/a", ""), &url.URL{Scheme: "https", Host: "api.test:80", Path: "/a"}, "", false},
		{"another scheme", at("/a", ""), &url.URL{Scheme: "http", Host: "api.test", Path: "/a"}, "", false},
		{"another field", at("/a", ""), at("/a", ""), "b.test", false},
		{"a question mark", at("/a", ""), &url.URL{Scheme: "https", Host: "api.test", Path: "/a", ForceQuery: true}, "", false},
		{"a query that looks like a path", at("/a?b", ""), &url.URL{Scheme: "https", Host: "api.test", Path: "/a", RawQuery: "b"}, "", false},
		{"a fragment", at("/a", ""), &url.URL{Scheme: "https", Host: "api.test", Path: "/a", Fragment: "b"}, "", true},
		{"as it is written", at("/a", ""), &url.URL{Scheme: "https", Host: "api.test", Opaque: "/a"}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.same, resourceKey(tt.a, tt.a.Host) == resourceKey(tt.b, tt.field))
		})
	}
}
