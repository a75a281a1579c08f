package telemetry

import (
	"time"

	"github.com/sparekey/sparekey/policy"
)

// A Snapshot is what a program's stacks look like at one moment, for people who
// watch. It holds no input, no answer and no secret.
type Snapshot struct {
	At        time.Time
	Functions []FunctionSnapshot

	// Queues are those of jobs that wait.
	Queues []QueueSnapshot

	// Config is the configuration file's state. Nil means that there is none.
	Config *ConfigSnapshot

	// Events are the last that an operator should know of, the newest first.
	Events []Event
}

// A FunctionSnapshot is what the stack of one function looks like. The layers
// that it has fill the parts that are theirs.
type FunctionSnapshot struct {
	Name string

	// Calls are all there were, by what they came to: a [Source], "endpoint" for the
	// answers of another endpoint or of a rung under a name of its own, "failed" or
	// "canceled".
	Calls map[string]uint64

	// Minute are those of Calls that ended in the last 60 whole seconds. The second
	// that is running is not among them.
	Minute map[string]uint64

	// Seconds are those 60 seconds, the oldest first.
	Seconds []SecondSnapshot

	// P50, P95 and P99 are how long calls took that ended in the last half to
	// whole minute: half, 95 % and 99 % of them no longer than this. They are at
	// most an eighth too high, but none is less than 72 µs or more than about 4.5 min.
	// Recent is how many calls these are.
	P50, P95, P99 time.Duration
	Recent        uint64

	Breakers  []policy.BreakerSnapshot
	Limiters  []LimiterSnapshot
	Throttles []ThrottleSnapshot
	Endpoints []EndpointSnapshot
	Budget    *BudgetSnapshot
	Cache     *CacheSnapshot
	Fidelity  []FidelitySnapshot
}

// A SecondSnapshot counts the calls that ended within one second.
type SecondSnapshot struct {
	// Live are answers of the service, Cached fresh ones of an earlier call,
	// Degraded those that stood in for it ([Answer.Degraded]), and Failed calls
	// without an answer.
	Live, Cached, Degraded, Failed uint32
}

// A LimiterSnapshot is what a limiter looks like.
type LimiterSnapshot struct {
	Name             string
	InFlight, Queued int

	// MaxQueue is how many may wait. Zero means none.
	MaxQueue int

	// Bound is how many may be in flight, and PerSecond the rate that is let
	// through. Zero means no bound.
	Bound     int
	PerSecond float64
}

// A ThrottleSnapshot is what a client throttle looks like.
type ThrottleSnapshot struct {
	Name string

	// Refused is the share of requests that are refused now, 0 to 1.
	Refused float64
}

// An EndpointSnapshot is what one of several endpoints looks like.
type EndpointSnapshot struct {
	Name, Region string

	// Ejected is until when it is out of the rotation, and Resting until when it
	// asked for no requests. Zero means that it is in, and rests not.
	Ejected, Resting time.Time

	// Latency is what an answer takes to its header now, zero if that is not known.
	Latency time.Duration

	InFlight int

	// Asked is how many requests went to it, Faults how many of them were faults.
	Asked, Faults int64
}

// A BudgetSnapshot is what is left for retries and hedges.
type BudgetSnapshot struct {
	// Tokens is how many could be made at once now, of Burst at most.
	Tokens int
	Burst  float64
}

// A CacheSnapshot is what a cache looks like.
type CacheSnapshot struct {
	Entries, MaxEntries int
	Bytes, MaxBytes     int64

	// Hits are fresh answers given, Stale those past their lifetimes, and Misses
	// requests handed on that it could have answered.
	Hits, Stale, Misses uint64

	// Evicted are answers that were forgotten for want of room, Expired and Purged
	// those past their lifetimes or after a purge.
	Evicted, Expired, Purged uint64
}

// A FidelitySnapshot is how one rung's answers compare with live ones.
type FidelitySnapshot struct {
	Rung string

	// Asked counts the live answers that the rung was compared with, Answered how
	// often it had one itself, and Agreed how often that had the same label.
	Asked, Answered, Agreed int
}

// A QueueSnapshot is what a queue of jobs looks like.
type QueueSnapshot struct {
	Name string

	// Waiting jobs are ready, Scheduled ones are not due yet, Running ones are
	// under way, and Dead ones were given up.
	Waiting, Scheduled, Running, Dead int

	// Oldest is how long the job has waited that is ready for longest.
	Oldest time.Duration
}

// A ConfigSnapshot is the state of a configuration file.
type ConfigSnapshot struct {
	Name string

	// AppliedAt is when the plan that is in force was taken from the file.
	AppliedAt time.Time

	// Problems say why the file as it is now was not taken, a line each. "" means
	// that it was.
	Problems string
}

// A Reporter is a layer that has something to tell of itself.
type Reporter interface {
	// Report adds to f, which it must not keep. It may be called at any time,
	// concurrently with the layer's requests.
	Report(f *FunctionSnapshot)
}

// Report implements [Reporter]. Of stacks within each other it tells the outermost one's
// calls: one further in may be shared with other functions.
func (l *callLayer) Report(f *FunctionSnapshot) {
	if f.Name == "" {
		f.Name = l.cfg.Function
	}
	if f.Calls == nil {
		l.activity.report(time.Now(), f)
	}
}

// Events returns where the stack's events are kept, nil for nowhere.
func (l *callLayer) Events() *Events { return l.cfg.Events }

// report fills in the figures about calls.
func (a *Activity) report(now time.Time, f *FunctionSnapshot) {
	f.Calls = make(map[string]uint64, numOutcomes)
	for o := range a.total {
		if n := a.total[o].Load(); n > 0 {
			f.Calls[outcomeNames[o]] = n
		}
	}
	took, calls := a.quantiles(now, 0.5, 0.95, 0.99)
	f.P50, f.P95, f.P99, f.Recent = took[0], took[1], took[2], calls
	last := uint32(now.Unix()) - 1
	f.Minute = make(map[string]uint64, numOutcomes)
	f.Seconds = make([]SecondSnapshot, recentSeconds)
	for i := range f.Seconds {
		counts := a.second(last - uint32(recentSeconds-1-i))
		for o, n := range counts {
			if n > 0 {
				f.Minute[outcomeNames[o]] += uint64(n)
			}
		}
		f.Seconds[i] = SecondSnapshot{
			Live:     counts[outcomeLive],
			Cached:   counts[outcomeCache],
			Degraded: counts[outcomeStale] + counts[outcomeSimilar] + counts[outcomeRule] + counts[outcomeStatic] + counts[outcomeOther],
			Failed:   counts[outcomeFailed],
		}
	}
}
