package transport_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A tellingMeter is a meter that tells in each answer what is left, with a bucket
// that holds the tokens of a round. Its windows open all at once if they are fixed.
type tellingMeter struct {
	meter
	round  time.Duration
	fixed  bool
	opened time.Time
	fields func(h http.Header, limit, left float64, reset time.Duration)
}

func (m *tellingMeter) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(25 * time.Millisecond)
	m.mu.Lock()
	now := time.Now()
	limit := m.rate * m.round.Seconds()
	if m.fixed {
		if now.Sub(m.opened) >= m.round {
			m.opened, m.tokens = now.Truncate(m.round), limit
		}
	} else {
		m.tokens = min(limit, m.tokens+now.Sub(m.last).Seconds()*m.rate)
	}
	m.last = now
	status := http.StatusOK
	if m.tokens < 1 {
		status = http.StatusTooManyRequests
		m.denied++
	} else {
		m.tokens--
		m.served++
	}
	reset := time.Duration((limit - m.tokens) / m.rate * float64(time.Second))
	if m.fixed {
		reset = m.opened.Add(m.round).Sub(now)
	}
	left := m.tokens
	m.mu.Unlock()
	time.Sleep(25 * time.Millisecond)
	resp, err := transporttest.Reply(status, "")(req)
	m.fields(resp.Header, limit, float64(int(left)), reset)
	return resp, err
}

func inDurations(h http.Header, limit, left float64, reset time.Duration) {
	h.Set("X-Ratelimit-Limit-Requests", fmt.Sprint(limit))
	h.Set("X-Ratelimit-Remaining-Requests", fmt.Sprint(left))
	h.Set("X-Ratelimit-Reset-Requests", reset.Round(time.Millisecond).String())
}

func inSeconds(h http.Header, limit, left float64, reset time.Duration) {
	inDurations(h, limit, left, reset)
	h.Set("X-Ratelimit-Reset-Requests", strconv.Itoa(int((reset+time.Second-1)/time.Second)))
}

func inTimes(h http.Header, limit, left float64, reset time.Duration) {
	h.Set("Anthropic-Ratelimit-Requests-Limit", fmt.Sprint(limit))
	h.Set("Anthropic-Ratelimit-Requests-Remaining", fmt.Sprint(left))
	h.Set("Anthropic-Ratelimit-Requests-Reset", time.Now().Add(reset).UTC().Format(time.RFC3339))
}

func inDraft(h http.Header, limit, left float64, reset time.Duration) {
	h.Set("Ratelimit", fmt.Sprintf(`"default";r=%d;t=%d`, int(left), int((reset+time.Second-1)/time.Second)))
	h.Set("Ratelimit-Policy", fmt.Sprintf(`"default";q=%d;w=60`, int(limit)))
}

// Clients that share an account are denied hardly anything and use nearly all of
// it, in each way to tell what is left, under twice the load that is allowed; and
// again two rounds after the limit has changed.
func TestLimiterFollowsQuota(t *testing.T) {
	t.Parallel()
	ways := []struct {
		name   string
		fixed  bool
		fields func(http.Header, float64, float64, time.Duration)
	}{
		{"OpenAI", false, inDurations},
		{"Azure", false, inSeconds},
		{"Anthropic", false, inTimes},
		{"windows, durations", true, inDurations},
		{"windows, draft", true, inDraft},
	}
	rates := []float64{10}
	if *long {
		rates = append(rates, 5, 100)
	}
	for _, way := range ways {
		for _, clients := range []int{1, 3} {
			for _, rate := range rates {
				t.Run(fmt.Sprintf("%s, %d clients, %g/s", way.name, clients, rate), func(t *testing.T) {
					for seed := range seeds() {
						synctest.Test(t, func(t *testing.T) {
							m := &tellingMeter{round: time.Minute, fixed: way.fixed, fields: way.fields}
							m.rate = rate
							follows(t, m, clients, seed)
						})
					}
				})
			}
		}
	}
}

// follows has clients load m, whose limit is halved and doubled meanwhile.
func follows(t *testing.T, m *tellingMeter, clients int, seed uint64) {
	const rounds = 6
	full := m.rate
	m.last, m.tokens = time.Now(), full*m.round.Seconds()
	m.opened = time.Now().Truncate(m.round)
	var wg sync.WaitGroup
	for i := range clients {
		rt := transport.NewLimiter(policy.Limit{InFlight: -1}).Wrap(m)
		wg.Go(func() {
			load(rt, rand.New(rand.NewPCG(seed, uint64(i))), 2*full/float64(clients), 3*rounds*m.round)
		})
	}
	time.Sleep(time.Millisecond)
	for _, rate := range []float64{full, full / 2, full} {
		m.change(rate)
		time.Sleep(2 * m.round)
		first := m.reset()
		time.Sleep((rounds - 2) * m.round)
		rest := m.reset()
		share, used := rest[1]/(rest[0]+rest[1]), rest[0]/(rate*(rounds-2)*m.round.Seconds())
		t.Logf("seed %d, %g/s: at first %v, then %.2f %% 429s, %.1f %% used", seed, rate, first, 100*share, 100*used)
		denied := 0.01
		if m.fixed { // at a window's end each has one or two on the way of which the others know nothing
			denied = max(denied, float64(2*clients)/(rate*m.round.Seconds()))
		}
		assert.Less(t, share, denied, "share of 429s at %g/s", rate)
		assert.Greater(t, used, 0.95, "share of the rate of %g/s", rate)
	}
	wg.Wait()
}

// When nothing is left nobody goes on before the reset, whatever the status.
func TestLimiterQuotaUsedUp(t *testing.T) {
	for name, fields := range map[string][]string{
		"requests": {"X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Reset-Requests", "2s"},
		"limit":    {"X-Ratelimit-Limit-Requests", "9", "X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Reset-Requests", "2s"},
		"tokens":   {"X-Ratelimit-Remaining-Tokens", "0", "X-Ratelimit-Reset-Tokens", "2s"},
	} {
		for _, status := range []int{http.StatusOK, http.StatusTooManyRequests} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newDoor(t, policy.Limit{InFlight: -1}, transporttest.Reply(status, "", fields...), fine)
					require.True(t, d.usual().isInside())
					v := d.usual()
					time.Sleep(2*time.Second - 1)
					synctest.Wait()
					require.False(t, v.isOver(), "before the reset")
					time.Sleep(time.Nanosecond)
					synctest.Wait()
					assert.True(t, v.isInside(), "at the reset")
				})
			})
		}
	}
}

// Of several limits that count requests, a gateway's own and that of the server
// behind it, say, the one with least left counts, and of those the later reset.
func TestLimiterQuotaOfSeveral(t *testing.T) {
	for _, fields := range [][]string{
		{"Ratelimit-Remaining", "50", "Ratelimit-Reset", "60", "X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Reset-Requests", "2s"},
		{"Ratelimit-Remaining", "0", "Ratelimit-Reset", "2", "X-Ratelimit-Remaining-Requests", "50", "X-Ratelimit-Reset-Requests", "60s"},
		{"Ratelimit-Remaining", "0", "Ratelimit-Reset", "1", "X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Reset-Requests", "2s"},
		{"Ratelimit-Remaining", "0", "Ratelimit-Reset", "2", "X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Reset-Requests", "1s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoor(t, policy.Limit{InFlight: -1}, transporttest.Reply(http.StatusTooManyRequests, "", fields...), fine)
			d.usual()
			v := d.usual()
			time.Sleep(2*time.Second - 1)
			synctest.Wait()
			require.False(t, v.isOver(), "before the reset: %q", fields)
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			assert.True(t, v.isInside(), "at the reset: %q", fields)
		})
	}
}

// A limit that does not count requests holds nobody up while anything is left of it.
func TestLimiterQuotaOfTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, policy.Limit{InFlight: -1}, transporttest.Reply(http.StatusOK, "",
			"X-Ratelimit-Limit-Tokens", "100000", "X-Ratelimit-Remaining-Tokens", "1", "X-Ratelimit-Reset-Tokens", "60s"))
		for i := range 10 {
			require.True(t, d.usual().isInside(), "request %d", i)
		}
	})
}

// A rate of one's own does not let through what the server's limit holds back.
func TestLimiterQuotaBesideARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, policy.Limit{PerSecond: 100, InFlight: -1}, transporttest.Reply(http.StatusOK, "",
			"X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Reset-Requests", "2s"), fine)
		d.usual()
		v := d.usual()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.True(t, v.isInside())
		assert.Equal(t, 2*time.Second, v.took())
	})
}

// Who waits goes on sooner when an answer tells of more that is left, before its body ends.
func TestLimiterQuotaTellsOfMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		telling := func(after time.Duration, left string) transporttest.Step {
			return transporttest.After(after, transporttest.Stall(http.StatusOK, "so far",
				"X-Ratelimit-Limit", "100", "X-Ratelimit-Remaining", left, "X-Ratelimit-Reset", "60"))
		}
		d := newDoor(t, policy.Limit{InFlight: -1, MaxWait: time.Minute}, telling(0, "2"), telling(time.Second, "51"), fine)
		d.usual()
		d.usual()
		d.usual()
		v := d.usual()
		time.Sleep(time.Second)
		synctest.Wait()
		require.False(t, v.isOver())
		// 50 of 100 are left for a minute, and go at twice the rate at which they would last.
		time.Sleep(time.Minute/50/2 + 1)
		synctest.Wait()
		assert.True(t, v.isInside())
	})
}

// Figures that nobody can mean hold nobody up for more than a minute, and a
// limit of which little is known lets through what it can.
func TestLimiterQuotaAbsurd(t *testing.T) {
	huge := "1" + fmt.Sprintf("%0400d", 0)
	for _, fields := range [][]string{
		{"X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", huge},
		{"X-Ratelimit-Limit", huge, "X-Ratelimit-Remaining", huge, "X-Ratelimit-Reset", "0"},
		{"X-Ratelimit-Limit", "0.0000001", "X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", huge},
		{"X-Ratelimit-Limit", "1", "X-Ratelimit-Remaining", "0.5", "X-Ratelimit-Reset", "86400"},
		{"X-Ratelimit-Limit", "-1", "X-Ratelimit-Remaining", "-1", "X-Ratelimit-Reset", "0"},
		{"X-Ratelimit-Limit", "0", "X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", "0"},
	} {
		t.Run(fmt.Sprintf("%.40q", fields), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDoor(t, policy.Limit{InFlight: -1, MaxWait: time.Hour}, transporttest.Reply(200, "", fields...))
				for i := range 10 {
					v := d.usual()
					time.Sleep(time.Minute)
					synctest.Wait()
					require.True(t, v.isInside(), "request %d", i)
				}
			})
		})
	}
}

// Who waits for what the server says of its own limit waits no longer than Explain
// says, also where the limiter has no bound itself.
func TestLimiterQuotaIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, policy.Limit{InFlight: -1}, transporttest.Reply(http.StatusOK, "",
			"X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Reset-Requests", "5s"), fine)
		d.usual()
		v := d.usual()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.True(t, v.isInside())
		assert.Equal(t, transport.Explain(d.rt).Waiting, v.took())
	})
}

// A 429 whose figures say why does not make the rate fall; one whose figures say
// that there is something left does.
func TestLimiterQuotaExplains429(t *testing.T) {
	for left, want := range map[string]float64{"0": 10, "5": 7} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoor(t, policy.Limit{PerSecond: 10, InFlight: -1}, transporttest.Reply(429, "",
				"X-Ratelimit-Limit", "9", "X-Ratelimit-Remaining", left, "X-Ratelimit-Reset", "3"))
			d.usual()
			assert.InDelta(t, want, d.State().PerSecond, 1e-9, "with %s left", left)
		})
	}
}

// One limit that is used up says why, whatever is left of another.
func TestLimiterQuotaOfSeveralExplains429(t *testing.T) {
	for _, fields := range [][]string{
		{"X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Reset-Requests", "3s", "X-Ratelimit-Remaining-Tokens", "5", "X-Ratelimit-Reset-Tokens", "3s"},
		{"X-Ratelimit-Remaining-Requests", "5", "X-Ratelimit-Reset-Requests", "3s", "X-Ratelimit-Remaining-Tokens", "0", "X-Ratelimit-Reset-Tokens", "3s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoor(t, policy.Limit{PerSecond: 10, InFlight: -1}, transporttest.Reply(429, "", fields...))
			d.usual()
			assert.InDelta(t, 10, d.State().PerSecond, 1e-9, "%q", fields)
		})
	}
}

// What a server asks for in so many words comes before what its figures say.
func TestLimiterQuotaRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, policy.Limit{InFlight: -1, MaxWait: time.Minute}, transporttest.Reply(429, "", "Retry-After", "9",
			"X-Ratelimit-Limit", "9", "X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", "3"), fine)
		d.usual()
		v := d.usual()
		time.Sleep(9*time.Second - 1)
		synctest.Wait()
		require.False(t, v.isOver())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.True(t, v.isInside())
	})
}

// A wait that has nothing to do with the rate holds up nobody else.
func TestLimiterQuotaRetryAfterOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, policy.Limit{InFlight: -1}, transporttest.Reply(503, "", "Retry-After", "9",
			"X-Ratelimit-Limit", "9", "X-Ratelimit-Remaining", "8", "X-Ratelimit-Reset", "3"), fine)
		d.usual()
		v := d.usual()
		require.True(t, v.isInside())
		assert.Zero(t, v.took())
	})
}

// An answer that tells that nothing is left is an answer: the bound rises as with any other.
func TestLimiterQuotaUsedUpByAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last := transporttest.Reply(http.StatusOK, "", "X-Ratelimit-Limit", "10", "X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", "1")
		d := newDoor(t, policy.Limit{Adaptive: policy.Adaptive{Initial: 1}}, last)
		require.True(t, d.usual().isInside())
		assert.Equal(t, 2, d.State().Bound)
	})
}

// A request that gives up at its turn was never sent: what the next answer says is
// left is left.
func TestLimiterQuotaCanceledAtHisTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		telling := transporttest.Reply(http.StatusOK, "",
			"X-Ratelimit-Limit", "2000", "X-Ratelimit-Remaining", "1000", "X-Ratelimit-Reset", "3600")
		d := newDoor(t, policy.Limit{InFlight: 2}, held, held, telling)
		holders := []*visit{d.usual(), d.usual()}
		leaver, next := d.usual(), d.usual()
		leaver.cancel(context.Canceled)
		for _, v := range holders {
			_ = v.end.Load().resp.Body.Close() // and it is the turn of the one who leaves
		}
		synctest.Wait()
		require.ErrorIs(t, leaver.err(), context.Canceled)
		require.True(t, next.isInside())
		for i := range 5 {
			v := d.usual()
			require.True(t, v.isInside(), "request %d", i)
		}
	})
}

// Where a server says that nothing is left for a long time, it is asked again after
// a minute, and each minute from then on.
func TestLimiterQuotaUsedUpForLong(t *testing.T) {
	for name, fields := range map[string][]string{
		"requests": {"X-Ratelimit-Limit-Requests", "100", "X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Reset-Requests", "1h"},
		"no limit": {"X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Reset-Requests", "1h"},
		"tokens":   {"X-Ratelimit-Remaining-Tokens", "0", "X-Ratelimit-Reset-Tokens", "1h"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDoor(t, policy.Limit{InFlight: -1, MaxWait: time.Hour}, transporttest.Reply(http.StatusTooManyRequests, "", fields...))
				require.True(t, d.usual().isInside())
				for i := range 3 {
					v := d.usual()
					time.Sleep(time.Minute - 1)
					synctest.Wait()
					require.False(t, v.isOver(), "request %d", i)
					time.Sleep(time.Nanosecond)
					synctest.Wait()
					require.True(t, v.isInside(), "request %d", i)
				}
			})
		})
	}
}
