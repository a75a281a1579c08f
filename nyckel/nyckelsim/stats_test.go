package nyckelsim_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, function := newTrained(t, nyckelsim.Config{Rate: 4, Latency: time.Second})
		go c.invoke(function, "parcel")
		synctest.Wait()
		assert.Equal(t, 1, c.sim.Stats().InFlight)
		time.Sleep(time.Second)
		synctest.Wait()

		c.do("POST", invokePath(function), `{}`)
		require.NoError(t, c.sim.SetFaults(nyckelsim.Faults{Reset: 1}))
		c.invoke(function, "parcel")
		c.do("GET", "/v1/functions", "")
		c.do("GET", "/v1/functions/nobody", "")
		c.invoke(function, "parcel") // the fifth in this second
		assert.Equal(t, nyckelsim.Stats{
			Requests: 7,
			Invokes:  3,
			ByStatus: map[int]int{200: 3, 400: 1, 404: 1, 429: 1},
			Aborted:  1,
			ByFault:  map[nyckelsim.FaultKind]int{nyckelsim.FaultReset: 1},
		}, c.sim.Stats())

		c.sim.Stats().ByStatus[200] = 99
		assert.Equal(t, 3, c.sim.Stats().ByStatus[200], "the caller has a copy")
	})
}
