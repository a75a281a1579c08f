package peers_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// TestConformance runs the suite that the toolkit's own layers are held to on
// everybody. Broken are the rules that a peer must be found to break; a new
// version may break fewer, and then this list is wrong.
func TestConformance(t *testing.T) {
	tests := []struct {
		stack  string
		layer  func() transport.Layer
		broken []string
	}{
		{"failsafehttp", func() transport.Layer { return policies(retryOf(), timeoutOf(time.Minute)) }, []string{
			"the request's body is closed",
			"only what is safe is repeated",
			"every status is an answer",
			"dropped answers are closed",
			"an upgraded connection works both ways",
			"no wait outlasts the deadline",
			"one connection serves many calls",
			"contexts are released",
			"h2/the request's body is closed",
			"h2/only what is safe is repeated",
			"h2/dropped answers are closed",
			"h2/no wait outlasts the deadline",
			"h2/one connection serves many calls",
			"h2/contexts are released",
		}},
		{"go-retryablehttp", retryableClient, []string{
			"the request is not changed",
			"the request's body is closed",
			"only what is safe is repeated",
			"every status is an answer",
			"no time is lost with a dropped answer",
			"no wait outlasts the deadline",
			"idle connections are left alone",
			"h2/the request's body is closed",
			"h2/only what is safe is repeated",
			"h2/no time is lost with a dropped answer",
			"h2/no wait outlasts the deadline",
		}},
		{"rehttp", rehttpRetry, []string{
			"the request is not changed",
			"only what is safe is repeated",
			"no more than a little of a dropped answer is read",
			"no time is lost with a dropped answer",
			"an upgraded connection works both ways",
			"h2/only what is safe is repeated",
			"h2/no more than a little of a dropped answer is read",
			"h2/no time is lost with a dropped answer",
		}},
		{"sparekey", sparekeyUnbounded, nil},
	}
	for _, tt := range tests {
		t.Run(tt.stack, func(t *testing.T) {
			opts := []transporttest.Option{transporttest.MayRepeat(), transporttest.MayRefuse()}
			if tt.broken != nil {
				const why = "TestUploadIsStreamed has it"
				opts = append(opts,
					transporttest.Except("an upload is not held back", why),
					transporttest.Except("h2/an upload is not held back", why))
			}
			var broken []string
			for _, f := range transporttest.Run(tt.layer(), opts...) {
				t.Log(f)
				broken = append(broken, f.Name)
			}
			if tt.broken == nil {
				assert.Empty(t, broken)
			}
			assert.Subset(t, broken, tt.broken)
		})
	}
}
