package command

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func TestParse(t *testing.T) {
	usual := nyckelsim.Config{Mode: nyckelsim.Reference, Rate: 25, Concurrency: 25, PageSize: 100}
	unlimited := usual
	unlimited.Rate, unlimited.Concurrency = -1, -1
	tests := []struct {
		name string
		args []string
		want nyckelsim.Config
	}{
		{"defaults", nil, usual},
		{"no limits", []string{"-rate", "0", "-concurrency", "0", "-quota", "0"}, unlimited},
		{"negative limits", []string{"-rate", "-2", "-concurrency", "-2"}, unlimited},
		{"all", []string{
			"-seed", "7", "-mode", "guide", "-rate", "1", "-concurrency", "2", "-retry-after", "-quota", "3",
			"-latency", "4s", "-delay", "5s", "-token-lifetime", "6s", "-page-size", "8",
		}, nyckelsim.Config{
			Seed: 7, Mode: nyckelsim.Guide, Rate: 1, Concurrency: 2, RetryAfter: true, Quota: 3,
			Latency: 4 * time.Second, Delay: 5 * time.Second, TokenLifetime: 6 * time.Second, PageSize: 8,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := parse("nyckelsim", tt.args, io.Discard)
			require.NoError(t, err)
			assert.Equal(t, tt.want, set.cfg)
		})
	}
}
