package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// An unwell is a call that fails, and what its error.type and that of its last attempt
// are: "-" for an attempt that there is none of, "" for what is no error.
type unwell struct {
	name    string
	stack   policy.Stack
	steps   []transporttest.Step // the last is for all that come after it
	before  int                  // calls that are made before, one after the other
	beside  int                  // calls that are made shortly before, and are under way
	within  time.Duration        // the caller's deadline, if he has one
	act     func(http.RoundTripper)
	attempt string
	call    string
}

func unwells() []unwell {
	says := transporttest.Reply
	fails := transporttest.Fail
	once := policy.Retry{Off: true}
	hangs := transporttest.Hang()
	slow := transporttest.After(5*time.Second, says(200, "{}"))
	noToken, noBody := regions()[:1], regions()[:1]
	noToken[0].Token = func(context.Context) (string, error) { return "", errors.New("no") }
	noBody[0].RequestBody = func([]byte) ([]byte, error) { return nil, errors.New("no") }
	one := func(l policy.Limit) policy.Stack {
		l.InFlight = 1
		return policy.Stack{Limit: l, Retry: once}
	}
	return []unwell{
		{name: "an answer", steps: []transporttest.Step{says(200, "{}")}},
		{name: "rate limited", steps: []transporttest.Step{says(429, "{}")}, attempt: "429", call: "rate_limited"},
		{name: "quota", steps: []transporttest.Step{says(402, "{}")}, attempt: "402", call: "quota_exceeded"},
		{name: "quota by its body", steps: []transporttest.Step{says(429, `{"error":{"code":"insufficient_quota"}}`)}, attempt: "429", call: "quota_exceeded"},
		{name: "credentials", steps: []transporttest.Step{says(401, "{}")}, attempt: "401", call: "unauthenticated"},
		{name: "rights", steps: []transporttest.Step{says(403, "{}")}, attempt: "403", call: "forbidden"},
		{name: "load", steps: []transporttest.Step{says(503, "{}")}, attempt: "503", call: "overloaded"},
		{name: "a gateway's timeout", steps: []transporttest.Step{says(504, "{}")}, attempt: "504", call: "timed_out"},
		{name: "wrong", steps: []transporttest.Step{says(400, "{}")}, attempt: "400", call: "invalid"},
		{name: "not there", steps: []transporttest.Step{says(404, "{}")}, attempt: "404", call: "not_found"},
		{name: "there already", steps: []transporttest.Step{says(409, "{}")}, attempt: "409", call: "conflict"},
		{name: "content", steps: []transporttest.Step{says(400, `{"error":{"code":"content_filter"}}`)}, attempt: "400", call: "filtered"},
		{name: "broken", steps: []transporttest.Step{says(500, "{}")}, attempt: "500", call: "internal"},

		{name: "no such name", steps: []transporttest.Step{fails(&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}})}, attempt: "dns", call: "dns"},
		{name: "nobody there", steps: []transporttest.Step{fails(errDial)}, attempt: "connect", call: "connect"},
		{name: "a bad certificate", steps: []transporttest.Step{fails(&tls.CertificateVerificationError{Err: errors.New("expired")})}, attempt: "tls", call: "tls"},
		{name: "turned away unprocessed", steps: []transporttest.Step{fails(errors.New("http2: client conn not usable"))}, attempt: "unreachable", call: "unreachable"},
		{name: "reset", steps: []transporttest.Step{fails(errReset)}, attempt: "interrupted", call: "interrupted"},
		{name: "cut short", steps: []transporttest.Step{transporttest.Cut(200, "{")}, attempt: "truncated", call: "truncated"},
		{name: "what nobody knows", steps: []transporttest.Step{fails(errors.New("boom"))}, attempt: "_OTHER", call: "_OTHER"},
		{
			name: "an attempt's time", stack: policy.Stack{Attempt: policy.Timeout{FirstByte: time.Second}}, steps: []transporttest.Step{hangs},
			attempt: "timeout_attempt", call: "timeout_attempt",
		},
		{
			name: "all the time", stack: policy.Stack{Total: time.Second, Retry: once}, steps: []transporttest.Step{transporttest.Stall(200, "{")},
			attempt: "timeout_total", call: "timeout_total",
		},
		{name: "the caller's time", steps: []transporttest.Step{hangs}, within: time.Second, attempt: "timed_out", call: "timed_out"},

		{
			name: "an open breaker", stack: policy.Stack{Breaker: policy.Breaker{MinCalls: 1}, Retry: once}, steps: []transporttest.Step{fails(syscall.ECONNRESET)},
			before: 1, attempt: "-", call: "breaker_open",
		},
		{
			name: "an isolated breaker", stack: policy.Stack{Retry: once}, steps: []transporttest.Step{says(200, "{}")}, before: 1,
			act: func(rt http.RoundTripper) {
				for _, b := range transport.Breakers(rt) {
					b.Isolate("maintenance", time.Now().Add(time.Hour))
				}
			}, attempt: "-", call: "breaker_isolated",
		},
		{name: "a limit without a queue", stack: one(policy.Limit{MaxQueue: -1}), steps: []transporttest.Step{slow}, beside: 1, attempt: "-", call: "concurrency_limit"},
		{name: "a full queue", stack: one(policy.Limit{MaxQueue: 1}), steps: []transporttest.Step{slow}, beside: 2, attempt: "-", call: "queue_full"},
		{name: "a queue too slow", stack: one(policy.Limit{MaxWait: time.Second}), steps: []transporttest.Step{slow}, beside: 1, attempt: "-", call: "queue_timeout"},
		{name: "a queue too slow for the caller", stack: one(policy.Limit{}), steps: []transporttest.Step{slow}, beside: 1, within: time.Second, attempt: "-", call: "deadline"},
		{
			name: "a rate", stack: policy.Stack{Limit: policy.Limit{PerSecond: 0.2, Burst: 1, MaxWait: time.Second}, Retry: once}, steps: []transporttest.Step{says(200, "{}")},
			before: 1, attempt: "-", call: "rate_limit",
		},
		{
			name: "a throttle", stack: policy.Stack{Throttle: &policy.Throttle{MinCalls: 1, Random: fixed(0)}, Retry: once, Limit: policy.Limit{Off: true}},
			steps: []transporttest.Step{says(429, "{}")}, before: 5, attempt: "-", call: "throttled",
		},
		{name: "no token", stack: policy.Stack{Failover: &policy.Failover{Endpoints: noToken}}, steps: []transporttest.Step{hangs}, attempt: "-", call: "token"},
		{name: "no translation", stack: policy.Stack{Failover: &policy.Failover{Endpoints: noBody}}, steps: []transporttest.Step{hangs}, attempt: "-", call: "body"},
		{name: "a refusal of another module", steps: []transporttest.Step{fails(&policy.Refusal{Layer: "mine", Reason: "my mood", Err: errors.New("no")})}, attempt: "_OTHER", call: "_OTHER"},
		{name: "a refusal without a reason", steps: []transporttest.Step{fails(&policy.Refusal{Layer: "mine", Err: errors.New("no")})}, attempt: "refused", call: "refused"},
	}
}

// TestErrorTypes takes calls through every way to fail that there is: the span, the
// metric and the log record of a call say the same of it, those of an attempt, too,
// and nobody says anything that is not in the vocabulary.
func TestErrorTypes(t *testing.T) {
	said := map[string]bool{}
	for _, tt := range unwells() {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, attempts := tt.run(t)
				said[tt.call], said[tt.attempt] = true, true
				assert.Equal(t, tt.call, calls[len(calls)-1])
				if tt.attempt == "-" {
					assert.Less(t, len(attempts), len(calls), "one was not sent")
				} else if assert.NotEmpty(t, attempts) {
					assert.Equal(t, tt.attempt, attempts[len(attempts)-1])
				}
			})
		})
	}
	var missing []string
	for _, class := range policy.Classes() {
		if name := class.String(); !said[name] && class != policy.OK && class != policy.Canceled && class != policy.Unknown {
			missing = append(missing, name)
		}
	}
	for _, name := range []string{
		"dns", "connect", "tls", "timeout_attempt", "timeout_total", "_OTHER", "",
		"breaker_open", "breaker_isolated", "concurrency_limit", "rate_limit", "deadline",
		"queue_full", "queue_timeout", "throttled", "token", "body",
	} {
		if !said[name] {
			missing = append(missing, name)
		}
	}
	assert.Empty(t, missing, "no call ends so")
}

// TestErrorTypesOfStatuses: an attempt that was answered has the status for its type.
func TestErrorTypesOfStatuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var want []string
		var steps []transporttest.Step
		for status := 400; status < 600; status++ {
			want, steps = append(want, strconv.Itoa(status)), append(steps, transporttest.Reply(status, "{}"))
		}
		all := unwell{steps: steps, before: len(steps) - 1, stack: policy.Stack{
			Retry: policy.Retry{Off: true}, Breaker: policy.Breaker{Off: true}, Limit: policy.Limit{Off: true},
		}}
		_, attempts := all.run(t)
		assert.Equal(t, want, attempts)
	})
}

// run makes the calls and returns the error.type of each call and each attempt, in the
// order in which they ended, once it is seen that all exporters agree.
func (u unwell) run(t *testing.T) (calls, attempts []string) {
	sdk := installSDK(t)
	var log lockedBuffer
	u.stack.Function = "f"
	u.stack.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if u.stack.Retry.Attempts == 0 {
		u.stack.Retry.Attempts = 2
	}
	rt := transport.Chain(transporttest.NewUpstream(u.steps...), transport.Standard(u.stack))
	call := func() {
		ctx := policy.WithCall(t.Context(), policy.Call{Function: "f", Replayable: true})
		if u.within > 0 {
			deadline, cancel := context.WithTimeout(ctx, u.within)
			defer cancel()
			ctx = deadline
		}
		_, _, _ = send(t, rt, to(t, "POST", "http://a.test/v1/x", "{}").WithContext(ctx)) // what came of it is seen below
	}
	within := u.within
	u.within = 0
	for range u.before {
		call()
	}
	var others sync.WaitGroup
	for range u.beside {
		others.Go(call)
		synctest.Wait()
	}
	if u.act != nil {
		u.act(rt)
	}
	u.within = within
	call()
	synctest.Wait()
	calls, attempts = sdk.errorTypes()
	others.Wait()
	allCalls, allAttempts := sdk.errorTypes()
	assert.Equal(t, told(allCalls), sdk.measuredWith(t, "sparekey.client.prediction.duration", "error.type"), "metrics of calls")
	assert.Equal(t, told(allAttempts), sdk.measuredWith(t, "sparekey.client.attempt.duration", "error.type"), "metrics of attempts")
	assert.Equal(t, slices.DeleteFunc(slices.Clone(allCalls), isEmpty), log.errorTypes(t, "sparekey.call.failed"), "records of calls")
	if u.attempt == "-" {
		assert.Contains(t, sdk.measuredWith(t, "sparekey.client.rejections", "sparekey.rejection.reason"), u.call, "the refusal is counted")
	}
	assert.Subset(t, allAttempts, log.errorTypes(t, "sparekey.retry"), "records of retries")
	return calls, attempts
}

// errorTypes returns the error.type of the spans of calls and of attempts.
func (s *sdk) errorTypes() (calls, attempts []string) {
	for _, span := range s.spans.GetSpans() {
		set := attribute.NewSet(span.Attributes...)
		value, _ := set.Value("error.type")
		if strings.HasPrefix(span.Name, "predict ") {
			calls = append(calls, value.AsString())
		} else {
			attempts = append(attempts, value.AsString())
		}
	}
	return calls, attempts
}

// measuredWith returns the values that an attribute has in the series of an instrument.
func (s *sdk) measuredWith(t *testing.T, name string, key attribute.Key) []string {
	values := []string{}
	for _, m := range s.collect(t) {
		if m.Name != name {
			continue
		}
		sets, _ := seriesOf(t, m)
		for _, set := range sets {
			value, _ := set.Value(key)
			values = append(values, value.AsString())
		}
	}
	return told(values)
}

// told returns each of the texts once.
func told(types []string) []string {
	types = slices.Clone(types)
	slices.Sort(types)
	return append([]string{}, slices.Compact(types)...)
}

func isEmpty(text string) bool { return text == "" }

// A lockedBuffer is what several write to.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// errorTypes returns the error.type of the log records of an event.
func (b *lockedBuffer) errorTypes(t *testing.T, event string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	types := []string{}
	for lines := bufio.NewScanner(strings.NewReader(b.text.String())); lines.Scan(); {
		var record map[string]any
		require.NoError(t, json.Unmarshal(lines.Bytes(), &record))
		if record["event.name"] == event {
			types = append(types, record["error.type"].(string))
		}
	}
	return types
}
