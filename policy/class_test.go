package policy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

func TestClassText(t *testing.T) {
	names := []string{
		"unknown", "ok", "rate_limited", "quota_exceeded", "unauthenticated", "forbidden", "overloaded",
		"timed_out", "unreachable", "interrupted", "truncated", "invalid", "not_found", "conflict",
		"filtered", "internal", "canceled", "refused",
	}
	classes := policy.Classes()
	if len(classes) != len(names) {
		t.Fatalf("Classes() has %d classes, want %d", len(classes), len(names))
	}
	for i, class := range classes {
		if class.String() != names[i] {
			t.Errorf("class %d = %q, want %q", i, class, names[i])
		}
		text, err := class.MarshalText()
		if err != nil || string(text) != names[i] {
			t.Errorf("MarshalText(%v) = %q, %v, want %q", class, text, err, names[i])
		}
		back := policy.Class(255)
		if err := back.UnmarshalText(text); err != nil || back != class {
			t.Errorf("UnmarshalText(%q) = %v, %v, want %v", text, back, err, class)
		}
	}
}

func TestClassTextUnknownName(t *testing.T) {
	for _, text := range []string{"", "OK", " ok", "rate-limited", "class(18)"} {
		class := policy.Internal
		err := class.UnmarshalText([]byte(text))
		if err == nil || class != policy.Internal {
			t.Errorf("UnmarshalText(%q) = %v, %v, want an error and the class as it was", text, class, err)
		}
	}
	if got := policy.Class(200).String(); got != "class(200)" {
		t.Errorf("Class(200) = %q, want %q", got, "class(200)")
	}
}

// TestClassKinds lists every class, so that a new one has to take a side.
func TestClassKinds(t *testing.T) {
	type kinds struct{ fault, outage bool }
	want := map[policy.Class]kinds{
		policy.Unknown:         {},
		policy.OK:              {},
		policy.RateLimited:     {outage: true},
		policy.QuotaExceeded:   {outage: true},
		policy.Unauthenticated: {outage: true},
		policy.Forbidden:       {},
		policy.Overloaded:      {outage: true},
		policy.TimedOut:        {fault: true, outage: true},
		policy.Unreachable:     {fault: true, outage: true},
		policy.Interrupted:     {fault: true, outage: true},
		policy.Truncated:       {fault: true, outage: true},
		policy.Invalid:         {},
		policy.NotFound:        {},
		policy.Conflict:        {},
		policy.Filtered:        {},
		policy.Internal:        {fault: true, outage: true},
		policy.Canceled:        {},
		policy.Refused:         {outage: true},
	}
	for _, class := range policy.Classes() {
		w, ok := want[class]
		if !ok {
			t.Errorf("class %v is not in the table", class)
		}
		if got := (kinds{class.IsFault(), class.IsOutage()}); got != w {
			t.Errorf("%v is %+v, want %+v", class, got, w)
		}
	}
}

func TestVerdictWords(t *testing.T) {
	for again, want := range map[policy.Again]string{
		policy.Nobody: "nobody", policy.Elsewhere: "elsewhere", policy.Anywhere: "anywhere", 9: "nobody",
	} {
		if got := again.String(); got != want {
			t.Errorf("Again(%d) = %q, want %q", again, got, want)
		}
	}
	for execution, want := range map[policy.Execution]string{
		policy.MaybeExecuted: "maybe", policy.NotExecuted: "no", policy.Executed: "yes", 9: "maybe",
	} {
		if got := execution.String(); got != want {
			t.Errorf("Execution(%d) = %q, want %q", execution, got, want)
		}
	}
	for state, want := range map[policy.BreakerState]string{
		policy.Closed: "closed", policy.Open: "open", policy.HalfOpen: "half_open", 9: "closed",
	} {
		if got := state.String(); got != want {
			t.Errorf("BreakerState(%d) = %q, want %q", state, got, want)
		}
	}
}

// What is said of an outcome is ours alone, and a wait only if the server named one.
func TestVerdictText(t *testing.T) {
	v := policy.Verdict{Class: policy.Overloaded, Again: policy.Anywhere, Code: "theirs", Message: "theirs", RequestID: "theirs"}
	assert.Equal(t, "overloaded, anywhere, maybe", v.String())
	v.Wait = 2 * time.Second
	assert.Equal(t, "overloaded, anywhere, maybe, wait 2s", v.String())
	assert.Equal(t, "policy.Verdict("+v.String()+")", fmt.Sprintf("%#v", v))
}
