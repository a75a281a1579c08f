package policy_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// Rate limits are worth more attempts and longer waits than faults; a quota that
// is used up is worth none.
func ExamplePerClassRetries() {
	retry := policy.Retry{Classes: policy.PerClassRetries()}
	retry.Classes[policy.TimedOut] = policy.ClassRetry{Attempts: 2}
	for _, class := range []policy.Class{policy.RateLimited, policy.TimedOut, policy.Internal} {
		wait, _ := retry.Delay(policy.Verdict{Class: class}, 1, 0.5)
		fmt.Println(class, retry.AttemptsFor(class), "attempts, first wait", wait)
	}
	fmt.Println(policy.QuotaExceeded, retry.AttemptsFor(policy.QuotaExceeded))
	fmt.Println("at most", retry.MaxAttempts())
	// Output:
	// rate_limited 5 attempts, first wait 500ms
	// timed_out 2 attempts, first wait 50ms
	// internal 3 attempts, first wait 50ms
	// quota_exceeded 1
	// at most 5
}

func ExampleJitter() {
	for jitter := policy.FullJitter; jitter <= policy.NoJitter; jitter++ {
		b := policy.Backoff{Base: time.Second, Jitter: jitter}
		fmt.Printf("%v: %v to %v\n", jitter, b.DelayAfter(2*time.Second, 2, 0), b.DelayAfter(2*time.Second, 2, 1))
	}
	// Output:
	// full: 0s to 2s
	// equal: 1s to 2s
	// decorrelated: 1s to 6s
	// none: 2s to 2s
}

func ExampleBackoffKind() {
	for kind := policy.ExponentialBackoff; kind <= policy.ConstantBackoff; kind++ {
		b := policy.Backoff{Base: time.Second, Kind: kind, Jitter: policy.NoJitter}
		fmt.Println(kind, b.Delay(1, 0), b.Delay(2, 0), b.Delay(3, 0), b.Delay(4, 0))
	}
	// Output:
	// exponential 1s 2s 4s 8s
	// linear 1s 2s 3s 4s
	// constant 1s 1s 1s 1s
}

// There are tokens left, so it is the requests that have to wait.
func ExampleResetHint() {
	h := http.Header{}
	h.Set("x-ratelimit-remaining-requests", "0")
	h.Set("x-ratelimit-reset-requests", "1m30s")
	h.Set("x-ratelimit-remaining-tokens", "1200")
	h.Set("x-ratelimit-reset-tokens", "6m0s")
	fmt.Println(policy.ResetHint(h, time.Now()))
	// Output: 1m30s true
}
