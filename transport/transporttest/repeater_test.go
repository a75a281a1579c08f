package transporttest_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A repeater repeats what failed, up to three attempts. Its zero value does so
// as it should; each func is a place for a mistake.
type repeater struct {
	may    func(*http.Request) bool                                 // whether the request may be repeated
	replay func(*http.Request) (*http.Request, error)               // the request to send again
	drop   func(context.Context, *http.Response)                    // what becomes of an answer
	wait   func(context.Context, time.Duration) error               // before the next attempt
	fits   func(ctx context.Context, wait time.Duration) (fit bool) // whether the wait may begin
	nested bool                                                     // repeats what one above repeats, too
	give   func(*http.Response, error) (*http.Response, error)      // what there is when GetBody fails
}

// layer returns the repeater as a layer.
func (r repeater) layer() transporttest.Layer {
	if r.may == nil {
		r.may = isSafe
	}
	if r.replay == nil {
		r.replay = replay
	}
	if r.drop == nil {
		r.drop = func(ctx context.Context, resp *http.Response) { body.Discard(ctx, resp, 64<<10, 50*time.Millisecond) }
	}
	if r.wait == nil {
		r.wait = sleep
	}
	if r.fits == nil {
		r.fits = fits
	}
	if r.give == nil {
		r.give = func(resp *http.Response, err error) (*http.Response, error) { return resp, err }
	}
	return layerOf(r.send)
}

// repeated marks the context of a request that a repeater has sent.
type repeated struct{}

func (r repeater) send(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	if req.Context().Value(repeated{}) != nil && !r.nested {
		return next.RoundTrip(req)
	}
	ctx := req.Context()
	attempt := req.WithContext(context.WithValue(ctx, repeated{}, true))
	for n := 1; ; n++ {
		resp, err := next.RoundTrip(attempt)
		wait := delay(resp)
		if n == 3 || !failed(resp, err) || ctx.Err() != nil || !r.may(req) || !r.fits(ctx, wait) {
			return resp, err
		}
		again, replayErr := r.replay(req)
		if replayErr != nil {
			return r.give(resp, err)
		}
		attempt = again.WithContext(attempt.Context())
		if resp != nil {
			r.drop(ctx, resp)
		}
		if err := r.wait(ctx, wait); err != nil {
			body.CloseRequest(attempt)
			return nil, err
		}
	}
}

func failed(resp *http.Response, err error) bool {
	return err != nil || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500
}

func isSafe(req *http.Request) bool {
	return req.Method == http.MethodGet || req.Header.Get("Idempotency-Key") != ""
}

func replay(req *http.Request) (*http.Request, error) {
	again := req.WithContext(req.Context())
	if req.Body == nil || req.Body == http.NoBody {
		return again, nil
	}
	if req.GetBody == nil {
		return nil, errors.New("no GetBody")
	}
	fresh, err := req.GetBody()
	again.Body = fresh
	return again, err
}

func delay(resp *http.Response) time.Duration {
	if resp != nil {
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
			return time.Duration(seconds) * time.Second
		}
	}
	return 100 * time.Millisecond
}

func fits(ctx context.Context, wait time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > wait
}

func sleep(ctx context.Context, wait time.Duration) error {
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A layer that repeats as it should breaks no rule.
func TestCheckRepeater(t *testing.T) {
	transporttest.Check(t, repeater{}.layer(), transporttest.MayRepeat())
}
