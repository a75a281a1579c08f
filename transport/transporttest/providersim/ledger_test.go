package providersim_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
	"github.com/sparekey/sparekey/transport/transporttest/providersim"
)

// everyFault strikes two calls of three. Only dropped connections, which nobody
// can tell from a lost answer, are left out.
var everyFault = providersim.Faults{
	providersim.RateLimited: 0.1, providersim.Overloaded: 0.1, providersim.Internal: 0.1, providersim.Reset: 0.1,
	providersim.Stalled: 0.1, providersim.Truncated: 0.1, providersim.StreamError: 0.05,
}

// TestLedger compares what the trails of calls say may have been billed with what
// the server has billed, over 10,000 calls and their retries.
func TestLedger(t *testing.T) {
	for _, dialect := range []providersim.Dialect{providersim.OpenAI, providersim.Azure, providersim.Nyckel, providersim.Anthropic} {
		t.Run(string(dialect), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faults := everyFault
				if dialect == providersim.Anthropic {
					faults = without(faults, providersim.Overloaded) // its 529 does not say that nothing was done
				}
				sim := providersim.New(providersim.Config{Dialect: dialect, Faults: faults, Seed: 5})
				maybe, attempts := calls(t, sim, 2500)
				stats := sim.Stats()
				require.Equal(t, attempts, stats.Calls)
				require.Greater(t, attempts, 3000, "calls are repeated")
				require.Equal(t, stats.Billed, maybe)
				require.Len(t, stats.ByFault, len(faults), "every fault has struck: %v", stats.ByFault)
			})
		})
	}
}

// TestLedgerIsNeverShort adds the outcomes of which nobody can tell whether the
// server did the work: they must count as if it did.
func TestLedgerIsNeverShort(t *testing.T) {
	for _, dialect := range []providersim.Dialect{providersim.OpenAI, providersim.Anthropic} {
		t.Run(string(dialect), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faults := without(everyFault)
				faults[providersim.Dropped] = 0.1
				sim := providersim.New(providersim.Config{Dialect: dialect, Faults: faults, Seed: 6, Quota: 800})
				maybe, _ := calls(t, sim, 1000)
				stats := sim.Stats()
				require.Equal(t, 800, stats.Billed, "the quota")
				unclear := stats.ByFault[providersim.Dropped]
				if dialect == providersim.Anthropic {
					unclear += stats.ByFault[providersim.Overloaded]
				}
				require.GreaterOrEqual(t, maybe, stats.Billed)
				require.LessOrEqual(t, maybe, stats.Billed+unclear)
			})
		})
	}
}

func without(faults providersim.Faults, kinds ...providersim.Fault) providersim.Faults {
	rest := providersim.Faults{}
	for kind, p := range faults {
		rest[kind] = p
	}
	for _, kind := range kinds {
		delete(rest, kind)
	}
	return rest
}

// calls makes n calls, every second one for a stream, and returns how many of
// their attempts may have been billed, and how many there were.
func calls(t *testing.T, sim *providersim.Server, n int) (maybe, attempts int) {
	t.Helper()
	server := transporttest.NewServer(t, sim)
	client := transport.Wrap(server.Client(),
		telemetry.ObserveCall(telemetry.Config{}),
		transport.Retry(policy.Retry{}),
		telemetry.ObserveAttempt(telemetry.Config{}),
		transport.Timeout(policy.Timeout{FirstByte: time.Second}),
	)
	for i := range n {
		ctx, trail := telemetry.NewContext(policy.WithCall(t.Context(), policy.Call{Replayable: i%3 > 0}))
		ask(t, ctx, client, server.URL, i%2 > 0)
		for _, a := range trail.Attempts() {
			if a.Verdict.Executed != policy.NotExecuted {
				maybe++
			}
		}
		attempts += trail.AttemptCount()
	}
	return maybe, attempts
}

func ask(t *testing.T, ctx context.Context, client *http.Client, url string, stream bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(fmt.Sprintf(`{"stream":%v}`, stream)))
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err != nil {
		return // the trail has it
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // so is how it ends
}
