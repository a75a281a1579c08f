package nyckel

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What a picture says of how it is to be turned may end anywhere, or point anywhere.
func TestOrientationCutShort(t *testing.T) {
	tiff := []byte("II\x2a\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00")
	assert.Equal(t, 6, orientationTag(tiff))
	for n := range tiff {
		assert.Equal(t, 1, orientationTag(tiff[:n:n]), "%d bytes", n)
	}
	for at := 9; at < 256; at++ {
		tiff[4] = byte(at)
		assert.Equal(t, 1, orientationTag(tiff), "at %d", at)
	}
}
