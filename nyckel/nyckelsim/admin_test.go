package nyckelsim_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// steer makes a call to an Admin.
func steer(t *testing.T, a *nyckelsim.Admin, method, path, body string) answer {
	t.Helper()
	return serve(t, a, httptest.NewRequest(method, path, strings.NewReader(body)))
}

func TestAdmin(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1})
	a := nyckelsim.NewAdmin(c.sim)
	defer a.Close()
	faults := `{"name":"storm","unavailable":1,"latency":"1ns"}`
	assert.JSONEq(t, faults, steer(t, a, "PUT", "/faults", faults).raw)
	assert.JSONEq(t, faults, steer(t, a, "GET", "/faults", "").raw)
	assert.Equal(t, 503, c.invoke(function, "x").status)
	stats := steer(t, a, "GET", "/stats", "").body
	assert.Equal(t, map[string]any{"unavailable": 1.0}, stats["byFault"])
	assert.Equal(t, 1.0, stats["invokes"])
	steer(t, a, "PUT", "/faults", `{}`)

	trained := steer(t, a, "POST", "/functions/tickets/train", "")
	assert.Equal(t, c.sim.Models(function), []string{trained.body["modelId"].(string)})

	state := steer(t, a, "GET", "/state", "")
	require.Equal(t, 200, state.status)
	c.must("DELETE", "/v1/functions/tickets", "")
	assert.Equal(t, 200, steer(t, a, "PUT", "/state", state.raw).status)
	assert.Equal(t, 200, c.invoke(function, "x").status)

	c.sim.AddFunction("untrained")
	tests := []struct {
		method, path, body string
		want               int
	}{
		{"PUT", "/faults", `{"unavailable":2}`, 400},
		{"PUT", "/faults", `{"unavailabel":1}`, 400},
		{"PUT", "/faults", `{"latency":"fast"}`, 400},
		{"PUT", "/faults", ``, 400},
		{"PUT", "/faults", `{}{}`, 400},
		{"PUT", "/faults", strings.Repeat(" ", 1<<20+1), 413},
		{"PUT", "/schedule", `[{"duration":"-1s"}]`, 400},
		{"PUT", "/schedule", `[{"faults":{"reset":"yes"}}]`, 400},
		{"PUT", "/schedule", `[{"length":"1s"}]`, 400},
		{"PUT", "/state", `{"version":0}`, 400},
		{"POST", "/functions/nobody/train", ``, 404},
		{"POST", "/functions/untrained/train", ``, 400},
		{"POST", "/stats", ``, 405},
		{"GET", "/connect/token", ``, 404},
		{"GET", "/v1/functions", ``, 404},
		{"GET", "//stats", ``, 404},
	}
	for _, tt := range tests {
		got := steer(t, a, tt.method, tt.path, tt.body)
		assert.Equal(t, tt.want, got.status, "%s %s %.40s", tt.method, tt.path, tt.body)
		assert.NotEmpty(t, got.message())
	}
}

func TestAdminSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTrained(t, nyckelsim.Config{Rate: -1})
		a := nyckelsim.NewAdmin(c.sim)
		schedule := func() map[string]any {
			synctest.Wait()
			return steer(t, a, "GET", "/schedule", "").body
		}
		const phases = `[{"duration":"1s","faults":{"name":"first","internal":0.5}},{"duration":"1m0s","faults":{"name":"second","reset":1}}]`
		assert.Equal(t, map[string]any{"running": false}, schedule())
		assert.JSONEq(t, phases, steer(t, a, "PUT", "/schedule", phases).raw)
		assert.Equal(t, map[string]any{"running": true, "name": "first"}, schedule())
		time.Sleep(time.Second)
		assert.Equal(t, map[string]any{"running": true, "name": "second", "phase": 1.0}, schedule())
		assert.Equal(t, "second", c.sim.Faults().Name)

		steer(t, a, "PUT", "/schedule", `[{"duration":"1h","faults":{"name":"third"}}]`)
		assert.Equal(t, map[string]any{"running": true, "name": "third"}, schedule(), "it takes the place of the other")
		steer(t, a, "PUT", "/faults", `{"name":"by hand"}`)
		assert.Equal(t, map[string]any{"running": false}, schedule())
		assert.Equal(t, "by hand", c.sim.Faults().Name)

		steer(t, a, "PUT", "/schedule", phases)
		steer(t, a, "DELETE", "/schedule", "")
		assert.Equal(t, nyckelsim.Faults{}, c.sim.Faults(), "healthy")
		steer(t, a, "PUT", "/schedule", phases)
		require.NoError(t, a.Close())
		assert.Equal(t, nyckelsim.Faults{}, c.sim.Faults())
	})
}
