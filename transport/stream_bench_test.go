package transport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// BenchmarkStreams is a stream of a thousand events, in reads of 4 KiB.
func BenchmarkStreams(b *testing.B) {
	chat := `data: {"id":"c1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n"
	for name, stream := range map[string]string{
		"chat":     strings.Repeat(chat, 1000) + "data: [DONE]\n\n",
		"messages": msgStart + strings.Repeat(msgOutput, 1000) + msgStop,
	} {
		b.Run(name, func(b *testing.B) {
			rt := transport.Streams(policy.Streams{})(transport.Func(func(req *http.Request) (*http.Response, error) {
				return &http.Response{
					StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}},
					ContentLength: -1, Body: io.NopCloser(strings.NewReader(stream)), Request: req,
				}, nil
			}))
			req := newRequest(b, b.Context(), http.MethodGet, "")
			buf := make([]byte, 4<<10)
			b.ReportAllocs()
			b.SetBytes(int64(len(stream)))
			for b.Loop() {
				resp, _ := rt.RoundTrip(req)
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf); err != nil {
					b.Fatal(err)
				}
				resp.Body.Close()
			}
		})
	}
}
