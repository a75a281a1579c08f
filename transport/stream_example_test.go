package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A chat completion whose connection was closed in good order, but too early, does
// not look like a short answer.
func ExampleStreams() {
	upstream := transporttest.NewUpstream(
		transporttest.Reply(http.StatusOK, `data: {"choices":[{"delta":{"content":"Do not"}}]}`+"\n\n",
			"Content-Type", "text/event-stream"))
	client := &http.Client{Transport: transport.Chain(upstream, transport.Streams(policy.Streams{}))}

	resp, err := client.Post("http://up.test/v1/chat/completions", "application/json", strings.NewReader("{}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	fmt.Print(string(text))
	fmt.Println(err)
	// Output:
	// data: {"choices":[{"delta":{"content":"Do not"}}]}
	//
	// unexpected EOF
}
