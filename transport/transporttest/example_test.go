package transporttest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/transport/transporttest"
)

// An upstream that is busy once and then answers, asked by a plain client.
func ExampleNewUpstream() {
	upstream := transporttest.NewUpstream(
		transporttest.Reply(http.StatusServiceUnavailable, "busy", "Retry-After", "2"),
		transporttest.After(time.Millisecond, transporttest.Reply(http.StatusOK, "hello")),
		transporttest.Fail(errors.New("connection reset")),
	)
	client := &http.Client{Transport: upstream}
	for range 3 {
		resp, err := client.Post("http://up.test/greet", "text/plain", strings.NewReader("ping"))
		if err != nil {
			fmt.Println(err)
			continue
		}
		text, err := io.ReadAll(resp.Body)
		fmt.Println(resp.Status, resp.Header.Get("Retry-After"), string(text), err)
		resp.Body.Close()
	}
	fmt.Println(upstream.Calls(), upstream.Requests()[0].Body)
	// Output:
	// 503 Service Unavailable 2 busy <nil>
	// 200 OK  hello <nil>
	// Post "http://up.test/greet": connection reset
	// 3 ping
}

// Bodies finds the response that a careless caller forgot.
func ExampleBodies() {
	var bodies transporttest.Bodies
	client := &http.Client{Transport: bodies.Wrap(transporttest.NewUpstream(transporttest.Reply(http.StatusOK, "hello")))}

	first, err := client.Get("http://up.test/")
	if err != nil {
		fmt.Println(err)
		return
	}
	second, err := client.Get("http://up.test/")
	if err != nil {
		fmt.Println(err)
		return
	}
	first.Body.Close()
	fmt.Println(bodies.Responses.Closed(), "of", bodies.Responses.Opened(), "closed")

	t := &failures{} // in a test, the test's own
	bodies.Check(t)
	fmt.Println(t.texts[0])
	second.Body.Close()
	// Output:
	// 1 of 2 closed
	// response bodies: 1 of 2 not closed
}

// Two calls in turn share a connection.
func ExampleNewServer() {
	t := &failures{} // in a test, the test's own
	defer t.end()
	server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello from ", r.Host, r.URL.Path)
	}))
	for range 2 {
		resp, err := server.Client().Get(server.URL + "/greet")
		if err != nil {
			fmt.Println(err)
			return
		}
		text, err := io.ReadAll(resp.Body)
		fmt.Println(string(text), err)
		resp.Body.Close()
	}
	fmt.Println("connections:", server.Conns())
	// Output:
	// hello from server.test/greet <nil>
	// hello from server.test/greet <nil>
	// connections: 1
}

// failures is a test that keeps what it is told.
type failures struct {
	testing.TB
	texts    []string
	cleanups []func()
}

func (f *failures) Helper() {}

func (f *failures) Cleanup(cleanup func()) { f.cleanups = append(f.cleanups, cleanup) }

func (f *failures) Errorf(format string, args ...any) {
	f.texts = append(f.texts, fmt.Sprintf(format, args...))
}

func (f *failures) end() {
	for _, cleanup := range f.cleanups {
		cleanup()
	}
}
