// Command plainclient wraps an http.Client in sparekey's standard stack and calls
// a server that is busy, throttles and breaks off answers, and prints what it took
// to get each answer.
//
//	go run ./examples/plainclient
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "plainclient:", err)
		stop()
		os.Exit(1)
	}
}

// run makes four calls.
func run(ctx context.Context, out io.Writer) error {
	server := httptest.NewServer(&flaky{})
	defer server.Close()
	client := transport.Wrap(server.Client(), transport.Standard(policy.Default()))
	for _, path := range []string{"/fine", "/busy", "/throttled", "/cut"} {
		if err := call(ctx, client, server.URL+path, out); err != nil {
			return err
		}
	}
	return nil
}

// call reads an answer and prints it with the story of its attempts.
func call(ctx context.Context, client *http.Client, url string, out io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "GET %-10s  %s", req.URL.Path, text)
	for _, a := range telemetry.TrailOf(resp).Attempts() {
		fmt.Fprintf(out, ", attempt %d: %v", a.Number, a.Verdict.Class)
	}
	_, err = fmt.Fprintln(out)
	return err
}
