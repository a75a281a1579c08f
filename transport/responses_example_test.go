package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// An SDK gets a client whose refusals it understands: it asks once, and its caller
// gets the API error that he knows how to handle.
func ExampleResponses() {
	breaker := transport.NewBreaker(policy.Breaker{})
	breaker.Isolate("maintenance", time.Time{})
	client := &http.Client{Transport: transport.Chain(transporttest.NewUpstream(),
		transport.Responses(policy.Responses{Body: policy.AnthropicError}),
		transport.Retry(policy.Retry{}),
		breaker.Wrap,
	)}
	resp, err := client.Post("http://up.test/v1/messages", "application/json", strings.NewReader("{}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	fmt.Println(resp.Status, resp.Header.Get("X-Should-Retry"))
	fmt.Println(string(text), err)
	// Output:
	// 503 Service Unavailable false
	// {"type":"error","error":{"type":"overloaded_error","message":"transport: circuit breaker is isolated: maintenance","details":{"error_code":"breaker_isolated"}}} <nil>
}
