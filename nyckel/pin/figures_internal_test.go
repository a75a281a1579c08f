package pin

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProportionInterval(t *testing.T) {
	tests := []struct {
		p         Proportion
		low, high float64
	}{
		{Proportion{}, 0, 1},
		{Proportion{8, 10}, 0.49016, 0.94332},
		{Proportion{0, 20}, 0, 0.16113},
		{Proportion{20, 20}, 0.83887, 1},
		{Proportion{500, 1000}, 0.46907, 0.53093},
	}
	for _, tt := range tests {
		low, high := tt.p.Interval()
		require.InDelta(t, tt.low, low, 1e-5, "%v", tt.p)
		require.InDelta(t, tt.high, high, 1e-5, "%v", tt.p)
	}
	require.Equal(t, "80.0 % (49.0–94.3 %, 8 of 10)", Proportion{8, 10}.String())
}

func TestMcNemar(t *testing.T) {
	tests := []struct {
		a, b int
		want float64
	}{
		{0, 0, 1},
		{7, 7, 1},
		{1, 0, 1},
		{0, 5, 0.0625},       // 2 / 2^5
		{2, 10, 158. / 4096}, // 2 (1 + 12 + 66) / 2^12
		{10, 2, 158. / 4096},
		{59, 121, 0.0000044},  // exact
		{500, 600, 0.0028356}, // normal: 99² / 1100 = 8.91
	}
	for _, tt := range tests {
		require.InDelta(t, tt.want, mcnemar(tt.a, tt.b), 1e-6, "%d, %d", tt.a, tt.b)
	}
	require.InDelta(t, mcnemar(470, 530), mcnemar(471, 531), 0.002, "the exact test and its approximation meet")
}

func TestDifference(t *testing.T) {
	d, low, high := difference(10, 20, 100)
	require.InDelta(t, 0.1, d, 1e-12)
	require.InDelta(t, -0.00898, low, 1e-5)
	require.InDelta(t, 0.20506, high, 1e-5)
	_, low, high = difference(0, 0, 0)
	require.Equal(t, []float64{-1, 1}, []float64{low, high})
}

func TestMedian(t *testing.T) {
	require.Zero(t, median(nil))
	require.EqualValues(t, 2, median([]time.Duration{3, 1, 2}))
	require.EqualValues(t, 2, median([]time.Duration{4, 3, 1, 2}))
}
