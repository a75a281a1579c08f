package transport_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

var adversarySeed = flag.Uint64("adversary.seed", 1, "seed of the stacks and the servers that are out to exceed their worst case")

// TestExplainHoldsAgainstAnAdversary builds stacks at random, asks for their worst
// case, and sends requests through them to a server that does its best to exceed
// it.
func TestExplainHoldsAgainstAnAdversary(t *testing.T) {
	t.Parallel()
	const stacks, calls = 1800, 6
	var seen tightness
	for n := range uint64(stacks) {
		random := rand.New(&lockedSource{source: rand.NewPCG(*adversarySeed, n)})
		synctest.Test(t, func(t *testing.T) {
			enemy := &adversary{random: random}
			var rt http.RoundTripper
			switch n % 3 {
			case 0:
				stack := randomStack(random)
				enemy.knows(stack.Retry, stack.Attempt)
				layer, err := transport.Build(stack)
				require.NoError(t, err)
				rt = transport.Chain(enemy, layer)
			case 1:
				rt = randomChain(random, enemy)
			case 2:
				rt = randomNest(random, enemy)
			}
			worst := transport.Explain(rt)
			for i := range calls {
				got := attack(t, random, rt, enemy)
				if !got.within(worst.Worst) {
					t.Fatalf("stack %d, call %d: %+v\nexceeds\n%v", n, i, got, worst)
				}
				seen.note(got, worst.Worst)
			}
			time.Sleep(time.Hour) // whoever is in the queue leaves
		})
	}
	seen.check(t)
}

// observed is what one call came to.
type observed struct {
	calls                int64
	header, end, waiting time.Duration
	ahead                int64 // bytes of the body that were read before the caller did
}

func (o observed) within(w policy.Worst) bool {
	return o.calls <= int64(w.Calls) && o.header <= w.Header && o.end <= w.End && o.waiting <= w.Waiting && o.ahead <= w.BufferedBytes
}

// tightness counts how often what was seen came close to what may be.
type tightness struct{ calls, header, end, waiting int }

func (n *tightness) note(o observed, w policy.Worst) {
	count := func(hits *int, got, most time.Duration) {
		if most > 0 && most < policy.Unbounded && got >= most*9/10 {
			*hits++
		}
	}
	count(&n.header, o.header, w.Header)
	count(&n.end, o.end, w.End)
	count(&n.waiting, o.waiting, w.Waiting)
	if w.Calls > 1 && o.calls == int64(w.Calls) {
		n.calls++
	}
}

// check fails the test if the adversary was too tame to tell anything.
func (n *tightness) check(t *testing.T) {
	for name, hits := range map[string]int{"calls": n.calls, "header": n.header, "end": n.end, "waiting": n.waiting} {
		assert.Greater(t, hits, 20, "calls that came close to their worst case: %s", name)
	}
	t.Logf("came close: %+v", *n)
}

// lockedSource is a source of random numbers for several goroutines: a merged call
// may go on when its caller has left.
type lockedSource struct {
	mu     sync.Mutex
	source rand.Source // guarded by mu
}

func (s *lockedSource) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source.Uint64()
}

// attack sends one request and reads what comes.
func attack(t *testing.T, random *rand.Rand, rt http.RoundTripper, enemy *adversary) observed {
	call := policy.Call{Function: "fn", Replayable: random.IntN(4) > 0}
	ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Hour) // for what nothing else bounds
	defer cancel()
	var trail *telemetry.Trail
	if enemy.recorded {
		ctx, trail = telemetry.NewContext(ctx)
	}
	wire := &wire{}
	ctx = context.WithValue(policy.WithCall(ctx, call), wireKey{}, wire)
	var content io.Reader = bytes.NewReader(make([]byte, 1+random.IntN(2))) // two questions, for the cache
	if random.IntN(3) == 0 {
		content = struct{ io.Reader }{content} // to be recorded
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, content)
	require.NoError(t, err)

	if enemy.hog != nil {
		go enemy.hog()
		synctest.Wait()
	}
	start := time.Now()
	resp, err := rt.RoundTrip(req)
	got := observed{header: time.Since(start), ahead: wire.last.Load()}
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	got.end = time.Since(start)
	got.calls = wire.calls.Load()
	if !enemy.sideBySide {
		got.waiting = min(got.header, trail.Waited()+time.Duration(wire.queued.Load()))
	}
	time.Sleep(time.Duration(random.Int64N(int64(20 * time.Second)))) // some breakers close
	return got
}

// wire is what one call came to at the base.
type wire struct {
	calls  atomic.Int64
	queued atomic.Int64 // in limits, in nanoseconds
	last   atomic.Int64 // bytes read of the latest body
}

type wireKey struct{}

func wireOf(req *http.Request) *wire { return req.Context().Value(wireKey{}).(*wire) }

// An adversary is a server that knows the settings and makes the worst of them.
type adversary struct {
	random   *rand.Rand
	retry    policy.Retry
	limits   policy.Timeout
	hints    bool // it names its waits in other forms, too
	recorded bool // calls have a trail

	// sideBySide says that requests of one call may wait at the same time, so that
	// their waits add up to more than passes.
	sideBySide bool

	hog func() // takes the place of others in the queue; may be nil
}

func (a *adversary) knows(r policy.Retry, limits policy.Timeout) {
	a.retry, a.limits, a.recorded = r.WithDefaults(), limits.WithDefaults(), true
}

func (a *adversary) RoundTrip(req *http.Request) (*http.Response, error) {
	w := wireOf(req)
	w.calls.Add(1)
	w.last.Store(0)
	defer req.Body.Close()
	_, _ = io.Copy(io.Discard, req.Body)
	resp, err := transporttest.After(a.delay(), a.step())(req)
	if err == nil {
		resp.Body = &counted{resp.Body, &w.last}
		a.hint(resp)
	}
	return resp, err
}

// hint has the answer name the longest wait in one form or another, be it a wrong
// one or beside another, at a time that may not be ours.
func (a *adversary) hint(resp *http.Response) {
	if !a.hints {
		return
	}
	longest := a.retry.MaxWait
	if longest < 0 {
		longest = time.Hour
	}
	at := time.Now().Add(longest).UTC()
	set := func(fields ...string) {
		for i := 0; i < len(fields); i += 2 {
			resp.Header.Set(fields[i], fields[i+1])
		}
	}
	whole := strconv.Itoa(int(longest / time.Second))
	switch a.random.IntN(8) {
	case 0:
		set("Retry-After", whole)
	case 1:
		set("Retry-After", at.Format(http.TimeFormat))
	case 2:
		set("X-Ms-Retry-After-Ms", whole+"000")
	case 3:
		set("X-Ratelimit-Reset-Requests", longest.String(), "X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Limit-Requests", "10")
	case 4:
		set("Anthropic-Ratelimit-Requests-Reset", at.Format(time.RFC3339), "Anthropic-Ratelimit-Requests-Remaining", "0")
	case 5:
		set("Ratelimit", `"default";r=0;t=`+whole, "Ratelimit-Policy", `"default";q=10;w=60`)
	case 6:
		set("Content-Type", "text/event-stream")
	}
	if a.random.IntN(3) == 0 {
		set("Date", time.Now().Add(time.Duration(a.random.Int64N(int64(2*time.Hour)))-time.Hour).UTC().Format(http.TimeFormat))
	}
}

// delay is how long the header takes: often as long as it may, or a little less.
func (a *adversary) delay() time.Duration {
	longest := 40 * time.Second
	for _, limit := range []time.Duration{a.limits.FirstByte, a.limits.Total} {
		if limit > 0 {
			longest = min(longest, limit)
		}
	}
	switch a.random.IntN(4) {
	case 0:
		return 0
	case 1:
		return time.Duration(a.random.Int64N(int64(longest)))
	case 2:
		return 2 * longest
	}
	return longest - 1
}

// step is what comes then.
func (a *adversary) step() transporttest.Step {
	switch a.random.IntN(8) {
	case 0:
		return transporttest.Fail(errDial)
	case 1:
		return transporttest.Fail(errReset)
	case 2, 3:
		return a.body(http.StatusOK)
	}
	statuses := []int{http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusInternalServerError, http.StatusBadGateway, 529}
	header := []string{"X-Should-Retry", "true"}
	if longest := a.retry.MaxWait; a.random.IntN(3) > 0 {
		if longest < 0 {
			longest = time.Hour
		}
		header = append(header, "Retry-After-Ms", strconv.FormatFloat(float64(longest)/float64(time.Millisecond), 'f', -1, 64))
	}
	return a.body(statuses[a.random.IntN(len(statuses))], header...)
}

// body is an answer whose body comes whole, in drops just within the limit, not
// to its end, or not at all.
func (a *adversary) body(status int, header ...string) transporttest.Step {
	every := 30 * time.Second
	if a.limits.Idle > 0 {
		every = a.limits.Idle - 1
	}
	every = []time.Duration{every, time.Millisecond, 60 * time.Millisecond, every / 7}[a.random.IntN(4)]
	var chunks []transporttest.Chunk
	length := int64(0)
	for range 1 + a.random.IntN(5) {
		data := make([]byte, 1+a.random.IntN(40<<10))
		chunks = append(chunks, transporttest.Chunk{After: every, Data: string(data)})
		length += int64(len(data))
	}
	switch a.random.IntN(6) {
	case 0:
		return transporttest.Reply(status, string(make([]byte, a.random.IntN(200<<10))), header...)
	case 1:
		return transporttest.Stall(status, "x", header...)
	case 2:
		chunks = append(chunks, transporttest.Chunk{After: every, Err: io.ErrUnexpectedEOF})
		length++
	}
	announced := a.random.IntN(3) > 0
	return func(req *http.Request) (*http.Response, error) {
		resp, err := transporttest.Stream(status, chunks, header...)(req)
		if err == nil && announced {
			resp.ContentLength = length
		}
		return resp, err
	}
}

// counted counts what is read of a body.
type counted struct {
	io.ReadCloser
	read *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// choice returns one of the values.
func choice[T any](random *rand.Rand, values ...T) T { return values[random.IntN(len(values))] }

// randomStack returns settings that are valid and have no finding.
func randomStack(random *rand.Rand) policy.Stack {
	for {
		s := policy.Stack{
			Total:   choice(random, 0, -1, 2*time.Second, 5*time.Second, 5*time.Minute),
			Retry:   randomRetry(random),
			Breaker: policy.Breaker{Off: random.IntN(2) == 0},
			Limit:   randomLimit(random),
			Attempt: randomAttempt(random),
		}
		if random.IntN(3) == 0 {
			s.Cache = &policy.Cache{TTL: choice(random, 0, time.Millisecond)}
		}
		if random.IntN(3) == 0 {
			s.Fallback = &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}, Fidelity: policy.Fidelity{Share: 1}}
		}
		if random.IntN(3) == 0 {
			s.Throttle = &policy.Throttle{MinCalls: 2}
		}
		if random.IntN(3) == 0 {
			s.Responses = &policy.Responses{Errors: true}
		}
		if random.IntN(3) == 0 {
			s.Hedge = &policy.Hedge{Delay: choice(random, time.Millisecond, 100*time.Millisecond, time.Second), Max: 1 + random.IntN(2)}
		}
		if random.IntN(3) == 0 {
			s.Failover = randomFailover(random)
		}
		if random.IntN(3) == 0 {
			s.Streams = &policy.Streams{HoldBytes: 100, HoldTime: choice(random, 0, 10*time.Millisecond)}
		}
		if s.Validate() == nil && policy.Lint(s.Parts()) == nil {
			return s
		}
	}
}

// randomFailover returns some endpoints, one of which may be where callers think
// that they go, and another one need a translation.
func randomFailover(random *rand.Rand) *policy.Failover {
	same := func(data []byte) ([]byte, error) { return data, nil }
	f := &policy.Failover{
		Endpoints: []policy.Endpoint{{Name: "first", URL: target}, {Name: "second"}, {Name: "third", URL: "http://third.test"}}[:1+random.IntN(3)],
		Strategy:  choice(random, policy.Ordered, policy.RoundRobin, policy.LeastLatency),
		Ejection:  policy.Ejection{Off: random.IntN(2) == 0, Faults: 1, For: time.Second},
		Random:    choice(random, fixed(0), fixed(almostOne)),
	}
	last := &f.Endpoints[len(f.Endpoints)-1]
	if random.IntN(3) == 0 {
		last.RequestBody = same
	}
	if random.IntN(3) == 0 {
		last.ResponseBody = same
	}
	return f
}

func randomRetry(random *rand.Rand) policy.Retry {
	r := policy.Retry{
		Off:         random.IntN(8) == 0,
		Attempts:    choice(random, 0, 1, 2, 5),
		Backoff:     randomBackoff(random),
		Throttled:   randomBackoff(random),
		MaxWait:     choice(random, 0, -1, time.Millisecond, time.Second, 10*time.Second),
		WaitJitter:  choice(random, 0, 0, 0.5, 1),
		ReplayBytes: choice[int64](random, 0, -1, 100),
		BufferBytes: choice[int64](random, 0, -1, -1, 100),
		DrainBytes:  choice[int64](random, 0, 100),
		DrainTime:   choice(random, 0, 200*time.Millisecond),
		Budget:      policy.Budget{Off: random.IntN(2) == 0},
		Random:      choice(random, fixed(0), fixed(0.5), fixed(almostOne), fixed(almostOne)),
	}
	if random.IntN(3) == 0 {
		r.Classes = policy.PerClassRetries()
	}
	return r
}

func randomBackoff(random *rand.Rand) policy.Backoff {
	return policy.Backoff{
		Base:   choice(random, 0, -1, 10*time.Millisecond, 2*time.Second),
		Kind:   choice(random, policy.ExponentialBackoff, policy.ExponentialBackoff, policy.LinearBackoff, policy.ConstantBackoff),
		Jitter: choice(random, policy.FullJitter, policy.EqualJitter, policy.NoJitter, policy.DecorrelatedJitter),
	}
}

func randomLimit(random *rand.Rand) policy.Limit {
	return policy.Limit{
		Off:       random.IntN(3) == 0,
		InFlight:  choice(random, 0, 1, 2, -1),
		PerSecond: choice(random, 0, 0, 0.2),
		Burst:     1,
		MaxWait:   choice(random, 0, 0, -1, time.Second),
	}
}

func randomAttempt(random *rand.Rand) policy.Timeout {
	return policy.Timeout{
		Off:       random.IntN(8) == 0,
		Total:     choice(random, 0, 0, 4*time.Second, 20*time.Second),
		FirstByte: choice(random, 0, -1, 500*time.Millisecond, 2*time.Second),
		Idle:      choice(random, 0, -1, 300*time.Millisecond),
	}
}

// randomChain puts layers around the enemy by hand: some of them, here and there
// in another order, and with somebody else before us in the queue.
func randomChain(random *rand.Rand, enemy *adversary) http.RoundTripper {
	retry := valid(random, randomRetry)
	attempt := valid(random, randomAttempt)
	call := valid(random, randomCallTimeout)
	limit := randomLimit(random)
	limit.PerSecond = 0 // the queue is for others
	limiter := transport.NewLimiter(limit)
	enemy.knows(retry, attempt)
	enemy.recorded = random.IntN(2) == 0
	if !limit.Off {
		enemy.hog = hog(limiter, choice(random, 0, time.Second, time.Minute), random.IntN(2) == 0)
	}

	outer := []transport.Layer{transport.Timeout(call)}
	if random.IntN(2) == 0 {
		outer = append(outer, cache.Predictions(cache.PredictionsConfig{Cache: policy.Cache{TTL: time.Millisecond}}))
	}
	if random.IntN(2) == 0 {
		outer = append(outer, staticAnswer())
	}
	inner := []transport.Layer{
		queueProbe(limiter.Wrap),
		transport.Timeout(attempt),
		transport.NewBreaker(policy.Breaker{Off: random.IntN(2) == 0, MinCalls: 3}).Wrap,
	}
	if enemy.recorded {
		inner = append(inner, telemetry.ObserveAttempt(telemetry.Config{}))
	}
	shuffle(random, outer)
	shuffle(random, inner)
	layers := append(append(outer, transport.Retry(retry)), inner...)
	if enemy.recorded && random.IntN(2) == 0 {
		layers = append([]transport.Layer{telemetry.ObserveCall(telemetry.Config{})}, layers...)
	}
	return transport.Chain(enemy, layers...)
}

// randomNest puts hedges, retries and a failover around and inside each other, as
// nobody should, each endpoint of which has layers of its own.
func randomNest(random *rand.Rand, enemy *adversary) http.RoundTripper {
	retry := valid(random, randomRetry)
	attempt := valid(random, randomAttempt)
	enemy.knows(retry, attempt)
	enemy.hints, enemy.sideBySide, enemy.recorded = true, true, random.IntN(2) == 0
	perhaps := func(layers ...transport.Layer) []transport.Layer {
		return slices.DeleteFunc(layers, func(transport.Layer) bool { return random.IntN(2) == 0 })
	}
	hedge := func() transport.Layer {
		return transport.NewHedge(policy.Hedge{
			Delay: choice(random, time.Millisecond, 100*time.Millisecond, time.Second), Max: 1 + random.IntN(3),
			Ratio: 1, DrainTime: choice(random, 0, 200*time.Millisecond),
		}).Wrap
	}
	again := func() transport.Layer {
		retry := retry
		retry.Attempts = choice(random, 0, 1, 2, 5)
		return transport.Retry(retry)
	}
	inner := func() []transport.Layer {
		layers := perhaps(
			hedge(), again(), transport.Timeout(attempt), transport.NewLimiter(randomLimit(random)).Wrap,
			transport.NewThrottle(policy.Throttle{MinCalls: 2}).Wrap, transport.NewBreaker(policy.Breaker{MinCalls: 3}).Wrap,
			transport.Streams(policy.Streams{HoldBytes: 1000, HoldTime: time.Second}),
		)
		if enemy.recorded {
			layers = append(layers, telemetry.ObserveAttempt(telemetry.Config{}))
		}
		shuffle(random, layers)
		return layers
	}
	endpoints := transport.NewFailover(*randomFailover(random), func(string) transport.Layer {
		layers := inner()
		return func(next http.RoundTripper) http.RoundTripper { return transport.Chain(next, layers...) }
	})
	layers := perhaps(transport.Timeout(valid(random, randomCallTimeout)), hedge(), again(), hedge(), endpoints.Wrap)
	if enemy.recorded && random.IntN(2) == 0 {
		layers = append([]transport.Layer{telemetry.ObserveCall(telemetry.Config{})}, layers...)
	}
	layers = append([]transport.Layer{repeatable}, layers...)
	return transport.Chain(enemy, append(layers, inner()...)...)
}

// repeatable is a layer whose requests may all be repeated, as Explain assumes: a
// hedge looks at no others.
func repeatable(next http.RoundTripper) http.RoundTripper {
	return transport.Func(func(req *http.Request) (*http.Response, error) {
		call := policy.Call{Function: "fn", Replayable: true}
		return next.RoundTrip(req.WithContext(policy.WithCall(req.Context(), call)))
	})
}

func shuffle[T any](random *rand.Rand, list []T) {
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

// valid returns settings that are.
func valid[T interface{ Validate() error }](random *rand.Rand, settings func(*rand.Rand) T) T {
	for {
		if s := settings(random); s.Validate() == nil {
			return s
		}
	}
}

func randomCallTimeout(random *rand.Rand) policy.Timeout {
	return policy.Timeout{
		Off:       random.IntN(3) == 0,
		Scope:     "call",
		Total:     choice(random, -1, 3*time.Second, time.Minute),
		FirstByte: choice(random, -1, time.Second, 30*time.Second),
	}
}

func staticAnswer() transport.Layer {
	ladder, err := fallback.New(policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}, Fidelity: policy.Fidelity{Share: 1}})
	if err != nil {
		panic(err)
	}
	return ladder.Wrap
}

// queueProbe measures how long requests take to get through a limit.
func queueProbe(limit transport.Layer) transport.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		var began sync.Map // *wire → time.Time
		through := func(req *http.Request) {
			if since, ok := began.LoadAndDelete(wireOf(req)); ok {
				wireOf(req).queued.Add(int64(time.Since(since.(time.Time))))
			}
		}
		before := func(next http.RoundTripper) http.RoundTripper {
			return transport.Func(func(req *http.Request) (*http.Response, error) {
				began.Store(wireOf(req), time.Now())
				defer through(req) // when it never got there
				return next.RoundTrip(req)
			})
		}
		after := func(next http.RoundTripper) http.RoundTripper {
			return transport.Func(func(req *http.Request) (*http.Response, error) {
				through(req)
				return next.RoundTrip(req)
			})
		}
		return transport.Chain(next, before, limit, after)
	}
}

// hog returns a func that holds some places of the limiter for a while.
func hog(limiter *transport.Limiter, hold time.Duration, twice bool) func() {
	rt := limiter.Wrap(transporttest.NewUpstream(transporttest.After(hold, transporttest.Reply(http.StatusOK, ""))))
	ask := func() {
		req, err := http.NewRequest(http.MethodGet, target, http.NoBody)
		if err != nil {
			panic(err)
		}
		_, _ = rt.RoundTrip(req)
	}
	return func() {
		if twice {
			go ask()
		}
		ask()
	}
}

// TestExplainIsReached: the worst case is not only a bound. A server that knows
// the stack brings it about, to the nanoseconds that lie below limits.
func TestExplainIsReached(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	tests := []struct {
		name   string
		layers []transport.Layer
		step   transporttest.Step
	}{
		{
			"the longest wait after the slowest header, and a dripping body to look at",
			[]transport.Layer{
				transport.Retry(policy.Retry{Attempts: 4, MaxWait: 7 * s, BufferBytes: -1}),
				transport.Timeout(policy.Timeout{FirstByte: 2 * s, Total: 3 * s}),
			},
			transporttest.After(2*s-1, transporttest.Stall(http.StatusTooManyRequests, "x", "Retry-After", "7")),
		},
		{
			"answers that are read ahead and cut short as late as may be",
			[]transport.Layer{
				transport.Retry(policy.Retry{Attempts: 2, Backoff: policy.Backoff{Base: s, Jitter: policy.NoJitter}, Throttled: policy.Backoff{Base: -1}, MaxWait: ms}),
				transport.Timeout(policy.Timeout{Total: 5 * s}),
			},
			transporttest.Stall(http.StatusOK, "x"),
		},
		{
			"a fallback below its own limit",
			[]transport.Layer{staticAnswer(), transport.Timeout(policy.Timeout{FirstByte: 2 * s, Total: 3 * s})},
			transporttest.After(2*s-1, transporttest.Stall(http.StatusInternalServerError, "x")),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := transport.Chain(transporttest.NewUpstream(tt.step), tt.layers...)
				worst := transport.Explain(rt)
				start := time.Now()
				resp, err := rt.RoundTrip(newRequest(t, replayable(t.Context()), http.MethodPost, "hello"))
				header := time.Since(start)
				if err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				assert.InDelta(t, worst.Header, header, 10, "%v of\n%v", header, worst)
			})
		})
	}
}
