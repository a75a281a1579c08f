package nyckel_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
)

func TestSnapshot(t *testing.T) {
	a := newAccount(t, nyckelsim.Config{})
	client := a.client(t, nyckel.WithFunction("again", nyckel.Function{ID: a.function}), nyckel.WithLimit(policy.Limit{PerSecond: 9}))
	_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("where is my parcel"))
	require.NoError(t, err)
	s := client.Snapshot()
	require.Len(t, s.Functions, 2)
	again, tickets := s.Functions[0], s.Functions[1]
	assert.Equal(t, "again", again.Name)
	assert.Empty(t, again.Calls)
	assert.Equal(t, "tickets", tickets.Name)
	assert.Equal(t, map[string]uint64{"live": 1}, tickets.Calls)
	assert.Len(t, tickets.Breakers, 1)
	assert.Empty(t, again.Breakers, "none is made before there is a host")
}

// What the console shows of a function, its operators can act on.
func TestOperator(t *testing.T) {
	a := newAccount(t, nyckelsim.Config{})
	client := a.client(t,
		nyckel.WithFunction("other", nyckel.Function{ID: a.function}),
		nyckel.WithFunction("cached", nyckel.Function{ID: a.function, Stack: &policy.Stack{Cache: &policy.Cache{}}}))
	operator := client.Operator()
	source := func() telemetry.Source {
		p, err := client.Invoke(t.Context(), "cached", nyckel.Text("where is my parcel"))
		require.NoError(t, err)
		return p.Answer.Source
	}
	assert.Equal(t, telemetry.Live, source())
	assert.Equal(t, telemetry.Cache, source())
	assert.True(t, operator.Purge("cached"))
	assert.False(t, operator.Purge("other"), "it has no cache")
	assert.Equal(t, telemetry.Live, source())

	breaker := client.Snapshot().Functions[0].Breakers[0].Name
	require.True(t, operator.Isolate("cached", breaker, "maintenance", time.Time{}))
	_, err := client.Invoke(t.Context(), "cached", nyckel.Text("something else"))
	require.ErrorIs(t, err, transport.ErrIsolated)
	_, err = client.Invoke(t.Context(), "other", nyckel.Text("something else"))
	require.NoError(t, err, "another function's breaker is another one")
	assert.True(t, operator.Release("cached", breaker))
	_, err = client.Invoke(t.Context(), "cached", nyckel.Text("something else"))
	require.NoError(t, err)
}
