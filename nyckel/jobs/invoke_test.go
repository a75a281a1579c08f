package jobs_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/jobs"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// newClient returns a client with functions "tickets" and "mail" whose calls play
// the steps, the last one for ever.
func newClient(t *testing.T, stack policy.Stack, limit policy.Limit, steps ...transporttest.Step) (*nyckel.Client, *transporttest.Upstream) {
	t.Helper()
	calls := transporttest.NewUpstream(steps...)
	token := transporttest.Reply(http.StatusOK, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`, "Content-Type", "application/json")
	client, err := nyckel.New(
		nyckel.WithBaseURL("https://api.test"),
		nyckel.WithCredentials("id", "secret"),
		nyckel.WithHTTPClient(&http.Client{Transport: transport.Func(func(req *http.Request) (*http.Response, error) {
			if strings.HasSuffix(req.URL.Path, "/connect/token") {
				return token(req)
			}
			return calls.RoundTrip(req)
		})}),
		nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
		nyckel.WithFunction("mail", nyckel.Function{ID: "function_2", Model: "m2"}),
		nyckel.WithFunction("pinned", nyckel.Function{ID: "function_3", Model: "pin"}),
		nyckel.WithStack(stack),
		nyckel.WithLimit(limit),
	)
	require.NoError(t, err)
	return client, calls
}

var (
	once    = policy.Stack{Retry: policy.Retry{Off: true}, Breaker: policy.Breaker{Off: true}, Limit: policy.Limit{Off: true}}
	noLimit = policy.Limit{Off: true}
)

func answer(status int, body string, header ...string) transporttest.Step {
	return transporttest.Reply(status, body, append(header, "Content-Type", "application/json")...)
}

// deliver has Invoke do one job.
func deliver(t *testing.T, client *nyckel.Client, call jobs.Call) jobs.Outcome {
	t.Helper()
	job, err := call.Job("job-1")
	require.NoError(t, err)
	assert.Equal(t, call.Function, job.Queue)
	return jobs.Invoke(client)(t.Context(), jobs.Delivery{Job: job, Attempt: 1})
}

func TestInvokeRecordsTheAnswer(t *testing.T) {
	client, calls := newClient(t, once, noLimit, answer(200, `{"labelName":"refund","labelId":"l1","confidence":0.75,"sampleId":"s1",
		"labelConfidences":[{"labelName":"refund","labelId":"l1","confidence":0.75}]}`))
	call := jobs.Text("tickets", "money <back>")
	call.Model, call.LabelCount, call.NoCapture = "m1", 2, true
	o := deliver(t, client, call)
	require.Equal(t, jobs.Finished, o.Ending, "%v", o.Err)
	require.Len(t, o.Predictions, 1)
	p := o.Predictions[0]
	assert.Equal(t, []any{"", "tickets", "m1", "s1", "job-1", "refund", "l1", 0.75, telemetry.Live, 1},
		[]any{p.ID, p.Function, p.Model, p.SampleID, p.ExternalID, p.Label, p.LabelID, p.Confidence, p.Source, p.Attempts})
	assert.Len(t, p.Labels, 1)
	require.Equal(t, 1, calls.Calls())
	sent := calls.Requests()[0]
	assert.JSONEq(t, `{"data":"money <back>","externalId":"job-1"}`, sent.Body)
	assert.Contains(t, sent.Body, `{"data":`+string(p.Input)+`,`, "byte for byte, as is hashed")
	assert.True(t, strings.HasSuffix(sent.URL, "?capture=false&labelCount=2&modelId=m1"), sent.URL)
}

// What is recorded names the model that the client is pinned to, and an answer that
// no database could hold as it is does not waste the call.
func TestInvokeRecordsAsAClientDoes(t *testing.T) {
	client, calls := newClient(t, once, noLimit, answer(200, `{"labelId":"l1","confidence":0.75,"sampleId":"s\u0000"}`))
	o := deliver(t, client, jobs.Text("pinned", "hello"))
	require.Equal(t, jobs.Finished, o.Ending, "%v", o.Err)
	p := o.Predictions[0]
	assert.Equal(t, []any{"pin", "l1", "l1", "s\uFFFD"}, []any{p.Model, p.Label, p.LabelID, p.SampleID})
	assert.True(t, strings.HasSuffix(calls.Requests()[0].URL, "?modelId=pin"), calls.Requests()[0].URL)
}

// What a call leaves out is as the client has it.
func TestInvokeKeepsTheClientsOptions(t *testing.T) {
	calls := transporttest.NewUpstream(answer(200, `{"labelName":"a","confidence":1}`))
	client, err := nyckel.New(nyckel.WithTokenSource(fixedToken{}), nyckel.WithBaseURL("https://api.test"),
		nyckel.WithHTTPClient(&http.Client{Transport: calls}), nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1"}),
		nyckel.WithStack(once), nyckel.LabelCount(3), nyckel.Capture(false))
	require.NoError(t, err)
	o := deliver(t, client, jobs.Text("tickets", "hello"))
	require.Equal(t, jobs.Finished, o.Ending, "%v", o.Err)
	assert.True(t, strings.HasSuffix(calls.Requests()[0].URL, "?capture=false&labelCount=3"), calls.Requests()[0].URL)
}

type fixedToken struct{}

func (fixedToken) Token(context.Context, string) (string, error) { return "t", nil }

func TestInvokeSendsRows(t *testing.T) {
	client, calls := newClient(t, once, noLimit, answer(200, `{"labelName":"a","confidence":1}`))
	o := deliver(t, client, jobs.Call{Function: "mail", Data: []byte(`{"sum":12.50,"city":"Bern","number":9007199254740993}`), ExternalID: "mine"})
	require.Equal(t, jobs.Finished, o.Ending, "%v", o.Err)
	assert.Equal(t, "m2", o.Predictions[0].Model, "the client's pin")
	assert.Equal(t, `{"data":{"city":"Bern","number":9007199254740993,"sum":12.50},"externalId":"mine"}`, strings.TrimSpace(calls.Requests()[0].Body), "to the digit")
	assert.Contains(t, calls.Requests()[0].Body, `{"data":`+string(o.Predictions[0].Input)+`,`)
}

// What the service says can be recorded, whatever it is.
func TestInvokeRecordsAnyLabel(t *testing.T) {
	client, _ := newClient(t, once, noLimit, answer(200, `{"labelName":"a\u0000b","labelId":"l1","confidence":1}`))
	o := deliver(t, client, jobs.Text("tickets", "hello"))
	require.Equal(t, jobs.Finished, o.Ending, "%v", o.Err)
	assert.Equal(t, "a\uFFFDb", o.Predictions[0].Label)
}

func TestInvokeOutcomes(t *testing.T) {
	tests := []struct {
		name  string
		step  transporttest.Step
		want  jobs.Ending
		after time.Duration
	}{
		{"server fault", answer(500, `{}`), jobs.Retried, 0},
		{"overload that says when", answer(503, `{}`, "Retry-After", "7"), jobs.Retried, 7 * time.Second},
		{"rate limit", answer(429, `{}`, "Retry-After", "3"), jobs.Retried, 3 * time.Second},
		{"no connection", transporttest.Fail(fmt.Errorf("dial: %w", context.DeadlineExceeded)), jobs.Retried, 0},
		{"quota", answer(402, `{}`), jobs.Snoozed, 10 * time.Minute},
		{"credentials", answer(401, `{}`), jobs.Snoozed, 10 * time.Minute},
		{"invalid", answer(400, `{"message":"no"}`), jobs.DeadLettered, 0},
		{"no such function", answer(404, `{}`), jobs.DeadLettered, 0},
		{"forbidden", answer(403, `{}`), jobs.DeadLettered, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, _ := newClient(t, once, noLimit, tt.step)
				o := deliver(t, client, jobs.Text("tickets", "x"))
				assert.Equal(t, tt.want.String(), o.Ending.String(), "%v", o.Err)
				assert.Equal(t, tt.after, o.After)
				assert.Error(t, o.Err)
				assert.Empty(t, o.Predictions)
			})
		})
	}
}

func TestInvokeRefusesWhatMakesNoSense(t *testing.T) {
	client, calls := newClient(t, once, noLimit, answer(200, `{"labelName":"a","confidence":1}`))
	for name, job := range map[string]jobs.Job{
		"no call":          {Payload: []byte("x")},
		"no data":          {Payload: []byte(`{"function":"tickets"}`)},
		"data of a number": {Payload: []byte(`{"function":"tickets","data":7}`)},
		"empty text":       {Payload: []byte(`{"function":"tickets","data":""}`)},
		"unknown function": {Payload: []byte(`{"function":"nobody","data":"x"}`)},
		"bad option":       {Payload: []byte(`{"function":"tickets","data":"x","labelCount":-1}`)},
	} {
		o := jobs.Invoke(client)(t.Context(), jobs.Delivery{Job: job})
		assert.Equal(t, jobs.DeadLettered, o.Ending, name)
		assert.Error(t, o.Err, name)
	}
	assert.Zero(t, calls.Calls())
}

// A call that is strict is no job for a stand-in.
func TestInvokeStrictly(t *testing.T) {
	stack := once
	stack.Fallback = &policy.Fallback{Static: &policy.Answer{Label: "triage", Confidence: 0.1}}
	client, _ := newClient(t, stack, noLimit, answer(500, `{}`))
	call := jobs.Text("tickets", "x")
	o := deliver(t, client, call)
	require.Equal(t, jobs.Finished, o.Ending, "%v", o.Err)
	assert.Equal(t, telemetry.Static, o.Predictions[0].Source)
	call.Strict = true
	assert.Equal(t, jobs.Retried, deliver(t, client, call).Ending)
}

// oneFault opens the breaker of a function after a single fault.
func oneFault() policy.Stack {
	stack := once
	stack.Breaker = policy.Breaker{MinCalls: 1, OpenFor: 10 * time.Second, Probes: 2, Random: func() float64 { return 0 }}
	return stack
}

func TestInvokeSnoozesWhileTheBreakerIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, calls := newClient(t, oneFault(), noLimit, answer(500, `{}`))
		assert.Equal(t, jobs.Retried, deliver(t, client, jobs.Text("tickets", "x")).Ending)
		time.Sleep(4 * time.Second)
		o := deliver(t, client, jobs.Text("tickets", "x"))
		assert.Equal(t, jobs.Snoozed, o.Ending)
		assert.Equal(t, 6*time.Second, o.After)
		assert.ErrorIs(t, o.Err, transport.ErrOpen)
		assert.Equal(t, 1, calls.Calls())
	})
}

func TestGateOfBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := newClient(t, oneFault(), noLimit, answer(500, `{}`), answer(200, `{"labelName":"a","confidence":1}`))
		gate := jobs.GateOf(client)
		ready := func(queue string) time.Duration { return gate.Ready(t.Context(), queue) }
		assert.Zero(t, ready("tickets"))
		assert.Equal(t, 16, gate.Ration(t.Context(), "tickets", 16))

		deliver(t, client, jobs.Text("tickets", "x"))
		assert.Equal(t, 10*time.Second, ready("tickets"))
		assert.Zero(t, ready("mail"), "another function has a breaker of its own")
		assert.Zero(t, ready("some"), "a queue of jobs for any function")

		time.Sleep(10 * time.Second)
		assert.Zero(t, ready("tickets"))
		assert.Equal(t, 2, gate.Ration(t.Context(), "tickets", 16), "as many as there are probes")
		assert.Equal(t, 20*time.Millisecond, ready("tickets"), "those are on their way")
		time.Sleep(20 * time.Millisecond)
		assert.Zero(t, ready("tickets"))

		deliver(t, client, jobs.Text("tickets", "x"))
		deliver(t, client, jobs.Text("tickets", "x"))
		assert.Equal(t, 16, gate.Ration(t.Context(), "tickets", 16))
	})
}

func TestGateOfLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := newClient(t, once, policy.Limit{PerSecond: 2, Burst: 1, InFlight: 5}, answer(200, `{"labelName":"a","confidence":1}`))
		gate := jobs.GateOf(client)
		assert.Zero(t, gate.Ready(t.Context(), "tickets"))
		assert.Equal(t, 5, gate.Ration(t.Context(), "tickets", 16))
		time.Sleep(time.Second)
		deliver(t, client, jobs.Text("tickets", "x"))
		const half = 500*time.Millisecond - 1 // a token is there a nanosecond early
		assert.Equal(t, half, gate.Ready(t.Context(), "tickets"))
		assert.Equal(t, half, gate.Ready(t.Context(), "some"), "the account's limit is that of all functions")
		time.Sleep(500 * time.Millisecond)
		assert.Zero(t, gate.Ready(t.Context(), "tickets"))
	})
}

// A gate that is closed, and nobody knows for how long, is asked again soon.
func TestGateOfCallsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := newClient(t, once, policy.Limit{InFlight: 1}, transporttest.After(time.Second, answer(200, `{"labelName":"a","confidence":1}`)))
		gate := jobs.GateOf(client)
		go deliver(t, client, jobs.Text("tickets", "x"))
		time.Sleep(time.Second / 2)
		assert.Equal(t, 20*time.Millisecond, gate.Ready(t.Context(), "tickets"))
		assert.Equal(t, 1, gate.Ration(t.Context(), "tickets", 16), "at least one")
		time.Sleep(time.Second)
		assert.Zero(t, gate.Ready(t.Context(), "tickets"))
	})
}

// A queue of jobs for any function waits for the one that opens first.
func TestGateOfSeveralFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := newClient(t, oneFault(), noLimit, answer(500, `{}`))
		for _, function := range client.Functions() {
			deliver(t, client, jobs.Text(function, "x"))
			time.Sleep(time.Second)
		}
		assert.Equal(t, 7*time.Second, jobs.GateOf(client).Ready(t.Context(), "some"))
	})
}
