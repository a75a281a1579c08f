package body_test

import (
	"io"
	"testing"

	"github.com/sparekey/sparekey/policy/body"
)

// BenchmarkPeek is what the body of an error costs a retry, which peeks at it and
// then drops it.
func BenchmarkPeek(b *testing.B) {
	const text = `{"message":"The service is overloaded. Try again later."}`
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		resp := response(&source{Reader: &ending{data: []byte(text), err: io.EOF}})
		resp.ContentLength = int64(len(text))
		body.Peek(ctx, resp, 4<<10, body.DrainTime)
		body.Drain(ctx, resp, body.DrainBytes, body.DrainTime)
	}
}
