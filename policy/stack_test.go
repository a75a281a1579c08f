package policy_test

import (
	"context"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

// withoutFuncs sets the classifiers of s to nil, since funcs cannot be compared.
func withoutFuncs(s policy.Stack) policy.Stack {
	s.Classify, s.Retry.Classify, s.Breaker.Classify, s.Limit.Classify = nil, nil, nil, nil
	if s.Cache != nil {
		s.Cache.Classify = nil
	}
	if s.Fallback != nil {
		s.Fallback.Classify = nil
	}
	return s
}

func TestDefault(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	want := policy.Stack{
		Total: 30 * s,
		Retry: policy.Retry{
			Attempts:    3,
			Backoff:     policy.Backoff{Base: 100 * ms, Max: 20 * s, Factor: 2},
			Throttled:   policy.Backoff{Base: 1 * s, Max: 20 * s, Factor: 2},
			MaxWait:     60 * s,
			Budget:      policy.Budget{Ratio: 0.1, PerSecond: 1, Burst: 20},
			ReplayBytes: 1 << 20,
			BufferBytes: 64 << 10,
			DrainBytes:  64 << 10,
			DrainTime:   50 * ms,
		},
		Breaker: policy.Breaker{
			Ratio: 0.5, MinCalls: 10, Window: 30 * s,
			OpenFor: 5 * s, MaxOpenFor: 60 * s,
			Jitter: 0.1, Probes: 3, ProbeLease: 15 * s, Patience: 2 * s, TolerateTimeouts: true,
		},
		Limit: policy.Limit{
			Adaptive: policy.Adaptive{Initial: 200, Min: 2, Max: 1000, Tolerance: 2.5},
			MaxQueue: 1000, MaxWait: 6 * s,
		},
		Streams: &policy.Streams{HoldTime: 5 * s},
		Attempt: policy.Timeout{Scope: "attempt", FirstByte: 10 * s, Idle: 30 * s},
	}
	assert.Equal(t, want, withoutFuncs(policy.Stack{}.WithDefaults()))
	assert.Equal(t, want, withoutFuncs(policy.Default().WithDefaults().WithDefaults()), "defaults are filled once")
	assert.NoError(t, policy.Default().Validate())
}

func TestStackDerivedDefaults(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name          string
		stack         policy.Stack
		wantFirstByte time.Duration
		wantWindow    time.Duration
	}{
		{"standard", policy.Stack{}, 10 * s, 30 * s},
		{"short total", policy.Stack{Total: 8 * s}, 4 * s, 30 * s},
		{"total of twice ten seconds", policy.Stack{Total: 20 * s}, 10 * s, 30 * s},
		{"a nanosecond or two less", policy.Stack{Total: 20*s - 2}, 10*s - 1, 30 * s},
		{"long total", policy.Stack{Total: time.Hour}, 10 * s, 30 * s},
		{"no total", policy.Stack{Total: -1}, 10 * s, 30 * s},
		{"patient attempts", policy.Stack{Total: time.Hour, Attempt: policy.Timeout{FirstByte: 20 * s}}, 20 * s, 40 * s},
		{"attempts half as patient as the window", policy.Stack{Attempt: policy.Timeout{FirstByte: 15 * s}}, 15 * s, 30 * s},
		{"no bound to the first byte", policy.Stack{Attempt: policy.Timeout{FirstByte: -1}}, -1, 30 * s},
		{"attempts that last for ever", policy.Stack{Total: -1, Attempt: policy.Timeout{FirstByte: math.MaxInt64}}, math.MaxInt64, math.MaxInt64},
		{"attempts with a short total", policy.Stack{Attempt: policy.Timeout{Total: 3 * s}}, 3 * s, 30 * s},
		{"attempts with a long total", policy.Stack{Total: 8 * s, Attempt: policy.Timeout{Total: 6 * s}}, 4 * s, 30 * s},
		{"own window", policy.Stack{Total: time.Hour, Attempt: policy.Timeout{FirstByte: 20 * s}, Breaker: policy.Breaker{Window: 25 * s}}, 20 * s, 25 * s},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.stack.WithDefaults()
			if got.Attempt.FirstByte != tt.wantFirstByte || got.Breaker.Window != tt.wantWindow {
				t.Errorf("FirstByte = %v, Window = %v, want %v and %v",
					got.Attempt.FirstByte, got.Breaker.Window, tt.wantFirstByte, tt.wantWindow)
			}
			if err := tt.stack.Validate(); err != nil {
				t.Errorf("Validate() = %v, want nil", err)
			}
		})
	}
}

func TestDefaultsKeepTheirOwnBounds(t *testing.T) {
	tests := []struct {
		name      string
		got, want any
		err       error
	}{
		{
			"longest backoff", policy.Retry{Backoff: policy.Backoff{Base: time.Minute}}.WithDefaults().Backoff.Max,
			time.Minute, policy.Retry{Backoff: policy.Backoff{Base: time.Minute}}.Validate(),
		},
		{
			"longest open time", policy.Breaker{OpenFor: 2 * time.Minute}.WithDefaults().MaxOpenFor,
			2 * time.Minute, policy.Breaker{OpenFor: 2 * time.Minute}.Validate(),
		},
		{
			"largest cache entry", policy.Cache{MaxBytes: 1000}.WithDefaults().MaxEntryBytes,
			int64(1000), policy.Cache{MaxBytes: 1000}.Validate(),
		},
		{
			"first byte", policy.Timeout{Total: time.Second}.WithDefaults().FirstByte,
			time.Second, policy.Timeout{Total: time.Second}.Validate(),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, tt.got)
			assert.NoError(t, tt.err)
		})
	}
}

// What follows from a field does so when that is changed.
func TestDefaultFollows(t *testing.T) {
	stack := policy.Default()
	assert.True(t, stack.WithDefaults().Breaker.TolerateTimeouts)
	stack.Limit.InFlight, stack.Total = 50, 8*time.Second
	stack.Classify = func(policy.Outcome) policy.Verdict { return policy.Verdict{Class: policy.Conflict} }
	got := stack.WithDefaults()
	assert.False(t, got.Breaker.TolerateTimeouts)
	assert.Equal(t, 4*time.Second, got.Attempt.FirstByte)
	for layer, classify := range map[string]policy.Classifier{
		"retry": got.Retry.Classify, "breaker": got.Breaker.Classify, "limit": got.Limit.Classify,
	} {
		assert.Equal(t, policy.Conflict, classify(policy.Outcome{Status: 200}).Class, layer)
	}
}

func TestStackClassifiers(t *testing.T) {
	classifier := func(c policy.Class) policy.Classifier {
		return func(policy.Outcome) policy.Verdict { return policy.Verdict{Class: c} }
	}
	stack := policy.Stack{
		Classify: classifier(policy.Conflict),
		Breaker:  policy.Breaker{Classify: classifier(policy.Filtered)},
		Cache:    &policy.Cache{},
		Fallback: &policy.Fallback{},

		Responses: &policy.Responses{},
	}
	got := stack.WithDefaults()
	for name, layer := range map[string]struct {
		classify policy.Classifier
		want     policy.Class
	}{
		"stack":     {got.Classify, policy.Conflict},
		"retry":     {got.Retry.Classify, policy.Conflict},
		"breaker":   {got.Breaker.Classify, policy.Filtered},
		"cache":     {got.Cache.Classify, policy.Conflict},
		"fallback":  {got.Fallback.Classify, policy.Conflict},
		"responses": {got.Responses.Classify, policy.Conflict},
	} {
		if class := layer.classify(policy.Outcome{}).Class; class != layer.want {
			t.Errorf("%s: classifier says %v, want %v", name, class, layer.want)
		}
	}
	if got := policy.Default().WithDefaults().Classify(policy.Outcome{Status: 429}).Class; got != policy.RateLimited {
		t.Errorf("default classifier says %v, want %v", got, policy.RateLimited)
	}
}

func TestWithDefaultsLeavesTheSettingsAlone(t *testing.T) {
	stack := policy.Stack{Cache: &policy.Cache{}, Fallback: &policy.Fallback{}, Responses: &policy.Responses{}}
	filled := stack.WithDefaults()
	if !reflect.DeepEqual(stack, policy.Stack{Cache: &policy.Cache{}, Fallback: &policy.Fallback{}, Responses: &policy.Responses{}}) {
		t.Errorf("the settings became %+v", stack)
	}
	if filled.Responses.MaxWait != 60*time.Second || filled.Responses.Body == nil {
		t.Errorf("responses %+v have no defaults", filled.Responses)
	}
	if filled.Cache.MaxBytes != 64<<20 || filled.Fallback.MaxConfidence != 0.55 {
		t.Errorf("cache %+v and fallback %+v have no defaults", filled.Cache, filled.Fallback)
	}
}

func TestCallOf(t *testing.T) {
	call := policy.Call{Function: "ticket_routing", Model: "m1", Identity: "acme", Replayable: true}
	ctx := policy.WithCall(t.Context(), call)
	if got := policy.CallOf(ctx); got != call {
		t.Errorf("CallOf = %+v, want %+v", got, call)
	}
	derived, cancel := context.WithCancel(ctx)
	defer cancel()
	if got := policy.CallOf(derived); got != call {
		t.Errorf("CallOf a derived context = %+v, want %+v", got, call)
	}
	if got := policy.CallOf(policy.WithCall(ctx, policy.Call{})); got != (policy.Call{}) {
		t.Errorf("CallOf = %+v, want the later one", got)
	}
	if got := policy.CallOf(t.Context()); got != (policy.Call{}) {
		t.Errorf("CallOf = %+v, want none", got)
	}
}
