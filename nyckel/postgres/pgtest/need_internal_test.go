package pgtest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

// ending is a test that notes how it would have ended.
type ending struct {
	testing.TB
	how string
}

func (e *ending) Helper()      {}
func (e *ending) Skip(...any)  { e.how = "skipped" }
func (e *ending) Fatal(...any) { e.how = "failed" }

func TestNeed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		err      error
		required string
		want     string
	}{
		{"a server", nil, "1", ""},
		{"not installed", errNotInstalled, "", "skipped"},
		{"not installed, but required", errNotInstalled, "1", "failed"},
		{"does not start", errors.New("no space left on device"), "", "failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(RequireEnv, tt.required)
			e := &ending{TB: t}
			need(e, tt.err)
			assert.Equal(t, tt.want, e.how)
		})
	}
}
