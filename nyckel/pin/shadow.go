package pin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// A ShadowConfig says which calls are also made to a candidate, and how many.
type ShadowConfig struct {
	// Client makes all calls, so that its limits hold for both kinds.
	Client *nyckel.Client

	// Function is the name of the function whose calls have a shadow.
	Function string

	// Via is the name under which the client calls the candidate: the same function
	// of the account with a stack of its own, such as [ShadowStack]. It must not be
	// Function: a candidate that is slow or fails would open the breaker of the
	// live calls, and spend their retries.
	Via string

	// Candidate is the model that answers in the shadow; "" is the newest.
	Candidate string

	// Share is the share of live calls that have a shadow, above 0 to 1. Zero means
	// 0.05.
	Share float64

	// Budget is how many shadow calls are made in any Period, counted from the first
	// of them. Zero means 1000 in 1 h.
	Budget int
	Period time.Duration

	// Queue is how many calls may wait to be made, Concurrency how many are under
	// way at once. What finds the queue full has no shadow. Zero means 100 and 2.
	Queue       int
	Concurrency int

	// Timeout bounds one shadow call. Zero means 30 s.
	Timeout time.Duration

	// Records keeps the comparisons. Nil means a [Memory] of the default size.
	Records Records

	// Random draws which calls are sampled, from 0 to below 1; it is not called
	// concurrently. Nil means [rand.Float64].
	Random func() float64
}

func (c ShadowConfig) withDefaults() ShadowConfig {
	c.Share = cmp.Or(c.Share, 0.05)
	c.Budget = cmp.Or(c.Budget, 1000)
	c.Period = cmp.Or(c.Period, time.Hour)
	c.Queue = cmp.Or(c.Queue, 100)
	c.Concurrency = cmp.Or(c.Concurrency, 2)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	if c.Records == nil {
		c.Records = NewMemory(0)
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	return c
}

func (c ShadowConfig) validate() error {
	if c.Client == nil {
		return errors.New("pin: ShadowConfig has no Client")
	}
	known := c.Client.Functions()
	var errs []error
	for _, f := range []struct{ setting, name string }{{"Function", c.Function}, {"Via", c.Via}} {
		if !slices.Contains(known, f.name) {
			errs = append(errs, fmt.Errorf("pin: ShadowConfig.%s is %q, which the client does not have", f.setting, f.name))
		}
	}
	if c.Via == c.Function {
		errs = append(errs, errors.New("pin: ShadowConfig.Via is the Function itself, want a name with a stack of its own"))
	}
	if !(c.Share > 0 && c.Share <= 1) {
		errs = append(errs, fmt.Errorf("pin: ShadowConfig.Share is %v, want above 0 to 1", c.Share))
	}
	if c.Budget < 0 || c.Period < 0 || c.Queue < 0 || c.Concurrency < 0 || c.Timeout < 0 {
		errs = append(errs, errors.New("pin: ShadowConfig has a negative number"))
	}
	return errors.Join(errs...)
}

// ShadowStack returns a stack for [ShadowConfig.Via]: one attempt, answered by the
// service or not at all.
func ShadowStack() *policy.Stack { return &policy.Stack{Retry: policy.Retry{Off: true}} }

// ShadowStats counts what became of live calls. Observed is the sum of the others
// and of what is waiting or under way.
type ShadowStats struct {
	Observed   int // live calls
	Unsampled  int // not drawn
	Unusable   int // answered by something else than the service, or by the candidate itself
	OverBudget int
	QueueFull  int // or closed
	Compared   int // kept, failures of the candidate included
	Lost       int // the candidate was not asked, for a reason that is not its own, or not by itself answered; or the call panicked
	Unrecorded int // the records did not take it
}

// A Shadow asks a candidate about a sample of what a function is asked. It is safe
// for concurrent use. Without waiting calls it holds no goroutine. Close it.
//
// Shadow calls count against the client's limit. While calls have to wait for that,
// live ones go first; Budget and Concurrency see to it that enough is left for them.
type Shadow struct {
	cfg   ShadowConfig
	calls context.Context // ends when Close gives up
	stop  context.CancelFunc

	mu      sync.Mutex // guards what follows
	waiting []observed
	running int
	spent   int       // of the budget
	renewal time.Time // of the budget
	closed  bool
	idle    chan struct{} // closed when closed and nothing runs
	stats   ShadowStats
}

// observed is a live call with its answer.
type observed struct {
	input nyckel.Input
	c     Comparison
}

// NewShadow returns a Shadow. It makes no call.
func NewShadow(cfg ShadowConfig) (*Shadow, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Shadow{cfg: cfg, idle: make(chan struct{})}
	s.calls, s.stop = context.WithCancel(policy.WithCall(context.Background(), policy.Call{Priority: math.MinInt}))
	return s, nil
}

// Invoke is [nyckel.Client.Invoke] of the function, followed by [Shadow.Observe].
// The caller's answer does not depend on the shadow and does not wait for it.
func (s *Shadow) Invoke(ctx context.Context, id string, input nyckel.Input, options ...nyckel.InvokeOption) (*nyckel.Prediction, error) {
	p, err := s.cfg.Client.Invoke(ctx, s.cfg.Function, input, options...)
	if err == nil {
		s.Observe(id, input, p)
	}
	return p, err
}

// Observe takes note of a live call that was answered, and at once returns. The
// input must not change any more. The id is what [Records.SetTruth] will be told; it
// may be "".
//
// Only answers that the service itself gave just now are compared: others, such as
// one from a cache, are not the model's, or were counted when they were made.
func (s *Shadow) Observe(id string, input nyckel.Input, p *nyckel.Prediction) {
	usable := p.Answer.Source == telemetry.Live && p.Model != s.cfg.Candidate
	s.mu.Lock()
	defer s.mu.Unlock()
	sampled := s.cfg.Random() < s.cfg.Share
	s.stats.Observed++
	switch {
	case !sampled:
		s.stats.Unsampled++
	case !usable:
		s.stats.Unusable++
	case s.closed || len(s.waiting) >= s.cfg.Queue:
		s.stats.QueueFull++
	case !s.spendLocked():
		s.stats.OverBudget++
	default:
		s.waiting = append(s.waiting, observed{input, Comparison{
			Pair: Pair{s.cfg.Function, p.Model, s.cfg.Candidate},
			ID:   id, Label: labelOf(p), Confidence: p.Confidence, Latency: p.ServiceTime, At: time.Now(),
		}})
		if s.running < s.cfg.Concurrency {
			s.running++
			go s.work()
		}
	}
}

// spendLocked takes a call from the budget.
func (s *Shadow) spendLocked() bool {
	if now := time.Now(); !now.Before(s.renewal) {
		s.spent, s.renewal = 0, now.Add(s.cfg.Period)
	}
	if s.spent >= s.cfg.Budget {
		return false
	}
	s.spent++
	return true
}

// labelOf returns what labels are compared by.
func labelOf(p *nyckel.Prediction) string { return cmp.Or(p.LabelName, p.LabelID) }

// work makes calls until none waits.
func (s *Shadow) work() {
	for {
		next, ok := s.next()
		if !ok {
			return
		}
		s.serve(next)
	}
}

// serve makes one call. A panic, such as one of the records or of an input that
// nobody else reads, costs the comparison and not the program; a goroutine that ends
// is followed by another.
func (s *Shadow) serve(o observed) {
	count, returned := &s.stats.Lost, false
	defer func() {
		panicked := recover() != nil
		s.mu.Lock()
		defer s.mu.Unlock()
		*count++
		if !returned && !panicked {
			go s.work()
		}
	}()
	count = s.compare(o)
	returned = true
}

func (s *Shadow) next() (observed, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.running--
		s.restLocked()
		return observed{}, false
	}
	next := s.waiting[0]
	s.waiting[0] = observed{} // for the garbage collector
	s.waiting = s.waiting[1:]
	return next, true
}

func (s *Shadow) restLocked() {
	if s.closed && s.running == 0 {
		close(s.idle)
	}
}

// compare asks the candidate, keeps the comparison, and returns the figure to which
// the call counts.
func (s *Shadow) compare(o observed) *int {
	ctx, cancel := context.WithTimeout(s.calls, s.cfg.Timeout)
	defer cancel()
	model := nyckel.NewestModel()
	if s.cfg.Candidate != "" {
		model = nyckel.ModelID(s.cfg.Candidate)
	}
	p, err := s.cfg.Client.Invoke(ctx, s.cfg.Via, o.input, model, nyckel.Capture(false), nyckel.Strict())
	switch {
	case err != nil && !isCandidates(err), err == nil && p.Answer.Source != telemetry.Live:
		return &s.stats.Lost
	case err != nil:
		o.c.Failure = policy.ErrorOf(err).Verdict.Class.String()
	default:
		o.c.CandidateLabel, o.c.CandidateConfidence, o.c.CandidateLatency = labelOf(p), p.Confidence, p.ServiceTime
	}
	if err := s.cfg.Records.Add(s.calls, o.c); err != nil {
		return &s.stats.Unrecorded
	}
	return &s.stats.Compared
}

// isCandidates reports whether a failure may be the model's own. Limits, quotas,
// refusals and lost connections are not.
func isCandidates(err error) bool {
	e := policy.ErrorOf(err)
	if e == nil {
		return false // the call was not made
	}
	switch e.Verdict.Class {
	case policy.Invalid, policy.NotFound, policy.Filtered, policy.Conflict:
		return true
	case policy.Internal, policy.TimedOut:
		return e.Verdict.Executed != policy.NotExecuted // else no model had a part in it, as when there is no token
	case policy.Unknown:
		return e.Verdict.Executed == policy.Executed // an answer that is none, as one without a label
	}
	return false
}

// Report sums up what was compared so far with the model that incumbent names; ""
// is the newest.
func (s *Shadow) Report(ctx context.Context, incumbent string) (Report, error) {
	return CompareRecords(ctx, s.cfg.Records, Pair{s.cfg.Function, incumbent, s.cfg.Candidate})
}

// Stats returns the figures, all of one moment.
func (s *Shadow) Stats() ShadowStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Close waits for the calls that wait or are under way. If ctx ends before, they
// are broken off and count as lost, and it returns the cause of ctx. Live calls go
// on, without a shadow.
func (s *Shadow) Close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		s.restLocked()
	}
	s.mu.Unlock()
	select {
	case <-s.idle:
	case <-ctx.Done():
	}
	s.mu.Lock()
	rest := s.running
	s.mu.Unlock()
	s.stop()
	if rest == 0 { // even if ctx has ended, too
		return nil
	}
	return context.Cause(ctx)
}
