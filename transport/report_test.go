package transport_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// ask makes a call and reads it to the end.
func ask(t *testing.T, rt http.RoundTripper, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	if resp, err := rt.RoundTrip(req); err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
}

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := false
		base := transport.Func(func(req *http.Request) (*http.Response, error) {
			time.Sleep(100 * time.Millisecond)
			if down {
				return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
			}
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("fine")), Request: req}, nil
		})
		rt := transport.Chain(base, transport.Standard(policy.Stack{
			Function: "search",
			Throttle: &policy.Throttle{},
			Retry:    policy.Retry{Off: true},
			Limit:    policy.Limit{InFlight: 7, PerSecond: 50},
		}))
		for range 5 {
			ask(t, rt, "http://one.test/")
		}
		ask(t, rt, "http://two.test/")
		down = true
		for range 10 {
			ask(t, rt, "http://one.test/")
		}
		time.Sleep(time.Second)

		s := transport.Snapshot(rt)
		require.Len(t, s.Functions, 1)
		f := s.Functions[0]
		assert.Equal(t, "search", f.Name)
		assert.Equal(t, uint64(6), f.Calls["live"])
		assert.Equal(t, uint64(10), f.Calls["failed"])
		var sum telemetry.SecondSnapshot
		require.Len(t, f.Seconds, 60)
		for _, second := range f.Seconds {
			sum.Live += second.Live
			sum.Failed += second.Failed
		}
		assert.Equal(t, telemetry.SecondSnapshot{Live: 6, Failed: 10}, sum)
		assert.Equal(t, map[string]uint64{"live": 6, "failed": 10}, f.Minute)
		assert.InDelta(t, 0.1, f.P50.Seconds(), 0.0125)

		states := map[string]policy.BreakerState{}
		for _, b := range f.Breakers {
			states[b.Name] = b.State
		}
		assert.Equal(t, map[string]policy.BreakerState{"one.test:80": policy.Open, "two.test:80": policy.Closed}, states)
		require.Len(t, f.Limiters, 2)
		assert.Equal(t, 7, f.Limiters[0].Bound)
		assert.Len(t, f.Throttles, 2)
		assert.Nil(t, f.Cache)
		require.Len(t, s.Events, 1)
		assert.Equal(t, "search", s.Events[0].Function)
		assert.Equal(t, "one.test:80: closed to open, by threshold (faults)", s.Events[0].Text)

		for _, b := range transport.Breakers(rt) {
			if b.Snapshot().Name == "two.test:80" {
				b.Isolate("maintenance", time.Time{})
			}
		}
		s = transport.Snapshot(rt)
		require.Len(t, s.Events, 2)
		assert.Equal(t, "two.test:80: closed to isolated, by manual (maintenance)", s.Events[0].Text, "the newest first")

		time.Sleep(time.Minute)
		f = transport.Snapshot(rt).Functions[0]
		assert.Empty(t, f.Minute, "long over")
		assert.Equal(t, uint64(10), f.Calls["failed"])
	})
}

// A redirect to no endpoint has a breaker on its way, too.
func TestBreakersBesideEndpoints(t *testing.T) {
	up := transporttest.NewUpstream(
		transporttest.Reply(http.StatusTemporaryRedirect, "", "Location", "http://other.test/"),
		transporttest.Reply(http.StatusOK, "ok"))
	rt := transport.Chain(up, transport.Standard(policy.Stack{
		Failover: &policy.Failover{Endpoints: []policy.Endpoint{{Name: "one", URL: "http://one.test"}}},
	}))
	names := func() (all []string) {
		for _, b := range transport.Breakers(rt) {
			all = append(all, b.Snapshot().Name)
		}
		return all
	}
	assert.Equal(t, []string{"one"}, names())
	resp, err := (&http.Client{Transport: rt}).Get("http://one.test/")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, []string{"one", "other.test:80"}, names())
}

func TestSnapshotOfWhatIsNoStack(t *testing.T) {
	s := transport.Snapshot(http.DefaultTransport, nil)
	assert.Len(t, s.Functions, 2)
	assert.Empty(t, s.Functions[0].Calls)
	assert.Empty(t, s.Events)
	assert.Empty(t, transport.Breakers(nil))
}

// Two functions share a stack below theirs, one's is for any function: what each tells of
// calls are its own.
func TestSnapshotOfStacksAroundOne(t *testing.T) {
	base := transport.Func(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("fine")), Request: req}, nil
	})
	account := transport.Chain(base, transport.Standard(policy.Stack{Function: "account"}))
	search := transport.Chain(account, transport.Standard(policy.Stack{Function: "search"}))
	unnamed := transport.Chain(account, transport.Standard(policy.Stack{}))
	for range 3 {
		ask(t, search, "http://one.test/")
	}
	ask(t, unnamed, "http://one.test/")

	s := transport.Snapshot(search, unnamed, account)
	require.Len(t, s.Functions, 3)
	assert.Equal(t, map[string]uint64{"live": 3}, s.Functions[0].Calls)
	assert.Equal(t, map[string]uint64{"live": 1}, s.Functions[1].Calls)
	assert.Equal(t, map[string]uint64{"live": 4}, s.Functions[2].Calls)
}
