// Command otel-service is a small HTTP service that asks a prediction API, with
// OpenTelemetry's SDK around it: the program a team would start from.
//
//	go run .
//	curl -d '{"text": "I want my money back"}' http://127.0.0.1:8089/tickets
//	curl http://127.0.0.1:8089/metrics
//
// Requests that come in are traced by otelhttp, and those that go out by sparekey
// itself, whose metrics Prometheus reads at /metrics; -traces writes the spans to
// the standard output. The stack of layers is set up by a copy of sparekey.yaml, or
// the file that -config names, which may change while the service runs; /console/ shows
// what it does. Where that leaves US_URL and EU_URL to the environment, and
// there are no such variables, two simulated regions on loopback answer.
//
// The dashboard and the alerts for its metrics are in telemetry/dashboard.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "otel-service:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and then until what has come in is answered.
func run(ctx context.Context, args []string, out, logs io.Writer) error {
	flags := flag.NewFlagSet("otel-service", flag.ContinueOnError)
	flags.SetOutput(logs)
	addr := flags.String("addr", "127.0.0.1:8089", "where to listen")
	config := flags.String("config", "", "the configuration `file`; none means the one that is built in")
	traces := flags.Bool("traces", false, "write spans to the standard output")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 { // flags behind it would count for nothing
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	spans := io.Discard
	if *traces {
		spans = out
	}
	observed, err := startTelemetry(spans)
	if err != nil {
		return err
	}
	defer observed.stop()
	s, err := newService(*config, slog.New(slog.NewTextHandler(logs, nil)))
	defer s.close()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { s.plan.Run(ctx) }) // changes of the file are put in force
	defer following.Wait()                   // before s is closed
	defer cancel()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on http://%s\n", listener.Addr())
	fmt.Fprintf(out, "set up by %s\n", s.file)
	return serve(ctx, listener, s.handler(observed.metrics), s.console)
}

// serve answers until ctx ends, and gives those under way 10 s after that. Streams that
// have no end are closed then.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, streams io.Closer) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	server.RegisterOnShutdown(func() { _ = streams.Close() })
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}
