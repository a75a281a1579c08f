package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// A Trail is the record of one call: its attempts, waits and refusals, and
// where the answer came from. It is written by the layers while the call and
// its body last and may be read at any time. It is safe for concurrent use; all
// methods work on a nil Trail, which records nothing.
type Trail struct {
	claimed  atomic.Bool              // a call is using it, or has used it
	reserved atomic.Bool              // a call is going to use it
	recorder atomic.Pointer[recorder] // set when claimed; nil records nowhere else

	mu       sync.Mutex
	function string        // guarded by mu, as all below
	start    time.Time     // when the call began
	duration time.Duration // set when its body ended
	ended    bool          // the call has: attempts still under way change nothing here
	answer   Answer        // Source "" until there is one
	settled  bool          // the answer is: the caller has it, and what goes on behind him changes it no more
	attempts []*attempt    // at most maxKept
	dropped  int           // attempts that are not kept
	late     int           // attempts that began after the end, as for others who joined the call
	judged   []judgement   // verdicts of the latest outcomes, at most maxJudged
	looked   string        // what the first cache lookup came to
	begun    bool          // an attempt that is no hedge did
	endpoint string        // of the last such attempt
	troubles *trouble      // nil if the call met none

	// The first memory of the lists and of the first attempt, so that a call that goes
	// well costs no allocation for them.
	first       attempt
	attemptRoom [2]*attempt
	judgedRoom  [1]judgement
}

// A trouble is the part of a trail that only calls need which do not go well.
type trouble struct {
	waited   time.Duration // all waits
	pending  []wait        // those before attempts that have not begun
	refusals []Refused     // at most maxKept
	reason   string        // of the last refusal
	failure  string        // error.type of the last attempt that has one
	notes    []Note        // at most maxKept
	retryAt  time.Time     // when a new call makes sense, zero if nobody said

	pendingRoom [1]wait // where pending is, unless branches wait beside each other
}

// noTrouble is the trouble of calls that met none. Nobody writes to it.
var noTrouble trouble

// troubleLocked returns the trouble that t met, for reading only.
func (t *Trail) troubleLocked() *trouble {
	if t.troubles == nil {
		return &noTrouble
	}
	return t.troubles
}

// makeTroubleLocked returns the trouble that t met, for writing, and makes it if t had
// none.
func (t *Trail) makeTroubleLocked() *trouble {
	if t.troubles == nil {
		t.troubles = new(trouble)
	}
	return t.troubles
}

// maxKept bounds each list of a trail. What exceeds it is counted.
const maxKept = 32

// An Attempt is one try of a call on the wire.
type Attempt struct {
	// Number counts from 1.
	Number int

	Start time.Time

	// Waited is how long the retry layer waited before it.
	Waited time.Duration

	// Duration is the time to the end of the body or to the error; while the
	// body is being read, to the response's header.
	Duration time.Duration

	// Status is zero if no response came.
	Status int

	// Verdict is the attempt's. It changes when the body breaks.
	Verdict policy.Verdict

	// Hedge says that it was sent beside an earlier one that took long. An attempt
	// that lost to another and was still under way when the call ended stays in
	// the trail as it was then.
	Hedge bool

	// Endpoint is the name of the endpoint that was asked, "" if there is only one.
	Endpoint string
}

// A Refused is a refusal that the call met: a [policy.Refusal] and when it came.
type Refused struct {
	At      time.Time
	Layer   string    // "breaker", say
	Reason  string    // as in [policy.Refusal]
	RetryAt time.Time // when a request may be let through again; zero if that is not known
}

// A Note says what a layer left undone, and why.
type Note struct {
	Layer, Reason string
}

// lastReason returns the reason of the last refusal, "" if there was none.
func (t *Trail) lastReason() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.troubleLocked().reason
}

// lookup returns what the first cache lookup came to, "" if there was none.
func (t *Trail) lookup() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.looked
}

// The reasons for which the retry layer does not repeat a failed attempt that
// others would.
const (
	NoBudget   = "budget"         // the retry budget is spent
	NoTime     = "deadline"       // the wait would not end before the deadline
	NoPatience = "max_wait"       // the server asked for a longer wait than is accepted
	NoReplay   = "body"           // the request's body cannot be sent again
	NotSafe    = "not_idempotent" // it may have been executed, and repeating it is not known to be safe
	NoneLeft   = "attempts"       // the attempts are used up
)

// layerOfRetry is what a [Note] of the retry layer has as its Layer.
const layerOfRetry = "retry"

type trailKey struct{}

// NewContext returns a context with a new trail, for the next call that is made
// with it. Use it to have the trail of a call that fails.
func NewContext(ctx context.Context) (context.Context, *Trail) {
	c := &trailContext{Context: ctx}
	return c, &c.trail
}

// Reserve claims the trail for one call that is yet to be made, and reports whether that
// was possible: no call has used it, and nobody else has reserved it. It is for clients
// that want to know a call's trail before it begins; if it reports false, as on a nil
// Trail, they make one of their own.
func (t *Trail) Reserve() bool {
	return t != nil && !t.claimed.Load() && t.reserved.CompareAndSwap(false, true)
}

// trailContext is a context and its trail in one piece.
type trailContext struct {
	context.Context
	trail Trail
}

// Value returns the trail for its key.
func (c *trailContext) Value(key any) any {
	if key == (trailKey{}) {
		return &c.trail
	}
	return c.Context.Value(key)
}

// String names the context. Without it %v would print what it holds.
func (*trailContext) String() string { return "telemetry.NewContext" }

// GoString returns the same.
func (*trailContext) GoString() string { return "telemetry.NewContext" }

// FromContext returns the trail in ctx, or nil.
func FromContext(ctx context.Context) *Trail {
	t, _ := ctx.Value(trailKey{}).(*Trail)
	return t
}

// TrailOf returns the trail of the call that resp answers, or nil if the call
// went through no [ObserveCall] layer.
func TrailOf(resp *http.Response) *Trail {
	if resp == nil || resp.Request == nil {
		return nil
	}
	return FromContext(resp.Request.Context())
}

// Function returns the name of the function that was called, "" if it has none.
func (t *Trail) Function() string {
	if t == nil {
		return ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.function
}

// Answer describes the answer. Its Source is "" if there is none.
func (t *Trail) Answer() Answer {
	if t == nil {
		return Answer{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.answer
}

// Attempts returns a copy of the attempts, in the order in which they began. It
// holds at most 32; [Trail.AttemptCount] has them all.
func (t *Trail) Attempts() []Attempt {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Attempt, len(t.attempts))
	for i, a := range t.attempts {
		all[i] = a.Attempt
	}
	return all
}

// AttemptCount returns how many attempts were made.
func (t *Trail) AttemptCount() int {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.attempts) + t.dropped
}

// Waited returns how long the retry layer waited in all.
func (t *Trail) Waited() time.Duration {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.troubleLocked().waited
}

// Refusals returns a copy of the refusals that the call met, at most 32.
func (t *Trail) Refusals() []Refused {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Refused(nil), t.troubleLocked().refusals...)
}

// Notes returns a copy of what layers left undone, at most 32.
func (t *Trail) Notes() []Note {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Note(nil), t.troubleLocked().notes...)
}

// RetryAt returns when a new call makes sense, as the server or a layer said last. It
// is zero if none did.
func (t *Trail) RetryAt() time.Time {
	if t == nil {
		return time.Time{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.troubleLocked().retryAt
}

// Duration returns how long the call took, to the end of its body. It is zero
// until then.
func (t *Trail) Duration() time.Duration {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.duration
}

// String returns the trail on one line, for people.
func (t *Trail) String() string {
	if t == nil {
		return "no trail"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	if t.function != "" {
		b.WriteString(t.function + ": ")
	}
	if t.answer.Source == "" {
		b.WriteString("no answer")
	} else {
		b.WriteString(t.answer.Header())
	}
	for _, a := range t.attempts {
		fmt.Fprintf(&b, " | #%d", a.Number)
		if a.Endpoint != "" {
			b.WriteString(" " + a.Endpoint)
		}
		if a.Hedge {
			b.WriteString(" hedge")
		}
		if a.Waited > 0 {
			fmt.Fprintf(&b, " waited %v", a.Waited)
		}
		if a.Status != 0 {
			fmt.Fprintf(&b, " %d", a.Status)
		}
		fmt.Fprintf(&b, " %s %v", a.Verdict.Class, a.Duration)
	}
	for _, r := range t.troubleLocked().refusals {
		fmt.Fprintf(&b, " | refused by %s: %s", r.Layer, r.Reason)
	}
	for _, n := range t.troubleLocked().notes {
		fmt.Fprintf(&b, " | %s stopped: %s", n.Layer, n.Reason)
	}
	return b.String()
}

// GoString returns the same: the trail holds what the service said, which %#v must not
// print.
func (t *Trail) GoString() string { return "telemetry.Trail(" + t.String() + ")" }

// LogValue returns what a log record should hold of the trail.
func (t *Trail) LogValue() slog.Value {
	answer := t.Answer()
	return slog.GroupValue(
		slog.String("function", t.Function()),
		slog.String("source", string(answer.Source)),
		slog.Int("attempts", t.AttemptCount()),
		slog.Duration("waited", t.Waited()),
		slog.Duration("duration", t.Duration()),
	)
}
