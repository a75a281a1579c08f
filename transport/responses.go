package transport

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
)

// Responses returns a layer for an SDK above, which would repeat what layers below
// have refused or given up on. It stands around those layers:
//
//   - A refusal, and by setting every error, becomes a response in the provider's
//     form: 429 for a rate that is used up, 503 for other refusals, 504 and 502
//     for other errors, with x-should-retry: false and, if it is known when a new
//     call makes sense, Retry-After and retry-after-ms. The SDK's caller gets a
//     typed API error, at once.
//   - A real answer with a status of 400 or more keeps all that it has, and gets
//     x-should-retry: false, whatever the server said: the retry layer below has
//     read that already, and knows the budget.
//
// A caller who has left, or has no time left, gets the error as it is. The trail and
// the spans show a refusal as one, not as an answer of the server.
//
// Put it below an SDK only. For other callers an error says more.
func Responses(cfg policy.Responses) Layer {
	cfg = cfg.WithDefaults()
	return func(next http.RoundTripper) http.RoundTripper { return &responses{cfg: cfg, next: next} }
}

type responses struct {
	cfg  policy.Responses
	next http.RoundTripper
}

// CloseIdleConnections forwards to the transport below.
func (r *responses) CloseIdleConnections() { body.CloseIdle(r.next) }

func (r *responses) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := body.Send(r.next, req)
	if err != nil {
		return r.answer(req, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		forbidRetry(resp)
	}
	return resp, nil
}

// answer returns the response that stands for err, or err if it stays one.
func (r *responses) answer(req *http.Request, err error) (*http.Response, error) {
	ctx := req.Context()
	if ctx.Err() != nil {
		return nil, err
	}
	verdict := telemetry.Judge(req, nil, err, r.cfg.Classify)
	retryAt := telemetry.FromContext(ctx).RetryAt()
	if e := policy.ErrorOf(err); e != nil && !e.RetryAt.IsZero() {
		retryAt = e.RetryAt
	}
	failure, ok := r.cfg.Failure(err, verdict, retryAt, time.Now())
	if !ok {
		return nil, err
	}
	resp := respond(req, failure, r.cfg.Body(failure))
	verdict.Again = policy.Nobody
	telemetry.Judge(req, resp, nil, func(policy.Outcome) policy.Verdict { return verdict }) // for the layers around
	return resp, nil
}

// forbidRetry tells an SDK that to ask again is of no use.
func forbidRetry(resp *http.Response) {
	if resp.Header == nil {
		resp.Header = make(http.Header)
	}
	resp.Header.Set("X-Should-Retry", "false")
}

// respond returns a whole response to req with a JSON document that tells f.
func respond(req *http.Request, f policy.Failure, document []byte) *http.Response {
	now := time.Now()
	resp := &http.Response{
		Status:        strconv.Itoa(f.Status) + " " + http.StatusText(f.Status),
		StatusCode:    f.Status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        make(http.Header, 6),
		Body:          body.Bytes(document),
		ContentLength: int64(len(document)),
		Request:       req,
	}
	resp.Header.Set("Content-Type", "application/json")
	resp.Header.Set("Content-Length", strconv.Itoa(len(document)))
	resp.Header.Set("Date", now.UTC().Format(http.TimeFormat))
	if f.Wait > 0 {
		resp.Header.Set("Retry-After", strconv.FormatInt(ceil(f.Wait, time.Second), 10))
		resp.Header.Set("Retry-After-Ms", strconv.FormatInt(ceil(f.Wait, time.Millisecond), 10))
	}
	forbidRetry(resp)
	if req.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp
}

// ceil returns how many units d is, a begun one being whole.
func ceil(d, unit time.Duration) int64 {
	n := d / unit
	if d%unit > 0 {
		n++
	}
	return int64(n)
}
