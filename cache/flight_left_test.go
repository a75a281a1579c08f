package cache_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/transport"
)

// untilClosed is a body that goes on until it is closed, and says no more then than that, as
// one of net/http's HTTP/2 does.
type untilClosed struct{ closed context.Context }

func (e untilClosed) Read([]byte) (int, error) {
	<-e.closed.Done()
	return 0, errors.New("http2: response body closed")
}

// Who reads on after his context has ended gets the reason of that, whatever the body
// below says when it is closed for him.
func TestFlightLeftBetweenReads(t *testing.T) {
	layers := map[string]func() cache.Layer{
		http.MethodGet:  func() cache.Layer { return cache.HTTP(cache.HTTPConfig{}) },
		http.MethodPost: func() cache.Layer { return cache.Predictions(cache.PredictionsConfig{}) },
	}
	for method, layer := range layers {
		for _, want := range []error{context.Canceled, context.DeadlineExceeded} {
			t.Run(method+" "+want.Error(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					closed, closeBody := context.WithCancel(context.Background())
					rt := layer()(transport.Func(func(req *http.Request) (*http.Response, error) {
						rc := struct {
							io.Reader
							io.Closer
						}{io.MultiReader(strings.NewReader("begun"), untilClosed{closed}), closerFunc(closeBody)}
						return &http.Response{
							StatusCode: 200, ProtoMajor: 2, Header: http.Header{"Cache-Control": {"max-age=60"}},
							ContentLength: 100, Body: rc, Request: req,
						}, nil
					}))
					ctx, leave := context.WithTimeout(t.Context(), time.Second)
					defer leave()
					req, err := http.NewRequestWithContext(ctx, method, "http://a.test/", strings.NewReader(""))
					require.NoError(t, err)
					resp, err := rt.RoundTrip(transport.Replayable(req))
					require.NoError(t, err)
					defer resp.Body.Close()
					if want == context.Canceled { //nolint:errorlint // one of the two above
						leave()
					}
					time.Sleep(2 * time.Second)
					_, err = io.ReadAll(resp.Body)
					require.ErrorIs(t, err, want)
				})
			})
		}
	}
}

type closerFunc func()

func (f closerFunc) Close() error {
	f()
	return nil
}
