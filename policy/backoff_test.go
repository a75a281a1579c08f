package policy_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

func TestBackoffKinds(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	linear := policy.Backoff{Base: 100 * ms, Max: time.Second, Kind: policy.LinearBackoff, Jitter: policy.NoJitter}
	constant := policy.Backoff{Base: 100 * ms, Kind: policy.ConstantBackoff, Jitter: policy.NoJitter}
	exponential := policy.Backoff{Base: 100 * ms, Max: s, Jitter: policy.NoJitter}
	custom := policy.Backoff{Max: 30 * s, Jitter: policy.NoJitter, Func: func(n int) time.Duration {
		return []time.Duration{s, 5 * s, time.Hour, -s}[n-1]
	}}
	greatest := policy.Backoff{Base: 1, Max: math.MaxInt64, Jitter: policy.NoJitter}
	tests := []struct {
		name    string
		backoff policy.Backoff
		n       int
		want    time.Duration
	}{
		{"exponential, first", exponential, 1, 100 * ms},
		{"exponential, third", exponential, 3, 400 * ms},
		{"exponential, at most Max", exponential, 5, s},
		{"linear, first", linear, 1, 100 * ms},
		{"linear, third", linear, 3, 300 * ms},
		{"linear, at Max", linear, 10, s},
		{"linear, at most Max", linear, 11, s},
		{"linear, greatest number of retries", linear, math.MaxInt, s},
		{"constant, first", constant, 1, 100 * ms},
		{"constant, greatest number of retries", constant, math.MaxInt, 100 * ms},
		{"constant, at most Max", policy.Backoff{Base: s, Max: ms, Kind: policy.ConstantBackoff, Jitter: policy.NoJitter}, 1, ms},
		{"custom, first", custom, 1, s},
		{"custom, second", custom, 2, 5 * s},
		{"custom, at most Max", custom, 3, 30 * s},
		{"custom, at least zero", custom, 4, 0},
		{"custom is not asked for retry zero", custom, 0, 0},
		{"a negative base goes before custom", policy.Backoff{Base: -1, Func: func(int) time.Duration { return s }}, 1, 0},
		{"greatest Max, without jitter", greatest, 1e6, math.MaxInt64},
		{"just below the greatest Max", greatest, 63, 1 << 62},
		{"infinite factor", policy.Backoff{Base: s, Factor: math.Inf(1), Jitter: policy.NoJitter}, 2, 20 * s},
		{"factor that is no number", policy.Backoff{Base: s, Factor: math.NaN(), Jitter: policy.NoJitter}, 2, 20 * s},
		{"negative factor", policy.Backoff{Base: s, Factor: -2, Jitter: policy.NoJitter}, 2, 0},
		{"unknown kind counts as exponential", policy.Backoff{Base: s, Kind: 99, Jitter: policy.NoJitter}, 3, 4 * s},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.backoff.Delay(tt.n, 0.5); got != tt.want {
				t.Errorf("Delay(%d, 0.5) = %v, want %v", tt.n, got, tt.want)
			}
		})
	}
}

func TestBackoffJitter(t *testing.T) {
	const s = time.Second
	tests := []struct {
		jitter                   policy.Jitter
		n                        int
		previous                 time.Duration
		wantLeast, wantHalf, top time.Duration // for 0, 0.5 and just under 1: just under top
	}{
		{policy.FullJitter, 1, 0, 0, s / 2, s},
		{policy.FullJitter, 3, 9 * s, 0, 2 * s, 4 * s},
		{policy.EqualJitter, 1, 0, s / 2, 3 * s / 4, s},
		{policy.EqualJitter, 3, 9 * s, 2 * s, 3 * s, 4 * s},
		{policy.NoJitter, 3, 9 * s, 4 * s, 4 * s, 4 * s},
		{policy.DecorrelatedJitter, 1, 0, s, 2 * s, 3 * s},
		{policy.DecorrelatedJitter, 9, s / 2, s, 2 * s, 3 * s}, // no less than Base counts
		{policy.DecorrelatedJitter, 2, 3 * s, s, 5 * s, 9 * s},
		{policy.DecorrelatedJitter, 3, 9 * s, s, 10500 * time.Millisecond, 20 * s}, // Max
		{policy.DecorrelatedJitter, 3, math.MaxInt64, s, 10500 * time.Millisecond, 20 * s},
		{policy.DecorrelatedJitter, 3, math.MinInt64, s, 2 * s, 3 * s},
	}
	for _, tt := range tests {
		t.Run(tt.jitter.String(), func(t *testing.T) {
			b := policy.Backoff{Base: s, Jitter: tt.jitter}
			assert.Equal(t, tt.wantLeast, b.DelayAfter(tt.previous, tt.n, 0))
			assert.Equal(t, tt.wantHalf, b.DelayAfter(tt.previous, tt.n, 0.5))
			most := b.DelayAfter(tt.previous, tt.n, justUnderOne)
			assert.InDelta(t, tt.top, most, 2000)
			assert.LessOrEqual(t, most, tt.top)
			assert.Equal(t, b.Delay(tt.n, 0.5), b.DelayAfter(0, tt.n, 0.5))
		})
	}
	t.Run("decorrelated with a factor", func(t *testing.T) {
		b := policy.Backoff{Base: s, Factor: 2, Jitter: policy.DecorrelatedJitter}
		assert.Equal(t, 2500*time.Millisecond, b.DelayAfter(2*s, 2, 0.5))
	})
	t.Run("numbers that nobody should return", func(t *testing.T) {
		for _, random := range []float64{-1, 1, 2, math.NaN(), math.Inf(1), math.Inf(-1)} {
			for jitter := range policy.NoJitter + 1 {
				got := policy.Backoff{Base: s, Jitter: jitter}.Delay(2, random)
				if got < 0 || got > 20*s {
					t.Errorf("%v: Delay(2, %v) = %v, want 0 to Max", jitter, random, got)
				}
			}
		}
	})
}

// Each of a million attempt numbers has a wait within its bounds, whatever the
// kind and the jitter.
func TestBackoffBoundsForAMillionAttempts(t *testing.T) {
	t.Parallel()
	const base, longest = 3 * time.Millisecond, 7 * time.Second
	random := rand.New(rand.NewPCG(1, 2))
	var backoffs []policy.Backoff
	for kind := range policy.ConstantBackoff + 1 {
		for jitter := range policy.NoJitter + 1 {
			backoffs = append(backoffs, policy.Backoff{Base: base, Max: longest, Factor: 1.7, Kind: kind, Jitter: jitter})
		}
	}
	previous := make([]time.Duration, len(backoffs))
	for n := 1; n <= 1_000_000; n++ {
		i := n % len(backoffs)
		b := backoffs[i]
		least, most := time.Duration(0), b.DelayAfter(previous[i], n, justUnderOne)
		switch b.Jitter {
		case policy.EqualJitter:
			least = most / 2
		case policy.NoJitter:
			least = most
		case policy.DecorrelatedJitter:
			least = base
		}
		got := b.DelayAfter(previous[i], n, random.Float64())
		if got < least || got > most || most > longest {
			t.Fatalf("%v, %v: DelayAfter(%v, %d) = %v, want %v to %v, at most %v", b.Kind, b.Jitter, previous[i], n, got, least, most, longest)
		}
		previous[i] = got
	}
}

func TestBackoffTexts(t *testing.T) {
	type texts struct {
		Kind   policy.BackoffKind
		Jitter policy.Jitter
	}
	for kind, name := range map[policy.BackoffKind]string{
		policy.ExponentialBackoff: "exponential", policy.LinearBackoff: "linear", policy.ConstantBackoff: "constant",
	} {
		for jitter, jitterName := range map[policy.Jitter]string{
			policy.FullJitter: "full", policy.EqualJitter: "equal",
			policy.DecorrelatedJitter: "decorrelated", policy.NoJitter: "none",
		} {
			text, err := json.Marshal(texts{kind, jitter})
			require.NoError(t, err)
			assert.JSONEq(t, `{"Kind":"`+name+`","Jitter":"`+jitterName+`"}`, string(text))
			var back texts
			require.NoError(t, json.Unmarshal(text, &back))
			assert.Equal(t, texts{kind, jitter}, back)
		}
	}
	assert.Equal(t, "backoff(9)", policy.BackoffKind(9).String())
	assert.Equal(t, "jitter(9)", policy.Jitter(9).String())
	assert.EqualError(t, new(policy.BackoffKind).UnmarshalText([]byte("cubic")), `policy: unknown backoff "cubic", want one of exponential, linear, constant`)
	assert.EqualError(t, new(policy.Jitter).UnmarshalText([]byte("FULL")), `policy: unknown jitter "FULL", want one of full, equal, decorrelated, none`)
}
