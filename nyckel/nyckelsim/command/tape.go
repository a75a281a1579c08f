package command

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/sparekey/sparekey/nyckel/internal/interrupt"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/nyckel/nyckelsim/tape"
)

// record passes calls on to the service, and records them, until ctx ends.
func record(ctx context.Context, set settings, stdout io.Writer) (err error) {
	upstream, err := url.Parse(set.upstream)
	if err != nil || upstream.Scheme != "https" && upstream.Scheme != "http" || upstream.Host == "" {
		return misuse{fmt.Errorf("-upstream %q is not a URL such as https://www.nyckel.com", set.upstream)}
	}
	file, err := interrupt.OrEnd(ctx, func() (*os.File, error) { return openTape(set.record) }) // a pipe waits for its reader
	if err != nil {
		return err
	}
	recorder := tape.NewRecorder(below{upstream}, file)
	proxy := &httputil.ReverseProxy{
		Transport: recorder,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.Header.Del("Accept-Encoding") // so that the transport takes compression off
		},
	}
	err = answer(ctx, set.addr, proxy, stdout)
	if err == nil {
		err = recorder.Err()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

func openTape(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, misuse{err}
	}
	return file, nil
}

// below is a transport that sends requests to a service. What records above it sees
// paths as clients ask for them, and so will those who replay.
type below struct{ upstream *url.URL }

func (b below) RoundTrip(req *http.Request) (*http.Response, error) {
	there := httputil.ProxyRequest{In: req, Out: req.Clone(req.Context())}
	there.SetURL(b.upstream)
	return http.DefaultTransport.RoundTrip(there.Out)
}

// replay answers as was recorded, until ctx ends.
func replay(ctx context.Context, set settings, stdout io.Writer) error {
	player, err := interrupt.OrEnd(ctx, func() (*tape.Player, error) { return readTape(set.replay) })
	if err != nil {
		return err
	}
	return answer(ctx, set.addr, player, stdout)
}

func readTape(name string) (*tape.Player, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, misuse{err}
	}
	defer file.Close()
	player, err := tape.NewPlayer(file)
	if err != nil {
		return nil, misuse{fmt.Errorf("%s: %w", name, err)}
	}
	return player, nil
}

// answer serves until ctx ends.
func answer(ctx context.Context, addr string, handler http.Handler, stdout io.Writer) error {
	listener, err := nyckelsim.Listen(addr)
	if err != nil {
		return err
	}
	defer serve(listener, handler)()
	fmt.Fprintf(stdout, "url          http://%s\n", listener.Addr())
	fmt.Fprintln(stdout, "Ctrl-C stops it.")
	<-ctx.Done()
	return nil
}
