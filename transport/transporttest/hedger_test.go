package transporttest_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A hedger sends a request again if there is no answer after a second, and gives
// what comes first. Its zero value does so as it should; each field is a place for
// a mistake.
type hedger struct {
	may      func(*http.Request) bool              // whether the request may be sent again
	nested   bool                                  // sends again what one above sends again, too
	in       func(context.Context) context.Context // the context of the second request
	dropping func(*http.Response)                  // what becomes of the answer that comes last
}

// layer returns the hedger as a layer.
func (h hedger) layer() transporttest.Layer {
	if h.may == nil {
		h.may = isSafe
	}
	if h.in == nil {
		h.in = func(ctx context.Context) context.Context { return ctx }
	}
	if h.dropping == nil {
		h.dropping = func(resp *http.Response) { body.Discard(context.Background(), resp, 0, 0) }
	}
	return layerOf(h.send)
}

// A runner is one of the two requests.
type runner struct {
	cancel context.CancelFunc
	resp   *http.Response
	err    error
	panic  any
}

func (h hedger) send(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	if !h.may(req) || req.Context().Value(repeated{}) != nil && !h.nested {
		return next.RoundTrip(req)
	}
	back := make(chan *runner, 2)
	start := func(req *http.Request, ctx context.Context) *runner {
		ctx, cancel := context.WithCancel(context.WithValue(ctx, repeated{}, true))
		r := &runner{cancel: cancel}
		go func() {
			defer func() {
				r.panic = recover()
				back <- r
			}()
			r.resp, r.err = next.RoundTrip(req.WithContext(ctx))
		}()
		return r
	}
	runners := []*runner{start(req, req.Context())}
	var won *runner
	select {
	case won = <-back:
	case <-time.After(time.Second):
		if again, err := replay(req); err == nil {
			runners = append(runners, start(again, h.in(req.Context())))
		}
		won = <-back
	}
	for _, r := range runners {
		if r != won {
			r.cancel()
			go func() {
				if late := <-back; late.resp != nil {
					h.dropping(late.resp)
				}
			}()
		}
	}
	if won.resp == nil {
		won.cancel()
		if won.panic != nil {
			panic(won.panic)
		}
		return nil, won.err
	}
	body.Watch(won.resp, body.EndFunc(func(error) { won.cancel() }))
	return won.resp, nil
}

var mayHedge = []transporttest.Option{transporttest.MayRepeat(), transporttest.MayLinger(5 * time.Second)}

// A layer that hedges as it should breaks no rule.
func TestCheckHedger(t *testing.T) { transporttest.Check(t, hedger{}.layer(), mayHedge...) }
