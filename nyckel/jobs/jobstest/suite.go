// Package jobstest checks that an engine keeps what package jobs promises.
package jobstest

import (
	"testing"
	"time"

	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/nyckel/predictions"
)

// A Backend is a kind of engine under test.
type Backend struct {
	// Open returns so many engines on one new, empty database, each as another
	// process would have it, and the store on it. The bound is that of each queue,
	// zero the default. What it opens it closes at the end of the test.
	Open func(t *testing.T, engines, bound int) ([]jobs.Engine, *predictions.Store)

	// Overshoot is by how many jobs a queue may exceed its bound while many
	// producers are at it.
	Overshoot int

	// Soon bounds the time in which an idle worker takes a job that is due. Zero
	// means 2 s.
	Soon time.Duration
}

// Run checks the engines of b, each rule in a subtest that says what is expected.
func Run(t *testing.T, b Backend) {
	if b.Soon == 0 {
		b.Soon = 2 * time.Second
	}
	for _, rule := range []struct {
		name  string
		check func(*testing.T, Backend)
	}{
		{"a job is done and its prediction recorded", testDone},
		{"what is delivered is what was enqueued", testDelivery},
		{"an ID is accepted once, in whatever state the job is", testIdempotent},
		{"all jobs of a call are accepted or none", testAllOrNone},
		{"a job that cannot be one is refused", testInvalid},
		{"a full queue refuses, and has room again", testBound},
		{"many producers do not exceed the bound", testBoundRace},
		{"higher priorities go first, then what is due first", testOrder},
		{"a job that is due later waits", testScheduled},
		{"a retry comes after its wait and counts", testRetry},
		{"the last attempt makes a dead letter", testAttemptsUsedUp},
		{"a snooze does not count", testSnooze},
		{"dead letters are listed, requeued and discarded", testDeadLetters},
		{"many dead letters are listed in order", testDeadLettersPaged},
		{"a handler that panics has failed", testPanic},
		{"a handler without an outcome has failed", testNoOutcome},
		{"a prediction that the store will not have makes a dead letter at once", testBadPrediction},
		{"several predictions of a job are recorded", testSeveralPredictions},
		{"a job that was recorded elsewhere is not called again", testKnown},
		{"a closed gate keeps jobs where they are", testGate},
		{"each queue has a gate of its own", testGatePerQueue},
		{"only the queues asked for are worked on", testQueues},
		{"workers bound how many run", testWorkers},
		{"a handler has its budget and no more", testBudget},
		{"workers and time may be without limit", testNoLimits},
		{"a shutdown waits for handlers", testDrain},
		{"a shutdown waits until what was settled is told", testTold},
		{"a shutdown does not wait for ever until it is told", testToldForEver},
		{"what a shutdown cannot wait for is given back", testGiveBack},
		{"two engines share the work, each job done once", testTwoEngines},
		{"figures are those of the jobs", testStats},
		{"a context that has ended changes nothing", testEndedContext},
		{"a wait for room gets through", testEnqueueWait},
		{"a closed engine says so", testClosed},
	} {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			rule.check(t, b)
		})
	}
}
