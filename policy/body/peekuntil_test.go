package body_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy/body"
)

func TestPeekUntil(t *testing.T) {
	for _, tt := range []struct {
		name    string
		n       int
		enough  string // to have seen
		want    string
		wantErr error
	}{
		{"enough has come", 10, "b", "ab", nil},
		{"never enough", 10, "x", "abcd", io.EOF},
		{"no more than asked for", 3, "x", "abc", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := &http.Response{ContentLength: -1, Body: io.NopCloser(iotest.OneByteReader(strings.NewReader("abcd")))}
			got, err := body.PeekUntil(t.Context(), resp, tt.n, time.Minute, func(start []byte) bool {
				return strings.Contains(string(start), tt.enough)
			})
			assert.Equal(t, tt.want, string(got))
			assert.Equal(t, tt.wantErr, err)
			all, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, "abcd", string(all))
		})
	}
}
