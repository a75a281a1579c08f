package policy_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

func TestRetryAttemptsFor(t *testing.T) {
	perClass := policy.Retry{Classes: policy.PerClassRetries()}
	own := policy.Retry{Attempts: 7, Classes: map[policy.Class]policy.ClassRetry{
		policy.Internal:    {Attempts: 2},
		policy.TimedOut:    {Attempts: -1},
		policy.Interrupted: {Backoff: policy.Backoff{Base: time.Second}},
	}}
	tests := []struct {
		name  string
		retry policy.Retry
		class policy.Class
		want  int
	}{
		{"default", policy.Retry{}, policy.Internal, 3},
		{"set", policy.Retry{Attempts: 5}, policy.Internal, 5},
		{"of a class", own, policy.Internal, 2},
		{"never", own, policy.TimedOut, 1},
		{"of a class that leaves it open", own, policy.Interrupted, 7},
		{"of a class without an entry", own, policy.Overloaded, 7},
		{"rate limited", perClass, policy.RateLimited, 5},
		{"overloaded", perClass, policy.Overloaded, 4},
		{"unreachable", perClass, policy.Unreachable, 3},
		{"interrupted", perClass, policy.Interrupted, 3},
		{"truncated", perClass, policy.Truncated, 3},
		{"quota", perClass, policy.QuotaExceeded, 1},
		{"no entry", perClass, policy.Internal, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, tt.retry.AttemptsFor(tt.class))
			assert.Equal(t, tt.want, tt.retry.WithDefaults().AttemptsFor(tt.class), "with defaults")
		})
	}
}

func TestRetryMaxAttempts(t *testing.T) {
	one := map[policy.Class]policy.ClassRetry{policy.Internal: {Attempts: 1}}
	tests := []struct {
		name  string
		retry policy.Retry
		want  int
	}{
		{"default", policy.Retry{}, 3},
		{"off", policy.Retry{Off: true, Attempts: 9}, 1},
		{"the class that has most", policy.Retry{Classes: policy.PerClassRetries()}, 5},
		{"those without an entry", policy.Retry{Attempts: 6, Classes: policy.PerClassRetries()}, 6},
		{"a class that has fewer", policy.Retry{Classes: one}, 3},
		{"nothing is repeated", policy.Retry{Attempts: 1, Classes: one}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, tt.retry.MaxAttempts())
			assert.Equal(t, tt.want, tt.retry.WithDefaults().MaxAttempts(), "with defaults")
		})
	}
}

func TestRetryDelayOfClasses(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	perClass := policy.Retry{Classes: policy.PerClassRetries()}
	own := policy.Retry{
		Backoff:   policy.Backoff{Base: 40 * ms, Max: 80 * ms, Jitter: policy.NoJitter},
		Throttled: policy.Backoff{Base: 6 * s, Jitter: policy.NoJitter},
		Classes: map[policy.Class]policy.ClassRetry{
			policy.Internal:    {Attempts: 9},
			policy.RateLimited: {Attempts: 9},
			policy.Overloaded:  {Backoff: policy.Backoff{Jitter: policy.EqualJitter}},
			policy.TimedOut:    {Backoff: policy.Backoff{Base: -1}},
		},
	}
	tests := []struct {
		name  string
		retry policy.Retry
		class policy.Class
		n     int
		want  time.Duration // for a random number of 0.5
	}{
		{"rate limited", perClass, policy.RateLimited, 1, s / 2},
		{"rate limited, longest", perClass, policy.RateLimited, 9, 30 * s},
		{"overloaded", perClass, policy.Overloaded, 1, s},
		{"overloaded, longest", perClass, policy.Overloaded, 9, 15 * s},
		{"unreachable", perClass, policy.Unreachable, 1, 250 * ms},
		{"interrupted, longest", perClass, policy.Interrupted, 9, 5 * s},
		{"no entry", perClass, policy.Internal, 1, 50 * ms},
		{"entry without a backoff", own, policy.Internal, 3, 80 * ms},
		{"entry without a backoff when throttled", own, policy.RateLimited, 1, 6 * s},
		{"entry without a base", own, policy.Overloaded, 1, 4500 * ms},
		{"entry without a wait", own, policy.TimedOut, 5, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []policy.Retry{tt.retry, tt.retry.WithDefaults(), tt.retry.WithDefaults().WithDefaults()} {
				got, ok := r.Delay(policy.Verdict{Class: tt.class}, tt.n, 0.5)
				if got != tt.want || !ok {
					t.Errorf("Delay(%v, %d) = %v, %v, want %v", tt.class, tt.n, got, ok, tt.want)
				}
			}
			waits, ok := tt.retry.Delay(policy.Verdict{Class: tt.class, Wait: time.Minute}, tt.n, 0.5)
			assert.Equal(t, time.Minute, waits, "what the server asks for goes first")
			assert.True(t, ok)
		})
	}
}

func TestPerClassRetriesIsTheCallers(t *testing.T) {
	policy.PerClassRetries()[policy.RateLimited] = policy.ClassRetry{}
	assert.Equal(t, 5, policy.PerClassRetries()[policy.RateLimited].Attempts)

	mine := map[policy.Class]policy.ClassRetry{policy.Internal: {}}
	filled := policy.Retry{Classes: mine}.WithDefaults()
	assert.Equal(t, policy.ClassRetry{}, mine[policy.Internal], "the settings are left alone")
	assert.Equal(t, policy.ClassRetry{
		Attempts: 3, Backoff: policy.Backoff{Base: 100 * time.Millisecond, Max: 20 * time.Second, Factor: 2},
	}, filled.Classes[policy.Internal])
	assert.Nil(t, policy.Retry{}.WithDefaults().Classes)
}

// Jitter may add to a wait of the server's choosing, but never shortens it.
func TestRetryWaitJitter(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name         string
		jitter       float64
		wait         time.Duration
		random       float64
		want         time.Duration
		wantAccepted bool
	}{
		{"none", 0, 10 * s, justUnderOne, 10 * s, true},
		{"no luck", 0.5, 10 * s, 0, 10 * s, true},
		{"half of the luck", 0.5, 10 * s, 0.5, 12500 * time.Millisecond, true},
		{"all the luck", 1, 10 * s, justUnderOne, 20*s - 1, true},
		{"the bound is on what the server asks", 1, 60 * s, 0.5, 90 * s, true},
		{"over the bound", 1, 60*s + 1, 0.5, 60*s + 1, false},
		{"no more than there is", 1, math.MaxInt64, 0.5, math.MaxInt64, true},
		{"a negative one adds nothing", -1, 10 * s, 0.5, 10 * s, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := policy.Retry{WaitJitter: tt.jitter}
			if tt.wait == math.MaxInt64 {
				r.MaxWait = -1
			}
			got, ok := r.Delay(policy.Verdict{Class: policy.RateLimited, Wait: tt.wait}, 1, tt.random)
			if got != tt.want || ok != tt.wantAccepted {
				t.Errorf("Delay = %v, %v, want %v, %v", got, ok, tt.want, tt.wantAccepted)
			}
		})
	}
}

func FuzzRetryDelay(f *testing.F) {
	f.Add(int64(0), int64(0), 0.0, 0.0, 1, uint8(2), uint8(0), uint8(0))
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), 1.0, 0.5, math.MaxInt, uint8(6), uint8(1), uint8(2))
	f.Add(int64(time.Minute), int64(math.MinInt64), -1.0, math.NaN(), -3, uint8(200), uint8(9), uint8(9))
	f.Fuzz(func(t *testing.T, wait, previous int64, jitter, random float64, n int, class, kind, jitterKind uint8) {
		backoff := policy.Backoff{Kind: policy.BackoffKind(kind), Jitter: policy.Jitter(jitterKind)}
		r := policy.Retry{Backoff: backoff, Throttled: backoff, WaitJitter: jitter, MaxWait: -1, Classes: policy.PerClassRetries()}
		v := policy.Verdict{Class: policy.Class(class), Wait: time.Duration(wait)}
		got, ok := r.DelayAfter(time.Duration(previous), v, n, random)
		if got < 0 || got < v.Wait || !ok || v.Wait <= 0 && got > time.Minute {
			t.Errorf("%+v: DelayAfter(%d, %+v, %d, %v) = %v, %v", r, previous, v, n, random, got, ok)
		}
	})
}

func TestRetryReplayLimits(t *testing.T) {
	tests := []struct {
		name                  string
		retry                 policy.Retry
		wantMemory, wantTotal int64
	}{
		{"default", policy.Retry{}, 1 << 20, 1 << 20},
		{"set", policy.Retry{ReplayBytes: 10}, 10, 10},
		{"none", policy.Retry{ReplayBytes: -1}, 0, 0},
		{"with a file", policy.Retry{SpillBytes: 5 << 20}, 1 << 20, 5 << 20},
		{"with a file, little in memory", policy.Retry{ReplayBytes: 1, SpillBytes: 2}, 1, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			memory, total := tt.retry.ReplayLimits()
			assert.Equal(t, tt.wantMemory, memory)
			assert.Equal(t, tt.wantTotal, total)
			memory, total = tt.retry.WithDefaults().ReplayLimits()
			assert.Equal(t, tt.wantMemory, memory, "with defaults")
			assert.Equal(t, tt.wantTotal, total, "with defaults")
		})
	}
}
