package policy_test

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// gzipped returns text as a server sends it to who asks for gzip.
func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// A caller who has set Accept-Encoding himself is told of a quota, too, and sees
// no bytes of a code in place of a message.
func TestClassifyEncoded(t *testing.T) {
	quota := openai("insufficient_quota", "insufficient_quota", "No more.")
	whole := gzipped(t, quota)
	bomb := gzipped(t, `{"message":"`+strings.Repeat("a", 10<<20)+`"}`)[:policy.PeekBytes]
	late := gzipped(t, `{"error":{"message":"No more.","pad":"`+strings.Repeat("a", policy.PeekBytes)+`","code":"insufficient_quota"}}`)
	tests := []struct {
		name     string
		encoding string
		body     []byte
		class    policy.Class
		message  string
	}{
		{"none", "identity", []byte(quota), policy.QuotaExceeded, "No more."},
		{"gzip", "gzip", whole, policy.QuotaExceeded, "No more."},
		{"gzip by its old name", "X-GZIP", whole, policy.QuotaExceeded, "No more."},
		{"gzip that is cut", "gzip", whole[:len(whole)-8], policy.QuotaExceeded, "No more."},
		{"gzip that is none", "gzip", []byte(quota), policy.QuotaExceeded, "No more."},
		{"gzip of much", "gzip", bomb, policy.RateLimited, strings.Repeat("a", 300)},
		{"gzip of what comes late", "gzip", late, policy.RateLimited, "No more."},
		{"gzip of nothing", "gzip", nil, policy.RateLimited, ""},
		{"another", "br", whole, policy.RateLimited, ""},
		{"two", "gzip, gzip", whole, policy.RateLimited, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := policy.OpenAI(policy.Outcome{Status: 429, Header: header("Content-Encoding", tt.encoding), Body: tt.body})
			assert.Equal(t, tt.class, got.Class)
			assert.Equal(t, tt.message, got.Message)
		})
	}
}
