package riverjobs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Clocks differ, and a job may be due since before there were any.
func TestSeconds(t *testing.T) {
	assert.Equal(t, 1500*time.Millisecond, seconds(1.5))
	assert.Zero(t, seconds(-1))
	assert.Greater(t, seconds(1000*365*24*3600), 100*365*24*time.Hour, "a thousand years are too long for a duration")
}
