package itest_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// An api is a service that can be down.
type api struct {
	down  atomic.Bool
	calls atomic.Int64
}

func (a *api) RoundTrip(req *http.Request) (*http.Response, error) {
	reply := func(status int, body string) (*http.Response, error) {
		return transporttest.Reply(status, body, "Content-Type", "application/json")(req)
	}
	if strings.HasSuffix(req.URL.Path, "/connect/token") {
		return reply(200, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`)
	}
	a.calls.Add(1)
	if a.down.Load() {
		return reply(500, `{}`)
	}
	return reply(200, `{"labelName":"a","confidence":0.9}`)
}

// client returns a client with a function "tickets" whose breaker stays open for so
// long.
func (a *api) client(t *testing.T, openFor time.Duration) *nyckel.Client {
	t.Helper()
	client, err := nyckel.New(
		nyckel.WithBaseURL("https://api.test"),
		nyckel.WithCredentials("id", "secret"),
		nyckel.WithHTTPClient(&http.Client{Transport: transport.Func(a.RoundTrip)}),
		nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
		nyckel.WithStack(policy.Stack{
			Retry:   policy.Retry{Off: true},
			Breaker: policy.Breaker{OpenFor: openFor, Random: func() float64 { return 0 }},
		}),
		nyckel.WithLimit(policy.Limit{Off: true}),
	)
	require.NoError(t, err)
	return client
}

// TestOutage has a service go down over a long queue: while the breaker is open no
// job is taken, and when it lets probes through, the first call is made soon.
func TestOutage(t *testing.T) {
	openFor := 3 * time.Second
	if *long {
		openFor = 15 * time.Second
	}
	for name, b := range backends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outage(t, b, openFor)
		})
	}
}

func outage(t *testing.T, b backend, openFor time.Duration) {
	const waiting = 20_000
	engine, err := b.open(t.Context(), b.create(t), 0)
	require.NoError(t, err)
	defer engine.close()
	enqueueCalls(t, engine, waiting)

	var service api
	client := service.client(t, openFor)
	var taken, refused atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	invoke := jobs.Invoke(client)
	go func() {
		ended <- engine.Run(ctx, jobs.RunConfig{Queues: []string{"tickets"}, Gate: jobs.GateOf(client)},
			func(ctx context.Context, d jobs.Delivery) jobs.Outcome {
				taken.Add(1)
				o := invoke(ctx, d)
				if o.Ending == jobs.Snoozed {
					refused.Add(1)
				}
				return o
			})
	}()
	until := func(what string, is func() bool) {
		t.Helper()
		require.Eventually(t, is, time.Minute, time.Millisecond, what)
	}
	until("the service never answered", func() bool { return taken.Load() >= 200 })
	service.down.Store(true)
	until("the breaker never opened", func() bool { n, _ := client.Room("tickets"); return n == 0 })
	_, wait := client.Room("tickets")
	opens := time.Now().Add(wait)
	time.Sleep(200 * time.Millisecond) // those that had been taken before are settled

	before, calls, cpu := taken.Load(), service.calls.Load(), cpuTime(t)
	service.down.Store(false)
	time.Sleep(time.Until(opens) - 50*time.Millisecond)
	assert.Equal(t, before, taken.Load(), "jobs were taken while the breaker was open")
	assert.Equal(t, calls, service.calls.Load())
	used := cpuTime(t) - cpu
	until("the service was not called again", func() bool { return service.calls.Load() > calls })
	delay := time.Since(opens)
	assert.Less(t, delay, time.Second)
	until("the work did not go on", func() bool { return service.calls.Load() > calls+500 })
	cancel()
	require.NoError(t, <-ended)
	t.Logf("open for %v over %d jobs: 0 taken in vain, %d refused as it opened, %v CPU, first call %v after it let probes through",
		openFor, waiting, refused.Load(), used, delay.Round(time.Millisecond))
	assert.LessOrEqual(t, refused.Load(), int64(16), "no more than the workers")
	for dead := range engine.DeadLetters(t.Context(), "") {
		t.Errorf("job %s is dead: %s", dead.ID, dead.LastError)
	}
}

// enqueueCalls enqueues n jobs that ask "tickets".
func enqueueCalls(t *testing.T, e jobs.Engine, n int) {
	t.Helper()
	js := make([]jobs.Job, n)
	for i := range js {
		var err error
		js[i], err = jobs.Text("tickets", "where is my parcel").Job(jobID(i))
		require.NoError(t, err)
	}
	for ; len(js) > 0; js = js[min(len(js), 500):] {
		_, err := e.Enqueue(t.Context(), js[:min(len(js), 500)]...)
		require.NoError(t, err)
	}
}

// cpuTime returns what the process has used so far.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
