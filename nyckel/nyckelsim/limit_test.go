package nyckelsim_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func TestRate(t *testing.T) {
	tests := []struct {
		name string
		rate int
		want int // admitted at once
	}{
		{"default", 0, 25},
		{"three", 3, 3},
		{"off", -1, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, nyckelsim.Config{Rate: tt.rate})
				burst := func() (admitted int) {
					for range 100 {
						if c.do("GET", "/v1/functions", "").status == 200 {
							admitted++
						}
					}
					return admitted
				}
				assert.Equal(t, tt.want, burst())
				time.Sleep(time.Second - 1)
				if tt.rate >= 0 {
					assert.Zero(t, burst(), "just before a second has passed")
				}
				time.Sleep(time.Nanosecond)
				assert.Equal(t, tt.want, burst(), "after a second")
			})
		})
	}
}

func TestRateIsSharedByFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, nyckelsim.Config{Rate: 2})
		a, b := c.sim.AddFunction("a"), c.sim.AddFunction("b")
		c.must("GET", "/v1/functions/"+a, "")
		c.must("GET", "/v1/functions/"+b, "")
		got := c.do("GET", "/v1/functions/"+a, "")
		assert.Equal(t, 429, got.status)
		assert.NotEmpty(t, got.message())
		assert.Empty(t, got.header.Get("Retry-After"))
		assert.Equal(t, 200, requestToken(t, c.sim, "sim-client", "sim-secret").status, "tokens have no limit")
	})
}

func TestRetryAfter(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Concurrency: 0, Rate: 1, RetryAfter: true})
	c.must("GET", "/v1/functions", "")
	got := c.do("GET", "/v1/functions", "")
	assert.Equal(t, 429, got.status)
	assert.Equal(t, "1", got.header.Get("Retry-After"))
}

func TestConcurrency(t *testing.T) {
	tests := []struct {
		name        string
		concurrency int
		want        int // answered of 40 at once
	}{
		{"default", 0, 25},
		{"three", 3, 3},
		{"off", -1, 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, function := newTrained(t, nyckelsim.Config{
					Rate: -1, Concurrency: tt.concurrency, Latency: time.Second,
				})
				c.sim.Models(function) // trains outside of the race below
				answered := func() int {
					var mu sync.Mutex
					byStatus := map[int]int{}
					var wg sync.WaitGroup
					for range 40 {
						wg.Go(func() {
							got := c.invoke(function, "parcel")
							mu.Lock()
							byStatus[got.status]++
							mu.Unlock()
						})
					}
					wg.Wait()
					assert.Equal(t, 40-byStatus[200], byStatus[429])
					return byStatus[200]
				}
				start := time.Now()
				assert.Equal(t, tt.want, answered())
				assert.Equal(t, time.Second, time.Since(start))
				assert.Equal(t, tt.want, answered(), "all slots are free again")
			})
		})
	}
}
