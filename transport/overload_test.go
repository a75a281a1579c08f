package transport_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// The overload table: what the standard stack makes of a server that can do
// 1,000 requests per second and no more, in virtual time. The server has 10
// workers, takes 10 ms a request, give or take 20 %, and answers 503 when its
// queue is full; work that it took on is done even if the client has left.
// Attempts time out after 150 ms, calls after 1 s. Arrivals are random (Poisson),
// whatever becomes of earlier calls.

const (
	workers     = 10
	workTime    = 10 * time.Millisecond
	capacity    = 1000 // requests per second
	oneWay      = 500 * time.Microsecond
	shortQueue  = 20  // 20 ms of work
	longQueue   = 300 // 300 ms: twice the attempt timeout
	callTimeout = time.Second
)

var overloadSeed = flag.Uint64("overload.seed", 1, "seed of the overload table")

// A queueServer is that server, as a transport.
type queueServer struct {
	mu      sync.Mutex
	random  *rand.Rand
	limit   int // of the queue
	busy    int
	queue   []chan bool
	seen    int
	refuses bool // everything, at once
	hangs   bool // takes requests on, and does nothing
}

func (s *queueServer) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(oneWay)
	select {
	case ok := <-s.accept():
		time.Sleep(oneWay)
		if !ok {
			return transporttest.Reply(http.StatusServiceUnavailable, "")(req)
		}
		return transporttest.Reply(http.StatusOK, "")(req)
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
}

// accept takes a request on; the channel says how it ended.
func (s *queueServer) accept() <-chan bool {
	done := make(chan bool, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen++
	switch {
	case s.refuses:
		done <- false
	case s.busy < workers && !s.hangs:
		s.workLocked(done)
	case len(s.queue) >= s.limit:
		done <- false
	default:
		s.queue = append(s.queue, done)
	}
	return done
}

func (s *queueServer) workLocked(done chan bool) {
	s.busy++
	took := time.Duration((0.8 + 0.4*s.random.Float64()) * float64(workTime))
	time.AfterFunc(took, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy--
		done <- true
		s.resumeLocked()
	})
}

func (s *queueServer) resumeLocked() {
	for s.busy < workers && len(s.queue) > 0 && !s.hangs {
		done := s.queue[0]
		s.queue = s.queue[1:]
		s.workLocked(done)
	}
}

// set changes what the server does from now on.
func (s *queueServer) set(refuses, hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses, s.hangs = refuses, hangs
	s.resumeLocked()
}

func (s *queueServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// A callLog holds when each call began and whether it was answered in time.
type callLog struct {
	mu    sync.Mutex
	start time.Time
	at    []time.Duration
	good  []bool
}

// between counts the calls that began in a stretch of time, and the good ones.
func (l *callLog) between(from, to time.Duration) (calls, good int) {
	for i, at := range l.at {
		if at >= from && at < to {
			calls++
			if l.good[i] {
				good++
			}
		}
	}
	return calls, good
}

// load sends calls at a rate for a time and waits for the last.
func load(rt http.RoundTripper, random *rand.Rand, perSecond float64, d time.Duration) *callLog {
	log := &callLog{start: time.Now()}
	var wg sync.WaitGroup
	for time.Since(log.start) < d {
		wg.Go(func() { log.call(rt) })
		time.Sleep(time.Duration(random.ExpFloat64() / perSecond * float64(time.Second)))
	}
	wg.Wait()
	return log
}

func (l *callLog) call(rt http.RoundTripper) {
	began := time.Now()
	req, err := http.NewRequest(http.MethodGet, "http://up.test/", http.NoBody)
	if err != nil {
		panic(err)
	}
	resp, err := rt.RoundTrip(req)
	good := err == nil && resp.StatusCode == http.StatusOK
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = append(l.at, began.Sub(l.start))
	l.good = append(l.good, good && time.Since(began) <= callTimeout)
}

// overloadStack is the standard stack with the times of the table.
func overloadStack(initial int) policy.Stack {
	return policy.Stack{
		Total:   callTimeout,
		Attempt: policy.Timeout{FirstByte: 150 * time.Millisecond},
		Limit:   policy.Limit{Adaptive: policy.Adaptive{Initial: initial}},
	}
}

// initialLimits are where the adaptive limit starts: far below, at, and far above
// what the server can take.
var initialLimits = []int{1, 20, 200, 1000}

func TestOverloadSteady(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const warmUp, measured = time.Second, 4 * time.Second
	for _, queue := range []int{shortQueue, longQueue} {
		for _, initial := range initialLimits {
			for _, times := range []float64{0.5, 1, 2, 4} {
				t.Run(fmt.Sprintf("queue %d, limit from %d, load %gx", queue, initial, times), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						random := rand.New(rand.NewPCG(*overloadSeed, 1))
						server := &queueServer{random: rand.New(rand.NewPCG(*overloadSeed, 2)), limit: queue}
						rt := transport.Chain(server, transport.Standard(overloadStack(initial)))
						var seen int
						time.AfterFunc(warmUp, func() { seen = server.count() })
						log := load(rt, random, times*capacity, warmUp+measured)

						calls, good := log.between(warmUp, warmUp+measured)
						attempts := float64(server.count()-seen) / float64(calls)
						goodput := float64(good) / min(float64(calls), capacity*measured.Seconds())
						t.Logf("attempts per call %.2f, goodput %.1f %%", attempts, 100*goodput)
						assert.LessOrEqual(t, attempts, 1.1, "attempts per call")
						assert.GreaterOrEqual(t, goodput, 0.95, "goodput")
					})
				})
			}
		}
	}
}

func TestOverloadOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const before, outage, after = 3 * time.Second, 5 * time.Second, 8 * time.Second
	for _, queue := range []int{shortQueue, longQueue} {
		for _, initial := range initialLimits {
			for _, kind := range []string{"refuses", "hangs"} {
				t.Run(fmt.Sprintf("queue %d, limit from %d, server %s", queue, initial, kind), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						random := rand.New(rand.NewPCG(*overloadSeed, 1))
						server := &queueServer{random: rand.New(rand.NewPCG(*overloadSeed, 2)), limit: queue}
						rt := transport.Chain(server, transport.Standard(overloadStack(initial)))
						var seen, seenIn int
						time.AfterFunc(before, func() { seen = server.count(); server.set(kind == "refuses", kind == "hangs") })
						time.AfterFunc(before+outage, func() { seenIn = server.count() - seen; server.set(false, false) })
						log := load(rt, random, 0.8*capacity, before+outage+after)

						calls, _ := log.between(before, before+outage)
						attempts := float64(seenIn) / float64(calls)
						recovered := log.recovery(before + outage)
						calls, good := log.between(before+outage, before+outage+after)
						answered := float64(good) / float64(calls)
						t.Logf("attempts per call in the outage %.2f; recovered after %v; answered after it %.2f %%", attempts, recovered, 100*answered)
						assert.LessOrEqual(t, attempts, 1.1, "attempts per call")
						assert.LessOrEqual(t, recovered, 300*time.Millisecond, "recovery")
						assert.GreaterOrEqual(t, answered, 0.99, "answered after the outage")
					})
				})
			}
		}
	}
}

// recovery returns how long after end the first half second begins in which 95 %
// of the calls are answered.
func (l *callLog) recovery(end time.Duration) time.Duration {
	const step, window = 50 * time.Millisecond, 500 * time.Millisecond
	for from := end; ; from += step {
		calls, good := l.between(from, from+window)
		if calls == 0 || float64(good) >= 0.95*float64(calls) {
			return from - end
		}
	}
}
