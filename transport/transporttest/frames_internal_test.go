package transporttest

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sparekey/sparekey/policy"
)

// What net/http cannot send again over HTTP/2 by itself it fails with a text. That
// package policy reads it is checked here, where there is a server for it.
func TestClassifyUnsent(t *testing.T) {
	const enhanceYourCalm = 0xb
	tests := []struct {
		name   string
		frames func(stream uint32) []frame
		hangUp bool
		want   policy.Class
	}{
		{"a refused stream", func(stream uint32) []frame { return []frame{reset(stream, refusedStream)} }, false, policy.Unreachable},
		{"a server that goes away before it looks", func(uint32) []frame { return []frame{goAway(0)} }, false, policy.Unreachable},
		{
			"a server that turns the client away",
			func(uint32) []frame { return []frame{{frameGoAway, 0, 0, numbers(0, enhanceYourCalm)}} },
			false, policy.Unreachable,
		},
		{"a server that goes away in the middle", func(stream uint32) []frame { return []frame{goAway(stream)} }, true, policy.Interrupted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newSuite(nil, nil).probe(rule{proto: http2})
				p.TB = t
				server, rt := p.newFrameServer(func(_ int, stream uint32, _ string) ([]frame, bool) {
					return tt.frames(stream), tt.hangUp
				})
				body := io.MultiReader(strings.NewReader("hello")) // without GetBody
				o := do(rt, p.newRequest(t.Context(), http.MethodPost, base, body))
				if got := policy.Classify(policy.Outcome{Err: o.err}).Class; got != tt.want || server.seen() != 1 {
					t.Errorf("Classify(%v) = %v after %d requests, want %v after 1", o.err, got, server.seen(), tt.want)
				}
			})
		})
	}
}
