package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const output = `goos: linux
BenchmarkPeers/full-stack/bare/serial-2  	  100	 1100 ns/op	 1000 cpu-ns/op	 1537 B/op	 11 allocs/op
BenchmarkPeers/full-stack/sparekey/serial-2  	  100	 9000 ns/op	 %d cpu-ns/op	 2000 B/op	 %d allocs/op
BenchmarkPeers/full-stack/failsafehttp-in-otelhttp/serial-2  	  100	 9000 ns/op	 11000 cpu-ns/op	 7000 B/op	 81 allocs/op
PASS
`

func TestReport(t *testing.T) {
	tests := []struct {
		name       string
		cpu        []int // of our stack, per round
		allocs     int
		wantRatio  string
		wantMissed bool
	}{
		{"keeps the bar", []int{2000, 2000, 2000}, 19, "0.10", false},
		{"one wild round", []int{2000, 900_000, 2000}, 19, "0.10", false},
		{"reaches the bar", []int{3000}, 19, "0.20", false},
		{"too slow", []int{3060}, 19, "0.21", true},
		{"too many allocations", []int{2000}, 20, "0.10", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var rounds []round
			for _, cpu := range tt.cpu {
				r, err := parse(fmt.Appendf(nil, output, cpu, tt.allocs))
				require.NoError(t, err)
				rounds = append(rounds, r)
			}
			var table strings.Builder
			assert.Equal(t, tt.wantMissed, report(&table, rounds))
			assert.Contains(t, table.String(), tt.wantRatio)
			assert.NotContains(t, table.String(), "loopback", "what was not measured")
		})
	}
}

func TestParseNonsense(t *testing.T) {
	for _, line := range []string{
		"PASS", // nothing was measured, and so no bar kept
		"BenchmarkOther-2 100 1 ns/op",
		"BenchmarkPeers/full-stack/bare/serial-2 100 x ns/op",
	} {
		_, err := parse([]byte(line))
		assert.Error(t, err, line)
	}
}

func TestQuantile(t *testing.T) {
	assert.Zero(t, quantile(nil, 0.5))
	assert.InDelta(t, 3, quantile([]float64{3}, 0.75), 0)
	assert.InDelta(t, 2.5, quantile([]float64{4, 1, 2, 3}, 0.5), 0)
	assert.InDelta(t, 1.75, quantile([]float64{4, 1, 2, 3}, 0.25), 0)
}
