package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// always returns a layer under which every request meets fault.
func always(fault policy.Fault) transport.Layer {
	fault.Rate = 1
	return transport.NewFaults(policy.Faults{Mix: []policy.Fault{fault}}).Wrap
}

// eachFault returns a fault of every kind, with and without Sent where that makes
// a difference.
func eachFault() map[string]policy.Fault {
	faults := map[string]policy.Fault{}
	for _, kind := range policy.FaultKinds() {
		fault := policy.Fault{Kind: kind}
		switch kind {
		case policy.FaultReset, policy.FaultStatus:
			sent := fault
			sent.Sent = true
			faults[string(kind)+" sent"] = sent
		case policy.FaultLatency:
			fault.Delay = time.Second
		}
		faults[string(kind)] = fault
	}
	return faults
}

// judged is a layer that keeps the verdicts on an attempt at its header and at
// the end of its body.
type judged struct{ header, end policy.Verdict }

func (j *judged) Wrap(next http.RoundTripper) http.RoundTripper {
	return transport.Func(func(req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		j.header = telemetry.Judge(req, resp, err, nil)
		j.end = j.header
		if err != nil {
			return nil, err
		}
		body.Watch(resp, body.EndFunc(func(err error) {
			j.end = telemetry.JudgeBody(req.Context(), j.header, err)
		}))
		return resp, nil
	})
}

// Each fault leads to the verdict that its kind promises, as the layers above
// come to it.
func TestFaultsVerdicts(t *testing.T) {
	const ms, limit = time.Millisecond, 10 * time.Second
	type class = policy.Class
	tests := []struct {
		name       string
		fault      policy.Fault
		wantStatus int // zero if there is no response
		want       string
		wantErr    error // stands behind the injected one
		wantHeader class
		wantEnd    class
		wantSent   bool
		wantAfter  time.Duration
	}{
		{"none", policy.Fault{Kind: policy.FaultLatency, Delay: 1}, 200, "hello", nil, policy.OK, policy.OK, true, 1},
		{
			"refused",
			policy.Fault{Kind: policy.FaultRefused},
			0, "", syscall.ECONNREFUSED, policy.Unreachable, policy.Unreachable, false, 0,
		},
		{
			"refused after a while",
			policy.Fault{Kind: policy.FaultRefused, Delay: 3 * time.Second},
			0, "", syscall.ECONNREFUSED, policy.Unreachable, policy.Unreachable, false, 3 * time.Second,
		},
		{
			"reset before the write",
			policy.Fault{Kind: policy.FaultReset},
			0, "", syscall.ECONNRESET, policy.Interrupted, policy.Interrupted, false, 0,
		},
		{
			"reset after the write",
			policy.Fault{Kind: policy.FaultReset, Sent: true, Delay: ms},
			0, "", syscall.ECONNRESET, policy.Interrupted, policy.Interrupted, true, ms,
		},
		{
			"closed without an answer",
			policy.Fault{Kind: policy.FaultEOF},
			0, "", io.EOF, policy.Interrupted, policy.Interrupted, true, 0,
		},
		{
			"status by default",
			policy.Fault{Kind: policy.FaultStatus},
			503, "", nil, policy.Overloaded, policy.Overloaded, false, 0,
		},
		{
			"slow status",
			policy.Fault{Kind: policy.FaultStatus, Status: 500, Body: "oops", Delay: time.Second},
			500, "oops", nil, policy.Internal, policy.Internal, false, time.Second,
		},
		{
			"status once the work is done",
			policy.Fault{Kind: policy.FaultStatus, Status: 504, Sent: true},
			504, "", nil, policy.TimedOut, policy.TimedOut, true, 0,
		},
		{
			"quota",
			policy.Fault{Kind: policy.FaultStatus, Status: 429, Body: `{"error": {"code": "insufficient_quota"}}`},
			429, `{"error": {"code": "insufficient_quota"}}`, nil, policy.QuotaExceeded, policy.QuotaExceeded, false, 0,
		},
		{
			"latency",
			policy.Fault{Kind: policy.FaultLatency, Delay: limit - 1},
			200, "hello", nil, policy.OK, policy.OK, true, limit - 1,
		},
		{
			"too much latency",
			policy.Fault{Kind: policy.FaultLatency, Delay: limit + 1},
			0, "", context.DeadlineExceeded, policy.TimedOut, policy.TimedOut, true, limit,
		},
		{
			"stall",
			policy.Fault{Kind: policy.FaultStall},
			0, "", context.DeadlineExceeded, policy.TimedOut, policy.TimedOut, true, limit,
		},
		{
			"drip",
			policy.Fault{Kind: policy.FaultDrip},
			200, "hello", nil, policy.OK, policy.OK, true, 500 * ms,
		},
		{
			"truncate",
			policy.Fault{Kind: policy.FaultTruncate, Bytes: 3},
			200, "hel", policy.ErrTruncated, policy.OK, policy.Truncated, true, 0,
		},
		{
			"late and truncate",
			policy.Fault{Kind: policy.FaultTruncate, Bytes: 3, Delay: time.Second},
			200, "hel", policy.ErrTruncated, policy.OK, policy.Truncated, true, time.Second,
		},
		{
			"stall in the body",
			policy.Fault{Kind: policy.FaultStallBody, Bytes: 3},
			200, "hel", context.DeadlineExceeded, policy.OK, policy.TimedOut, true, limit,
		},
		{
			"reset in the body",
			policy.Fault{Kind: policy.FaultResetBody, Bytes: 3},
			200, "hel", syscall.ECONNRESET, policy.OK, policy.Interrupted, true, 0,
		},
		{
			"more announced than sent",
			policy.Fault{Kind: policy.FaultLength, Bytes: 2},
			200, "hello", policy.ErrTruncated, policy.OK, policy.Truncated, true, 0,
		},
		{
			"less announced than sent",
			policy.Fault{Kind: policy.FaultLength, Bytes: -2},
			200, "hel", nil, policy.OK, policy.OK, true, 0,
		},
	}
	seen := map[policy.FaultKind]bool{}
	for _, tt := range tests {
		seen[tt.fault.Kind] = true
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				upstream := transporttest.NewUpstream(transporttest.Reply(http.StatusOK, "hello"))
				var verdicts judged
				rt := transport.Chain(upstream,
					verdicts.Wrap,
					transport.Timeout(policy.Timeout{FirstByte: limit, Idle: limit}),
					always(tt.fault))
				ctx, _ := traced(t)
				since := elapsed()
				status, text, err := send(t, rt, newRequest(t, ctx, http.MethodPost, "question"))
				if took := since(); took != tt.wantAfter {
					t.Errorf("took %v, want %v", took, tt.wantAfter)
				}
				if status != tt.wantStatus || text != tt.want || !sameError(err, tt.wantErr) {
					t.Errorf("got %d %q, %v, want %d %q, %v", status, text, err, tt.wantStatus, tt.want, tt.wantErr)
				}
				limited := errors.Is(err, context.DeadlineExceeded) // by the timeout layer
				if err != nil && !limited && !errors.Is(err, transport.ErrInjected) {
					t.Errorf("error %v does not match ErrInjected", err)
				}
				if verdicts.header.Class != tt.wantHeader || verdicts.end.Class != tt.wantEnd {
					t.Errorf("verdicts are %v at the header and %v at the end, want %v and %v",
						verdicts.header.Class, verdicts.end.Class, tt.wantHeader, tt.wantEnd)
				}
				if sent := upstream.Calls() == 1; sent != tt.wantSent || tt.fault.ReachesServer() != sent {
					t.Errorf("sent: %v, want %v; ReachesServer() = %v", sent, tt.wantSent, tt.fault.ReachesServer())
				}
			})
		})
	}
	for _, kind := range policy.FaultKinds() {
		if !seen[kind] {
			t.Errorf("the table lacks %q", kind)
		}
	}
}

// An answer that was made up is a complete one.
func TestFaultsStatus(t *testing.T) {
	fault := policy.Fault{
		Kind: policy.FaultStatus, Status: 429,
		Header: map[string]string{"retry-after": "2", "Content-Type": "text/plain"}, Body: "slow down",
	}
	for _, tt := range []struct{ method, want string }{{http.MethodGet, "slow down"}, {http.MethodHead, ""}} {
		t.Run(tt.method, func(t *testing.T) {
			upstream := transporttest.NewUpstream()
			req := newRequest(t, t.Context(), tt.method, "")
			resp, err := always(fault)(upstream).RoundTrip(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, tt.want, string(text))
			require.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
			require.Equal(t, "429 Too Many Requests (injected)", resp.Status)
			require.Equal(t, http.Header{"Retry-After": {"2"}, "Content-Type": {"text/plain"}, "Content-Length": {"9"}}, resp.Header)
			require.Equal(t, int64(9), resp.ContentLength)
			require.Same(t, req, resp.Request)
			require.Zero(t, upstream.Calls())

			verdict := telemetry.Judge(req, resp, nil, nil)
			require.Equal(t, 2*time.Second, verdict.Wait)
		})
	}
}

// The errors read as those of the network, and say that they are none.
func TestFaultsErrorText(t *testing.T) {
	tests := []struct {
		fault policy.Fault
		want  string
	}{
		{policy.Fault{Kind: policy.FaultRefused}, "transport: injected: dial tcp: connect: connection refused"},
		{policy.Fault{Kind: policy.FaultReset}, "transport: injected: write tcp: write: connection reset by peer"},
		{policy.Fault{Kind: policy.FaultReset, Sent: true}, "transport: injected: read tcp: read: connection reset by peer"},
		{policy.Fault{Kind: policy.FaultEOF}, "transport: injected: EOF"},
		{policy.Fault{Kind: policy.FaultTruncate}, "transport: injected: unexpected EOF"},
		{policy.Fault{Kind: policy.FaultResetBody}, "transport: injected: read tcp: read: connection reset by peer"},
		{policy.Fault{Kind: policy.FaultLength}, "transport: injected: unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(string(tt.fault.Kind), func(t *testing.T) {
			_, _, err := get(t, always(tt.fault)(transporttest.NewUpstream(transporttest.Reply(200, "hello"))))
			require.EqualError(t, err, tt.want)
			require.ErrorIs(t, err, transport.ErrInjected)
		})
	}
}

// What fails by itself fails as it does, fault or not.
func TestFaultsRealErrorComesFirst(t *testing.T) {
	for name, fault := range eachFault() {
		t.Run(name, func(t *testing.T) {
			_, _, err := get(t, always(fault)(transporttest.NewUpstream(transporttest.Fail(errDial))))
			if got := errors.Is(err, errDial); got != fault.ReachesServer() {
				t.Errorf("error = %v, the server's own: %v, want %v", err, got, fault.ReachesServer())
			}
		})
	}
}

func TestFaultsTrace(t *testing.T) {
	mix := []policy.Fault{{Kind: policy.FaultEOF, Rate: 0.2}, {Kind: policy.FaultRefused, Rate: 0.1}}
	// run sends requests one by one and returns what struck each.
	run := func(faults *transport.Faults, requests int) []policy.FaultKind {
		rt := faults.Wrap(transporttest.NewUpstream())
		kinds := make([]policy.FaultKind, requests)
		for i := range kinds {
			switch _, _, err := get(t, rt); {
			case errors.Is(err, io.EOF):
				kinds[i] = policy.FaultEOF
			case errors.Is(err, syscall.ECONNREFUSED):
				kinds[i] = policy.FaultRefused
			}
		}
		return kinds
	}
	const length = 200
	cfg := policy.Faults{Seed: 1, Mix: mix}
	var want []policy.FaultKind
	for n := range uint64(length) {
		want = append(want, cfg.Fate(n+1).Kind)
	}
	t.Run("the nth request meets the nth fate", func(t *testing.T) {
		require.Equal(t, want, run(transport.NewFaults(cfg), length))
	})
	t.Run("another seed is another trace", func(t *testing.T) {
		other := cfg
		other.Seed = 2
		require.NotEqual(t, want, run(transport.NewFaults(other), length))
	})
	t.Run("Set begins anew", func(t *testing.T) {
		faults := transport.NewFaults(cfg)
		run(faults, 17)
		require.NoError(t, faults.Set(cfg))
		require.Equal(t, want, run(faults, length))
	})
	t.Run("transports that share the layer share the trace", func(t *testing.T) {
		faults := transport.NewFaults(cfg)
		require.Equal(t, want, append(run(faults, 50), run(faults, length-50)...))
	})
	t.Run("requests that have their fault already do not count", func(t *testing.T) {
		exempt := transport.WithFaults(t.Context())
		layer := cfg
		layer.Choose = func(req *http.Request) (policy.Fault, bool) { return policy.Fault{}, req.Method == http.MethodPost }
		faults := transport.NewFaults(layer)
		got := run(faults, 50)
		for range 10 {
			for _, req := range []*http.Request{newRequest(t, exempt, http.MethodGet, ""), newRequest(t, t.Context(), http.MethodPost, "")} {
				_, _, err := send(t, faults.Wrap(transporttest.NewUpstream()), req)
				require.NoError(t, err)
			}
		}
		require.Equal(t, want, append(got, run(faults, length-50)...))
	})
	t.Run("concurrent callers meet the same faults together", func(t *testing.T) {
		faults := transport.NewFaults(cfg)
		var (
			mu      sync.Mutex
			got     []policy.FaultKind
			callers sync.WaitGroup
		)
		for range 10 {
			callers.Go(func() {
				kinds := run(faults, length/10)
				mu.Lock()
				defer mu.Unlock()
				got = append(got, kinds...)
			})
		}
		callers.Wait()
		slices.Sort(got)
		require.Equal(t, slices.Sorted(slices.Values(want)), got)
	})
}

// Concurrent callers who have a Faults each meet their own traces in every run.
func TestFaultsPerKey(t *testing.T) {
	const length = 100
	cfg := policy.Faults{Mix: []policy.Fault{{Kind: policy.FaultEOF, Rate: 0.5}}}
	seeds := map[string]uint64{"a": 1, "b": 2, "c": 3}
	rt := transport.PerKey(keyed, func(key string) transport.Layer {
		own := cfg
		own.Seed = seeds[key]
		return transport.NewFaults(own).Wrap
	})(transporttest.NewUpstream())
	var callers sync.WaitGroup
	for key, seed := range seeds {
		callers.Go(func() {
			want := cfg
			want.Seed = seed
			for n := range uint64(length) {
				_, err := getKeyed(t, rt, key)
				if struck := want.Fate(n+1).Kind == policy.FaultEOF; struck != errors.Is(err, io.EOF) {
					t.Errorf("caller %s, request %d: error = %v, want a fault: %v", key, n+1, err, struck)
				}
			}
		})
	}
	callers.Wait()
}

func TestFaultsOnFault(t *testing.T) {
	type key struct{}
	var got []policy.FaultKind
	cfg := policy.Faults{
		Mix: []policy.Fault{{Kind: policy.FaultEOF, Rate: 0.5}},
		OnFault: func(ctx context.Context, fault policy.Fault) {
			require.Equal(t, "mine", ctx.Value(key{}))
			got = append(got, fault.Kind)
		},
	}
	faults := transport.NewFaults(cfg)
	ctx := context.WithValue(t.Context(), key{}, "mine")
	failures := 0
	for range 100 {
		if _, _, err := send(t, faults.Wrap(transporttest.NewUpstream()), newRequest(t, ctx, http.MethodGet, "")); err != nil {
			failures++
		}
	}
	require.Len(t, got, failures, "one event for each fault")
	require.NotZero(t, failures)
}

func TestFaultsSet(t *testing.T) {
	faults := transport.NewFaults(policy.Faults{})
	upstream := transporttest.NewUpstream()
	rt := faults.Wrap(upstream)

	_, _, err := get(t, rt)
	require.NoError(t, err, "the zero value lets nothing go wrong")

	mix := []policy.Fault{{Kind: policy.FaultRefused, Rate: 1}}
	require.NoError(t, faults.Set(policy.Faults{Mix: mix}))
	_, _, err = get(t, rt)
	require.ErrorIs(t, err, transport.ErrInjected)

	err = faults.Set(policy.Faults{Mix: []policy.Fault{{Kind: policy.FaultEOF, Rate: 2}}})
	require.EqualError(t, err, "policy: Faults.Mix[0].Rate is 2, want 0 to 1\npolicy: the rates of Faults.Mix sum up to 2, want at most 1")
	_, _, err = get(t, rt)
	require.ErrorIs(t, err, syscall.ECONNREFUSED, "settings that are not valid change nothing")

	mix[0].Kind = policy.FaultEOF
	_, _, err = get(t, rt)
	require.ErrorIs(t, err, syscall.ECONNREFUSED, "the mix is the layer's own")

	mine := transport.WithFaults(t.Context(), policy.Fault{Kind: policy.FaultEOF})
	chosen := func(*http.Request) (policy.Fault, bool) { return policy.Fault{Kind: policy.FaultEOF}, true }
	require.NoError(t, faults.Set(policy.Faults{Off: true, Mix: mix, Choose: chosen}))
	_, _, err = send(t, rt, newRequest(t, mine, http.MethodGet, ""))
	require.NoError(t, err, "off is off")
}

// A request that is under way when the settings change keeps its fate.
func TestFaultsSetMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := transport.NewFaults(policy.Faults{Mix: []policy.Fault{{Kind: policy.FaultStatus, Delay: time.Hour, Rate: 1}}})
		time.AfterFunc(time.Minute, func() { _ = faults.Set(policy.Faults{Off: true}) })
		since := elapsed()
		status, _, err := get(t, faults.Wrap(transporttest.NewUpstream()))
		require.NoError(t, err)
		require.Equal(t, 503, status)
		require.Equal(t, time.Hour, since())
	})
}

func TestNewFaultsRefusesWrongSettings(t *testing.T) {
	wrong := policy.Fault{Kind: "gremlin"}
	for name, f := range map[string]func(){
		"NewFaults":  func() { transport.NewFaults(policy.Faults{Mix: []policy.Fault{wrong}}) },
		"WithFaults": func() { transport.WithFaults(t.Context(), policy.Fault{}, wrong) },
	} {
		t.Run(name, func(t *testing.T) {
			text, _ := mustPanic(t, f).(string)
			require.Contains(t, text, `Kind is "gremlin"`)
		})
	}
}

func TestFaultsChoose(t *testing.T) {
	cfg := policy.Faults{
		Mix: []policy.Fault{{Kind: policy.FaultEOF, Rate: 1}},
		Choose: func(req *http.Request) (policy.Fault, bool) {
			switch req.URL.Path {
			case "/spared":
				return policy.Fault{}, true
			case "/refused":
				return policy.Fault{Kind: policy.FaultRefused}, true
			case "/busy":
				return policy.Fault{Kind: policy.FaultStatus}, true // defaults count here, too
			case "/wrong":
				return policy.Fault{Kind: policy.FaultLatency}, true
			}
			return policy.Fault{Kind: "whatever"}, false
		},
	}
	rt := transport.NewFaults(cfg).Wrap(transporttest.NewUpstream())
	tests := []struct {
		path       string
		wantStatus int
		wantErr    error
	}{
		{"/", 0, io.EOF},
		{"/spared", 200, nil},
		{"/refused", 0, syscall.ECONNREFUSED},
		{"/busy", 503, nil},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			req := newRequest(t, t.Context(), http.MethodGet, "")
			req.URL.Path = tt.path
			status, _, err := send(t, rt, req)
			if status != tt.wantStatus || !sameError(err, tt.wantErr) {
				t.Errorf("got %d, %v, want %d, %v", status, err, tt.wantStatus, tt.wantErr)
			}
		})
	}
	t.Run("a fault that is not valid", func(t *testing.T) {
		var bodies transporttest.Bodies
		req := newRequest(t, t.Context(), http.MethodPut, "hello")
		req.URL.Path = "/wrong"
		_, _, err := send(t, bodies.Wrap(rt), req)
		require.EqualError(t, err, "transport: Faults.Choose: policy: Fault.Delay is 0s, want above 0")
		bodies.Check(t)
	})
}

func TestWithFaults(t *testing.T) {
	refused, closed := policy.Fault{Kind: policy.FaultRefused}, policy.Fault{Kind: policy.FaultEOF}
	tests := []struct {
		name   string
		script []policy.Fault
		want   []error // of requests in turn
	}{
		{"no script", nil, []error{nil, nil}},
		{"one fault", []policy.Fault{refused}, []error{syscall.ECONNREFUSED, syscall.ECONNREFUSED, syscall.ECONNREFUSED}},
		{"one fault once", []policy.Fault{refused, {}}, []error{syscall.ECONNREFUSED, nil, nil}},
		{"several", []policy.Fault{{}, refused, closed}, []error{nil, syscall.ECONNREFUSED, io.EOF, io.EOF}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := transport.WithFaults(t.Context(), tt.script...)
			rt := always(policy.Fault{Kind: policy.FaultReset})(transporttest.NewUpstream()) // which does not count
			for i, want := range tt.want {
				_, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
				if !sameError(err, want) {
					t.Errorf("request %d: error = %v, want %v", i+1, err, want)
				}
			}
		})
	}
	t.Run("attempts of one call take in turn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			upstream := transporttest.NewUpstream(transporttest.Reply(200, "fine"))
			faults := transport.NewFaults(policy.Faults{})
			rt := transport.Chain(upstream, transport.Retry(policy.Retry{}), faults.Wrap)
			ctx := transport.WithFaults(t.Context(), refused, policy.Fault{Kind: policy.FaultTruncate, Bytes: 2}, policy.Fault{})
			status, text, err := send(t, rt, newRequest(t, ctx, http.MethodPut, "hello"))
			if status != 200 || text != "fine" || err != nil || upstream.Calls() != 2 {
				t.Errorf("got %d %q, %v with %d requests sent, want 200 %q with 2", status, text, err, upstream.Calls(), "fine")
			}
		})
	})
}

// A cancellation ends every wait at once, under the name that the caller gave it,
// and is nobody's failure.
func TestFaultsCancel(t *testing.T) {
	mine := errors.New("mine")
	tests := []struct {
		name  string
		fault policy.Fault
		want  string // of the body
	}{
		{"refused after a while", policy.Fault{Kind: policy.FaultRefused, Delay: time.Hour}, ""},
		{"slow status", policy.Fault{Kind: policy.FaultStatus, Delay: time.Hour}, ""},
		{"slow reset", policy.Fault{Kind: policy.FaultReset, Sent: true, Delay: time.Hour}, ""},
		{"latency", policy.Fault{Kind: policy.FaultLatency, Delay: time.Hour}, ""},
		{"stall", policy.Fault{Kind: policy.FaultStall}, ""},
		{"drip", policy.Fault{Kind: policy.FaultDrip, Bytes: 2, Every: 400 * time.Millisecond}, "hell"},
		{"slow drip", policy.Fault{Kind: policy.FaultDrip, Every: time.Hour}, ""},
		{"stall in the body", policy.Fault{Kind: policy.FaultStallBody, Bytes: 3}, "hel"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies transporttest.Bodies
				var verdicts judged
				rt := transport.Chain(transporttest.NewUpstream(transporttest.Reply(200, "hello")),
					bodies.Wrap, verdicts.Wrap, always(tt.fault), bodies.Wrap)
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(mine) })
				since := elapsed()
				_, text, err := send(t, rt, newRequest(t, ctx, http.MethodPut, "question"))
				if took := since(); took != time.Second {
					t.Errorf("took %v, want 1s", took)
				}
				if text != tt.want || !errors.Is(err, mine) {
					t.Errorf("got %q, %v, want %q, %v", text, err, tt.want, mine)
				}
				if verdicts.end.Class != policy.Canceled {
					t.Errorf("verdict = %v, want %v", verdicts.end.Class, policy.Canceled)
				}
				bodies.Check(t)
			})
		})
	}
	t.Run("before it began", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(mine)
		for name, fault := range eachFault() {
			if fault.ReachesServer() {
				continue // the transport below is to say so
			}
			_, _, err := send(t, always(fault)(transporttest.NewUpstream()), newRequest(t, ctx, http.MethodGet, ""))
			if !errors.Is(err, mine) {
				t.Errorf("%s: error = %v, want %v", name, err, mine)
			}
		}
	})
}

// The caller's request stays as it is, and its body and the server's are closed,
// whatever the fault and whatever else happens.
func TestFaultsLeaveRequestAlone(t *testing.T) {
	outcomes := map[string]transporttest.Step{
		"answer":       transporttest.Reply(200, "fine"),
		"endless body": transporttest.Drip(200, ".", time.Second),
		"broken body":  transporttest.Cut(200, "hel"),
		"no answer":    transporttest.Fail(errReset),
		"no body":      transporttest.Reply(204, ""),
		"panic":        transporttest.Panic("boom"),
	}
	faults := eachFault()
	faults["none"] = policy.Fault{}
	for name, fault := range faults {
		for outcome, step := range outcomes {
			t.Run(name+", "+outcome, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var bodies transporttest.Bodies
					rt := transport.Chain(transporttest.NewUpstream(step),
						bodies.Wrap, transport.NewFaults(policy.Faults{}).Wrap, bodies.Wrap)
					ctx, cancel := context.WithTimeout(transport.WithFaults(t.Context(), fault), time.Minute)
					defer cancel()

					req := newRequest(t, ctx, http.MethodPut, "hello")
					req.Header.Set("Authorization", "secret")
					before, header := *req, req.Header.Clone()
					func() {
						defer func() { _ = recover() }()
						_, _, _ = send(t, rt, req)
					}()
					checkUnchanged(t, req, &before, header)
					bodies.Check(t)
				})
			})
		}
	}
}

// A transport that answers before it has sent the body closes it in its own time.
func TestFaultsLeaveBodyToTheTransport(t *testing.T) {
	for _, fault := range []policy.Fault{{}, {Kind: policy.FaultTruncate, Bytes: 1}, {Kind: policy.FaultReset, Sent: true}} {
		body := newUpload(t, strings.NewReader("hello"))
		ctx := transport.WithFaults(t.Context(), fault)
		resp, err := transport.NewFaults(policy.Faults{}).Wrap(transport.Func(transporttest.Reply(200, "fine"))).RoundTrip(uploading(t, ctx, body, 5))
		if err == nil {
			require.NoError(t, resp.Body.Close())
		}
		assert.Zero(t, body.closed.Load(), "%v", fault.Kind)
	}
}

// A panic between the layers leaves a body that nobody else closes.
func TestFaultsCloseBodyOnPanic(t *testing.T) {
	fault := policy.Fault{Kind: policy.FaultEOF, Rate: 1}
	tests := []struct {
		name string
		cfg  policy.Faults
	}{
		{"below", policy.Faults{}},
		{"below a fault", policy.Faults{Mix: []policy.Fault{fault}}},
		{"Choose", policy.Faults{Choose: func(*http.Request) (policy.Fault, bool) { panic("boom") }}},
		{"OnFault", policy.Faults{Mix: []policy.Fault{fault}, OnFault: func(context.Context, policy.Fault) { panic("boom") }}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var bodies transporttest.Bodies
			below := transport.Func(func(*http.Request) (*http.Response, error) { panic("boom") })
			rt := transport.Chain(below, bodies.Wrap, transport.NewFaults(tt.cfg).Wrap)
			req := newRequest(t, t.Context(), http.MethodPut, "hello")
			if got := mustPanic(t, func() { _, _ = rt.RoundTrip(req) }); got != "boom" {
				t.Errorf("panic = %v, want the one below", got)
			}
			bodies.Check(t)
		})
	}
}

func TestFaultsCloseIdleConnections(t *testing.T) {
	base := &idler{RoundTripper: transporttest.NewUpstream()}
	transport.Wrap(&http.Client{Transport: base}, transport.NewFaults(policy.Faults{}).Wrap).CloseIdleConnections()
	require.Equal(t, 1, base.told)
}

// An answer that does not get through gives its connection back.
func TestFaultsKeepConnections(t *testing.T) {
	const calls = 1000
	for name, fault := range eachFault() {
		switch fault.Kind {
		case policy.FaultStall, policy.FaultDrip: // take their time
			continue
		case policy.FaultTruncate, policy.FaultResetBody, policy.FaultStallBody, policy.FaultLength:
			continue // cost the connection, as the real ones do
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := transporttest.NewServer(t, flaky(func(int64) bool { return true }))
				var bodies transporttest.Bodies
				client := transport.Wrap(server.Client(), bodies.Wrap, always(fault), bodies.Wrap)
				for range calls {
					_, _, _ = get(t, viaClient{client})
				}
				want := 0
				if fault.ReachesServer() {
					want = 1
				}
				require.Equal(t, want, server.Conns())
				synctest.Wait()
				bodies.Check(t)
			})
		})
	}
}

// The real thing comes to the same verdict as the fault that stands for it.
func TestFaultsAreLikeReal(t *testing.T) {
	const announced = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
	tests := []struct {
		fault policy.Fault
		wire  string // what the real server sends before it closes the connection
	}{
		{policy.Fault{Kind: policy.FaultEOF}, ""},
		{policy.Fault{Kind: policy.FaultTruncate, Bytes: 3}, announced + "hel"},
		{policy.Fault{Kind: policy.FaultTruncate}, announced},
		{policy.Fault{Kind: policy.FaultLength, Bytes: 5}, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"},
		{policy.Fault{Kind: policy.FaultLength, Bytes: -2}, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhello"},
		{policy.Fault{Kind: policy.FaultStatus}, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.fault.Kind, " ", tt.fault.Bytes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				type outcome struct {
					status      int
					text        string
					length      int64
					header, end policy.Class
				}
				// through returns what comes of a request to a server that sends wire.
				through := func(wire string, layer transport.Layer) outcome {
					server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						conn, _, err := http.NewResponseController(w).Hijack()
						if err != nil {
							t.Error(err)
							return
						}
						_, _ = io.WriteString(conn, wire)
						_ = conn.Close()
					}))
					server.Transport().DisableKeepAlives = true
					var verdicts judged
					var got outcome
					seen := func(next http.RoundTripper) http.RoundTripper {
						return transport.Func(func(req *http.Request) (*http.Response, error) {
							resp, err := next.RoundTrip(req)
							if err == nil {
								got.length = resp.ContentLength
							}
							return resp, err
						})
					}
					ctx, _ := traced(t)
					got.status, got.text, _ = send(t, transport.Chain(server.Transport(), verdicts.Wrap, seen, layer),
						newRequest(t, ctx, http.MethodPost, "question"))
					got.header, got.end = verdicts.header.Class, verdicts.end.Class
					return got
				}
				require.Equal(t, through(tt.wire, nil), through(announced+"hello", always(tt.fault)))
			})
		})
	}
}
