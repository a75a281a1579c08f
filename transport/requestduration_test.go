package transport_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// TestRequestDuration: a stack records the conventions' metric for each attempt if it
// is asked to, at all endpoints, and else not at all.
func TestRequestDuration(t *testing.T) {
	for _, tt := range []struct {
		name  string
		stack policy.Stack
		want  int64
	}{
		{"not asked for", policy.Stack{}, 0},
		{"asked for", policy.Stack{RequestDuration: true}, 1},
		{"with endpoints", policy.Stack{RequestDuration: true, Failover: &policy.Failover{Endpoints: regions()}}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sdk := installSDK(t)
			steps := []transporttest.Step{transporttest.Reply(200, "{}")}
			if tt.want == 2 {
				steps = append([]transporttest.Step{transporttest.Reply(500, "{}")}, steps...)
			}
			rt := transport.Chain(transporttest.NewUpstream(steps...), transport.Standard(tt.stack))
			_, _, err := send(t, rt, to(t, "GET", "http://a.test/v1/x", ""))
			require.NoError(t, err)
			var recorded int64
			for _, m := range sdk.collect(t) {
				if m.Name == "http.client.request.duration" {
					_, recorded = seriesOf(t, m)
				}
			}
			assert.Equal(t, tt.want, recorded)
		})
	}
}
