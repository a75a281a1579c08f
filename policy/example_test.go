package policy_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// The body counts before the status: both answers are 429s.
func ExampleClassify() {
	for _, body := range []string{
		`{"message": "Too many requests"}`,
		`{"error": {"code": "insufficient_quota", "message": "Your monthly quota is used up"}}`,
	} {
		v := policy.Classify(policy.Outcome{
			Status: http.StatusTooManyRequests,
			Header: http.Header{"Retry-After": {"1.5"}},
			Body:   []byte(body),
		})
		fmt.Println(v.Class, v.Again, v.Wait, v.Message)
	}
	// Output:
	// rate_limited anywhere 1.5s Too many requests
	// quota_exceeded elsewhere 1.5s Your monthly quota is used up
}

func ExampleClassifyBody() {
	v := policy.ClassifyBody(policy.ErrTruncated)
	fmt.Println(v.Class, v.Class.IsFault(), v.Executed)
	// Output: truncated true yes
}

// The server's clock is an hour ahead, which its Date reveals.
func ExampleWaitHint() {
	now := time.Date(2026, time.March, 14, 12, 0, 0, 0, time.UTC)
	h := http.Header{
		"Date":        {"Sat, 14 Mar 2026 13:00:00 GMT"},
		"Retry-After": {"Sat, 14 Mar 2026 13:00:20 GMT"},
	}
	fmt.Println(policy.WaitHint(h, now))
	// Output: 20s true
}

// Every tenth success pays for one extra request.
func ExampleNewBucket() {
	now := time.Now()
	bucket := policy.NewBucket(policy.Budget{Ratio: 0.1, PerSecond: -1, Burst: 2})
	fmt.Println(bucket.Reserve(now), bucket.Reserve(now), bucket.Reserve(now))
	for range 10 {
		bucket.Deposit()
	}
	fmt.Println(bucket.Reserve(now), bucket.Reserve(now))
	// Output:
	// true true false
	// true false
}

func ExampleBackoff_Delay() {
	b := policy.Backoff{Base: 100 * time.Millisecond, Max: time.Second}
	for n := 1; n <= 5; n++ {
		fmt.Print(b.Delay(n, 0.5), " ")
	}
	// Output: 50ms 100ms 200ms 400ms 500ms
}

func ExampleDefault() {
	s := policy.Default().WithDefaults()
	fmt.Println(s.Total, s.Retry.Attempts, s.Breaker.OpenFor, s.Attempt.FirstByte)
	// Output: 30s 3 5s 10s
}

// Zero fields mean the defaults, some of which follow from others.
func ExampleStack() {
	s := policy.Stack{Total: 4 * time.Second, Retry: policy.Retry{Attempts: 2}}
	fmt.Println(s.WithDefaults().Attempt.FirstByte)
	fmt.Println(s.Validate())

	s.Retry.Attempts = 1000
	s.Breaker.Ratio = 50
	fmt.Println(s.Validate())
	// Output:
	// 2s
	// <nil>
	// policy: Retry.Attempts is 1000, want 1 to 100
	// policy: Breaker.Ratio is 50, want 0.01 to 1
}

// The owner of a POST knows that it may be repeated; the layers cannot.
func ExampleWithCall() {
	ctx := policy.WithCall(context.Background(), policy.Call{Function: "ticket_routing", Replayable: true})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.test/v1/predict", http.NoBody)
	if err != nil {
		fmt.Println(err)
		return
	}
	call := policy.CallOf(req.Context())
	fmt.Println(call.Function, call.Replayable)
	// Output: ticket_routing true
}

func ExampleErrorOf() {
	err := fmt.Errorf("route ticket 7: %w", &policy.Error{
		Function: "ticket_routing",
		Verdict:  policy.Verdict{Class: policy.RateLimited, Message: "Too many requests"},
		Status:   http.StatusTooManyRequests,
		Attempts: 3,
		RetryAt:  time.Date(2026, time.March, 14, 12, 0, 0, 0, time.UTC),
	})
	if e := policy.ErrorOf(err); e != nil {
		fmt.Println(e.Verdict.Class, e.RetryAt.Format(time.Kitchen))
	}
	fmt.Println(err)
	// Output:
	// rate_limited 12:00PM
	// route ticket 7: sparekey: ticket_routing: rate_limited: status 429: Too many requests (3 attempts, retry at 2026-03-14T12:00:00Z)
}

// Two providers tell in their own ways that asking again is of no use today.
func ExampleClassifierFor() {
	anthropic := policy.ClassifierFor(policy.ProviderAnthropic)
	v := anthropic(policy.Outcome{Status: 400, Body: []byte(
		`{"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}}`)})
	fmt.Println(v.Class, v.Again)

	gemini := policy.ClassifierFor(policy.ProviderGemini)
	v = gemini(policy.Outcome{Status: 429, Body: []byte(`{"error": {"status": "RESOURCE_EXHAUSTED", "details": [
		{"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}, {"retryDelay": "37020s"}]}}`)})
	fmt.Println(v.Class, v.Again, v.Wait)
	// Output:
	// quota_exceeded elsewhere
	// quota_exceeded elsewhere 10h17m0s
}

// A classifier of one's own knows a single thing, and leaves the rest to another.
func ExampleFirstOf() {
	warmingUp := func(o policy.Outcome) policy.Verdict {
		if o.Status != http.StatusTeapot {
			return policy.Verdict{}
		}
		return policy.Verdict{Class: policy.Overloaded, Again: policy.Anywhere, Executed: policy.NotExecuted}
	}
	classify := policy.FirstOf(warmingUp, policy.OpenAI)
	for _, status := range []int{418, 401} {
		v := classify(policy.Outcome{Status: status})
		fmt.Println(v.Class, v.Again)
	}
	// Output:
	// overloaded anywhere
	// unauthenticated elsewhere
}

func ExampleClassifyEvent() {
	for _, data := range []string{
		`{"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hello"}}`,
		`{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}`,
	} {
		v := policy.ClassifyEvent(policy.ProviderAnthropic, []byte(data))
		fmt.Println(v.Class, v.Again)
	}
	// Output:
	// ok nobody
	// overloaded anywhere
}
