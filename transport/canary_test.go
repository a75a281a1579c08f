package transport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/telemetry/console"
	"github.com/sparekey/sparekey/transport"
)

// canary is whatever nobody but the service may see.
const canary = "c4n4ry"

// sings answers with a canary in the header and in the body.
func sings(status int) func(*http.Request) (*http.Response, error) {
	return func(req *http.Request) (*http.Response, error) {
		text := `{"labelName":"` + canary + `","confidence":0.9,"message":"` + canary + `"}`
		header := http.Header{"Content-Type": {"application/json"}, "Set-Cookie": {canary}, "X-Request-Id": {canary}}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text))}, nil
	}
}

// breaks fails as a transport does that tells of the request.
func breaks(err error) func(*http.Request) (*http.Response, error) {
	return func(req *http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("send: %w", &url.Error{Op: "Post", URL: req.URL.String(), Err: err})
	}
}

// TestNothingLeaks takes a request that is full of canaries through every path there
// is, at the level of debugging and with all exporters, and looks for them in what
// comes out: spans, metrics, log records, errors, trails, snapshots, the console.
func TestNothingLeaks(t *testing.T) {
	type step = func(*http.Request) (*http.Response, error)
	rules := &policy.Fallback{
		Rules:  []policy.Rule{{Name: "r", Any: []policy.Condition{{Words: []string{"refund"}}}, Answer: policy.Answer{Label: "billing", Confidence: 0.5}}},
		Static: &policy.Answer{Label: "other", Confidence: 0.1}, Fidelity: policy.Fidelity{Share: 1},
	}
	endpoints := regions()
	for i := range endpoints {
		endpoints[i].Header = http.Header{"Authorization": {"Bearer " + canary}, "X-Api-Key": {canary}}
	}
	hedge := &policy.Hedge{Delay: time.Second, Ratio: 1}
	noRetry := policy.Retry{Off: true}
	boom := errors.New("boom")
	tests := []struct {
		name  string
		stack policy.Stack
		steps []step
		calls int
	}{
		{"live", policy.Stack{Fallback: rules}, []step{sings(200)}, 1},
		{"retry", policy.Stack{}, []step{sings(503), breaks(syscall.ECONNRESET), sings(200)}, 1},
		{"fallback", policy.Stack{Fallback: rules, Retry: noRetry}, []step{breaks(boom), sings(500)}, 2},
		{"cache", policy.Stack{Cache: &policy.Cache{}}, []step{sings(200)}, 3},
		{"stale", policy.Stack{Cache: &policy.Cache{TTL: time.Second}, Fallback: rules, Retry: noRetry}, []step{sings(200), sings(500)}, 2},
		{"failover", policy.Stack{Failover: &policy.Failover{Endpoints: endpoints}}, []step{sings(500), breaks(syscall.ECONNREFUSED), sings(200)}, 1},
		{"failover in vain", policy.Stack{Failover: &policy.Failover{Endpoints: endpoints}, Retry: noRetry}, []step{breaks(boom), sings(500), sings(500)}, 1},
		{"hedge wins", policy.Stack{Hedge: hedge}, []step{sings(200), hangs, sings(200)}, 2},
		{"hedge loses", policy.Stack{Hedge: hedge}, []step{sings(200), slowly, hangs}, 2},
		{"open breaker", policy.Stack{Breaker: policy.Breaker{MinCalls: 1}, Retry: noRetry}, []step{breaks(syscall.ECONNRESET)}, 3},
		{"refusals as responses", policy.Stack{Breaker: policy.Breaker{MinCalls: 1}, Retry: noRetry, Responses: &policy.Responses{}}, []step{sings(500)}, 3},
		{"timeout", policy.Stack{Retry: noRetry, Total: time.Second}, []step{hangs}, 1},
		{"quota", policy.Stack{}, []step{sings(402)}, 1},
		{"credentials", policy.Stack{}, []step{sings(401)}, 1},
		{"no such function", policy.Stack{}, []step{sings(404)}, 1},
		{"redirect", policy.Stack{}, []step{sings(302)}, 1},
		{"panic", policy.Stack{}, []step{func(*http.Request) (*http.Response, error) { panic("boom") }}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sdk := installSDK(t)
				var seen bytes.Buffer // everything that anybody could see
				show := func(values ...any) {
					for _, v := range values {
						fmt.Fprintf(&seen, "%v\n%+v\n%#v\n%s\n", v, v, v, v)
					}
				}
				logger := slog.New(slog.NewJSONHandler(&seen, &slog.HandlerOptions{Level: slog.LevelDebug}))
				tt.stack.Function, tt.stack.Logger = "f", logger
				rt := transport.Chain(&scripted{steps: tt.steps}, transport.Standard(tt.stack))
				for range tt.calls {
					leak(t, rt, logger, show)
					time.Sleep(2 * time.Second)
				}
				time.Sleep(time.Minute)
				synctest.Wait()

				state := transport.Snapshot(rt)
				stop := telemetry.Measure(func() telemetry.Snapshot { return state })
				defer stop()
				text, err := json.Marshal(state)
				require.NoError(t, err)
				var metrics metricdata.ResourceMetrics
				require.NoError(t, sdk.reader.Collect(t.Context(), &metrics))
				spans, err := json.Marshal(sdk.spans.GetSpans().Snapshots())
				require.NoError(t, err)
				measured, err := json.Marshal(metrics)
				require.NoError(t, err)
				show(state, string(text), string(spans), string(measured), sdk.spans.GetSpans(), metrics, transport.Inspect(rt))
				watch(t, func() telemetry.Snapshot { return state }, &seen)
				require.Contains(t, seen.String(), "sparekey.client.prediction.duration")
				if at := strings.Index(seen.String(), canary); at >= 0 {
					assert.Failf(t, "leaked", "%q", seen.String()[max(0, at-160):at+len(canary)])
				}
			})
		})
	}
}

// watch shows what an operator sees of the state: the page of the console, the
// snapshot behind it, and the events by which it lives.
func watch(t *testing.T, state func() telemetry.Snapshot, seen *bytes.Buffer) {
	page := console.New(state, console.Options{})
	for _, name := range []string{"", "app.js", "snapshot.json", "events", "purge", "nothing.txt"} {
		ctx, leave := context.WithCancel(t.Context())
		req := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/console/"+name, nil)
		req.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		time.AfterFunc(3*time.Second, leave) // some events later
		page.ServeHTTP(w, req)
		leave()
		fmt.Fprintln(seen, w.Code, w.Header(), w.Body)
		if name == "events" || name == "snapshot.json" {
			require.Contains(t, w.Body.String(), `"name":"f"`, name)
		}
	}
	require.NoError(t, page.Close())
	synctest.Wait()
}

// leak makes a call and shows what its caller could.
func leak(t *testing.T, rt http.RoundTripper, logger *slog.Logger, show func(...any)) {
	ctx, trail := telemetry.NewContext(policy.WithCall(t.Context(), policy.Call{Function: "f", Identity: "account", Replayable: true}))
	req := to(t, "POST", "http://"+canary+":"+canary+"@a.test/v1/x?externalId="+canary+"&q="+canary, `{"data":"`+canary+`"}`).WithContext(ctx)
	req.Header.Set("Authorization", "Bearer "+canary)
	req.Header.Set("Cookie", canary)
	req.Header.Set("X-Api-Key", canary)
	defer func() {
		if p := recover(); p != nil {
			show(p)
		}
		show(ctx, trail, trail.Attempts(), trail.Refusals(), trail.Notes(), trail.Answer(), trail.LogValue())
		logger.Info("called", "trail", trail)
	}()
	_, _, err := send(t, rt, req)
	if err != nil {
		show(err.Error(), policy.ErrorOf(err).Error())
		logger.Error("failed", "error", err)
	}
}

// A context that a layer made, printed below it, shows nothing of the request.
func TestContextsShowNothing(t *testing.T) {
	all := append(candidates(),
		candidate{name: "ObserveCall", layer: func() transport.Layer { return telemetry.ObserveCall(telemetry.Config{}) }},
		candidate{name: "Predictions", layer: func() transport.Layer { return cache.Predictions(cache.PredictionsConfig{}) }},
	)
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := "nothing"
				rt := c.layer()(transport.Func(func(req *http.Request) (*http.Response, error) {
					ctx := req.Context()
					seen = fmt.Sprintf("%v\n%+v\n%#v\n%s\n", ctx, ctx, ctx, ctx)
					return sings(http.StatusOK)(req)
				}))
				leak(t, rt, slog.New(slog.DiscardHandler), func(...any) {})
				assert.NotEqual(t, "nothing", seen)
				assert.NotContains(t, seen, canary)
			})
		})
	}
}
