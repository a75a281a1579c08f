package telemetry

import (
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var noon = time.Unix(1_800_000_000, 0)

func TestActivityCountsSeconds(t *testing.T) {
	var a Activity
	for i := range 200 {
		now := noon.Add(time.Duration(i) * time.Second)
		for range i {
			a.ended(now, outcomeLive, time.Millisecond)
		}
		a.ended(now, outcomeFailed, time.Millisecond)
		second := uint32(now.Unix())
		for back := range uint32(min(i+1, recentSeconds)) {
			counts := a.second(second - back)
			require.Equal(t, uint32(i)-back, counts[outcomeLive])
			require.Equal(t, uint32(1), counts[outcomeFailed])
		}
	}
	assert.Equal(t, uint64(199*200/2), a.total[outcomeLive].Load())
	assert.Equal(t, uint64(200), a.total[outcomeFailed].Load())
	assert.Zero(t, a.second(uint32(noon.Unix()))[outcomeLive], "long over")
}

// Who watches is told that an answer stood in for the service's exactly if the answer
// itself says so.
func TestActivityTellsStandIns(t *testing.T) {
	for _, source := range []Source{Live, Cache, Stale, Similar, Rule, Static, "eu-1.api", "chat"} {
		var a Activity
		a.ended(noon, outcomeOf(source, false, false), time.Second)
		var f FunctionSnapshot
		a.report(noon.Add(time.Second), &f)
		last := f.Seconds[recentSeconds-1]
		assert.Equal(t, Answer{Source: source}.Degraded(), last.Degraded == 1, source)
		assert.Equal(t, uint32(1), last.Live+last.Cached+last.Degraded, source)
		assert.Zero(t, last.Failed, source)
	}
}

// Of the last minute each second is told, the oldest first, and all of them together.
func TestActivityReport(t *testing.T) {
	var a Activity
	a.ended(noon.Add(-time.Second), outcomeLive, time.Hour) // is over
	a.ended(noon, outcomeLive, time.Hour)
	for i := range 98 {
		took := time.Millisecond
		if i >= 60 {
			took = time.Second / 10
		}
		a.ended(noon.Add(59*time.Second), outcomeRule, took)
	}
	a.ended(noon.Add(59*time.Second), outcomeFailed, time.Second)
	a.ended(noon.Add(59*time.Second), outcomeFailed, time.Minute)
	a.ended(noon.Add(time.Minute), outcomeCache, 0) // goes on
	var f FunctionSnapshot
	a.report(noon.Add(time.Minute), &f)
	assert.Equal(t, map[string]uint64{"live": 2, "rule": 98, "failed": 2, "cache": 1}, f.Calls)
	assert.Equal(t, map[string]uint64{"live": 1, "rule": 98, "failed": 2}, f.Minute)
	want := make([]SecondSnapshot, recentSeconds)
	want[0].Live, want[59].Degraded, want[59].Failed = 1, 98, 2
	assert.Equal(t, want, f.Seconds)
	assert.EqualValues(t, 101, f.Recent)
	for i, took := range []time.Duration{time.Millisecond, time.Second / 10, time.Second} {
		assert.Equal(t, latencyAt(latencyOf(took)), []time.Duration{f.P50, f.P95, f.P99}[i])
	}
}

// What failed is no answer, wherever what there was of it came from.
func TestOutcomeOf(t *testing.T) {
	assert.Equal(t, outcomeFailed, outcomeOf(Live, true, false))
	assert.Equal(t, outcomeCanceled, outcomeOf(Live, false, true))
	assert.Equal(t, outcomeFailed, outcomeOf("", false, false))
}

func TestActivityConcurrent(t *testing.T) {
	var a Activity
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10_000 {
				a.ended(noon, outcomeRule, time.Second)
			}
		})
	}
	wg.Wait()
	assert.Equal(t, uint32(80_000), a.second(uint32(noon.Unix()))[outcomeRule])
	_, calls := a.quantiles(noon, 0.5)
	assert.Equal(t, uint64(80_000), calls)
}

// A quantile is never too low, and at most an eighth too high.
func TestActivityQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() float64{
		"exponential": func() float64 { return 0.2 * random.ExpFloat64() },
		"lognormal":   func() float64 { return 0.05 * math.Exp(random.NormFloat64()) },
		"two humps": func() float64 {
			if random.Float64() < 0.9 {
				return 0.01 + 0.001*random.Float64()
			}
			return 2 + random.Float64()
		},
	} {
		var a Activity
		var exact []time.Duration
		for range 20_000 {
			d := time.Duration(draw() * float64(time.Second))
			exact = append(exact, d)
			a.ended(noon, outcomeLive, d)
		}
		slices.Sort(exact)
		shares := []float64{0.5, 0.95, 0.99}
		got, _ := a.quantiles(noon, shares...)
		for i, share := range shares {
			want := exact[int(math.Ceil(share*float64(len(exact))))-1]
			if want < leastLatency {
				continue
			}
			assert.GreaterOrEqual(t, got[i], want, "%s p%v", name, 100*share)
			assert.LessOrEqual(t, float64(got[i]), 1.125*float64(want)+1, "%s p%v", name, 100*share)
		}
	}
}

func TestActivityForgetsLatencies(t *testing.T) {
	var a Activity
	a.ended(noon, outcomeLive, time.Second)
	for _, tt := range []struct {
		after time.Duration
		calls uint64
	}{{0, 1}, {30 * time.Second, 1}, {60 * time.Second, 0}, {90 * time.Second, 0}} {
		_, calls := a.quantiles(noon.Add(tt.after), 0.5)
		assert.Equal(t, tt.calls, calls, tt.after)
	}
	took, calls := new(Activity).quantiles(noon, 0.5)
	assert.Equal(t, []time.Duration{0}, took)
	assert.Zero(t, calls)
}

// When the clock is set back, what goes on is seen at once, and not only when the clock is
// where it was.
func TestActivityClockSetBack(t *testing.T) {
	for _, back := range []time.Duration{time.Second, time.Minute, 100 * time.Second, 2 * time.Minute, 3 * time.Minute, time.Hour, 1000 * time.Hour} {
		var a Activity
		for i := range 200 {
			a.ended(noon.Add(time.Duration(i)*time.Second), outcomeLive, time.Millisecond)
		}
		var last time.Time
		for i := range recentSeconds {
			last = noon.Add(200*time.Second - back + time.Duration(i)*time.Second)
			a.ended(last, outcomeLive, time.Millisecond)
		}
		for i := range uint32(recentSeconds) {
			assert.NotZero(t, a.second(uint32(last.Unix()) - i)[outcomeLive], "%v, second %d", back, i)
		}
		_, calls := a.quantiles(last, 1)
		assert.GreaterOrEqual(t, calls, uint64(latencySpan), back)
	}
}

func TestLatencySteps(t *testing.T) {
	last := -1
	for d := time.Duration(0); d < 10*time.Minute; d = d + d/32 + 1 {
		step := latencyOf(d)
		require.GreaterOrEqual(t, step, last)
		last = step
		if step < numLatencies-1 {
			require.GreaterOrEqual(t, latencyAt(step), d)
		}
	}
	assert.Equal(t, numLatencies-1, last)
	assert.Zero(t, latencyOf(-time.Second))
}

// What is beyond the steps is in the first and the last.
func TestLatenciesBeyondTheSteps(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{0: 72 * time.Microsecond, time.Hour: 268435456 * time.Microsecond} {
		var a Activity
		a.ended(noon, outcomeLive, d)
		took, _ := a.quantiles(noon, 0.5)
		assert.Equal(t, []time.Duration{want}, took)
	}
}

func BenchmarkActivity(b *testing.B) {
	var a Activity
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		a.ended(now, outcomeLive, 123*time.Millisecond)
	}
}

// How long calls took that nobody waited for says nothing.
func TestActivityLeavesCanceledOutOfLatencies(t *testing.T) {
	var a Activity
	now := noon
	a.ended(now, outcomeCanceled, time.Hour)
	a.ended(now, outcomeLive, time.Millisecond)
	took, calls := a.quantiles(now, 1)
	assert.EqualValues(t, 1, calls)
	assert.Less(t, took[0], 2*time.Millisecond)
}

// A cell that is full stays full, and begins no other period.
func TestCellIsFull(t *testing.T) {
	var c cell
	c.n.Store(7<<32 | math.MaxUint32)
	c.add(7)
	assert.Equal(t, uint32(math.MaxUint32), c.in(7))
	assert.Zero(t, c.in(8))
}

// A call that is over keeps no response of what goes on behind it.
func TestEndedTrailKeepsNoOutcome(t *testing.T) {
	_, trail := NewContext(t.Context())
	trail.finish()
	trail.keep(judgement{resp: new(http.Response)})
	assert.Empty(t, trail.judged)
}

// Of stacks within each other the outermost names the function.
func TestReportKeepsTheName(t *testing.T) {
	l := ObserveCall(Config{Function: "inner"})(nil).(*callLayer)
	outer, alone := FunctionSnapshot{Name: "outer"}, FunctionSnapshot{}
	l.Report(&outer)
	l.Report(&alone)
	assert.Equal(t, []string{"outer", "inner"}, []string{outer.Name, alone.Name})
}
