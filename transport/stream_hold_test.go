package transport_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// What fails before anything of it has been handed on is asked for again, as far
// as the request may be repeated. What fails later never is.
func TestStreamsHeldAndRetried(t *testing.T) {
	const whole = msgStart + msgPing + msgOutput + msgStop
	good := eventsOf(whole)
	for _, tt := range []struct {
		name     string
		first    transporttest.Step
		hold     int64
		repeat   bool // the request may be repeated
		attempts int
		want     string
	}{
		{"an error at the start", eventsOf(msgError), 1 << 10, true, 2, whole},
		{"an error after start-up", eventsOf(msgStart + msgPing + msgError), 1 << 10, true, 2, whole},
		{"an error after a ping", eventsOf(msgPing + msgError), 1 << 10, true, 2, whole},
		{"a cut after start-up", eventsOf(msgStart + msgPing), 1 << 10, true, 2, whole},
		{"a cut in the first event", eventsOf(msgStart[:40]), 1 << 10, true, 2, whole},
		{"a reset after start-up", chunksOf(transporttest.Chunk{Data: msgStart, Err: errReset}), 1 << 10, true, 2, whole},
		{"an error after output", eventsOf(msgStart + msgOutput + msgError), 1 << 10, true, 1, msgStart + msgOutput + msgError},
		{"a cut after output", eventsOf(msgStart + msgOutput), 1 << 10, true, 1, msgStart + msgOutput},
		{"an error beyond the bytes", eventsOf(msgStart + msgPing + msgError), 20, true, 1, msgStart + msgPing + msgError},
		{"not held", eventsOf(msgError), 0, true, 1, msgError},
		{"what may have been done", eventsOf(msgStart + msgError), 1 << 10, false, 1, msgStart + msgError},
		{"what surely was not done", eventsOf(msgStart + msgLimit), 1 << 10, false, 2, whole},
		{"a good answer", good, 1 << 10, true, 1, whole},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := transporttest.NewUpstream(tt.first, good)
				rt := transport.Chain(up, transport.Standard(policy.Stack{Streams: &policy.Streams{HoldBytes: tt.hold}}))
				ctx, trail := traced(t)
				if tt.repeat {
					ctx = replayable(ctx)
				}
				status, text, _ := send(t, rt, newRequest(t, ctx, http.MethodPost, "{}"))
				assert.Equal(t, http.StatusOK, status)
				assert.Equal(t, tt.want, text)
				assert.Equal(t, tt.attempts, up.Calls())
				assert.Equal(t, tt.attempts, trail.AttemptCount())
			})
		})
	}
}

// A stream of Gemini's or Cohere's that fails before its first output is asked for at
// another endpoint; one that failed later is what the caller gets.
func TestStreamsHeldAndFailedOver(t *testing.T) {
	const (
		overloaded = `data: {"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}` + "\n\n"
		cohere     = `data: {"type":"message-start","delta":{"message":{}}}` + "\n\n"
		failed     = `data: {"type":"message-end","delta":{"finish_reason":"ERROR","error":"m"}}` + "\n\n"
	)
	for _, tt := range []struct {
		name, first string
		want        []string // hosts that were asked
	}{
		{"Gemini's", overloaded, []string{"a.test", "b.test"}},
		{"Gemini's, after output", geminiOutput + overloaded, []string{"a.test"}},
		{"Gemini's, cut", `data: {"candidates":[{"content":{"role":"model"}}]}` + "\n\n", []string{"a.test", "b.test"}},
		{"Cohere's", cohere + failed, []string{"a.test", "b.test"}},
		{"Cohere's, cut", cohere, []string{"a.test", "b.test"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := transporttest.NewUpstream(eventsOf(tt.first), eventsOf(geminiEnd))
				rt := transport.Chain(up, transport.Standard(policy.Stack{
					Streams: &policy.Streams{HoldBytes: 1 << 10},
					Failover: &policy.Failover{Strategy: policy.Ordered, Endpoints: []policy.Endpoint{
						{Name: "a", URL: "https://a.test"}, {Name: "b", URL: "https://b.test"},
					}},
				}))
				_, text, err := send(t, rt, newRequest(t, replayable(t.Context()), http.MethodPost, "{}"))
				if len(tt.want) == 1 {
					assert.ErrorAs(t, err, new(*policy.StreamError))
					assert.Equal(t, tt.first, text)
				} else {
					assert.NoError(t, err)
					assert.Equal(t, geminiEnd, text)
				}
				var asked []string
				for _, r := range up.Requests() {
					asked = append(asked, strings.TrimSuffix(strings.TrimPrefix(r.URL, "https://"), "/"))
				}
				assert.Equal(t, tt.want, asked)
			})
		})
	}
}

// When attempts run out, the caller gets the stream as it came.
func TestStreamsHeldToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const failed = msgStart + msgError
		up := transporttest.NewUpstream(eventsOf(failed))
		rt := transport.Chain(up, transport.Standard(policy.Stack{Streams: &policy.Streams{HoldBytes: 1 << 10}}))
		ctx, trail := traced(t)
		resp, err := rt.RoundTrip(newRequest(t, replayable(ctx), http.MethodPost, "{}"))
		require.NoError(t, err)
		data, err := io.ReadAll(resp.Body)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, failed, string(data))
		assert.ErrorAs(t, err, new(*policy.StreamError))
		assert.Equal(t, 3, up.Calls())
		assert.Equal(t, []string{telemetry.NoneLeft}, notes(trail))
		for _, a := range trail.Attempts() {
			assert.Equal(t, policy.Overloaded, a.Verdict.Class)
		}
	})
}

// An answer waits for its first output, and no longer than it may.
func TestStreamsHoldTime(t *testing.T) {
	const hold = 3 * time.Second
	chunk := func(after time.Duration, data string) transporttest.Chunk {
		return transporttest.Chunk{After: after, Data: data}
	}
	for _, tt := range []struct {
		name   string
		chunks []transporttest.Chunk
		want   time.Duration
	}{
		{"output at once", []transporttest.Chunk{chunk(0, msgStart+msgOutput), chunk(time.Hour, msgStop)}, 0},
		{"output just in time", []transporttest.Chunk{chunk(0, msgStart), chunk(hold-1, msgOutput), chunk(time.Hour, msgStop)}, hold - 1},
		{"output in two parts", []transporttest.Chunk{chunk(0, msgStart), chunk(time.Second, msgOutput[:9]), chunk(time.Second, msgOutput[9:]+msgStop)}, 2 * time.Second},
		{"output too late", []transporttest.Chunk{chunk(0, msgStart), chunk(hold+1, msgOutput), chunk(0, msgStop)}, hold},
		{"nothing for long", []transporttest.Chunk{chunk(time.Hour, msgStart), chunk(0, msgStop)}, hold},
		{"many bytes", []transporttest.Chunk{chunk(0, msgStart), chunk(time.Second, ":"+strings.Repeat(" ", 1<<10)+"\n"), chunk(time.Hour, msgStop)}, time.Second},
		{"an unknown event", []transporttest.Chunk{chunk(time.Second, "data: hello\n\n"), chunk(time.Hour, "data: world\n\n")}, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := transport.Streams(policy.Streams{HoldBytes: 1 << 10, HoldTime: hold})(transporttest.NewUpstream(chunksOf(tt.chunks...)))
				lap := elapsed()
				resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
				require.NoError(t, err)
				assert.Equal(t, tt.want, lap())
				data, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				var want strings.Builder
				for _, c := range tt.chunks {
					want.WriteString(c.Data)
				}
				assert.Equal(t, want.String(), string(data))
				require.NoError(t, resp.Body.Close())
			})
		})
	}
}

// A caller who leaves does not wait with the answer.
func TestStreamsHoldEndsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := transport.Streams(policy.Streams{HoldBytes: 1 << 10})(transporttest.NewUpstream(transporttest.Stall(http.StatusOK, msgStart, eventStream...)))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		lap := elapsed()
		_, _, err := send(t, rt, newRequest(t, ctx, http.MethodGet, ""))
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, time.Second, lap())
	})
}
