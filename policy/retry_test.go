package policy_test

import (
	"math"
	"testing"
	"time"

	"github.com/sparekey/sparekey/policy"
)

const justUnderOne = 1 - 0x1p-53

func TestBackoffDelay(t *testing.T) {
	tests := []struct {
		name    string
		backoff policy.Backoff
		n       int
		want    time.Duration // just under what it is for a random number just under 1
	}{
		{"first", policy.Backoff{Base: 100 * time.Millisecond}, 1, 100 * time.Millisecond},
		{"second", policy.Backoff{Base: 100 * time.Millisecond}, 2, 200 * time.Millisecond},
		{"eighth", policy.Backoff{Base: 100 * time.Millisecond}, 8, 12800 * time.Millisecond},
		{"bounded by 20 s", policy.Backoff{Base: 100 * time.Millisecond}, 9, 20 * time.Second},
		{"bounded by a longer base", policy.Backoff{Base: time.Minute}, 1, time.Minute},
		{"bounded by its own maximum", policy.Backoff{Base: time.Second, Max: 3 * time.Second}, 3, 3 * time.Second},
		{"maximum below base", policy.Backoff{Base: time.Second, Max: time.Millisecond}, 1, time.Millisecond},
		{"factor", policy.Backoff{Base: time.Second, Factor: 1.5}, 3, 2250 * time.Millisecond},
		{"constant", policy.Backoff{Base: time.Second, Factor: 1}, 1e6, time.Second},
		{"a million retries", policy.Backoff{Base: 1}, 1e6, 20 * time.Second},
		{"greatest number of retries", policy.Backoff{Base: time.Second}, math.MaxInt, 20 * time.Second},
		{"greatest maximum", policy.Backoff{Base: time.Second, Max: math.MaxInt64}, 1e6, math.MaxInt64},
		{"no base", policy.Backoff{}, 5, 0},
		{"negative base", policy.Backoff{Base: -1}, 5, 0},
		{"retry zero", policy.Backoff{Base: time.Second}, 0, 0},
		{"negative retry", policy.Backoff{Base: time.Second}, math.MinInt, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.backoff.Delay(tt.n, 0); got != 0 {
				t.Errorf("Delay(%d, 0) = %v, want 0", tt.n, got)
			}
			if got, want := tt.backoff.Delay(tt.n, 0.5), tt.want/2; got != want && tt.want != math.MaxInt64 {
				t.Errorf("Delay(%d, 0.5) = %v, want %v", tt.n, got, want)
			}
			most := tt.backoff.Delay(tt.n, justUnderOne)
			if most > tt.want || float64(most) < float64(tt.want)*(1-1e-6) {
				t.Errorf("Delay(%d, just under 1) = %v, want just under %v", tt.n, most, tt.want)
			}
		})
	}
}

func TestBackoffDelayBounds(t *testing.T) {
	b := policy.Backoff{Base: 3 * time.Millisecond, Max: 7 * time.Second, Factor: 1.7}
	last := time.Duration(0)
	for n := 1; n <= 1_000_000; n = n + 1 + n/100 {
		got := b.Delay(n, justUnderOne)
		if got < last || got > b.Max {
			t.Fatalf("Delay(%d) = %v after %v, want it to grow up to %v", n, got, last, b.Max)
		}
		last = got
	}
}

func TestRetryDelay(t *testing.T) {
	settings := policy.Retry{
		Backoff:   policy.Backoff{Base: 100 * time.Millisecond},
		Throttled: policy.Backoff{Base: 4 * time.Second},
		MaxWait:   time.Minute,
	}
	unbounded := settings
	unbounded.MaxWait = -1
	tests := []struct {
		name    string
		retry   policy.Retry
		verdict policy.Verdict
		n       int
		want    time.Duration // for a random number of 0.5
		wantOK  bool
	}{
		{"fault", settings, policy.Verdict{Class: policy.Internal}, 1, 50 * time.Millisecond, true},
		{"second fault", settings, policy.Verdict{Class: policy.Internal}, 2, 100 * time.Millisecond, true},
		{"rate limited", settings, policy.Verdict{Class: policy.RateLimited}, 1, 2 * time.Second, true},
		{"overloaded", settings, policy.Verdict{Class: policy.Overloaded}, 2, 4 * time.Second, true},
		{"the server's wait", settings, policy.Verdict{Class: policy.RateLimited, Wait: 3 * time.Second}, 1, 3 * time.Second, true},
		{"the server's wait is not shortened", settings, policy.Verdict{Class: policy.Internal, Wait: 30 * time.Second}, 1, 30 * time.Second, true},
		{"nor made longer", settings, policy.Verdict{Class: policy.Overloaded, Wait: 1}, 10, 1, true},
		{"longest wait", settings, policy.Verdict{Wait: time.Minute}, 1, time.Minute, true},
		{"over the longest wait", settings, policy.Verdict{Wait: time.Minute + 1}, 1, time.Minute + 1, false},
		{"no longest wait", unbounded, policy.Verdict{Wait: math.MaxInt64}, 1, math.MaxInt64, true},

		{"default backoff", policy.Retry{}, policy.Verdict{Class: policy.Internal}, 1, 50 * time.Millisecond, true},
		{"default backoff when throttled", policy.Retry{}, policy.Verdict{Class: policy.RateLimited}, 1, 500 * time.Millisecond, true},
		{"default longest wait", policy.Retry{}, policy.Verdict{Wait: 60 * time.Second}, 1, 60 * time.Second, true},
		{"over the default longest wait", policy.Retry{}, policy.Verdict{Wait: 60*time.Second + 1}, 1, 60*time.Second + 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := tt.retry.Delay(tt.verdict, tt.n, 0.5)
			if got != tt.want || ok != tt.wantOK {
				t.Errorf("Delay(%+v, %d) = %v, %v, want %v, %v", tt.verdict, tt.n, got, ok, tt.want, tt.wantOK)
			}
			jittered, _ := tt.retry.Delay(tt.verdict, tt.n, 0)
			if tt.verdict.Wait > 0 && jittered != got {
				t.Errorf("Delay(%+v, %d) = %v without luck, want %v", tt.verdict, tt.n, jittered, got)
			}
		})
	}
}
