package policy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

func TestJudgeEventKinds(t *testing.T) {
	const (
		unknown = policy.EventUnknown
		start   = policy.EventStart
		output  = policy.EventOutput
		end     = policy.EventEnd
		failed  = policy.EventError
	)
	for _, tt := range []struct {
		name, data string
		want       policy.EventKind
	}{
		// Chat completions.
		{"", `{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}`, start},
		{"", `{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}`, start},
		{"", `{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}`, output},
		{"", `{"choices":[{"index":0,"delta":{"refusal":"I cannot"}}]}`, output},
		{"", `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"type":"function"}]}}]}`, output},
		{"", `{"choices":[{"index":0,"delta":{"reasoning_content":"Hm"}}]}`, output},
		{"", `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, output},
		{"", `{"object":"text_completion","choices":[{"text":"","index":0}]}`, start},
		{"", `{"object":"text_completion","choices":[{"text":"a","index":0}]}`, output},
		{"", `{"choices":["of a kind to come"]}`, output},
		{"", `{"choices":[],"usage":{"total_tokens":7},"error":null}`, start},
		{"", `[DONE]`, end},
		{"done", ` [DONE] `, end},
		{"", `{"error":{"message":"m","type":"server_error","param":null,"code":null}}`, failed},
		{"", `{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],"error":{"code":502,"message":"m"}}`, failed},
		{"", `{"error":"Model is overloaded","error_type":"overloaded"}`, failed},

		// Responses.
		{"response.created", `{"type":"response.created","response":{"error":null}}`, start},
		{"response.in_progress", `{}`, start},
		{"response.output_item.added", `{}`, start},
		{"response.output_text.delta", `{}`, output},
		{"response.function_call_arguments.done", `{}`, output},
		{"response.completed", `{}`, end},
		{"response.incomplete", `{}`, end},
		{"response.failed", `{"type":"response.failed","response":{"error":{"code":"server_error","message":"m"}}}`, failed},
		{"response.failed", `{"type":"response.failed"}`, failed},
		{"", `{"type":"response.completed"}`, end},
		{"error", `{"type":"error","code":"server_error","message":"m","param":null,"sequence_number":1}`, failed},
		{"", `{"type":"error","code":"server_error","message":"m"}`, failed},

		// Messages.
		{"message_start", `{}`, start},
		{"content_block_start", `{}`, start},
		{"content_block_delta", `{}`, output},
		{"content_block_stop", `{}`, start},
		{"message_delta", `{}`, output},
		{"message_stop", `{"type":"message_stop"}`, end},
		{"", `{"type":"message_stop"}`, end},
		{"error", `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, failed},

		// Gemini's.
		{"", `{"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":3},"modelVersion":"gemini-2.5-flash"}`, output},
		{"", `{"candidates":[{"content":{"role":"model"},"index":0}]}`, start},
		{"", `{"candidates":[],"usageMetadata":{"trafficType":"ON_DEMAND"}}`, start},
		{"", `{"usageMetadata":{"totalTokenCount":7},"modelVersion":"gemini-2.5-flash"}`, start},
		{"", `{"candidates":[{"content":{"parts":[{"text":"!"}]},"finishReason":"STOP","index":0}]}`, end},
		{"", `{"candidates":[{"finishReason":"MAX_TOKENS"}],"usageMetadata":{}}`, end},
		{"", `{"candidates":[{"finishReason":"SAFETY"}]}`, end},
		{"", `{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"FINISH_REASON_UNSPECIFIED"}]}`, output},
		{"", `{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":""}]}`, output},
		{"", `{"candidates":[{"content":{"parts":[{"text":"finishReason\":\"STOP"}]},"finishReason":null}]}`, output},
		{"", `{"candidates":[{"finishReason":"STOP"},{"content":{"parts":[{"text":"a"}]},"index":1}]}`, output},
		{"", `{"candidates":[{"finishReason":"STOP"},{"index":1}]}`, start},
		{"", `{"candidates":["of a kind to come"]}`, output},
		{"", `{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":9}}`, end},
		{"", `{"promptFeedback":{"safetyRatings":[]}}`, start},
		{"", `{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}`, failed},
		{"", `{"candidates":"many"}`, unknown},

		// Cohere's.
		{"message-start", `{"id":"c","type":"message-start","delta":{"message":{"role":"assistant","content":[]}}}`, start},
		{"content-start", `{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}`, unknown},
		{"content-delta", `{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}`, output},
		{"", `{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"Hm"}}}}`, output},
		{"tool-plan-delta", `{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I will"}}}`, output},
		{"tool-call-delta", `{"type":"tool-call-delta","delta":{"message":{"tool_calls":{"function":{"arguments":"{"}}}}}`, output},
		{"message-end", `{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{}}}`, end},
		{"", `{"type":"message-end","delta":{"finish_reason":"TOOL_CALL","error":null}}`, end},
		{"message-end", `{"type":"message-end"}`, end},
		{"message-end", `{"type":"message-end","delta":{"finish_reason":"ERROR"}}`, failed},
		{"", `{"is_finished":false,"event_type":"stream-start","generation_id":"g"}`, start},
		{"", `{"is_finished":false,"event_type":"text-generation","text":"Hi"}`, output},
		{"", `{"is_finished":true,"event_type":"stream-end","finish_reason":"MAX_TOKENS","response":{}}`, end},
		{"", `{"is_finished":true,"event_type":"stream-end","finish_reason":"ERROR_LIMIT"}`, end},
		{"", `{"is_finished":true,"event_type":"stream-end","finish_reason":"ERROR"}`, failed},
		{"content-delta", `{"text":"of somebody else's"}`, unknown},
		{"message-start", `{"type":"message-start","delta":7}`, unknown},
		{"", `{"event_type":7}`, unknown},

		// What may come of anybody.
		{"ping", `{"type":"ping"}`, unknown},
		{"message", `{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"m"}}`, unknown},
		{"error", `it is the user's`, unknown},
		{"error", `{"user":"wrote it"}`, unknown},
		{"", `{"error":false}`, unknown},
		{"", `{"error":{}}`, unknown},
		{"", `{"text":"[DONE]"}`, unknown},
		{"", `{"choices":"many"}`, unknown},
		{"", `{"choices":[`, unknown},
		{"", `["choices"]`, unknown},
		{"", `hello`, unknown},
		{"", ``, unknown},
		{"response.mine", `{}`, unknown},
		{"mine.delta", `{}`, unknown},
		{"", `{"promptFeedback":"of somebody else's"}`, unknown},
		{"message", `{"type":"error","code":"of somebody else's"}`, unknown},
	} {
		got, verdict := policy.JudgeEvent(policy.Event{Name: tt.name, Data: []byte(tt.data)})
		if got != tt.want {
			t.Errorf("event %q with %s is %v, want %v", tt.name, tt.data, got, tt.want)
		}
		if got != failed && verdict != (policy.Verdict{}) {
			t.Errorf("event %q with %s has the verdict %v", tt.name, tt.data, verdict)
		}
	}
}

func TestJudgeEventVerdicts(t *testing.T) {
	again := func(c policy.Class, a policy.Again, e policy.Execution) policy.Verdict {
		return policy.Verdict{Class: c, Again: a, Executed: e}
	}
	for _, tt := range []struct {
		err  string
		want policy.Verdict
	}{
		{`{"type":"overloaded_error","message":"m"}`, again(policy.Overloaded, policy.Anywhere, policy.MaybeExecuted)},
		{`{"type":"api_error","message":"m"}`, again(policy.Internal, policy.Anywhere, policy.MaybeExecuted)},
		{`{"type":"timeout_error","message":"m"}`, again(policy.TimedOut, policy.Anywhere, policy.MaybeExecuted)},
		{`{"type":"rate_limit_error","message":"m"}`, again(policy.RateLimited, policy.Anywhere, policy.NotExecuted)},
		{`{"type":"billing_error","message":"m"}`, again(policy.QuotaExceeded, policy.Elsewhere, policy.NotExecuted)},
		{`{"type":"authentication_error","message":"m"}`, again(policy.Unauthenticated, policy.Elsewhere, policy.NotExecuted)},
		{`{"type":"permission_error","message":"m"}`, again(policy.Forbidden, policy.Elsewhere, policy.NotExecuted)},
		{`{"type":"not_found_error","message":"m"}`, again(policy.NotFound, policy.Elsewhere, policy.NotExecuted)},
		{`{"type":"request_too_large","message":"m"}`, again(policy.Invalid, policy.Nobody, policy.NotExecuted)},
		{`{"type":"invalid_request_error","code":null,"message":"m"}`, again(policy.Invalid, policy.Nobody, policy.NotExecuted)},
		{`{"type":"server_error","code":null,"message":"m"}`, again(policy.Internal, policy.Anywhere, policy.MaybeExecuted)},
		{`{"type":"tokens","code":"rate_limit_exceeded","message":"m"}`, again(policy.RateLimited, policy.Anywhere, policy.NotExecuted)},
		{`{"type":"insufficient_quota","code":"insufficient_quota","message":"m"}`, again(policy.QuotaExceeded, policy.Elsewhere, policy.NotExecuted)},
		{`{"type":"service_unavailable_error","code":"server_is_overloaded","message":"m"}`, again(policy.Overloaded, policy.Anywhere, policy.MaybeExecuted)},
		{`{"type":"server_error","code":"of its own","message":"m"}`, again(policy.Internal, policy.Anywhere, policy.MaybeExecuted)},
		{`{"code":"content_filter","message":"m"}`, again(policy.Filtered, policy.Nobody, policy.MaybeExecuted)},
		{`{"code":502,"message":"m"}`, again(policy.Internal, policy.Anywhere, policy.MaybeExecuted)},
		{`{"code":"429","message":"m"}`, again(policy.RateLimited, policy.Anywhere, policy.NotExecuted)},
		{`{"code":200,"message":"m"}`, again(policy.Unknown, policy.Nobody, policy.MaybeExecuted)},
		{`{"code":"something_new","message":"m"}`, again(policy.Unknown, policy.Nobody, policy.MaybeExecuted)},
		{`"m"`, again(policy.Unknown, policy.Nobody, policy.MaybeExecuted)},
	} {
		kind, got := policy.JudgeEvent(policy.Event{Data: []byte(`{"error":` + tt.err + `}`)})
		assert.Equal(t, policy.EventError, kind, tt.err)
		assert.Equal(t, "m", got.Message, tt.err)
		got.Code, got.Message = "", ""
		assert.Equal(t, tt.want, got, tt.err)
	}
	for data, want := range map[string]policy.Verdict{
		`{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}`:             again(policy.RateLimited, policy.Anywhere, policy.NotExecuted),
		`{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}`:                    again(policy.Overloaded, policy.Anywhere, policy.MaybeExecuted),
		`{"type":"message-end","delta":{"finish_reason":"ERROR","error":"m"}}`:           again(policy.Internal, policy.Anywhere, policy.MaybeExecuted),
		`{"type":"message-end","delta":{"finish_reason":"error","error":"m"}}`:           again(policy.Internal, policy.Anywhere, policy.MaybeExecuted),
		`{"type":"message-end","delta":{"finish_reason":"TIMEOUT","error":"m"}}`:         again(policy.TimedOut, policy.Anywhere, policy.MaybeExecuted),
		`{"type":"message-end","delta":{"finish_reason":"something new","error":"m"}}`:   again(policy.Internal, policy.Anywhere, policy.MaybeExecuted),
		`{"event_type":"stream-end","finish_reason":"ERROR_TOXIC","response":{}}`:        again(policy.Filtered, policy.Nobody, policy.MaybeExecuted),
		`{"event_type":"stream-end","finish_reason":"ERROR","response":{"text":"half"}}`: again(policy.Internal, policy.Anywhere, policy.MaybeExecuted),
	} {
		kind, got := policy.JudgeEvent(policy.Event{Data: []byte(data)})
		assert.Equal(t, policy.EventError, kind, data)
		assert.NotEmpty(t, got.Code, data)
		got.Code, got.Message = "", ""
		assert.Equal(t, want, got, data)
	}
}

func TestStreamsSettings(t *testing.T) {
	const most = 1 << 20
	assert.Equal(t, policy.Streams{HoldTime: 5 * time.Second}, policy.Streams{}.WithDefaults())
	for _, valid := range []policy.Streams{{}, {HoldBytes: most, HoldTime: 1}} {
		assert.NoError(t, valid.Validate())
	}
	for want, wrong := range map[string]policy.Streams{
		"Streams.HoldBytes is -1, want 0 to 1048576":      {HoldBytes: -1},
		"Streams.HoldBytes is 1048577, want 0 to 1048576": {HoldBytes: most + 1},
		"Streams.HoldTime is -1ns, want above 0":          {HoldTime: -1},
	} {
		assert.ErrorContains(t, wrong.Validate(), want)
		assert.ErrorContains(t, policy.Stack{Streams: &wrong}.Validate(), want)
	}
}

func TestStreamErrorText(t *testing.T) {
	_, v := policy.JudgeEvent(policy.Event{Name: "error", Data: []byte(`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`)})
	assert.EqualError(t, &policy.StreamError{Verdict: v}, "sparekey: error in the stream: overloaded: Overloaded")
	assert.EqualError(t, &policy.StreamError{}, "sparekey: error in the stream: unknown")
}

func FuzzJudgeEvent(f *testing.F) {
	for _, seed := range []string{
		"", "[DONE]", `{"choices":[{"delta":{"content":"a"}}]}`, `{"error":{"code":429}}`, `{"type":"response.failed","response":{"error":null}}`,
		`{"candidates":[{"finishReason":"STOP"}],"promptFeedback":{"blockReason":"X"}}`, `{"type":"message-end","delta":{"finish_reason":"ERROR"}}`,
	} {
		f.Add("", []byte(seed))
		f.Add("error", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		kind, v := policy.JudgeEvent(policy.Event{Name: name, Data: data})
		if kind > policy.EventError {
			t.Errorf("an event is %v", kind)
		}
		if kind == policy.EventError && (v.Class == policy.OK || v.Executed == policy.Executed) {
			t.Errorf("an error event has the verdict %+v", v)
		}
	})
}
