package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// Of what takes long a second one is sent, for which earlier answers have paid.
func ExampleNewHedge() {
	upstream := transporttest.NewUpstream(
		transporttest.Reply(http.StatusOK, "quick"),
		transporttest.Hang(),
		transporttest.Reply(http.StatusOK, "the hedge's"),
	)
	hedge := transport.NewHedge(policy.Hedge{
		Delay: 10 * time.Millisecond,
		Ratio: 1, // a hedge for each good answer; the usual is one for twenty
	})
	client := &http.Client{Transport: hedge.Wrap(upstream)}
	for range 2 {
		resp, err := client.Get("http://up.test/")
		if err != nil {
			fmt.Println(err)
			return
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		fmt.Println(string(text), err)
	}
	fmt.Println(upstream.Calls(), "requests for 2 calls")
	// Output:
	// quick <nil>
	// the hedge's <nil>
	// 3 requests for 2 calls
}
