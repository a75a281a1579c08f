package transport_test

import (
	"fmt"
	"net/http"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// TestInspectStandard: what a stack says before it is built is what stands there
// afterwards.
func TestInspectStandard(t *testing.T) {
	stacks := map[string]policy.Stack{
		"default":  policy.Default(),
		"no total": {Total: -1, Function: "tickets"},
		"full": {
			Cache:    &policy.Cache{},
			Fallback: &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}},
		},
		"three endpoints": {
			Failover: &policy.Failover{Endpoints: []policy.Endpoint{
				{Name: "eu", URL: "https://eu.test"},
				{Name: "us", URL: "https://us.test", ResponseBody: func(b []byte) ([]byte, error) { return b, nil }},
				{Name: "mine"},
			}},
			Throttle: &policy.Throttle{}, Breaker: policy.Breaker{Name: "mine"}, Hedge: &policy.Hedge{}, Responses: &policy.Responses{},
		},
		"throttled":       {Throttle: &policy.Throttle{Ratio: 0.2}},
		"throttle off":    {Throttle: &policy.Throttle{Off: true}},
		"without retry":   {Retry: policy.Retry{Off: true}},
		"without breaker": {Breaker: policy.Breaker{Off: true}},
		"without limit":   {Limit: policy.Limit{Off: true}},
		"without attempt": {Attempt: policy.Timeout{Off: true}},
		"all off": {
			Total: -1, Retry: policy.Retry{Off: true}, Breaker: policy.Breaker{Off: true}, Limit: policy.Limit{Off: true},
			Attempt: policy.Timeout{Off: true}, Cache: &policy.Cache{Off: true},
		},
	}
	for name, stack := range stacks {
		t.Run(name, func(t *testing.T) {
			rt := transport.Chain(transporttest.NewUpstream(), transport.Standard(stack))
			require.NoError(t, transport.Lint(rt))

			got := transport.Inspect(rt)
			base := got[len(got)-1]
			assert.Equal(t, policy.Part{Kind: policy.KindBase, Name: "*transporttest.Upstream"}, base)
			assert.Equal(t, outlines(stack.Parts()), outlines(got[:len(got)-1]))
			assert.Equal(t, policy.Explain(stack.Parts()).Worst, transport.Explain(rt).Worst)
		})
	}
}

// outlines returns parts as texts, without funcs and pointers, which differ from
// one stack to the next.
func outlines(parts []policy.Part) []string {
	var all []string
	for _, p := range parts {
		all = append(all, fmt.Sprintf("%s %q per %q at %q %s", p.Kind, p.Name, p.Key, p.Endpoint, figures(p.Settings)))
	}
	return all
}

// figures returns the fields of settings that are numbers and texts.
func figures(settings any) string {
	switch s := settings.(type) {
	case nil:
		return ""
	case policy.Fallback: // compiled, it keeps no more
		return fmt.Sprintf("%v, %d rules, %+v, %v compared", s.Rungs, len(s.Rules), *s.Static, s.Fidelity.Share)
	}
	v, text := reflect.ValueOf(settings), ""
	for i := range v.NumField() {
		switch field := v.Field(i); field.Kind() {
		case reflect.Func, reflect.Pointer, reflect.Map, reflect.Slice:
		default:
			text += fmt.Sprintf(" %s=%v", v.Type().Field(i).Name, field.Interface())
		}
	}
	return text
}

// logged is a foreign layer that says what it wraps.
type logged struct{ next http.RoundTripper }

func (l logged) RoundTrip(req *http.Request) (*http.Response, error) { return l.next.RoundTrip(req) }
func (l logged) CloseIdleConnections()                               {}
func (l logged) Unwrap() http.RoundTripper                           { return l.next }

// silent is one that does not.
type silent struct{ next http.RoundTripper }

func (s silent) RoundTrip(req *http.Request) (*http.Response, error) { return s.next.RoundTrip(req) }
func (s silent) CloseIdleConnections()                               {}

// described is one that says what it is.
type described struct{ silent }

func (d described) Part() policy.Part         { return policy.Part{Kind: "hedge", Name: "mine"} }
func (d described) Unwrap() http.RoundTripper { return d.next }

// circular wraps itself.
type circular struct{ silent }

func (c *circular) Unwrap() http.RoundTripper { return c }

func TestInspectForeign(t *testing.T) {
	base := &http.Transport{}
	retry := transport.Retry(policy.Retry{})
	wrap := func(f func(next http.RoundTripper) http.RoundTripper) transport.Layer { return f }
	withLogged := wrap(func(next http.RoundTripper) http.RoundTripper { return logged{next} })
	withSilent := wrap(func(next http.RoundTripper) http.RoundTripper { return silent{next} })
	withDescribed := wrap(func(next http.RoundTripper) http.RoundTripper { return described{silent{next}} })
	withFunc := wrap(func(next http.RoundTripper) http.RoundTripper { return transport.Func(next.RoundTrip) })
	withBranch := wrap(func(next http.RoundTripper) http.RoundTripper { return bare{transport.Chain(next, retry)} })
	off := transport.Retry(policy.Retry{Off: true})
	plain := transport.Func(base.RoundTrip)
	byHost := func(newLayer func(string) transport.Layer) transport.Layer {
		return transport.PerKey(transport.Authority, newLayer)
	}
	tests := []struct {
		name string
		rt   http.RoundTripper
		want []string // kinds and names
	}{
		{"nothing", nil, []string{"base *http.Transport"}},
		{"no layer", base, []string{"base *http.Transport"}},
		{"one that unwraps", transport.Chain(base, withLogged, retry), []string{"foreign transport_test.logged", "retry", "base *http.Transport"}},
		{"one that does not", transport.Chain(base, retry, withSilent, retry), []string{"retry", "base transport_test.silent"}},
		{"one that says what it is", transport.Chain(base, withDescribed, retry), []string{"hedge mine", "retry", "base *http.Transport"}},
		{"a func", transport.Chain(base, retry, withFunc, retry), []string{"retry", "foreign transport.Func", "retry", "base *http.Transport"}},
		{"what it holds inside is passed over", transport.Chain(base, withBranch), []string{"foreign transport_test.bare", "base *http.Transport"}},
		{"a func as the base", transport.Chain(plain, retry), []string{"retry", "base transport.Func"}},
		{"off above a base that is a func", transport.Chain(plain, off), []string{"base transport.Func"}},
		{"off above a base that cannot be compared", transport.Chain(uncomparable{nil}, off, retry), []string{"retry", "base transport_test.uncomparable"}},
		{"off above one that can", transport.Chain(bare{base}, off), []string{"base transport_test.bare"}},
		{
			"per key", transport.Chain(base, byHost(func(string) transport.Layer { return retry }), withLogged),
			[]string{"retry per transport.Authority", "foreign transport_test.logged", "base *http.Transport"},
		},
		{"per key, none", transport.Chain(base, byHost(func(string) transport.Layer { return nil }), retry), []string{"retry", "base *http.Transport"}},
		{"per key, off", transport.Chain(base, byHost(func(string) transport.Layer { return off }), retry), []string{"retry", "base *http.Transport"}},
		{"per key, foreign", transport.Chain(base, byHost(func(string) transport.Layer {
			return func(next http.RoundTripper) http.RoundTripper { return transport.Chain(next, withFunc) }
		}), retry), []string{"foreign transport.Func per transport.Authority", "retry", "base *http.Transport"}},
		{"per key in per key", transport.Chain(base, byHost(func(string) transport.Layer {
			return func(next http.RoundTripper) http.RoundTripper {
				return transport.Chain(next, transport.PerKey(byMethod, func(string) transport.Layer { return retry }), withLogged)
			}
		}), retry), []string{"retry per transport_test.byMethod", "foreign transport_test.logged per transport.Authority", "retry", "base *http.Transport"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, p := range transport.Inspect(tt.rt) {
				text := string(p.Kind)
				if p.Name != "" {
					text += " " + p.Name
				}
				if p.Key != "" {
					text += " per " + p.Key
				}
				got = append(got, text)
			}
			assert.Equal(t, tt.want, got)
		})
	}
	t.Run("a circle", func(t *testing.T) {
		assert.LessOrEqual(t, len(transport.Inspect(&circular{})), 1000)
	})
}

func byMethod(req *http.Request) string { return req.Method }

// bare is a transport with nothing but its one method.
type bare struct{ inner http.RoundTripper }

func (b bare) RoundTrip(req *http.Request) (*http.Response, error) { return b.inner.RoundTrip(req) }

// uncomparable is one that == panics for.
type uncomparable struct{ errs []error }

func (uncomparable) RoundTrip(*http.Request) (*http.Response, error) { return nil, errDial }

func TestInspectFaultsInForce(t *testing.T) {
	faults := transport.NewFaults(policy.Faults{})
	rt := transport.Chain(&http.Transport{}, transport.Retry(policy.Retry{}), faults.Wrap)
	require.NoError(t, faults.Set(policy.Faults{Mix: []policy.Fault{{Kind: policy.FaultEOF, Rate: 1}}}))
	settings, ok := transport.Inspect(rt)[1].Settings.(policy.Faults)
	require.True(t, ok)
	assert.Len(t, settings.Mix, 1)
}

// TestLintLive: stacks that are put together by hand are looked at as they stand.
func TestLintLive(t *testing.T) {
	breaker := transport.NewBreaker(policy.Breaker{}).Wrap
	perHost := transport.PerKey(transport.Authority, func(key string) transport.Layer {
		return transport.NewBreaker(policy.Breaker{Name: key}).Wrap
	})
	retry := transport.Retry(policy.Retry{})
	tests := []struct {
		name   string
		layers []transport.Layer
		want   string
	}{
		{"good", []transport.Layer{retry, breaker}, ""},
		{"breaker around retry", []transport.Layer{breaker, retry}, "breaker around retry"},
		{"for each host, too", []transport.Layer{perHost, retry}, "breaker around retry"},
		{"one for each host and one for all", []transport.Layer{retry, perHost, breaker}, ""},
		{"twice for each host", []transport.Layer{retry, perHost, perHost}, "breaker around breaker"},
		{"standard twice", []transport.Layer{transport.Standard(policy.Stack{}), transport.Standard(policy.Stack{})}, "call around call"},
		{"cache inside", []transport.Layer{retry, transport.Standard(policy.Stack{Cache: &policy.Cache{}, Retry: policy.Retry{Off: true}})}, "retry around cache"},
		{
			"short total",
			[]transport.Layer{transport.Timeout(policy.Timeout{Scope: "call", Total: 10e9}), retry, transport.Timeout(policy.Timeout{})},
			"attempt timeout's FirstByte 10s must be below call timeout's Total 10s",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := transport.Lint(transport.Chain(nil, tt.layers...))
			if tt.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

// TestInspectLadder: a ladder shows its rungs in order, whoever made them.
func TestInspectLadder(t *testing.T) {
	none := func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
		return nil, telemetry.Answer{}, false
	}
	rules, err := fallback.New(*tickets())
	require.NoError(t, err)
	rt := transport.Chain(transporttest.NewUpstream(), fallback.Layer(
		fallback.Rung{Name: "mine", Answer: none}, rules.Rules(), fallback.Rung{Name: "other", Answer: none}, rules.Static()))
	require.NoError(t, transport.Lint(rt))
	settings, _ := transport.Inspect(rt)[0].Settings.(policy.Fallback)
	assert.Equal(t, []string{"mine", "rules", "other", "static"}, settings.Rungs)
	assert.Equal(t, "parcels", settings.Rules[0].Name)
	assert.Equal(t, "triage", settings.Static.Label)
	assert.Contains(t, transport.Explain(rt).String(), "mine, 1 rule, other, static")
}
