package telemetry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// TestChangedOutsideOfCalls: what is done by hand is counted and logged like what
// a call brings about, each time in the same series.
func TestChangedOutsideOfCalls(t *testing.T) {
	sdk := install(t)
	var log strings.Builder
	until := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	isolation := policy.Transition{
		Name: "api.test", To: policy.Isolated, Trigger: policy.ByHand, Reason: "moving house", Until: until,
	}
	telemetry.Changed(t.Context(), newLogger(&log), isolation)
	telemetry.Changed(t.Context(), nil, isolation)
	assert.Equal(t, "sparekey.client.breaker.transitions {transition} sparekey.breaker.state=isolated sparekey.breaker.trigger=manual 2\n", sdk.measured(t))
	assert.Equal(t, `level=WARN msg="breaker isolated" event.name=sparekey.breaker.isolated breaker=api.test from=closed `+
		`trigger=manual reason="moving house" until=2026-05-01T12:00:00.000Z`+"\n", log.String())
}
