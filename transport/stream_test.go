package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// Events of Anthropic's messages.
const (
	msgStart     = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n"
	msgPing      = "event: ping\ndata: {\"type\":\"ping\"}\n\n"
	msgOutput    = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\n"
	msgStop      = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	msgError     = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"
	geminiOutput = `data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}` + "\n\n"
	geminiEnd    = `data: {"candidates":[{"finishReason":"STOP"}]}` + "\n\n"

	msgLimit = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Slow down\"}}\n\n"
)

var eventStream = []string{"Content-Type", "text/event-stream"}

// eventsOf answers with a stream that comes in one piece.
func eventsOf(text string) transporttest.Step { return chunksOf(transporttest.Chunk{Data: text}) }

func chunksOf(chunks ...transporttest.Chunk) transporttest.Step {
	return transporttest.Stream(http.StatusOK, chunks, eventStream...)
}

// streamsOver returns the layer over an upstream that answers with text.
func streamsOver(cfg policy.Streams, text string) http.RoundTripper {
	return transport.Streams(cfg)(transporttest.NewUpstream(eventsOf(text)))
}

// What is no stream of a known format ends as it ends.
func TestStreamsLeaveAlone(t *testing.T) {
	reply := transporttest.Reply
	half := msgStart + msgOutput
	for _, tt := range []struct {
		name string
		step transporttest.Step
		want string
	}{
		{"a feed", eventsOf("data: 1\n\nevent: ping\ndata: 2\n\n"), "data: 1\n\nevent: ping\ndata: 2\n\n"},
		{"a feed that ends in a line", eventsOf("data: 1\n\ndata: 2"), "data: 1\n\ndata: 2"},
		{"a feed of JSON", eventsOf("data: {\"a\":1}\n\ndata: {\"error\":null}"), "data: {\"a\":1}\n\ndata: {\"error\":null}"},
		{"an empty feed", eventsOf(""), ""},
		{"no feed at all", reply(http.StatusOK, "", eventStream...), ""},
		{"another type", reply(http.StatusOK, half, "Content-Type", "text/plain"), half},
		{"no type", reply(http.StatusOK, half), half},
		{"an encoding", reply(http.StatusOK, half, "Content-Type", "text/event-stream", "Content-Encoding", "gzip"), half},
		{"an error page", reply(http.StatusBadGateway, half, eventStream...), half},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, cfg := range []policy.Streams{{}, {HoldBytes: 10}, {HoldBytes: 1 << 10}} {
				_, text, err := get(t, transport.Streams(cfg)(transporttest.NewUpstream(tt.step)))
				assert.NoError(t, err)
				assert.Equal(t, tt.want, text)
			}
		})
	}
	t.Run("an encoding that is none", func(t *testing.T) {
		_, _, err := get(t, transport.Streams(policy.Streams{})(transporttest.NewUpstream(
			reply(http.StatusOK, half, "Content-Type", "text/event-stream", "Content-Encoding", "Identity"))))
		assert.Equal(t, io.ErrUnexpectedEOF, err)
	})
	t.Run("a ping before something that is known by its path", func(t *testing.T) {
		req := newRequest(t, t.Context(), http.MethodPost, "{}")
		req.URL.Path = "/v1/messages"
		_, text, err := send(t, streamsOver(policy.Streams{}, msgPing), req)
		assert.Equal(t, io.ErrUnexpectedEOF, err)
		assert.Equal(t, msgPing, text)
	})
	t.Run("off", func(t *testing.T) {
		_, text, err := get(t, streamsOver(policy.Streams{Off: true}, half))
		assert.NoError(t, err)
		assert.Equal(t, half, text)
	})
	t.Run("HEAD", func(t *testing.T) {
		rt := transport.Streams(policy.Streams{Judge: policy.JudgeEvent})(transporttest.NewUpstream(reply(http.StatusOK, "", eventStream...)))
		_, _, err := send(t, rt, newRequest(t, t.Context(), http.MethodHead, ""))
		assert.NoError(t, err)
	})
	t.Run("an answer without a body at a path that is known", func(t *testing.T) {
		req := newRequest(t, t.Context(), http.MethodPost, "{}")
		req.URL.Path = "/v1/chat/completions"
		for _, cfg := range []policy.Streams{{}, {HoldBytes: 10}} {
			status, _, err := send(t, transport.Streams(cfg)(transporttest.NewUpstream(reply(http.StatusNoContent, "", eventStream...))), req)
			assert.NoError(t, err)
			assert.Equal(t, http.StatusNoContent, status)
		}
	})
	t.Run("something else at a path that is known", func(t *testing.T) {
		req := newRequest(t, t.Context(), http.MethodPost, "{}")
		req.URL.Path = "/v1/messages"
		_, text, err := send(t, streamsOver(policy.Streams{}, "data: hello\n\ndata: world\n\n"), req)
		assert.NoError(t, err)
		assert.Equal(t, "data: hello\n\ndata: world\n\n", text)
	})
}

func TestStreamsEnds(t *testing.T) {
	much := strings.Repeat("x", 1<<20)
	long := "data: {\"choices\":[{\"delta\":{\"content\":\"" + much + "\"}}]}\n\n"
	longGemini := `data: {"candidates":[{"content":{"parts":[{"inlineData":{"data":"` + much + `"}}]},"finishReason":"STOP"}]}` + "\n\n"
	_, limit := policy.JudgeEvent(policy.Event{Name: "error", Data: []byte(strings.TrimPrefix(msgLimit, "event: error\ndata: "))})
	limited := &policy.StreamError{Verdict: limit}
	for _, tt := range []struct {
		name   string
		chunks []transporttest.Chunk
		want   error
	}{
		{"whole", []transporttest.Chunk{{Data: msgStart + msgOutput + msgStop}}, nil},
		{"cut", []transporttest.Chunk{{Data: msgStart + msgOutput}}, io.ErrUnexpectedEOF},
		{"whole, then broken", []transporttest.Chunk{{Data: msgStart + msgStop, Err: io.ErrUnexpectedEOF}}, nil},
		{"whole, then reset", []transporttest.Chunk{{Data: msgStart + msgStop, Err: errReset}}, nil},
		{"whole, then too long a silence", []transporttest.Chunk{{Data: msgStart + msgStop, Err: &policy.TimeoutError{Phase: "idle"}}}, nil},
		{"failed, then reset", []transporttest.Chunk{{Data: msgStart + msgLimit, Err: errReset}}, limited},
		{"failed, whole then", []transporttest.Chunk{{Data: msgStart + msgLimit + msgStop}}, limited},
		{"whole, then failed", []transporttest.Chunk{{Data: msgStart + msgStop + msgLimit}}, limited},
		{"goes on after its end, cut", []transporttest.Chunk{{Data: geminiEnd + geminiOutput}}, io.ErrUnexpectedEOF},
		{"goes on after its end", []transporttest.Chunk{{Data: geminiEnd + geminiOutput + geminiEnd}}, nil},
		{"broken", []transporttest.Chunk{{Data: msgStart, Err: errReset}}, errReset},
		{"last event in two parts", []transporttest.Chunk{{Data: msgStart + msgStop[:30]}, {Data: msgStop[30:]}}, nil},
		{"a long event, cut", []transporttest.Chunk{{Data: long}}, nil},
		{"a long event in a known stream, cut", []transporttest.Chunk{{Data: `data: {"choices":[]}` + "\n\n" + long}}, io.ErrUnexpectedEOF},
		{"a long event in a known stream", []transporttest.Chunk{{Data: `data: {"choices":[]}` + "\n\n" + long + "data: [DONE]\n\n"}}, nil},
		{"a long last event that has its name in the data", []transporttest.Chunk{{Data: `data: {"type":"response.created"}` + "\n\n" + `data: { "type" : "response.completed","response":"` + much + "\"}\n\n"}}, nil},
		{"a long event of another type, cut", []transporttest.Chunk{{Data: `data: {"type":"response.created"}` + "\n\n" + `data: {"n":"response.completed","type":"response.completed","response":"` + much + "\"}\n\n"}}, io.ErrUnexpectedEOF},
		{"a long event of Gemini's, which may be the last", []transporttest.Chunk{{Data: longGemini}}, nil},
		{"a long event of Gemini's in a known stream", []transporttest.Chunk{{Data: geminiOutput + longGemini}}, nil},
		{"a long event of Gemini's that is not the last, cut", []transporttest.Chunk{{Data: longGemini + geminiOutput}}, io.ErrUnexpectedEOF},
		{"half of the name of the last", []transporttest.Chunk{{Data: msgStart + "event: message_stop\n"}}, io.ErrUnexpectedEOF},
		{"half of the data of the last", []transporttest.Chunk{{Data: msgStart + "event: message_stop\ndata: {\"ty"}}, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rt := transport.Streams(policy.Streams{})(transporttest.NewUpstream(chunksOf(tt.chunks...)))
			resp, err := rt.RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
			require.NoError(t, err)
			data, err := io.ReadAll(resp.Body)
			assert.Equal(t, tt.want, err)
			assert.Contains(t, string(data), tt.chunks[0].Data)
			if tt.want == nil {
				tt.want = io.EOF
			}
			_, err = resp.Body.Read(make([]byte, 1))
			assert.Equal(t, tt.want, err, "read again")
			assert.NoError(t, resp.Body.Close())
		})
	}
}

// A rule of one's own is asked about each event, be it more of a chat completion.
func TestStreamsJudgeOfChat(t *testing.T) {
	cfg := policy.Streams{Judge: func(e policy.Event) (policy.EventKind, policy.Verdict) {
		if strings.Contains(string(e.Data), `"finish_reason":"stop"`) {
			return policy.EventEnd, policy.Verdict{} // with this server there is no [DONE]
		}
		return policy.JudgeEvent(e)
	}}
	const part, last = `data: {"choices":[{"delta":{"content":"a"}}]}` + "\n\n", `data: {"choices":[{"finish_reason":"stop"}]}` + "\n\n"
	_, _, err := get(t, streamsOver(cfg, part+part+last))
	require.NoError(t, err)
	_, _, err = get(t, streamsOver(cfg, part+part))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// A rule of one's own holds from the first byte.
func TestStreamsJudge(t *testing.T) {
	cfg := policy.Streams{Judge: func(e policy.Event) (policy.EventKind, policy.Verdict) {
		switch string(e.Data) {
		case "over":
			return policy.EventEnd, policy.Verdict{}
		case "word":
			return policy.EventOutput, policy.Verdict{}
		case "sorry":
			return policy.EventError, policy.Verdict{Class: policy.Filtered}
		}
		return policy.EventUnknown, policy.Verdict{}
	}}
	filtered := &policy.StreamError{Verdict: policy.Verdict{Class: policy.Filtered}}
	for stream, want := range map[string]error{
		"":                               io.ErrUnexpectedEOF,
		": hello\n\n":                    io.ErrUnexpectedEOF,
		"data: word\n\n":                 io.ErrUnexpectedEOF,
		"data: word\n\ndata: ping\n\n":   io.ErrUnexpectedEOF,
		"data: word\n\ndata: over\n\n":   nil,
		"data: sorry\n\n":                filtered,
		"data: something else\n\n":       nil,
		"data: word\n\ndata: [DONE]\n\n": io.ErrUnexpectedEOF,
	} {
		_, text, err := get(t, streamsOver(cfg, stream))
		assert.Equal(t, want, err, stream)
		assert.Equal(t, stream, text)
	}
}

// ended notes how a body ended for the layers around.
type ended struct{ err error }

func (e *ended) BodyEnd(err error) error {
	e.err = err
	return err
}

// An event that tells of an error counts, though clients leave the stream then; a
// client that leaves a good one is nobody's failure.
func TestStreamsThatAreLeft(t *testing.T) {
	for _, tt := range []struct {
		stream string
		want   policy.Class
	}{
		{msgStart + msgOutput + msgError, policy.Overloaded},
		{msgStart + msgOutput, policy.OK},
		{msgStart + msgOutput + msgStop, policy.OK},
	} {
		resp, err := streamsOver(policy.Streams{}, tt.stream).RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		var end ended
		body.Watch(resp, &end)
		_, err = io.ReadFull(resp.Body, make([]byte, len(tt.stream)))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		if failure, ok := errors.AsType[*policy.StreamError](end.err); ok {
			assert.Equal(t, tt.want, failure.Verdict.Class)
		} else {
			assert.Equal(t, tt.want, policy.OK)
			assert.Equal(t, body.ErrAbandoned, end.err)
		}
	}
}

// In the standard stack the end of a stream counts with every layer, by default.
func TestStreamsInStandard(t *testing.T) {
	for _, tt := range []struct {
		name, stream string
		want         policy.Class
		wantErr      error
	}{
		{"whole", msgStart + msgOutput + msgStop, policy.OK, nil},
		{"cut", msgStart + msgOutput, policy.Truncated, io.ErrUnexpectedEOF},
		{"failed", msgStart + msgOutput + msgError, policy.Overloaded, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := transporttest.NewUpstream(eventsOf(tt.stream))
				rt := transport.Chain(up, transport.Standard(policy.Stack{Limit: policy.Limit{InFlight: -1}}))
				var err error
				for range 10 {
					ctx, trail := traced(t)
					_, text, end := send(t, rt, newRequest(t, replayable(ctx), http.MethodPost, "{}"))
					assert.Equal(t, tt.stream, text)
					require.Len(t, trail.Attempts(), 1)
					assert.Equal(t, tt.want, trail.Attempts()[0].Verdict.Class)
					err = end
				}
				if tt.wantErr != nil {
					assert.ErrorIs(t, err, tt.wantErr)
				}
				_, _, err = get(t, rt)
				assert.Equal(t, tt.want == policy.Truncated, errors.Is(err, transport.ErrOpen), "the breaker is open after %v", err)
			})
		})
	}
}

// A first byte is not delayed, and a silence in a stream has its limit.
func TestStreamsPassAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := transporttest.NewUpstream(chunksOf(
			transporttest.Chunk{Data: msgStart}, transporttest.Chunk{After: time.Second, Data: "event: mess"}, transporttest.Chunk{After: 31 * time.Second}))
		lap := elapsed()
		resp, err := transport.Chain(up, transport.Standard(policy.Stack{Total: -1})).RoundTrip(newRequest(t, t.Context(), http.MethodGet, ""))
		require.NoError(t, err)
		defer resp.Body.Close()
		buf := make([]byte, 1<<10)
		for _, want := range []struct {
			text string
			took time.Duration
		}{{msgStart, 0}, {"event: mess", time.Second}} {
			n, err := resp.Body.Read(buf)
			require.NoError(t, err)
			assert.Equal(t, want.text, string(buf[:n]))
			assert.Equal(t, want.took, lap())
		}
		_, err = resp.Body.Read(buf)
		limit, _ := errors.AsType[*policy.TimeoutError](err)
		assert.Equal(t, &policy.TimeoutError{Scope: "attempt", Phase: "idle", Limit: 30 * time.Second}, limit)
		assert.Equal(t, 30*time.Second, lap())
	})
}

func TestStreamsPanic(t *testing.T) {
	mustPanic(t, func() { transport.Streams(policy.Streams{HoldBytes: -1}) })

	// A judge that panics does so for the caller, who gets no response.
	cfg := policy.Streams{HoldBytes: 100, Judge: func(policy.Event) (policy.EventKind, policy.Verdict) { panic("judge") }}
	closed := false
	up := transport.Func(func(req *http.Request) (*http.Response, error) {
		resp, err := eventsOf("data: a\n\n")(req)
		body.Watch(resp, body.EndFunc(func(err error) { closed = errors.Is(err, body.ErrAbandoned) }))
		return resp, err
	})
	value := mustPanic(t, func() {
		_, _ = transport.Streams(cfg)(up).RoundTrip(newRequest(t, context.Background(), http.MethodGet, ""))
	})
	assert.Equal(t, "judge", value)
	assert.True(t, closed)
}
