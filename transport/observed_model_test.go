package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

// A ledger is what a test knows to have happened, from what callers got and what the
// service saw: how often, by the words that the metrics have for it.
type ledger struct {
	mu     sync.Mutex
	counts map[string]int
	ids    map[string]bool // of calls that the service has seen
}

func (l *ledger) add(format string, values ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[fmt.Sprintf(format, values...)]++
}

// of returns the counts of one thing.
func (l *ledger) of(thing string) map[string]int {
	counts := map[string]int{}
	for key, n := range l.counts {
		if strings.HasPrefix(key, thing+" ") {
			counts[key] = n
		}
	}
	return counts
}

// moody is a service on which everything happens.
type moody struct {
	*ledger
	random *rand.Rand // guarded by mu
}

func (m *moody) RoundTrip(req *http.Request) (*http.Response, error) {
	m.mu.Lock()
	m.ids[req.Header.Get("X-Id")] = true
	mood, takes := m.random.IntN(12), time.Duration(m.random.IntN(900))*time.Millisecond
	m.mu.Unlock()
	endpoint, _, _ := strings.Cut(req.URL.Host, ".")
	select {
	case <-time.After(takes):
	case <-req.Context().Done():
		m.add("attempt %s 0", endpoint)
		return nil, context.Cause(req.Context())
	}
	status := map[int]int{0: 503, 1: 429, 2: 500, 3: 400, 4: 0, 5: 0, 11: 0}[mood]
	if mood >= 6 && mood <= 10 {
		status = 200
	}
	m.add("attempt %s %d", endpoint, status)
	switch mood {
	case 4:
		return nil, syscall.ECONNRESET
	case 5:
		<-req.Context().Done()
		return nil, context.Cause(req.Context())
	case 11:
		panic("a broken transport")
	case 6, 7:
		resp, _ := says(200)(req)
		resp.Body = &trickle{ctx: req.Context(), left: 3, breaks: mood == 7}
		return resp, nil
	}
	resp, err := says(status)(req)
	if status == 429 {
		resp.Header.Set("Retry-After", "1")
	}
	return resp, err
}

// trickle is a body that comes slowly, and may break.
type trickle struct {
	ctx    context.Context
	left   int
	breaks bool
}

func (b *trickle) Read(p []byte) (int, error) {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-b.ctx.Done():
		return 0, context.Cause(b.ctx)
	}
	if b.left--; b.left > 0 {
		return copy(p, " "), nil
	}
	if b.breaks {
		return 0, io.ErrUnexpectedEOF
	}
	return 0, io.EOF
}

func (b *trickle) Close() error { return nil }

// call makes one call in one of the ways in which callers do, and takes down what came
// of it.
func (l *ledger) call(rt http.RoundTripper, req *http.Request, trail *telemetry.Trail, abandons bool) {
	ctx := req.Context()
	var resp *http.Response
	var err error
	func() {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		if resp, err = rt.RoundTrip(req); err != nil {
			return
		}
		if err = body.Broken(resp); err == nil && !abandons {
			_, err = io.ReadAll(resp.Body)
		}
		_ = resp.Body.Close()
	}()
	source, end := trail.Answer().Source, "answered"
	if resp == nil {
		source = "" // whatever the trail says
	}
	switch {
	case resp != nil && resp.StatusCode >= 400:
		end = "failed"
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		end = "left"
	case err != nil:
		end = "failed"
	}
	l.add("call %s %t", source, end == "failed")
	switch {
	case end == "failed":
		l.add("activity failed")
	case end == "left":
		l.add("activity canceled")
	case source == "a" || source == "b" || source == "c":
		l.add("activity endpoint")
	default:
		l.add("activity %s", source)
	}
	if trail.Answer().Degraded() && end != "failed" {
		l.add("fallback %s %s", source, strings.Replace(trail.Answer().Cause.String(), "unknown", "_OTHER", 1))
	}
	if trail.Waited() > 0 {
		l.add("delay ")
	}
	for _, r := range trail.Refusals() {
		l.add("refusal %s", r.Reason)
	}
	for _, n := range trail.Notes() {
		if n.Layer == "retry" {
			l.add("skipped %s", n.Reason)
		}
	}
}

// measuredLedger returns the ledger that the metrics make.
func measuredLedger(t *testing.T, s *sdk) *ledger {
	l := &ledger{counts: map[string]int{}}
	value := func(set attribute.Set, key attribute.Key) string {
		v, _ := set.Value(key)
		return v.String()
	}
	for _, m := range s.collect(t) {
		each := func(set attribute.Set, n int) {
			errorType := value(set, "error.type")
			switch m.Name {
			case "sparekey.client.prediction.duration":
				l.counts[fmt.Sprintf("call %s %t", value(set, "sparekey.answer.source"), errorType != "")] += n
			case "sparekey.client.prediction.active":
				l.counts["active "] += n
			case "sparekey.client.attempt.duration":
				status, _ := set.Value("http.response.status_code")
				l.counts[fmt.Sprintf("attempt %s %d", value(set, "sparekey.endpoint.name"), status.AsInt64())] += n
				l.counts["kind "+value(set, "sparekey.attempt.kind")] += n
			case "http.client.request.duration":
				l.counts["request "] += n
			case "sparekey.client.retry.delay":
				l.counts["delay "] += n
			case "sparekey.client.fallbacks":
				l.counts["fallback "+value(set, "sparekey.answer.source")+" "+value(set, "sparekey.fallback.cause")] += n
			case "sparekey.client.rejections":
				l.counts["refusal "+value(set, "sparekey.rejection.reason")] += n
			case "sparekey.client.retries.skipped":
				l.counts["skipped "+value(set, "sparekey.retry.skipped.reason")] += n
			case "sparekey.client.cache.lookups":
				l.counts["lookup "+value(set, "sparekey.cache.result")] += n
			case "sparekey.client.breaker.transitions":
				l.counts["transition "+value(set, "sparekey.breaker.state")+" "+value(set, "sparekey.breaker.trigger")] += n
			case "sparekey.client.hedges":
				l.counts["hedge "] += n
			}
		}
		switch data := m.Data.(type) {
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				each(p.Attributes, int(p.Count))
			}
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				each(p.Attributes, int(p.Value))
			}
		}
	}
	return l
}

// TestMetricsAgainstTheTruth: calls of all kinds at once, through stacks of all kinds, to
// a service on which everything happens. What the metrics count is what callers got
// and what the service saw.
func TestMetricsAgainstTheTruth(t *testing.T) {
	const seeds, calls = 16, 100
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(seed), 7))
				sdk := installSDK(t)
				truth := &ledger{counts: map[string]int{}, ids: map[string]bool{}}
				service := &moody{truth, rand.New(rand.NewPCG(uint64(seed), 8))}
				stack := policy.Stack{
					Function: "f", RequestDuration: true, Total: 20 * time.Second,
					Failover: &policy.Failover{Endpoints: regions(), Ejection: policy.Ejection{For: time.Second}},
					Attempt:  policy.Timeout{FirstByte: 2 * time.Second, Idle: 2 * time.Second},
					Retry:    policy.Retry{Attempts: 3, Budget: policy.Budget{Ratio: 0.5}},
					Limit:    policy.Limit{InFlight: 1 + random.IntN(30), MaxQueue: random.IntN(10)},
				}
				cached, hedged := seed&1 != 0, seed&2 != 0
				if cached {
					stack.Cache = &policy.Cache{TTL: 2 * time.Second, StaleIfError: 5 * time.Second}
				}
				if hedged {
					stack.Hedge = &policy.Hedge{Delay: 500 * time.Millisecond, Ratio: 0.5}
				}
				if seed&4 != 0 {
					stack.Fallback = &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}}
				}
				stack.Breaker = policy.Breaker{OnTransition: func(_ context.Context, tr policy.Transition) {
					truth.add("transition %s %s", tr.To, tr.Trigger)
				}}
				rt := transport.Chain(service, transport.Standard(stack))
				for i := range calls {
					ctx, trail := telemetry.NewContext(policy.WithCall(t.Context(), policy.Call{Function: "f", Replayable: true}))
					cancel := context.CancelFunc(func() {})
					switch random.IntN(8) {
					case 0:
						ctx, cancel = context.WithCancel(ctx)
						time.AfterFunc(time.Duration(random.IntN(3000))*time.Millisecond+333*time.Microsecond, cancel)
					case 1:
						ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(3000))*time.Millisecond+777*time.Microsecond)
					}
					req := to(t, "POST", "http://a.test/v1/x", fmt.Sprint("body ", random.IntN(60))).WithContext(ctx)
					req.Header.Set("X-Id", fmt.Sprint(i))
					abandons := random.IntN(10) == 0
					go func() {
						truth.call(rt, req, trail, abandons)
						time.AfterFunc(time.Minute, cancel)
					}()
					time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()

				got := measuredLedger(t, sdk)
				for _, thing := range []string{"call", "attempt", "fallback", "delay", "transition"} {
					assert.Equal(t, truth.of(thing), got.of(thing), thing)
				}
				if !cached && !hedged { // what others joined, and a hedge that has lost, may go on when the call is over
					assert.Equal(t, truth.of("refusal"), got.of("refusal"))
					assert.Equal(t, truth.of("skipped"), got.of("skipped"))
				}
				assert.Zero(t, got.counts["active "])
				attempts := 0
				for _, n := range got.of("attempt") {
					attempts += n
				}
				assert.Equal(t, attempts, got.counts["request "])
				if hedged {
					assert.LessOrEqual(t, got.counts["kind first"], len(truth.ids))
				} else {
					assert.Equal(t, len(truth.ids), got.counts["kind first"])
				}
				seen := transport.Snapshot(rt).Functions[0]
				activity := map[string]int{}
				for outcome, n := range seen.Calls {
					activity["activity "+outcome] = int(n)
				}
				assert.Equal(t, truth.of("activity"), activity)
				if cached {
					assert.Equal(t, int(seen.Cache.Hits), got.counts["lookup hit"])
					assert.Equal(t, int(seen.Cache.Hits), truth.counts["call cache false"])
					assert.Equal(t, int(seen.Cache.Misses), got.counts["lookup miss"])
				}
				assert.Len(t, sdk.spans.GetSpans(), calls+attempts)
			})
		})
	}
}
