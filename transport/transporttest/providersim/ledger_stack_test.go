package providersim_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
	"github.com/sparekey/sparekey/transport/transporttest/providersim"
)

// TestLedgerOfStacks is [TestLedger] for whole stacks with two endpoints, some with
// hedges, whose servers fail as chance will have it: 100 stacks, with 100 calls
// each, three at a time.
func TestLedgerOfStacks(t *testing.T) {
	const stacks, calls = 100, 100
	attempts := 0
	for seed := range uint64(stacks) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			sims := []*providersim.Server{randomServer(random), randomServer(random)}
			maybe, made := callStack(t, random, sims, calls)
			billed, met := 0, 0
			for _, sim := range sims {
				billed += sim.Stats().Billed
				met += sim.Stats().Calls
			}
			assert.Equal(t, met, made, "seed %d", seed)
			assert.Equal(t, billed, maybe, "seed %d", seed)
			attempts += made
		})
	}
	assert.Greater(t, attempts, stacks*calls, "calls are repeated")
}

// randomServer returns a server that fails by chance, at times in all ways, and may
// be slow, and may have a limit and a quota.
func randomServer(random *rand.Rand) *providersim.Server {
	cfg := providersim.Config{Faults: providersim.Faults{}, Seed: random.Uint64()}
	for _, kind := range []providersim.Fault{
		providersim.RateLimited, providersim.Overloaded, providersim.Internal, providersim.Reset,
		providersim.Stalled, providersim.Truncated, providersim.Unfinished, providersim.StreamError,
	} {
		if random.IntN(2) == 0 {
			cfg.Faults[kind] = random.Float64() / 8
		}
	}
	cfg.Latency = time.Duration(random.IntN(500)) * time.Millisecond
	if random.IntN(3) == 0 {
		cfg.Limit = providersim.Limit{PerSecond: 1 + 20*random.Float64(), Burst: 1 + random.IntN(20)}
	}
	if random.IntN(5) == 0 {
		cfg.Quota = 1 + random.IntN(50)
	}
	return providersim.New(cfg)
}

// callStack makes n calls to sims through a stack, and returns how many of their
// attempts may have been billed, and how many there were.
func callStack(t *testing.T, random *rand.Rand, sims []*providersim.Server, n int) (maybe, attempts int) {
	t.Helper()
	byHost := make(map[string]http.Handler)
	failover := &policy.Failover{}
	for i, sim := range sims {
		host := fmt.Sprintf("e%d.test", i)
		byHost[host] = sim
		failover.Endpoints = append(failover.Endpoints, policy.Endpoint{Name: host, URL: "http://" + host})
	}
	server := transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { byHost[r.Host].ServeHTTP(w, r) }))
	stack := policy.Stack{Failover: failover, Attempt: policy.Timeout{FirstByte: time.Second, Idle: time.Second}}
	if random.IntN(2) == 0 {
		stack.Hedge = &policy.Hedge{Delay: 200 * time.Millisecond}
	}
	client := transport.Wrap(server.Client(), transport.Standard(stack))

	trails := make([]*telemetry.Trail, n)
	turns := make(chan struct{}, 3)
	var wg sync.WaitGroup
	for i := range trails {
		time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
		turns <- struct{}{}
		wg.Go(func() {
			ctx, trail := telemetry.NewContext(policy.WithCall(t.Context(), policy.Call{Replayable: i%3 > 0}))
			ask(t, ctx, client, failover.Endpoints[0].URL, i%2 > 0)
			trails[i] = trail
			<-turns
		})
	}
	wg.Wait()
	time.Sleep(time.Minute) // what is left over of hedges ends
	for _, trail := range trails {
		require.Len(t, trail.Attempts(), trail.AttemptCount())
		for _, a := range trail.Attempts() {
			if a.Verdict.Executed != policy.NotExecuted {
				maybe++
			}
		}
		attempts += trail.AttemptCount()
	}
	return maybe, attempts
}
