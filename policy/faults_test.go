package policy_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

// mixed is a mix of faults that are more and less likely.
func mixed() []policy.Fault {
	return []policy.Fault{
		{Kind: policy.FaultRefused, Rate: 0.05},
		{Kind: policy.FaultStatus, Rate: 0.2},
		{Kind: policy.FaultStall, Rate: 0.01},
		{Kind: policy.FaultTruncate, Rate: 0.1},
	}
}

// trace returns the kinds of the first fates.
func trace(f policy.Faults, length int) []policy.FaultKind {
	kinds := make([]policy.FaultKind, length)
	for i := range kinds {
		kinds[i] = f.Fate(uint64(i) + 1).Kind
	}
	return kinds
}

// The nth request of a seed meets the same fault in every run and in every
// version.
func TestFaultsFateIsPinned(t *testing.T) {
	got := make([]string, 0, 20)
	for _, kind := range trace(policy.Faults{Seed: 1, Mix: mixed()}, 20) {
		got = append(got, string(kind))
	}
	const want = ",,refused,,status,,,status,status,status,,,status,,,truncate,,,,status"
	if got := strings.Join(got, ","); got != want {
		t.Errorf("the first fates are %s, want %s", got, want)
	}
}

func TestFaultsFateDependsOnSeedAndNumberAlone(t *testing.T) {
	const length = 1000
	one, same, other := policy.Faults{Seed: 1, Mix: mixed()}, policy.Faults{Seed: 1, Mix: mixed()}, policy.Faults{Seed: 2, Mix: mixed()}
	forwards := trace(one, length)
	backwards := make([]policy.FaultKind, length)
	for i := length - 1; i >= 0; i-- {
		backwards[i] = same.Fate(uint64(i) + 1).Kind
	}
	if !slices.Equal(forwards, backwards) {
		t.Error("the same seed gives another trace when the fates are asked for in another order")
	}
	if slices.Equal(forwards, trace(other, length)) {
		t.Error("another seed gives the same trace")
	}
}

// A test that fails with a mix can be given more faults and still fail.
func TestFaultsFateKeepsWhatStruckBefore(t *testing.T) {
	before := policy.Faults{Seed: 7, Mix: mixed()}
	after := policy.Faults{Seed: 7, Mix: append(mixed(), policy.Fault{Kind: policy.FaultEOF, Rate: 0.3})}
	struck := 0
	for n := range uint64(1000) {
		was, is := before.Fate(n).Kind, after.Fate(n).Kind
		if was != policy.NoFault && is != was {
			t.Fatalf("request %d meets %q, before the mix grew %q", n, is, was)
		}
		if is == policy.FaultEOF {
			struck++
		}
	}
	if struck == 0 {
		t.Error("the new fault never strikes")
	}
}

// The faults come at their rates: χ² stays below the value that chance exceeds
// once in ten thousand times. The seeds are fixed, so is the outcome.
func TestFaultsFateKeepsRates(t *testing.T) {
	const (
		requests = 20_000
		critical = 23.51 // 4 degrees of freedom, p = 0.0001
	)
	for _, seed := range []uint64{0, 1, 2, 3, 1 << 32, math.MaxUint64} {
		f := policy.Faults{Seed: seed, Mix: mixed()}
		count := map[policy.FaultKind]float64{}
		for _, kind := range trace(f, requests) {
			count[kind]++
		}
		rest, chi2 := 1.0, 0.0
		add := func(kind policy.FaultKind, rate float64) {
			expected := rate * requests
			chi2 += (count[kind] - expected) * (count[kind] - expected) / expected
		}
		for _, fault := range f.Mix {
			add(fault.Kind, fault.Rate)
			rest -= fault.Rate
		}
		add(policy.NoFault, rest)
		if chi2 > critical {
			t.Errorf("seed %d: χ² = %.1f, want at most %v: %v", seed, chi2, critical, count)
		}
	}
}

// A fault tells nothing about the next one: pairs of requests are as frequent as
// their parts make them.
func TestFaultsFateHasNoMemory(t *testing.T) {
	const pairs = 20_000
	f := policy.Faults{Seed: 42, Mix: []policy.Fault{{Kind: policy.FaultEOF, Rate: 0.5}}}
	var count [2][2]float64
	last := 0
	for n := range uint64(pairs) {
		next := 0
		if f.Fate(n).Kind == policy.FaultEOF {
			next = 1
		}
		count[last][next]++
		last = next
	}
	chi2 := 0.0
	for _, row := range count {
		for _, n := range row {
			chi2 += (n - pairs/4) * (n - pairs/4) / (pairs / 4)
		}
	}
	if chi2 > 21.11 { // 3 degrees of freedom, p = 0.0001
		t.Errorf("χ² = %.1f, want at most 21.11: %v", chi2, count)
	}
}

func TestFaultsFateAtTheBounds(t *testing.T) {
	for n := range uint64(1000) {
		if got := (policy.Faults{Seed: 3}).Fate(n); got.Kind != policy.NoFault {
			t.Fatalf("request %d meets %q without a mix", n, got.Kind)
		}
		always := policy.Faults{Mix: []policy.Fault{{Kind: policy.FaultEOF}, {Kind: policy.FaultReset, Rate: 1}}}
		if got := always.Fate(n); got.Kind != policy.FaultReset {
			t.Fatalf("request %d meets %q, want %q, whose rate is 1", n, got.Kind, policy.FaultReset)
		}
	}
}

func TestFaultWithDefaults(t *testing.T) {
	tests := []struct{ fault, want policy.Fault }{
		{policy.Fault{}, policy.Fault{}},
		{policy.Fault{Kind: policy.FaultRefused}, policy.Fault{Kind: policy.FaultRefused}},
		{policy.Fault{Kind: policy.FaultStatus}, policy.Fault{Kind: policy.FaultStatus, Status: 503}},
		{policy.Fault{Kind: policy.FaultStatus, Status: 429}, policy.Fault{Kind: policy.FaultStatus, Status: 429}},
		{policy.Fault{Kind: policy.FaultDrip}, policy.Fault{Kind: policy.FaultDrip, Bytes: 1, Every: 100 * time.Millisecond}},
		{policy.Fault{Kind: policy.FaultLength}, policy.Fault{Kind: policy.FaultLength, Bytes: 1}},
		{policy.Fault{Kind: policy.FaultLength, Bytes: -1}, policy.Fault{Kind: policy.FaultLength, Bytes: -1}},
		{policy.Fault{Kind: policy.FaultTruncate}, policy.Fault{Kind: policy.FaultTruncate}},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, tt.fault.WithDefaults())

		cfg := policy.Faults{Mix: []policy.Fault{tt.fault}}
		require.Equal(t, tt.want, cfg.WithDefaults().Mix[0])
		require.Equal(t, tt.fault, cfg.Mix[0], "the caller's mix has changed")
	}
}

func TestFaultsValidate(t *testing.T) {
	const s = time.Second
	fault := func(f policy.Fault) policy.Faults { return policy.Faults{Mix: []policy.Fault{f}} }
	rates := func(rates ...float64) policy.Faults {
		var f policy.Faults
		for _, rate := range rates {
			f.Mix = append(f.Mix, policy.Fault{Kind: policy.FaultEOF, Rate: rate})
		}
		return f
	}
	tests := []struct {
		faults policy.Faults
		want   string // after "policy: Faults.Mix[0]."; "" if it is right
	}{
		{policy.Faults{}, ""},
		{policy.Faults{Off: true, Seed: 5}, ""},

		{rates(0), ""},
		{rates(1), ""},
		{rates(-0.1), "Rate is -0.1, want 0 to 1"},
		{rates(math.NaN()), "Rate is NaN, want 0 to 1"},
		{rates(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1), ""},

		{fault(policy.Fault{}), `Kind is "", want one`},
		{fault(policy.Fault{Kind: "gremlin", Status: 7}), `Kind is "gremlin", want one of ["refused" "reset" "eof" "status" "latency" "stall" "drip" "truncate" "stall_body" "reset_body" "length"]`},

		{fault(policy.Fault{Kind: policy.FaultRefused, Delay: s}), ""},
		{fault(policy.Fault{Kind: policy.FaultRefused, Delay: -s}), "Delay is -1s, want at least 0"},
		{fault(policy.Fault{Kind: policy.FaultLatency, Delay: s}), ""},
		{fault(policy.Fault{Kind: policy.FaultLatency}), "Delay is 0s, want above 0"},

		{fault(policy.Fault{Kind: policy.FaultReset, Sent: true}), ""},
		{fault(policy.Fault{Kind: policy.FaultEOF, Sent: true}), `Sent is true, want none with Kind "eof"`},

		{fault(policy.Fault{Kind: policy.FaultStatus, Sent: true}), ""},
		{fault(policy.Fault{Kind: policy.FaultStatus, Status: 200}), ""},
		{fault(policy.Fault{Kind: policy.FaultStatus, Status: 599}), ""},
		{fault(policy.Fault{Kind: policy.FaultStatus, Status: 199}), "Status is 199, want 200 to 599"},
		{fault(policy.Fault{Kind: policy.FaultStatus, Status: 600}), "Status is 600, want 200 to 599"},
		{fault(policy.Fault{Kind: policy.FaultStatus, Status: 204}), ""},
		{fault(policy.Fault{Kind: policy.FaultStatus, Status: 204, Body: "no"}), "Body is 2 bytes long, want none with Status 204"},
		{fault(policy.Fault{Kind: policy.FaultStatus, Status: 304, Body: "no"}), "Body is 2 bytes long, want none with Status 304"},
		{fault(policy.Fault{Kind: policy.FaultReset, Status: 500}), `Status is 500, want none with Kind "reset"`},
		{fault(policy.Fault{Kind: policy.FaultReset, Header: map[string]string{"A": "b"}}), `Header is map[A:b], want none with Kind "reset"`},
		{fault(policy.Fault{Kind: policy.FaultReset, Body: "no"}), `Body is 2 bytes long, want none with Kind "reset"`},

		{fault(policy.Fault{Kind: policy.FaultDrip, Bytes: 8, Every: s}), ""},
		{fault(policy.Fault{Kind: policy.FaultDrip, Bytes: -1}), "Bytes is -1, want above 0"},
		{fault(policy.Fault{Kind: policy.FaultDrip, Every: -s}), "Every is -1s, want above 0"},
		{fault(policy.Fault{Kind: policy.FaultStallBody, Every: s}), `Every is 1s, want none with Kind "stall_body"`},

		{fault(policy.Fault{Kind: policy.FaultTruncate, Bytes: 0}), ""},
		{fault(policy.Fault{Kind: policy.FaultTruncate, Bytes: -1}), "Bytes is -1, want at least 0"},
		{fault(policy.Fault{Kind: policy.FaultStallBody, Bytes: -1}), "Bytes is -1, want at least 0"},
		{fault(policy.Fault{Kind: policy.FaultResetBody, Bytes: -1}), "Bytes is -1, want at least 0"},
		{fault(policy.Fault{Kind: policy.FaultLength, Bytes: -1}), ""},
		{fault(policy.Fault{Kind: policy.FaultStall, Bytes: 1}), `Bytes is 1, want none with Kind "stall"`},
	}
	for _, tt := range tests {
		name := "right"
		if tt.want != "" {
			name = strings.Fields(tt.want)[0]
			tt.want = "policy: Faults.Mix[0]." + tt.want
		}
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := tt.faults.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("Validate() of %+v =\n%s\nwant\n%s", tt.faults, got, tt.want)
			}
		})
	}
}

func TestFaultsValidateReportsEverything(t *testing.T) {
	err := policy.Faults{Mix: []policy.Fault{
		{Kind: policy.FaultStatus, Rate: 0.7, Status: 42, Delay: -1, Bytes: 3},
		{Kind: policy.FaultEOF, Rate: 1.5},
	}}.Validate()
	require.EqualError(t, err, strings.Join([]string{
		"policy: Faults.Mix[0].Delay is -1ns, want at least 0",
		"policy: Faults.Mix[0].Status is 42, want 200 to 599",
		`policy: Faults.Mix[0].Bytes is 3, want none with Kind "status"`,
		"policy: Faults.Mix[1].Rate is 1.5, want 0 to 1",
		"policy: the rates of Faults.Mix sum up to 2.2, want at most 1",
	}, "\n"))
}

func TestFaultValidate(t *testing.T) {
	require.NoError(t, policy.Fault{}.Validate(), "no fault is right")
	require.NoError(t, policy.Fault{Kind: policy.FaultEOF, Rate: 42}.Validate(), "the rate counts in a mix only")
	require.EqualError(t, policy.Fault{Delay: time.Second}.Validate(), `policy: Fault.Delay is 1s, want none with Kind ""`)
}

func TestFaultKinds(t *testing.T) {
	for _, kind := range policy.FaultKinds() {
		f := policy.Fault{Kind: kind, Delay: time.Second}
		require.NoError(t, f.Validate(), kind)
	}
}

// A fault is plain data.
func TestFaultFromText(t *testing.T) {
	want := policy.Fault{
		Kind: policy.FaultStatus, Rate: 0.1, Delay: time.Second, Sent: true,
		Status: 429, Header: map[string]string{"Retry-After": "2"}, Body: "busy",
	}
	text, err := json.Marshal(want)
	require.NoError(t, err)
	var got policy.Fault
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, want, got)
}

// What happens to a request is known before it is sent.
func ExampleFaults_Fate() {
	faults := policy.Faults{Seed: 1, Mix: []policy.Fault{
		{Kind: policy.FaultStatus, Rate: 0.2},
		{Kind: policy.FaultTruncate, Rate: 0.1},
	}}
	for n := range uint64(10) {
		fmt.Printf("%d: %q\n", n+1, faults.Fate(n+1).Kind)
	}
	// Output:
	// 1: ""
	// 2: ""
	// 3: "status"
	// 4: ""
	// 5: "truncate"
	// 6: ""
	// 7: ""
	// 8: "truncate"
	// 9: "status"
	// 10: "truncate"
}
