package policy

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/sparekey/sparekey/policy/body"
)

// Unbounded is the time that nothing bounds.
const Unbounded time.Duration = math.MaxInt64

// Worst is the most that one request through a stack may come to.
type Worst struct {
	// Calls is how many requests the base is sent.
	Calls int

	// Header is the time until the caller has a response's header or an error,
	// and End the time until the response's body has ended, both from the
	// request on.
	Header, End time.Duration

	// Waiting is how much of Header is spent on purpose: between attempts and in
	// queues.
	Waiting time.Duration

	// BufferedBytes is how much of the bodies layers hold in memory at a time,
	// and SpilledBytes how much in a temporary file: the recording of a request's
	// body for replays, the start of an error body, an answer that is read ahead,
	// the last answer to a failed attempt beside the one that is being thrown
	// away, the copy for a cache, the text for a fallback's rules and the live answer that
	// it is compared with. What a cache
	// has stored is for all requests and does not count; nor does a body that the
	// caller had in memory anyway, nor the working memory of who parses one.
	BufferedBytes, SpilledBytes int64
}

// An Explanation is the worst case of a stack, for the caller and as each of the
// layers shows it to the one around it. Its String method prints it as a table.
type Explanation struct {
	Worst
	Layers []Explained // outermost first
}

// An Explained is a layer and the worst that one request to it may come to.
type Explained struct {
	Part
	Worst
}

// Explain returns the worst case of a stack of layers, outermost first. It is
// reached by a server that is out for it: one that names the longest wait that is
// accepted, drips its bodies, stalls just within a limit and cuts short what is
// read ahead; while the retry budget is full and every queue is as slow as may
// be. It holds under these assumptions:
//
//   - Every random number is the most it can be, and every request may be
//     repeated.
//   - The base ends when the request's context does, and sends what it is given
//     once. net/http itself sends a request again if an idle connection turns out
//     to be closed, and a client that follows a redirect makes another request.
//   - The reader of the body, the transport that reads the request's body, the
//     classifiers, rungs and hooks take no time. The transport reads at most 32 KiB of
//     the request's body at once.
//   - A failover asks all its endpoints in each attempt of a retry around it: in
//     truth those after the first are asked one at a time. Funcs that fetch tokens
//     or translate bodies take no time, and no memory of their own. Of a failover
//     inside another one's endpoints, the layers are its first endpoint's.
//   - Nobody asks the same at the same time. A cache lets who does wait for the call
//     that is under way; if its answer is not for all, his own begins only then, and
//     may take as long again.
//   - Foreign layers send one request for one, and neither wait nor buffer.
//   - A request to an endpoint of a failover, and what a foreign layer sends, is not
//     the one that came, so that retries and hedges below count its attempts alone; but
//     for an only endpoint without a URL and a Path.
//
// A limit between bytes does not bound a body: a server may drip. Nor does it
// bound the header where a retry reads answers ahead.
func Explain(parts []Part) Explanation {
	parts = withoutOff(parts)
	c := costs{Worst: Worst{Calls: 1, Header: Unbounded, End: Unbounded}, calls: calls{apart: 1}}
	layers := make([]Explained, len(parts))
	branches := map[string]*costs{} // by endpoint
	for i, p := range slices.Backward(parts) {
		at := &c
		if p.Endpoint != "" {
			if branches[p.Endpoint] == nil {
				branches[p.Endpoint] = new(c)
			}
			at = branches[p.Endpoint]
		}
		at.recorded = slices.ContainsFunc(parts[:i+1], func(p Part) bool { return p.Kind == KindCall })
		if p.Kind == KindFailover && p.Endpoint == "" {
			c.failover(p.failover(), branches)
			clear(branches)
		} else {
			at.add(p)
		}
		layers[i] = Explained{p, at.Worst}
	}
	return Explanation{c.Worst, layers}
}

// What layers in other packages take for a failed answer. The test with an
// adversary keeps them right.
const (
	peekTime   = 100 * time.Millisecond // telemetry's, for the start of an error body
	inputBytes = 1 << 20                // the fallback's, of the request's text
	oneRead    = 32 << 10               // a transport's, of the request's body

	comparedBytes = 64 << 10 // the fallback's, of a live answer
)

// costs is the worst case of a stack, as it grows from the inside out.
type costs struct {
	Worst
	calls    calls
	recorded bool // there is the record of a call, here or around
	judged   bool // a layer inside has looked at error bodies
}

// add puts p around the rest.
func (c *costs) add(p Part) {
	switch p.Kind {
	case KindForeign:
		c.calls.replace()
	case KindTimeout:
		c.timeout(p.timeout())
	case KindCall, KindAttempt:
		c.judge()
	case KindThrottle, KindBreaker:
		c.calls.refuses = true
		c.judge()
	case KindLimit:
		c.calls.refuses = true
		c.limit(p.limit())
	case KindHedge:
		c.hedge(p.hedge())
	case KindRetry:
		c.retry(p.retry())
	case KindStreams:
		c.streams(p.streams())
	case KindFailover:
		c.failover(p.failover(), nil)
	case KindCache:
		c.cache(p.cache())
	case KindFallback:
		c.judge()
		c.discard()
		c.BufferedBytes = plus(c.BufferedBytes, inputBytes)
		if p.fallback().Fidelity.Share > 0 {
			c.BufferedBytes = plus(c.BufferedBytes, comparedBytes)
		}
	}
}

// judge has a look at the start of an error body. The record of a call keeps what
// the first layer saw there for the others.
func (c *costs) judge() {
	if c.judged && c.recorded {
		return
	}
	if !c.judged {
		c.BufferedBytes = plus(c.BufferedBytes, PeekBytes)
	}
	c.judged = true
	c.Header = min(plus(c.Header, peekTime), c.End)
}

// discard throws an answer away.
func (c *costs) discard() { c.Header = min(plus(c.Header, body.DrainTime), c.End) }

// cache looks at an answer before it is shared among those who ask the same, and
// again at the copy that each of them gets.
func (c *costs) cache(cache Cache) {
	c.judge()
	c.judged = false
	c.judge()
	if cache.StaleIfError > 0 {
		c.discard()
	}
	c.BufferedBytes = plus(c.BufferedBytes, cache.MaxEntryBytes)
}

func (c *costs) streams(s Streams) {
	if s.HoldBytes == 0 {
		return
	}
	c.Header = min(plus(c.Header, s.HoldTime), c.End)
	c.BufferedBytes = plus(c.BufferedBytes, s.HoldBytes)
}

func (c *costs) timeout(t Timeout) {
	if t.Total > 0 {
		c.End = min(c.End, t.Total)
	}
	if t.FirstByte > 0 {
		c.Header = min(c.Header, t.FirstByte)
	}
	c.Header = min(c.Header, c.End)
	c.Waiting = min(c.Waiting, c.Header)
}

// limit waits in the queue. Only one that learns from answers looks at them.
func (c *costs) limit(l Limit) {
	if l.InFlight == 0 || l.PerSecond > 0 {
		c.judge()
	}
	wait := l.longestWait()
	c.Header, c.End, c.Waiting = plus(c.Header, wait), plus(c.End, wait), plus(c.Waiting, wait)
}

func (c *costs) retry(r Retry) {
	c.judge()
	n := r.mostAttempts()
	attempt := c.Header
	if r.BufferBytes > 0 {
		attempt = c.End // a good answer is read ahead, be it to be cut short
		c.BufferedBytes = plus(c.BufferedBytes, plus(r.BufferBytes, 1))
	}
	waits, gaps := r.longestWaits(n)
	before := plus(times(attempt, n-1), gaps)
	c.Header, c.End = plus(before, attempt), plus(before, c.End)
	c.Waiting = plus(times(c.Waiting, n), waits)
	c.calls.repeat(n)
	c.Calls = c.calls.total()
	if memory, total := r.ReplayLimits(); total > 0 {
		c.BufferedBytes = plus(c.BufferedBytes, plus(memory, oneRead))
		if total > memory {
			c.SpilledBytes = plus(c.SpilledBytes, plus(total, oneRead))
		}
	}
	if n > 1 { // the last real answer is kept while the next is thrown away
		c.BufferedBytes = plus(c.BufferedBytes, plus(r.DrainBytes, plus(r.DrainBytes, 1)))
	}
}

// hedge puts requests beside each other, of which each may be started when the one
// before is at its end. The attempts of retries inside count together.
func (c *costs) hedge(h Hedge) {
	c.judge()
	n := 1 + h.Max
	c.calls.hedge(h.Max)
	c.Calls = c.calls.total()
	gaps := times(h.DrainTime, n)
	before := plus(times(c.Header, n-1), gaps)
	c.Header, c.End = plus(before, c.Header), plus(before, c.End)
	c.Waiting = times(c.Waiting, n)
	c.BufferedBytes = plus(times(c.BufferedBytes, n), times(plus(h.DrainBytes, 1), n))
	c.SpilledBytes = times(c.SpilledBytes, n)
}

// failover asks each endpoint, one after the other. branches are their own layers,
// by name; one that has none stands on what there is.
func (c *costs) failover(f Failover, branches map[string]*costs) {
	asked := make([]costs, len(f.Endpoints))
	for i, e := range f.Endpoints {
		asked[i] = *c
		if own := branches[e.Name]; own != nil {
			asked[i] = *own
		}
		asked[i].recorded = c.recorded
		asked[i].judge()
		asked[i].translate(e)
	}
	if len(asked) == 0 {
		return
	}
	*c = oneAfterTheOther(asked)
	if e := f.Endpoints[0]; len(asked) > 1 {
		c.Calls = c.calls.total()
		r := Retry{}.WithDefaults()
		memory, _ := r.ReplayLimits()
		c.BufferedBytes = plus(c.BufferedBytes, memory+oneRead+2*r.DrainBytes+1)
	} else if e.URL != "" || e.Path != nil {
		c.calls.replace()
	}
}

// translate reads whole bodies.
func (c *costs) translate(e Endpoint) {
	if e.RequestBody != nil {
		c.BufferedBytes = plus(c.BufferedBytes, MapBytes+1)
	}
	if e.ResponseBody != nil {
		c.BufferedBytes = plus(c.BufferedBytes, MapBytes+1)
		c.Header = c.End
	}
}

// oneAfterTheOther returns what it comes to if each of all is tried and the answer
// is thrown away but for one: the last one's, whichever that is, or one that was
// kept and comes before it. Its Calls are those of one alone.
func oneAfterTheOther(all []costs) costs {
	gaps := times(body.DrainTime, len(all)-1)
	thrown := gaps
	if len(all) > 1 {
		thrown = plus(gaps, body.DrainTime)
	}
	sum := all[0]
	sum.Worst = Worst{}
	sent := make([]calls, len(all))
	for last, c := range all {
		header, end := thrown, plus(gaps, c.End)
		for i, other := range all {
			header = plus(header, other.Header)
			if i != last {
				end = plus(end, other.Header)
			}
		}
		sum.Header, sum.End = header, max(sum.End, end, header)
		sum.Waiting = plus(sum.Waiting, c.Waiting)
		sum.Calls, sent[last] = max(sum.Calls, c.Calls), c.calls
		sum.BufferedBytes, sum.SpilledBytes = max(sum.BufferedBytes, c.BufferedBytes), max(sum.SpilledBytes, c.SpilledBytes)
		sum.judged = sum.judged && c.judged
	}
	if len(all) > 1 {
		sum.calls = choose(sent)
	}
	return sum
}

// mostAttempts returns how many attempts there are while the budget is full.
func (r Retry) mostAttempts() int {
	budget := r.Budget
	if r.Bucket != nil {
		budget = *r.Bucket.settings.Load()
	}
	if !budget.Off && budget.Burst < 1-tokenEpsilon {
		return 1
	}
	return r.MaxAttempts()
}

// longestWaits returns the sum of the longest waits before n-1 retries, and the
// time that passes with them: an answer is thrown away meanwhile.
func (r Retry) longestWaits(n int) (waits, gaps time.Duration) {
	for i := 1; i < n; i++ {
		wait := r.longestWait(i)
		waits, gaps = plus(waits, wait), plus(gaps, max(wait, r.DrainTime))
	}
	return waits, gaps
}

// longestWait returns the longest wait before retry n: the server's or our own,
// of any class that is repeated so often.
func (r Retry) longestWait(n int) time.Duration {
	longest, _ := r.DelayAfter(0, Verdict{Wait: cmp.Or(max(0, r.MaxWait), Unbounded)}, n, 1)
	for _, class := range Classes() {
		if r.AttemptsFor(class) <= n {
			continue
		}
		b := r.backoff(class)
		wait := b.Delay(n, 1)
		if b.Jitter == DecorrelatedJitter && n > 1 && b.Base >= 0 {
			wait = b.Max // the wait before may have been a long one of the server's
		}
		longest = max(longest, wait)
	}
	return longest
}

// plus returns a + b, of which neither is negative, as far as T goes.
func plus[T ~int64](a, b T) T {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// times returns d × n, of which neither is negative, as far as T goes.
func times[T ~int64](d T, n int) T {
	if n > 0 && d > math.MaxInt64/T(n) {
		return math.MaxInt64
	}
	return d * T(n)
}
