package transport

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A key stands for the same endpoint in every process, also in those of an earlier
// version that run beside this one.
func TestFailoverKeysStayInPlace(t *testing.T) {
	for text, want := range map[[2]string]uint64{
		{"", ""}:        0x0992e16d4af04425,
		{"eu", "user1"}: 0x36c9c3ec47e84dd7,
		{"eu", "user2"}: 0x7e944b0a85dc4656,
		{"euu", "ser1"}: 0x426d9a6f94c076e6,
	} {
		assert.Equal(t, want, fnv64(text[0], text[1]), text)
	}
}
