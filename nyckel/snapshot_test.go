package nyckel_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
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
