package transport_test

import (
	"flag"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A candidate is a layer for the conformance suite, and what it may do.
type candidate struct {
	name  string
	layer func() transport.Layer
	may   []transporttest.Option
}

// candidates are the layers of this package. A new one needs a line here, and is
// checked alone and below and above each of the others.
func candidates() []candidate {
	hedge := []transporttest.Option{transporttest.MayRepeat(), transporttest.MayLinger(50 * time.Millisecond)}
	repeat := []transporttest.Option{transporttest.MayRepeat()}
	refuse := []transporttest.Option{transporttest.MayRefuse()}
	return []candidate{
		{"Timeout", func() transport.Layer { return transport.Timeout(policy.Timeout{Total: time.Minute}) }, nil},
		{"Retry", func() transport.Layer { return transport.Retry(policy.Retry{}) }, repeat},
		{"Hedge", func() transport.Layer { return transport.NewHedge(policy.Hedge{}).Wrap }, hedge},
		{"eager Hedge", func() transport.Layer { return eager(policy.Hedge{Delay: time.Second, Max: 2}) }, hedge},
		{"Breaker", func() transport.Layer { return transport.NewBreaker(policy.Breaker{}).Wrap }, refuse},
		{"PerKey", func() transport.Layer { return transport.PerKey(transport.Authority, breakerFor) }, refuse},
		{"Limiter", func() transport.Layer { return transport.NewLimiter(policy.Limit{}).Wrap }, refuse},
		{"Throttle", func() transport.Layer { return transport.NewThrottle(policy.Throttle{}).Wrap }, refuse},
		{"Failover", func() transport.Layer { return transport.NewFailover(twoAccounts, nil).Wrap }, repeat},
		{"Streams", func() transport.Layer { return transport.Streams(policy.Streams{}) }, nil},
		{"Streams that are held", func() transport.Layer { return transport.Streams(policy.Streams{HoldBytes: 4 << 10}) }, nil},
		{
			"Responses", func() transport.Layer { return transport.Responses(policy.Responses{Errors: true}) },
			[]transporttest.Option{transporttest.MayReplace()},
		},
		{"Live", liveLayer, append(repeat, transporttest.MayRefuse())},
		{"Faults", func() transport.Layer { return transport.NewFaults(policy.Faults{Mix: late}).Wrap }, nil},
	}
}

// twoAccounts are two endpoints at the same place, and no secrets.
var twoAccounts = policy.Failover{
	Endpoints: []policy.Endpoint{{Name: "first"}, {Name: "second", Header: http.Header{"X-Account": {"second"}}}},
	IsSecret:  func(string) bool { return false },
}

// late makes an answer take longer, which is the one fault that breaks no rule.
var late = []policy.Fault{{Kind: policy.FaultLatency, Rate: 1, Delay: 100 * time.Millisecond}}

// liveLayer is a stack whose settings have changed.
func liveLayer() transport.Layer {
	live, err := transport.NewLive(policy.Stack{})
	if err != nil {
		panic(err)
	}
	return func(next http.RoundTripper) http.RoundTripper {
		rt := live.Wrap(next)
		if err := live.Apply(policy.Stack{Total: 29 * time.Second}); err != nil {
			panic(err)
		}
		return rt
	}
}

func breakerFor(string) transport.Layer { return transport.NewBreaker(policy.Breaker{}).Wrap }

// check runs the suite over layers, made anew for each rule.
func check(t *testing.T, layers []candidate) {
	t.Helper()
	var may []transporttest.Option
	for _, c := range layers {
		may = append(may, c.may...)
	}
	transporttest.Check(t, func(next http.RoundTripper) http.RoundTripper {
		rt := next
		for _, c := range slices.Backward(layers) {
			rt = c.layer()(rt)
		}
		return rt
	}, may...)
}

// Every layer keeps every rule by itself.
func TestConformance(t *testing.T) {
	for _, c := range candidates() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			check(t, []candidate{c})
		})
	}
}

var allPairs = flag.Bool("pairs", false, "try all pairs of layers in both orders")

// No two layers spoil each other's manners, in either order. Unless -pairs asks for all,
// each is tried above and below a retry.
func TestConformanceOfPairs(t *testing.T) {
	for _, outer := range candidates() {
		for _, inner := range candidates() {
			if !*allPairs && outer.name != "Retry" && inner.name != "Retry" {
				continue
			}
			t.Run(outer.name+" over "+inner.name, func(t *testing.T) {
				t.Parallel()
				check(t, []candidate{outer, inner})
			})
		}
	}
}

// The standard stack keeps the rules, alone and with all that can be added to it.
func TestConformanceOfStandard(t *testing.T) {
	stacked := []transporttest.Option{transporttest.MayRepeat(), transporttest.MayRefuse()}
	replayable := transporttest.Requests(func(req *http.Request) *http.Request {
		return req.WithContext(policy.WithCall(req.Context(), policy.Call{Function: "f", Replayable: true}))
	})
	forSDK := policy.Stack{Responses: &policy.Responses{Errors: true}}
	whole := policy.Default()
	whole.Cache = &policy.Cache{}
	whole.Fallback = &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}, Fidelity: policy.Fidelity{Share: 1}}
	all := whole
	all.Responses, all.Throttle = &policy.Responses{Errors: true}, &policy.Throttle{}
	all.Hedge, all.Streams = &policy.Hedge{Delay: time.Second, Max: 2}, &policy.Streams{HoldBytes: 4 << 10}
	all.Failover = &twoAccounts
	linger := transporttest.MayLinger(50 * time.Millisecond)
	for _, tt := range []struct {
		name  string
		stack policy.Stack
		may   []transporttest.Option
	}{
		{"default", policy.Default(), stacked},
		{"zero", policy.Stack{}, stacked},
		{"default, for replayable requests", policy.Default(), append(stacked, replayable)},
		{"below an SDK", forSDK, append(stacked, transporttest.MayReplace())},
		{"with two endpoints", policy.Stack{Failover: &twoAccounts}, stacked},
		{"with two endpoints, for replayable requests", policy.Stack{Failover: &twoAccounts}, append(stacked, replayable)},
		{"with everything", all, append(stacked, transporttest.MayAnswer(), transporttest.MayReplace(), linger)},
		{
			"with everything, for replayable requests", all,
			append(stacked, transporttest.MayAnswer(), transporttest.MayReplace(), linger, replayable),
		},
		{"with cache and fallback", whole, append(stacked, transporttest.MayAnswer(), transporttest.MayReplace())},
		{
			"with cache and fallback, for replayable requests", whole,
			append(stacked, transporttest.MayAnswer(), transporttest.MayReplace(), replayable),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, []candidate{{tt.name, func() transport.Layer { return transport.Standard(tt.stack) }, tt.may}})
		})
	}
}
