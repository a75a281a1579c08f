package policy_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

func TestBreakerOpenTime(t *testing.T) {
	const s = time.Second
	almostOne := math.Nextafter(1, 0)
	grows := policy.Breaker{OpenFor: 5 * s, MaxOpenFor: 60 * s, Jitter: -1}
	jittered := policy.Breaker{OpenFor: 5 * s, MaxOpenFor: 60 * s, Jitter: 0.5}
	tests := []struct {
		name    string
		breaker policy.Breaker
		n       int
		wait    time.Duration
		random  float64
		want    time.Duration
	}{
		{"zero value", policy.Breaker{}, 1, 0, 0, 5 * s},
		{"zero value, greatest jitter", policy.Breaker{}, 1, 0, almostOne, 5500 * time.Millisecond},
		{"first", grows, 1, 0, almostOne, 5 * s},
		{"second", grows, 2, 0, almostOne, 10 * s},
		{"fourth", grows, 4, 0, almostOne, 40 * s},
		{"fifth", grows, 5, 0, almostOne, 60 * s},
		{"far beyond what a duration holds", grows, math.MaxInt, 0, almostOne, 60 * s},
		{"below the first", grows, 0, 0, almostOne, 5 * s},
		{"shorter wait", grows, 2, 10*s - 1, 0, 10 * s},
		{"longer wait", grows, 2, 10*s + 1, 0, 10*s + 1},
		{"too long a wait", grows, 1, math.MaxInt64, 0, 60 * s},
		{"negative wait", grows, 1, -s, 0, 5 * s},
		{"no jitter by chance", jittered, 1, 0, 0, 5 * s},
		{"half of the jitter", jittered, 1, 0, 0.5, 6250 * time.Millisecond},
		{"jitter of a longer wait", jittered, 1, 20 * s, 0.5, 25 * s},
		{"jitter up to the greatest", jittered, 4, 0, 0.5, 50 * s},
		{"no jitter beyond the greatest", jittered, 5, 0, almostOne, 60 * s},
		{"for ever", policy.Breaker{OpenFor: math.MaxInt64}, 1, 0, 0.5, math.MaxInt64},
		{"almost for ever", policy.Breaker{OpenFor: math.MaxInt64 - 1}, 2, 0, 0, math.MaxInt64 - 1},
		{"as long as the server likes", policy.Breaker{MaxOpenFor: math.MaxInt64}, 1, math.MaxInt64, 0.5, math.MaxInt64},
		{"as long as it may be", policy.Breaker{OpenFor: s, MaxOpenFor: s}, 3, 0, almostOne, s},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.breaker.OpenTime(tt.n, tt.wait, tt.random); got != tt.want {
				t.Errorf("OpenTime(%d, %v, %v) = %v, want %v", tt.n, tt.wait, tt.random, got, tt.want)
			}
		})
	}
}

func TestBreakerDerivedDefaults(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name      string
		breaker   policy.Breaker
		minCalls  int
		slowRatio float64
		patience  time.Duration
	}{
		{"zero value", policy.Breaker{}, 10, 0, 2 * s},
		{"many last calls", policy.Breaker{LastCalls: 100}, 10, 0, 2 * s},
		{"few last calls", policy.Breaker{LastCalls: 3}, 3, 0, 2 * s},
		{"no last calls", policy.Breaker{LastCalls: -1}, 10, 0, 2 * s},
		{"slow calls", policy.Breaker{SlowCall: 10 * s}, 10, 0.8, 10 * s},
		{"no slow calls", policy.Breaker{SlowCall: -1}, 10, 0, 2 * s},
		{"slow calls, own patience", policy.Breaker{SlowCall: 10 * s, Patience: -1, SlowRatio: 1}, 10, 1, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.breaker.WithDefaults()
			assert.Equal(t, tt.minCalls, got.MinCalls)
			assert.Equal(t, tt.slowRatio, got.SlowRatio)
			assert.Equal(t, tt.patience, got.Patience)
			assert.Equal(t, got, got.WithDefaults(), "defaults are filled once")
			assert.NoError(t, tt.breaker.Validate())
		})
	}
}

func TestBreakerValidate(t *testing.T) {
	tests := []struct {
		breaker policy.Breaker
		want    string // "" if it is right
	}{
		{policy.Breaker{LastCalls: 5, MinCalls: 5}, ""},
		{policy.Breaker{LastCalls: 5, MinCalls: 6}, "policy: Breaker.MinCalls is 6, want at most LastCalls, 5"},
		{policy.Breaker{LastCalls: 5, MinCalls: -1}, "policy: Breaker.MinCalls is -1, want at least 1"},
		{policy.Breaker{LastCalls: -5, MinCalls: 6}, ""},
		{policy.Breaker{LastCalls: 1_000_000}, ""},
		{policy.Breaker{LastCalls: 1_000_001}, "policy: Breaker.LastCalls is 1000001, want at most 1000000"},
		{policy.Breaker{SlowCall: 1, SlowRatio: 0.01}, ""},
		{policy.Breaker{SlowCall: 1, SlowRatio: 1}, ""},
		{policy.Breaker{SlowCall: 1, SlowRatio: 0.009}, "policy: Breaker.SlowRatio is 0.009, want 0.01 to 1"},
		{policy.Breaker{SlowCall: 1, SlowRatio: math.NaN()}, "policy: Breaker.SlowRatio is NaN, want 0.01 to 1"},
		{policy.Breaker{SlowRatio: 80}, ""}, // not used
		{policy.Breaker{Jitter: 1}, ""},
		{policy.Breaker{Jitter: -1}, ""},
		{policy.Breaker{Jitter: 1.1}, "policy: Breaker.Jitter is 1.1, want at most 1"},
		{policy.Breaker{Jitter: math.NaN()}, "policy: Breaker.Jitter is NaN, want at most 1"},
		{policy.Breaker{Patience: -1, SlowCall: -1}, ""},
	}
	for _, tt := range tests {
		name := "right"
		if tt.want != "" {
			name = strings.Fields(tt.want)[1]
		}
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := tt.breaker.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("Validate() of %+v =\n%s\nwant\n%s", tt.breaker, got, tt.want)
			}
		})
	}
}

func TestBreakerStateIsolated(t *testing.T) {
	assert.Equal(t, "isolated", policy.Isolated.String())
}

// A breaker that opens again and again stays open longer and longer.
func ExampleBreaker_OpenTime() {
	b := policy.Breaker{OpenFor: 5 * time.Second}
	for n := 1; n <= 5; n++ {
		fmt.Print(b.OpenTime(n, 0, 0), " ")
	}
	fmt.Println("and at most", b.OpenTime(1, 0, 1), "the first time")
	// Output: 5s 10s 20s 40s 1m0s and at most 5.5s the first time
}
