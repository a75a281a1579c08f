package telemetry_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// Of two branches, where the answer came from is what the chosen one said, and an
// attempt is a hedge if its branch is.
func TestBranch(t *testing.T) {
	sdk := install(t)
	ctx, trail := telemetry.NewContext(t.Context())
	beside := func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			ctx := req.Context()
			one, _ := telemetry.NewBranch(ctx, false)
			two, second := telemetry.NewBranch(ctx, true)
			resp, err := next.RoundTrip(req.WithContext(one))
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			trail.Answered(one, telemetry.Answer{Source: "a"})
			trail.Answered(two, telemetry.Answer{Source: "b"})
			assert.Empty(t, trail.Answer().Source, "nothing is chosen yet")
			resp, err = next.RoundTrip(req.WithContext(two))
			second.Chosen(ctx)
			assert.EqualValues(t, "b", trail.Answer().Source)
			trail.Answered(one, telemetry.Answer{Source: "late"})
			trail.Answered(two, telemetry.Answer{Source: "c"})
			return resp, err
		})
	}
	_, err := send(t, stack(routing, upstream(200, ""), beside), ctx)
	require.NoError(t, err)
	assert.EqualValues(t, "c", trail.Answer().Source, "the last word of the chosen one")
	require.Len(t, trail.Attempts(), 2)
	assert.False(t, trail.Attempts()[0].Hedge)
	assert.True(t, trail.Attempts()[1].Hedge)
	assert.Contains(t, trail.String(), "| #2 hedge 200 ok")
	assert.Contains(t, sdk.measured(t), "kind=hedge")
}

// A request whose turn comes after that of its hedge, as it waited for a limiter longer, is
// still the call's first, and its retry a retry.
func TestHedgeBeforeTheFirst(t *testing.T) {
	sdk := install(t)
	beside := func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			first, _ := telemetry.NewBranch(req.Context(), false)
			hedge, _ := telemetry.NewBranch(req.Context(), true)
			for _, ctx := range []context.Context{hedge, first} {
				resp, err := next.RoundTrip(req.WithContext(ctx))
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
			}
			return next.RoundTrip(req.WithContext(first))
		})
	}
	_, err := send(t, stack(telemetry.Config{Endpoint: "a"}, upstream(200, ""), beside), t.Context())
	require.NoError(t, err)
	var kinds []string
	for _, span := range sdk.spans.GetSpans()[:3] {
		attributes := attribute.NewSet(span.Attributes...)
		kind, _ := attributes.Value("sparekey.attempt.kind")
		kinds = append(kinds, kind.AsString())
	}
	assert.Equal(t, []string{"hedge", "", "retry"}, kinds, "the first has none")
	for _, kind := range []string{"hedge", "first", "retry"} {
		assert.Contains(t, sdk.measured(t), "kind="+kind)
	}
}

// TestBranchThatRepeats: an answer of a branch that was no good is not the call's when the
// branch is chosen, nor does it take that of another away.
func TestBranchThatRepeats(t *testing.T) {
	ctx, trail := telemetry.NewContext(t.Context())
	one, branch := telemetry.NewBranch(ctx, false)
	other, won := telemetry.NewBranch(ctx, true)
	trail.Answered(one, telemetry.Answer{Source: "b"})
	trail.Waits(one, time.Second, policy.Truncated)
	branch.Chosen(ctx)
	assert.Empty(t, trail.Answer())

	trail.Answered(other, telemetry.Answer{Source: "c"})
	won.Chosen(ctx)
	late, _ := telemetry.NewBranch(ctx, true)
	trail.Waits(late, time.Second, policy.Truncated)
	assert.Equal(t, telemetry.Source("c"), trail.Answer().Source)
}

// TestBranchOfAnotherCall: a call within a branch of another has an answer of its own.
func TestBranchOfAnotherCall(t *testing.T) {
	ctx, outer := telemetry.NewContext(t.Context())
	ctx, branch := telemetry.NewBranch(ctx, true)
	ctx, inner := telemetry.NewContext(ctx)
	inner.Answered(ctx, telemetry.Answer{Source: "b"})
	assert.EqualValues(t, "b", inner.Answer().Source)
	branch.Chosen(ctx)
	assert.Empty(t, outer.Answer())
}

func TestBranchWithoutTrail(t *testing.T) {
	ctx, branch := telemetry.NewBranch(t.Context(), true)
	assert.Nil(t, branch)
	branch.Chosen(ctx)
	assert.Equal(t, t.Context(), ctx)
}

// A call that has ended leaves a trail that does not change.
func TestTrailIsOver(t *testing.T) {
	sdk := install(t)
	ctx, trail := telemetry.NewContext(t.Context())
	var below http.RoundTripper
	layer := func(next http.RoundTripper) http.RoundTripper {
		below = next
		return next
	}
	var late *http.Request
	_, err := send(t, stack(routing, roundTrip(func(req *http.Request) (*http.Response, error) {
		if late == nil {
			late = req
		}
		return answer(200, "abc"), nil
	}), layer), ctx)
	require.NoError(t, err)
	then, attempts := trail.String(), trail.Attempts()

	for n := range 2 {
		resp, err := below.RoundTrip(late)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Contains(t, sdk.ended(), fmt.Sprint("http.request.resend_count=", n+1), "attempts are numbered on")
	}
	trail.Answered(ctx, telemetry.Answer{Source: telemetry.Rule})
	trail.Waits(ctx, time.Second, policy.Internal)
	trail.Stopped(telemetry.NoBudget, time.Now())
	trail.Refused(ctx, &policy.Refusal{Layer: "limit", RetryAt: time.Now()})
	assert.Equal(t, then, trail.String())
	assert.Equal(t, attempts, trail.Attempts())
	assert.Equal(t, 1, trail.AttemptCount())
	assert.Zero(t, trail.RetryAt())
	assert.Zero(t, trail.Waited())
}
