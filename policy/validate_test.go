package policy_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/policy"
)

func TestStackValidate(t *testing.T) {
	retry := func(r policy.Retry) policy.Stack { return policy.Stack{Retry: r} }
	breaker := func(b policy.Breaker) policy.Stack { return policy.Stack{Breaker: b} }
	attempt := func(t policy.Timeout) policy.Stack { return policy.Stack{Attempt: t} }
	cache := func(c policy.Cache) policy.Stack { return policy.Stack{Cache: &c} }
	const ms, s = time.Millisecond, time.Second
	tests := []struct {
		stack policy.Stack
		want  string // "" if it is right
	}{
		{retry(policy.Retry{Attempts: 1}), ""},
		{retry(policy.Retry{Attempts: 100}), ""},
		{retry(policy.Retry{Attempts: 101}), "policy: Retry.Attempts is 101, want 1 to 100"},
		{retry(policy.Retry{Attempts: -1}), "policy: Retry.Attempts is -1, want 1 to 100"},
		{retry(policy.Retry{Backoff: policy.Backoff{Base: -1}}), ""},
		{retry(policy.Retry{Backoff: policy.Backoff{Factor: 1}}), ""},
		{retry(policy.Retry{Backoff: policy.Backoff{Factor: 0.99}}), "policy: Retry.Backoff.Factor is 0.99, want at least 1"},
		{retry(policy.Retry{Backoff: policy.Backoff{Factor: math.NaN()}}), "policy: Retry.Backoff.Factor is NaN, want at least 1"},
		{retry(policy.Retry{Backoff: policy.Backoff{Base: s, Max: s}}), ""},
		{retry(policy.Retry{Backoff: policy.Backoff{Base: s, Max: s - 1}}), "policy: Retry.Backoff.Max is 999.999999ms, want at least Base, 1s"},
		{retry(policy.Retry{Throttled: policy.Backoff{Factor: -2}}), "policy: Retry.Throttled.Factor is -2, want at least 1"},
		{retry(policy.Retry{Throttled: policy.Backoff{Max: ms}}), "policy: Retry.Throttled.Max is 1ms, want at least Base, 1s"},
		{retry(policy.Retry{MaxWait: -1, BufferBytes: -1}), ""},
		{retry(policy.Retry{Budget: policy.Budget{Ratio: 1, PerSecond: -1}}), ""},
		{retry(policy.Retry{Budget: policy.Budget{Ratio: -1}}), ""},
		{retry(policy.Retry{Budget: policy.Budget{Ratio: 1.01}}), "policy: Retry.Budget.Ratio is 1.01, want at most 1"},
		{retry(policy.Retry{Budget: policy.Budget{Burst: -1}}), "policy: Retry.Budget.Burst is -1, want at least 0"},
		{retry(policy.Retry{DrainBytes: -1}), "policy: Retry.DrainBytes is -1, want above 0"},
		{retry(policy.Retry{DrainTime: -ms}), "policy: Retry.DrainTime is -1ms, want above 0"},

		{breaker(policy.Breaker{Ratio: 0.01}), ""},
		{breaker(policy.Breaker{Ratio: 1}), ""},
		{breaker(policy.Breaker{Ratio: 0.009}), "policy: Breaker.Ratio is 0.009, want 0.01 to 1"},
		{breaker(policy.Breaker{Ratio: 1.1}), "policy: Breaker.Ratio is 1.1, want 0.01 to 1"},
		{breaker(policy.Breaker{MinCalls: -1}), "policy: Breaker.MinCalls is -1, want at least 1"},
		{breaker(policy.Breaker{OpenFor: -s}), "policy: Breaker.OpenFor is -1s, want above 0"},
		{breaker(policy.Breaker{OpenFor: 2 * s, MaxOpenFor: 2 * s}), ""},
		{breaker(policy.Breaker{OpenFor: 2 * s, MaxOpenFor: s}), "policy: Breaker.MaxOpenFor is 1s, want at least OpenFor, 2s"},
		{breaker(policy.Breaker{Probes: -1}), "policy: Breaker.Probes is -1, want at least 1"},
		{breaker(policy.Breaker{ProbeLease: -s}), "policy: Breaker.ProbeLease is -1s, want above 0"},

		{attempt(policy.Timeout{FirstByte: -1, Idle: -1, Total: -1}), ""},
		{attempt(policy.Timeout{Total: 2 * s, FirstByte: 2 * s}), ""},
		{attempt(policy.Timeout{Total: 2 * s, FirstByte: 2*s + 1}), "policy: Timeout.FirstByte is 2.000000001s, want at most Total, 2s"},
		{attempt(policy.Timeout{Off: true, Total: 2 * s, FirstByte: 2*s + 1}), ""},
		{attempt(policy.Timeout{Total: 2 * s, FirstByte: -1}), ""},

		{cache(policy.Cache{}), ""},
		{cache(policy.Cache{StaleIfError: -1}), ""},
		{cache(policy.Cache{MaxBytes: -1, MaxEntryBytes: 1}), "policy: Cache.MaxBytes is -1, want above 0\npolicy: Cache.MaxEntryBytes is 1, want 1 to MaxBytes, -1"},
		{cache(policy.Cache{MaxBytes: 10, MaxEntryBytes: 10}), ""},
		{cache(policy.Cache{MaxBytes: 10, MaxEntryBytes: 11}), "policy: Cache.MaxEntryBytes is 11, want 1 to MaxBytes, 10"},
		{cache(policy.Cache{MaxEntryBytes: -1}), "policy: Cache.MaxEntryBytes is -1, want 1 to MaxBytes, 67108864"},
		{cache(policy.Cache{TTL: -s}), "policy: Cache.TTL is -1s, want above 0"},
		{cache(policy.Cache{PinnedTTL: -s}), "policy: Cache.PinnedTTL is -1s, want above 0"},

		{policy.Stack{Total: 5 * s, Attempt: policy.Timeout{FirstByte: 5*s - 1}}, ""},
		{
			policy.Stack{Total: 5 * s, Attempt: policy.Timeout{FirstByte: 5 * s}},
			"policy: attempt timeout's FirstByte 5s must be below total timeout's Total 5s: no attempt times out before the call does, so none that hangs is repeated; make the attempt's limit half of the call's or less",
		},
		{policy.Stack{Total: 5 * s, Attempt: policy.Timeout{FirstByte: 5 * s, Off: true}}, ""},
		{policy.Stack{Total: -1, Attempt: policy.Timeout{FirstByte: time.Hour}}, ""},
		{breaker(policy.Breaker{Window: 10 * s}), ""},
		{
			breaker(policy.Breaker{Window: 10*s - 1}),
			"policy: Breaker.Window 9.999999999s must not be below attempt timeout's FirstByte 10s: attempts that time out leave the window one by one, so it never opens for a server that hangs; make it twice that",
		},
		{breaker(policy.Breaker{Window: 10*s - 1, Off: true}), ""},
		{policy.Stack{Breaker: policy.Breaker{Window: s}, Attempt: policy.Timeout{Off: true}}, ""},

		{
			policy.Stack{Retry: policy.Retry{Attempts: -1}, Breaker: policy.Breaker{Probes: -1}},
			"policy: Retry.Attempts is -1, want 1 to 100\npolicy: Breaker.Probes is -1, want at least 1",
		},
	}
	for _, tt := range tests {
		name := "right"
		if tt.want != "" {
			name = strings.Fields(tt.want)[1]
		}
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := tt.stack.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("Validate() of %+v =\n%s\nwant\n%s", tt.stack, got, tt.want)
			}
		})
	}
}

func TestBreakerValidateWindow(t *testing.T) {
	if err := (policy.Breaker{Window: 10 * time.Millisecond}).Validate(); err != nil {
		t.Errorf("Validate() = %v, want nil", err)
	}
	err := policy.Breaker{Window: 10*time.Millisecond - 1}.Validate()
	if want := "policy: Breaker.Window is 9.999999ms, want at least 10ms"; err == nil || err.Error() != want {
		t.Errorf("Validate() = %v, want %s", err, want)
	}
}
