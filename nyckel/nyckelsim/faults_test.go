package nyckelsim_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func TestFaultsAreChecked(t *testing.T) {
	tests := []struct {
		name   string
		faults nyckelsim.Faults
		want   string // in the error; empty: none
	}{
		{"none", nyckelsim.Faults{}, ""},
		{"all", nyckelsim.Faults{RateLimited: .1, Unavailable: .2, Internal: .1, BadGateway: .2, Stall: .1, Truncate: .2, Reset: .1}, ""},
		{"negative", nyckelsim.Faults{RateLimited: -.1}, "rate_limited"},
		{"above one", nyckelsim.Faults{Unavailable: 1.1}, "unavailable"},
		{"not a number", nyckelsim.Faults{Reset: math.NaN()}, "reset"},
		{"too much together", nyckelsim.Faults{Internal: .6, Stall: .6}, "sum"},
		{"negative latency", nyckelsim.Faults{Latency: -1}, "Latency"},
		{"negative factor", nyckelsim.Faults{LatencyFactor: -1}, "LatencyFactor"},
		{"factor not a number", nyckelsim.Faults{LatencyFactor: math.NaN()}, "LatencyFactor"},
		{"infinite factor", nyckelsim.Faults{LatencyFactor: math.Inf(1)}, "LatencyFactor"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim := nyckelsim.New(nyckelsim.Config{})
			err := sim.SetFaults(tt.faults)
			if tt.want == "" {
				require.NoError(t, err)
				assert.Equal(t, tt.faults, sim.Faults())
				return
			}
			assert.ErrorContains(t, err, tt.want)
			assert.Equal(t, nyckelsim.Faults{}, sim.Faults(), "nothing has changed")
		})
	}
}

func TestFaultAnswers(t *testing.T) {
	tests := []struct {
		kind        nyckelsim.FaultKind
		faults      nyckelsim.Faults
		wantStatus  int // 0: the connection is dropped
		contentType string
	}{
		{nyckelsim.FaultRateLimited, nyckelsim.Faults{RateLimited: 1}, 429, "application/json"},
		{nyckelsim.FaultUnavailable, nyckelsim.Faults{Unavailable: 1}, 503, "application/json"},
		{nyckelsim.FaultInternal, nyckelsim.Faults{Internal: 1}, 500, "application/json"},
		{nyckelsim.FaultBadGateway, nyckelsim.Faults{BadGateway: 1}, 502, "text/html"},
		{nyckelsim.FaultTruncate, nyckelsim.Faults{Truncate: 1}, 0, ""},
		{nyckelsim.FaultReset, nyckelsim.Faults{Reset: 1}, 0, ""},
	}
	for _, tt := range tests {
		t.Run(string(tt.kind), func(t *testing.T) {
			c, function := newTrained(t, nyckelsim.Config{Rate: -1, Quota: 1})
			require.NoError(t, c.sim.SetFaults(tt.faults))
			got := c.invoke(function, "parcel")
			assert.Equal(t, tt.wantStatus, got.status)
			assert.Equal(t, tt.wantStatus == 0, got.aborted)
			if tt.wantStatus != 0 {
				assert.Equal(t, tt.contentType, got.header.Get("Content-Type"))
			}
			if tt.contentType == "application/json" {
				assert.NotEmpty(t, got.message())
			}
			assert.Equal(t, 200, requestToken(t, c.sim, "sim-client", "sim-secret").status, "tokens are healthy")
			assert.Equal(t, 200, c.do("GET", "/v1/functions/"+function+"/samples", "").status, "all but invokes are healthy")
			assert.Equal(t, map[nyckelsim.FaultKind]int{tt.kind: 1}, c.sim.Stats().ByFault)

			require.NoError(t, c.sim.SetFaults(nyckelsim.Faults{}))
			want := 200
			if tt.kind == nyckelsim.FaultTruncate {
				want = 402 // the invoke that was cut was charged
			}
			assert.Equal(t, want, c.invoke(function, "parcel").status)
		})
	}
}

func TestTruncatedAnswer(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1})
	whole := c.invoke(function, "parcel").raw
	require.NoError(t, c.sim.SetFaults(nyckelsim.Faults{Truncate: 1}))
	got := c.invoke(function, "parcel")
	assert.NotEmpty(t, got.raw)
	assert.Less(t, len(got.raw), len(whole))
	assert.True(t, strings.HasPrefix(whole, got.raw))

	assert.Equal(t, 400, c.do("POST", invokePath(function), `{}`).status, "only an answer can be cut")
}

func TestFaultsStrikeWrongInvokesToo(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1, Faults: nyckelsim.Faults{Unavailable: 1}})
	assert.Equal(t, 503, c.do("POST", invokePath(function), `{"data":1}`).status)
	assert.Equal(t, 503, c.invoke("nobody", "parcel").status)
}

// fates returns what became of each text's first, second and third arrival.
// Texts arrive in an order of the caller's, each one's arrivals one by one.
func fates(c *client, function string, texts []string, concurrently bool) map[string][3]int {
	var mu sync.Mutex
	all := map[string][3]int{}
	one := func(text string) {
		var statuses [3]int
		for n := range statuses {
			statuses[n] = c.invoke(function, text).status
		}
		mu.Lock()
		all[text] = statuses
		mu.Unlock()
	}
	var wg sync.WaitGroup
	for _, text := range texts {
		if concurrently {
			wg.Go(func() { one(text) })
		} else {
			one(text)
		}
	}
	wg.Wait()
	return all
}

func TestSameSeedSameFaults(t *testing.T) {
	faults := nyckelsim.Faults{Name: "storm", RateLimited: .1, Unavailable: .1, Internal: .1, BadGateway: .1, Reset: .1}
	var texts []string
	for i := range 200 {
		texts = append(texts, fmt.Sprint("text ", i))
	}
	shuffled := make([]string, len(texts))
	for to, from := range rand.Perm(len(texts)) {
		shuffled[to] = texts[from]
	}
	start := func(seed uint64, name string) (*client, string) {
		c, function := newTrained(t, nyckelsim.Config{Rate: -1, Concurrency: -1, Seed: seed})
		faults.Name = name
		require.NoError(t, c.sim.SetFaults(faults))
		return c, function
	}

	c, function := start(1, "storm")
	want := fates(c, function, texts, false)
	struck := 0
	for _, statuses := range want {
		for _, status := range statuses {
			if status != 200 {
				struck++
			}
		}
	}
	assert.InDelta(t, 300, struck, 60, "half of 600")

	require.NoError(t, c.sim.SetFaults(c.sim.Faults()))
	assert.Equal(t, want, fates(c, function, texts, false), "SetFaults starts over")
	assert.NotEqual(t, want, fates(c, function, texts, false), "later arrivals have other fates")

	c, function = start(1, "storm")
	assert.Equal(t, want, fates(c, function, shuffled, true), "order and concurrency do not matter")
	c, function = start(2, "storm")
	assert.NotEqual(t, want, fates(c, function, texts, false), "the seed does")
	c, function = start(1, "gale")
	assert.NotEqual(t, want, fates(c, function, texts, false), "the name does")
}

func TestFateIgnoresFormOfRequest(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1})
	forms := []func(text string) answer{
		func(text string) answer { return c.invoke(function, text) },
		func(text string) answer { return c.invoke("tickets", text) },
		func(text string) answer {
			return c.do("POST", invokePath(function)+"?labelCount=2", ` { "externalId": "x", "data" : `+quote(text)+` } `)
		},
	}
	var want []int
	for i, form := range forms {
		require.NoError(t, c.sim.SetFaults(nyckelsim.Faults{Unavailable: .5}))
		var got []int
		for n := range 50 {
			got = append(got, form(fmt.Sprint("text ", n)).status)
		}
		if i == 0 {
			want = got
		}
		assert.Equal(t, want, got, "form %d", i)
	}
}

func TestRefusingHandler(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1})
	require.NoError(t, c.sim.SetFaults(nyckelsim.Faults{Refuse: true}))
	assert.True(t, c.invoke(function, "parcel").aborted)
	assert.True(t, c.do("GET", "/v1/functions", "").aborted, "not invokes only")
	assert.True(t, requestToken(t, c.sim, "sim-client", "sim-secret").aborted)
	assert.Equal(t, 3, c.sim.Stats().ByFault[nyckelsim.FaultRefuse])
	require.NoError(t, c.sim.SetFaults(nyckelsim.Faults{}))
	assert.Equal(t, 200, c.invoke(function, "parcel").status)
}
