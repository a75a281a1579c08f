// Package labtest holds the programs to what they show.
package labtest

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/examples/sdk/internal/lab"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// tries is how often each of the SDKs sends what it may send again.
const tries = 3

// Run checks the table of p. What it wants of the error with which an open breaker
// reaches the program is open.
func Run(t *testing.T, p lab.Provider, open string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := new(lab.Server)
		wire := transporttest.NewServer(t, server)
		rows := make(map[[2]string]lab.Row)
		all := lab.Run(t.Context(), p, server, wire.Transport(), wire.URL)
		for _, row := range all {
			rows[[2]string{row.Trouble, row.Client}] = row
		}
		require.Len(t, rows, 9)
		row := func(trouble, client string) lab.Row { return rows[[2]string{trouble, client}] }

		for _, client := range []string{lab.Alone, lab.Stacked} {
			quota := row(lab.QuotaUsedUp, client)
			assert.EqualValues(t, tries, quota.Upstream, "%s asks again though the quota is used up", client)
		}
		quota := row(lab.QuotaUsedUp, lab.Telling)
		assert.EqualValues(t, 1, quota.Transport)
		assert.EqualValues(t, 1, quota.Upstream)
		assert.True(t, quota.Typed)
		assert.Equal(t, row(lab.QuotaUsedUp, lab.Alone).Error, quota.Error, "it is the provider's own")

		refused := row(lab.BreakerOpen, lab.Stacked)
		assert.EqualValues(t, tries, refused.Transport)
		assert.Zero(t, refused.Upstream)
		assert.False(t, refused.Typed, refused.Error)
		told := row(lab.BreakerOpen, lab.Telling)
		assert.EqualValues(t, 1, told.Transport)
		assert.Zero(t, told.Upstream)
		assert.True(t, told.Typed, told.Error)
		assert.Equal(t, open, told.Error)

		alone, storm := row(lab.Storm, lab.Alone), row(lab.Storm, lab.Telling)
		assert.EqualValues(t, tries*alone.Calls, alone.Upstream)
		assert.EqualValues(t, storm.Calls, storm.Transport)
		assert.EqualValues(t, storm.Calls+lab.Burst, storm.Upstream, "each call once, and what is in the budget")
		shared := row(lab.Storm, lab.Stacked)
		assert.LessOrEqual(t, shared.Upstream, int64(shared.Calls*tries+lab.Burst), "what the SDK repeats is sent once, not the product")

		var text bytes.Buffer
		lab.Print(&text, all)
		assert.Equal(t, 1+len(all), strings.Count(text.String(), "\n"))
		assert.Contains(t, text.String(), open)
	})
}

// RunShared checks that what the SDK of p repeats counts for the stack below: each
// repetition draws on its budget and is sent once.
func RunShared(t *testing.T, p lab.Provider) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := new(lab.Server)
		server.Answer(p.Busy)
		wire := transporttest.NewServer(t, server)
		bucket := policy.NewBucket(policy.Budget{Burst: 10, PerSecond: -1})
		stack := policy.Stack{Retry: policy.Retry{Bucket: bucket}}
		client := &http.Client{Transport: transport.Chain(wire.Transport(), transport.Standard(stack))}
		ctx := policy.WithCall(t.Context(), policy.Call{Replayable: true})

		require.Error(t, p.Ask(ctx, client, wire.URL))
		assert.EqualValues(t, 3+1+1, server.Calls(), "3 attempts, and what the SDK repeats once each, not 9")
		assert.Equal(t, 10-2-2, bucket.Tokens(time.Now()))
	})
}
