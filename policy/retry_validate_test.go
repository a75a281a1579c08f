package policy_test

import (
	"math"
	"testing"
	"time"

	"github.com/sparekey/sparekey/policy"
)

func TestRetryValidate(t *testing.T) {
	class := func(c policy.Class, own policy.ClassRetry) policy.Retry {
		return policy.Retry{Classes: map[policy.Class]policy.ClassRetry{c: own}}
	}
	backoff := func(b policy.Backoff) policy.Retry { return policy.Retry{Backoff: b} }
	budget := func(b policy.Budget) policy.Retry { return policy.Retry{Budget: b} }
	custom := func(int) time.Duration { return 0 }
	tests := []struct {
		retry policy.Retry
		want  string
	}{
		{policy.Retry{Classes: policy.PerClassRetries()}, ""},
		{class(policy.Internal, policy.ClassRetry{}), ""},
		{class(policy.Internal, policy.ClassRetry{Attempts: -5}), ""},
		{class(policy.Internal, policy.ClassRetry{Attempts: 100}), ""},
		{class(policy.Internal, policy.ClassRetry{Attempts: 101}), "policy: Retry.Classes[internal].Attempts is 101, want at most 100"},
		{class(policy.TimedOut, policy.ClassRetry{Backoff: policy.Backoff{Factor: 0.5}}), "policy: Retry.Classes[timed_out].Backoff.Factor is 0.5, want at least 1"},
		{
			class(policy.RateLimited, policy.ClassRetry{Backoff: policy.Backoff{Max: time.Millisecond}}),
			"policy: Retry.Classes[rate_limited].Backoff.Max is 1ms, want at least Base, 1s",
		},
		{class(99, policy.ClassRetry{}), "policy: Retry.Classes[class(99)] is set, want a class that exists"},
		{
			policy.Retry{Classes: map[policy.Class]policy.ClassRetry{policy.Internal: {Attempts: 101}, policy.TimedOut: {Attempts: 102}}},
			"policy: Retry.Classes[timed_out].Attempts is 102, want at most 100\npolicy: Retry.Classes[internal].Attempts is 101, want at most 100",
		},

		{backoff(policy.Backoff{Kind: policy.ConstantBackoff, Jitter: policy.NoJitter}), ""},
		{backoff(policy.Backoff{Func: custom, Jitter: policy.EqualJitter}), ""},
		{backoff(policy.Backoff{Jitter: policy.DecorrelatedJitter}), ""},
		{backoff(policy.Backoff{Kind: 3}), "policy: Retry.Backoff.Kind is backoff(3), want exponential, linear or constant"},
		{backoff(policy.Backoff{Jitter: 4}), "policy: Retry.Backoff.Jitter is jitter(4), want full, equal, decorrelated or none"},
		{
			backoff(policy.Backoff{Kind: policy.LinearBackoff, Jitter: policy.DecorrelatedJitter}),
			"policy: Retry.Backoff.Jitter is decorrelated, want another one, since decorrelated waits grow without a Kind or a Func",
		},
		{
			backoff(policy.Backoff{Func: custom, Jitter: policy.DecorrelatedJitter}),
			"policy: Retry.Backoff.Jitter is decorrelated, want another one, since decorrelated waits grow without a Kind or a Func",
		},

		{policy.Retry{WaitJitter: 1}, ""},
		{policy.Retry{WaitJitter: 1.1}, "policy: Retry.WaitJitter is 1.1, want 0 to 1"},
		{policy.Retry{WaitJitter: -0.1}, "policy: Retry.WaitJitter is -0.1, want 0 to 1"},
		{policy.Retry{WaitJitter: math.NaN()}, "policy: Retry.WaitJitter is NaN, want 0 to 1"},

		{budget(policy.Budget{Ratio: math.NaN()}), "policy: Retry.Budget.Ratio is NaN, want finite"},
		{budget(policy.Budget{Ratio: math.Inf(-1)}), "policy: Retry.Budget.Ratio is -Inf, want finite"},
		{budget(policy.Budget{PerSecond: math.NaN()}), "policy: Retry.Budget.PerSecond is NaN, want finite"},
		{budget(policy.Budget{PerSecond: math.Inf(1)}), "policy: Retry.Budget.PerSecond is +Inf, want finite"},
		{budget(policy.Budget{Burst: math.NaN()}), "policy: Retry.Budget.Burst is NaN, want finite"},
		{budget(policy.Budget{Burst: math.Inf(1)}), "policy: Retry.Budget.Burst is +Inf, want finite"},
		{policy.Retry{Bucket: policy.NewBucket(policy.Budget{Burst: -1}), Budget: policy.Budget{Ratio: math.NaN()}}, ""},

		{policy.Retry{ReplayBytes: -1}, ""},
		{policy.Retry{SpillBytes: 1<<20 + 1}, ""},
		{policy.Retry{SpillBytes: 1 << 20}, "policy: Retry.SpillBytes is 1048576, want 0 or above ReplayBytes, 1048576"},
		{policy.Retry{SpillBytes: -1}, "policy: Retry.SpillBytes is -1, want 0 or above ReplayBytes, 1048576"},
		{policy.Retry{ReplayBytes: 10, SpillBytes: 11}, ""},
		{policy.Retry{ReplayBytes: -1, SpillBytes: 11}, "policy: Retry.SpillBytes is 11, want 0, since ReplayBytes is negative"},
	}
	for _, tt := range tests {
		name := tt.want
		if name == "" {
			name = "right"
		}
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := tt.retry.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("Validate() of %+v =\n%s\nwant\n%s", tt.retry, got, tt.want)
			}
		})
	}
}
