package transport

import (
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

var errCutOff = errors.New("connection reset by peer")

// eventPieces are events of all formats, and of none.
var eventPieces = []string{
	`data: {"choices":[{"delta":{"role":"assistant","content":""}}]}`,
	`data: {"choices":[{"delta":{"content":"an \"error\" and a \"finishReason\""}}]}`,
	`data: {"choices":[{"delta":{"content":"a"}}],"error":null}`,
	"data: {\"choices\":\ndata: [{\"delta\":{\"content\":\"b\"}}]}",
	`data: {"choices":[],"error":{"code":502}}`,
	`data: [DONE]`,
	"event: message_start\ndata: {}",
	"event: ping\ndata: {}",
	"event: content_block_delta\ndata: {}",
	"event: message_stop\ndata: {}",
	`data: {"type":"response.output_text.delta","delta":"x"}`,
	`data: {"type":"response.completed"}`,
	`data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}`,
	`data: {"candidates":[{"finishReason":"STOP"}]}`,
	`data: {"usageMetadata":{}}`,
	`data: {"event_type":"text-generation","text":"a"}`,
	`data: {"event_type":"stream-end","finish_reason":"COMPLETE"}`,
	`data: {"type":"message-end","delta":{"finish_reason":"ERROR"}}`,
	"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}",
	": a comment", "retry: 10", "id: 7\ndata", "data: hello", "data: {", "event: message_stop",
}

// randomStream returns a stream that begins as one of some format, mostly.
func randomStream(random *rand.Rand) string {
	var s strings.Builder
	if random.IntN(8) == 0 {
		s.WriteString("\ufeff")
	}
	from := random.IntN(len(eventPieces))
	for range random.IntN(6) {
		piece := eventPieces[random.IntN(len(eventPieces))]
		if random.IntN(2) == 0 {
			piece = eventPieces[min(from+random.IntN(4), len(eventPieces)-1)]
		}
		s.WriteString(piece + "\n\n")
	}
	ends := []string{"\n", "\r\n", "\r"}
	return strings.ReplaceAll(s.String(), "\n", ends[random.IntN(len(ends))])
}

// plainEnd returns what the reader of text, which a body brought that ended in err,
// is to hear, in the plainest way, and whether something of an answer came before,
// be it its end.
func plainEnd(text string, err error, due bool) (end error, output bool) {
	known, whole, half := false, false, false
	for _, event := range plainEvents(text) {
		event, isRest := strings.CutPrefix(event, "rest ")
		name, data, _ := strings.Cut(event, "|")
		if trimmed := strings.TrimSpace(data); isRest && !json.Valid([]byte(trimmed)) && trimmed != "[DONE]" {
			half = strings.HasPrefix(trimmed, "{")
			continue
		}
		kind, verdict := policy.JudgeEvent(policy.Event{Name: name, Data: []byte(data)})
		switch kind {
		case policy.EventUnknown:
			if !known && name != "ping" {
				due, output = false, true
			}
			continue
		case policy.EventOutput:
			output, whole = true, false
		case policy.EventEnd:
			output, whole = true, true
		case policy.EventError:
			return &policy.StreamError{Verdict: verdict}, output
		}
		known, due = true, true
	}
	switch {
	case whole:
		return nil, output
	case err == io.EOF && (due || half): //nolint:errorlint // an end is io.EOF itself
		return io.ErrUnexpectedEOF, output
	case err == io.EOF: //nolint:errorlint // an end is io.EOF itself
		return nil, output
	}
	return err, output
}

// raw reads text in small pieces, and ends in err, which may come beside the last of
// them.
func raw(random *rand.Rand, text string, err error) io.ReadCloser {
	var r io.Reader = strings.NewReader(text)
	if err != io.EOF { //nolint:errorlint // an end is io.EOF itself
		r = io.MultiReader(r, iotest.ErrReader(err))
	}
	switch random.IntN(4) {
	case 0:
		r = iotest.OneByteReader(r)
	case 1:
		r = iotest.HalfReader(r)
	case 2:
		r = iotest.DataErrReader(r)
	}
	return io.NopCloser(r)
}

// Streams at random, cut anywhere and read in any pieces, come as they are and end as
// the plainest reading says; and those who judge a held one hear of it before.
func TestStreamsModel(t *testing.T) {
	ends, failures := map[error]int{}, 0
	for seed := range uint64(20_000) {
		random := rand.New(rand.NewPCG(seed, 5))
		text := randomStream(random)
		if random.IntN(2) == 0 {
			text = text[:random.IntN(len(text)+1)]
		}
		end := []error{io.EOF, io.EOF, io.ErrUnexpectedEOF, errCutOff}[random.IntN(4)]
		due := random.IntN(2) == 0
		path := "/feed"
		if due {
			path = "/v1/chat/completions"
		}
		hold := random.IntN(2) * (1 + random.IntN(len(text)+2))
		rt := Streams(policy.Streams{HoldBytes: int64(hold)})(Func(func(req *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"Text/Event-Stream ; charset=utf-8"}},
				ContentLength: -1, Body: raw(random, text, end), Request: req,
			}, nil
		}))
		resp, err := rt.RoundTrip(&http.Request{Method: http.MethodPost, URL: &url.URL{Scheme: "http", Host: "up.test", Path: path}})
		require.NoError(t, err)
		want, output := plainEnd(text, end, due)
		if hold > len(text) {
			early := want
			if output {
				early = nil
			}
			assert.Equal(t, early, body.Broken(resp), "%d: %q is known to be broken", seed, text)
		}
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, resp.Body.Close())
		if !assert.Equal(t, want, err, "%d: %q ends, by %v, due %v", seed, text, end, due) || !assert.Equal(t, text, string(got)) {
			return
		}
		if _, ok := errors.AsType[*policy.StreamError](err); ok {
			failures++
		} else {
			ends[err]++
		}
	}
	assert.Greater(t, failures, 500)
	for _, err := range []error{nil, io.ErrUnexpectedEOF, errCutOff} {
		assert.Greater(t, ends[err], 500, "streams that end in %v", err)
	}
}
