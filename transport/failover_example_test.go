package transport_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// Europe is down, so America answers, with its own key and never with Europe's.
func ExampleNewFailover() {
	wire := transport.Func(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "eu.example.com" {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		text := fmt.Sprintln(req.Method, req.URL, req.Header["Authorization"])
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
	})

	failover := transport.NewFailover(policy.Failover{Endpoints: []policy.Endpoint{
		{Name: "eu", URL: "https://eu.example.com/v1"}, // with the caller's credentials
		{Name: "us", URL: "https://us.example.com/api/v1", Header: http.Header{"Authorization": {"Bearer us-key"}}},
	}}, func(name string) transport.Layer { // what each endpoint has for itself
		return transport.NewBreaker(policy.Breaker{Name: name}).Wrap
	})
	client := &http.Client{Transport: transport.Chain(wire, transport.Retry(policy.Retry{}), failover.Wrap)}

	req, err := http.NewRequest(http.MethodPost, "https://eu.example.com/v1/invoke", strings.NewReader("{}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Authorization", "Bearer eu-key")
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	fmt.Print(string(text))
	fmt.Println(resp.Header.Get(telemetry.HeaderName), err)
	// Output:
	// POST https://us.example.com/api/v1/invoke [Bearer us-key]
	// us;cause=unreachable <nil>
}
