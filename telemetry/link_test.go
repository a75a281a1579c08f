package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// TestProbeIsOfNoCall: what layers report below a probe is none of the call's that is in its
// context.
func TestProbeIsOfNoCall(t *testing.T) {
	sdk := install(t)
	ctx, trail := telemetry.NewContext(t.Context())
	probe := telemetry.ObserveAttempt(telemetry.Config{Function: "ticket_routing", Probe: true})(roundTrip(func(req *http.Request) (*http.Response, error) {
		assert.NotSame(t, trail, telemetry.FromContext(req.Context()))
		return answer(200, ""), nil
	}))
	_, err := send(t, probe, ctx)
	require.NoError(t, err)
	assert.Zero(t, trail.AttemptCount())
	assert.Contains(t, sdk.measured(t), "sparekey.attempt.kind=probe sparekey.function.name=ticket_routing 1 in ")
}

// TestBehindNobody: what is done behind nobody's call has a trail of its own, and no
// span.
func TestBehindNobody(t *testing.T) {
	sdk := install(t)
	unclaimed, own := telemetry.NewContext(t.Context())
	for name, ctx := range map[string]context.Context{"no trail": t.Context(), "no call": unclaimed} {
		behind, over := telemetry.Behind(ctx)
		trail := telemetry.FromContext(behind)
		assert.NotNil(t, trail, name)
		assert.NotSame(t, own, trail, name)
		trail.LookedUp(behind, "refresh")
		over(policy.Verdict{Class: policy.Overloaded}, errors.New("boom"))
	}
	assert.Empty(t, sdk.ended())
}

// TestBehindIsOver: what happens after the end of it changes its trail no more, and
// never that of the call.
func TestBehindIsOver(t *testing.T) {
	sdk := install(t)
	var behind context.Context
	var over func(policy.Verdict, error)
	spawn := func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			behind, over = telemetry.Behind(context.WithoutCancel(req.Context()))
			return next.RoundTrip(req)
		})
	}
	ctx, caller := telemetry.NewContext(t.Context())
	_, err := send(t, stack(routing, upstream(200, ""), spawn), ctx)
	require.NoError(t, err)
	trail := telemetry.FromContext(behind)
	assert.False(t, trail.Reserve(), "it is no trail of a call that is yet to be made")
	trail.Stopped(telemetry.NoBudget, caller.RetryAt())
	over(policy.Verdict{Class: policy.Refused}, &policy.Refusal{Reason: "breaker_open", Err: errors.New("open")})
	trail.Stopped(telemetry.NoTime, caller.RetryAt())
	trail.Joined(behind, ctx)
	assert.Equal(t, []telemetry.Note{{Layer: "retry", Reason: telemetry.NoBudget}}, trail.Notes())
	assert.Empty(t, caller.Notes())
	assert.Contains(t, sdk.ended(), "refresh ticket_routing internal sparekey.attempt.count=0 sparekey.function.name=ticket_routing error.type=breaker_open Error")
	assert.Contains(t, sdk.measured(t), "sparekey.client.retries.skipped {retry} sparekey.function.name=ticket_routing sparekey.retry.skipped.reason=budget 1")
}
