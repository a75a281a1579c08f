package transport_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A recorded is a stream as providers send it.
type recorded struct {
	name, path string // no path if it is not known by that
	stream     string
	last       string       // where it is found, the stream has come to its end
	fails      policy.Class // of an error event that is the end, or OK
}

const (
	chatPath, responsesPath, messagesPath = "/v1/chat/completions", "/v1/responses", "/v1/messages"
	geminiPath, coherePath                = "/v1beta/models/gemini-2.5-flash:streamGenerateContent", "/v2/chat"
)

var corpus = []recorded{
	{"chat", chatPath, `data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi \"you\" [DONE]"},"finish_reason":null}]}

data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"total_tokens":9}}

data: [DONE]

`, "data: [DONE]", policy.OK},
	{"chat that fails", chatPath, `data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}

data: {"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}

data: [DONE]

`, `"code":null}}`, policy.Internal},
	{"chat through a gateway", chatPath, ": PROCESSING\r\n\r\n: PROCESSING\r\n\r\n" +
		`data: {"choices":[{"delta":{"content":"é€😀"}}]}` + "\r\n\r\ndata:[DONE]\r\n\r\n", "data:[DONE]", policy.OK},
	{"Azure", "/openai/deployments/d/chat/completions", "\ufeff" + `data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false}}}]}

data: {"choices":[{"content_filter_results":{},"delta":{"content":"Hi"},"finish_reason":null,"index":0}],"object":"chat.completion.chunk"}

data: [DONE]

`, "data: [DONE]", policy.OK},
	{"completions", "/v1/completions", `data: {"object":"text_completion","choices":[{"text":"Hi","index":0,"finish_reason":null}]}

data: [DONE]

`, "data: [DONE]", policy.OK},
	{"responses", responsesPath, `event: response.created
data: {"type":"response.created","response":{"id":"r1","status":"in_progress","error":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","item":{"type":"message"}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","delta":"Hi"}

event: response.completed
data: {"type":"response.completed","response":{"status":"completed"}}

`, `"status":"completed"}}`, policy.OK},
	{"responses that fail", responsesPath, `event: response.created
data: {"type":"response.created","response":{"id":"r1","error":null}}

event: response.failed
data: {"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"Slow down"}}}

`, `"Slow down"}}}`, policy.RateLimited},
	{"responses without names", responsesPath, `data: {"type":"response.created","response":{"id":"r1","error":null}}

data: {"type":"response.output_text.delta","delta":"Hi"}

data: {"type":"response.completed","response":{"tools":[{"parameters":{"properties":{"choices":{"type":"array"}}}}]}}

`, `{"type":"array"}}}}]}}`, policy.OK},
	{"messages", messagesPath, `event: message_start
data: {"type":"message_start","message":{"role":"assistant","content":[],"stop_reason":null}}

event: ping
data: {"type":"ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}

event: message_stop
data: {"type":"message_stop"}

`, `{"type":"message_stop"}`, policy.OK},
	{"messages that fail", messagesPath, `event: message_start
data: {"type":"message_start","message":{"role":"assistant"}}

event: error
data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}

`, `"Overloaded"}}`, policy.Overloaded},
	{"Gemini", geminiPath, "data: " + `{"candidates": [{"content": {"parts": [{"text": "Hi \"you\": \"finishReason\": \"STOP\""}],"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 4},"modelVersion": "gemini-2.5-flash","responseId": "r"}` +
		"\r\n\r\ndata: " + `{"candidates": [{"content": {"parts": [{"text": "."}],"role": "model"},"finishReason": "STOP","index": 0}],"usageMetadata": {"promptTokenCount": 4,"totalTokenCount": 9}}` +
		"\r\n\r\n", `"totalTokenCount": 9}}`, policy.OK},
	{"Gemini on Vertex AI", "/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent", `data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]}}],"usageMetadata":{"trafficType":"ON_DEMAND"}}

data: {"usageMetadata":{"trafficType":"ON_DEMAND"}}

data: {"candidates":[{"content":{"role":"model"},"finishReason":"MAX_TOKENS"}]}

data: {"usageMetadata":{"totalTokenCount":9}}

`, `"MAX_TOKENS"}]}`, policy.OK},
	{"Gemini that calls a function", geminiPath, `data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]},"index":0}]}

data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"ask","args":{"choices":["a","b"]}}}]},"finishReason":"STOP"}]}

`, `"STOP"}]}`, policy.OK},
	{"Gemini that will not", geminiPath, `data: {"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4}}

`, `"promptTokenCount":4}}`, policy.OK},
	{"Gemini that fails", geminiPath, `data: {"candidates":[{"content":{"parts":[{"text":"Hi"}]},"index":0}]}

data: {"error":{"code":503,"message":"The model is overloaded. Please try again later.","status":"UNAVAILABLE"}}

`, `"UNAVAILABLE"}}`, policy.Overloaded},
	{"Cohere", coherePath, `event: message-start
data: {"id":"c1","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}

event: content-start
data: {"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}

event: content-delta
data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}

event: content-end
data: {"type":"content-end","index":0}

event: message-end
data: {"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":7,"output_tokens":1}}}}

data: [DONE]

`, `"output_tokens":1}}}}`, policy.OK},
	{"Cohere that fails", coherePath, `event: message-start
data: {"id":"c1","type":"message-start","delta":{"message":{"role":"assistant","content":[]}}}

event: message-end
data: {"type":"message-end","delta":{"finish_reason":"ERROR","error":"Something broke"}}

`, `"Something broke"}}`, policy.Internal},
	{"Cohere, version 1", "", `data: {"is_finished":false,"event_type":"stream-start","generation_id":"g1"}

data: {"is_finished":false,"event_type":"text-generation","text":"Hi"}

data: {"is_finished":true,"event_type":"stream-end","finish_reason":"COMPLETE","response":{"text":"Hi"}}

`, `"response":{"text":"Hi"}}`, policy.OK},
}

// end returns after how many bytes the stream has come to its end.
func (r recorded) end() int { return strings.Index(r.stream, r.last) + len(r.last) }

// cutServer answers with the first bytes of a stream, as many as the request asks
// for, and ends it in one of several ways.
func cutServer(t testing.TB, r recorded) *transporttest.Server {
	return transporttest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		n, err := strconv.Atoi(req.Header.Get("Cut"))
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		if req.Header.Get("End") == "length" {
			w.Header().Set("Content-Length", strconv.Itoa(n))
		}
		_, _ = io.WriteString(w, r.stream[:n])
		_ = http.NewResponseController(w).Flush()
		if req.Header.Get("End") == "break" {
			panic(http.ErrAbortHandler)
		}
	}))
}

// Wherever a stream of a known format is cut, and however politely, its reader
// hears of it; and whole streams end as they always did. The bytes are the server's.
func TestStreamsCutAnywhere(t *testing.T) {
	for _, r := range corpus {
		if r.path == "" {
			continue // see TestStreamsKnownByTheirEvents
		}
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			http1, http2 := cutServer(t, r), cutServer(t, r)
			http2.UseHTTP2()
			for name, server := range map[string]*transporttest.Server{"HTTP/1.1": http1, "HTTP/2": http2} {
				rt := transport.Streams(policy.Streams{})(server.Transport())
				for _, end := range []string{"chunked", "length", "break"} {
					for n := range len(r.stream) + 1 {
						if err := r.check(t, rt, server.URL, end, n); err != nil {
							t.Fatalf("over %s, ended by %s after %d bytes: %v", name, end, n, err)
						}
					}
				}
			}
		})
	}
}

// check reads the first n bytes of the stream, and returns what is wrong with them.
func (r recorded) check(t *testing.T, rt http.RoundTripper, base, end string, n int) error {
	t.Helper()
	req := newRequest(t, t.Context(), http.MethodPost, "{}")
	req.URL, _ = url.Parse(base + r.path)
	req.Header.Set("Cut", strconv.Itoa(n))
	req.Header.Set("End", end)
	_, text, err := send(t, rt, req)
	var failure *policy.StreamError
	switch whole := n >= r.end(); {
	case text != r.stream[:n]:
		return fmt.Errorf("the body is %q, want %q", text, r.stream[:n])
	case end == "break" && err != nil && !whole:
		return nil // net/http says so itself, in its own ways
	case !whole && !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the cut body ends in %v", err) //nolint:errorlint // it may be nil
	case whole && r.fails == policy.OK && err != nil:
		return fmt.Errorf("the whole body ends in %w", err)
	case whole && r.fails != policy.OK && (!errors.As(err, &failure) || failure.Verdict.Class != r.fails):
		return fmt.Errorf("the body ends in %w, want a %v", err, r.fails)
	}
	return nil
}

// Without a path that tells, the first event does; and half of its data is enough.
func TestStreamsKnownByTheirEvents(t *testing.T) {
	for _, r := range corpus {
		first := strings.Index(r.stream, "{") + 1
		for n := first; n < r.end(); n++ {
			_, text, err := get(t, streamsOver(policy.Streams{}, r.stream[:n]))
			assert.Equal(t, r.stream[:n], text)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s, cut after %d bytes, ends in %v", r.name, n, err)
			}
		}
	}
}
