package jobs

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sparekey/sparekey/nyckel"
)

// A Rationed gate says also how many jobs may be taken at once: a breaker that is
// half open lets a few probes through and refuses the rest. Engines that take jobs
// themselves heed it, as sqlitejobs does. River hands jobs out, so that riverjobs
// asks Ready alone: a job that is refused then is snoozed by [Invoke].
type Rationed interface {
	Gate

	// Ration returns how many of n jobs may be taken now, at least one. It is asked
	// when Ready has returned zero, and what it returns is taken.
	Ration(ctx context.Context, queue string, n int) int
}

// GateOf returns a [Gate] that is open while the client's calls would get through:
// no circuit breaker is open, and no limiter makes them wait. It goes by the
// function that has the queue's name. A queue with another name is taken to have
// jobs for any function, and is open if one of them would get through: give each
// function a queue of its own if they do not fail together.
//
// Where the client's stack answers by other means while the service is down, jobs
// wait all the same: they have the time.
func GateOf(client *nyckel.Client) Rationed {
	return &clientGate{client: client, rationed: map[string]time.Time{}}
}

const (
	// rationFor is how long a ration stands, as calls that were let through take a
	// moment to show in the figures.
	rationFor = 20 * time.Millisecond

	// lookAgain is when a gate wants to be asked that does not know when it opens.
	lookAgain = 20 * time.Millisecond
)

type clientGate struct {
	client *nyckel.Client

	mu       sync.Mutex
	rationed map[string]time.Time // queues, and until when their ration stands; guarded by mu
}

// Ready implements [Gate].
func (g *clientGate) Ready(_ context.Context, queue string) time.Duration {
	n, wait := g.room(queue)
	if n == 0 {
		return max(wait, lookAgain)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, time.Until(g.rationed[queue]))
}

// Ration implements [Rationed].
func (g *clientGate) Ration(_ context.Context, queue string, n int) int {
	room, _ := g.room(queue)
	if room >= n {
		return n
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rationed[queue] = time.Now().Add(rationFor)
	return max(1, room)
}

// room returns the most room that a function of the queue has, and the least wait.
func (g *clientGate) room(queue string) (n int, wait time.Duration) {
	functions := g.client.Functions()
	if slices.Contains(functions, queue) {
		return g.client.Room(queue)
	}
	wait = math.MaxInt64
	for _, name := range functions {
		room, longer := g.client.Room(name)
		n, wait = max(n, room), min(wait, longer)
	}
	return n, wait
}
