package outage

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

func TestPercent(t *testing.T) {
	tests := []struct {
		part, whole int
		want        string
	}{
		{0, 0, "–"}, {0, 7, "0.0 %"}, {2, 3, "66.7 %"}, {7, 7, "100.0 %"}, {9999, 10000, "99.9 %"}, {1, 10000, "0.0 %"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, percent(tt.part, tt.whole), "%d of %d", tt.part, tt.whole)
	}
}

func TestFiguresPrint(t *testing.T) {
	var out bytes.Buffer
	newTestFigures().print(&out)
	assert.Equal(t, `
PHASE       CLIENT    CALLS  ANSWERED  RIGHT   P50    P99    UPSTREAM/CALL  ANSWERS FROM
outage      bare      4      50.0 %    50.0 %  20 ms  40 ms  1.00           live 2
            sparekey  4      100.0 %   75.0 %  20 ms  40 ms  0.75           live 2, stale 1, rule 1
all phases  bare      4      50.0 %    50.0 %  20 ms  40 ms  1.00           live 2
            sparekey  4      100.0 %   75.0 %  20 ms  40 ms  0.75           live 2, stale 1, rule 1

right = the true label, of all calls; 50 % of the calls repeat an earlier text

SPAREKEY'S ANSWERS  COUNT  PREDICTED   COUNTED                RIGHT OF THESE
live                2      –           –                      100.0 %
stale               1      –           –                      100.0 %
rule                1      75.0 % (8)  100.0 % (1, 21–100 %)  0.0 %

predicted = the service would say the same, as each answer itself stated, by so many comparisons while the service answered
counted = the service says the same, asked afterwards; in brackets how many, and between what bounds that lies with 95 %
right = the true label, which the service does not always have
similar answers are refused: after comparing 0 live answers with those to 0 earlier questions, it is not shown that nine in ten would be right

Verdict: the bare client answered 50.0 % of its calls (50.0 % right), sparekey 100.0 % (75.0 % right) with 0.75 upstream calls per call; 50.0 % of its answers were degraded, and each named its source.
`, out.String())
}

func TestFiguresVerdictDegraded(t *testing.T) {
	f := newFigures(options{}, &data{}, []phase{{name: "healthy"}}, nil)
	for _, source := range []telemetry.Source{telemetry.Live, telemetry.Live, telemetry.Cache, endpoint, telemetry.Rule} {
		f.phases[0][1].add(dataset.Row{}, answer{"", telemetry.Answer{Source: source}}, nil, 0)
	}
	f.sumUp()
	assert.Contains(t, f.verdict(), "; 40.0 % of its answers were degraded, and each named its source.")
	assert.Equal(t, "–", f.Totals[0].from())
}

func TestFiguresVerdictStopped(t *testing.T) {
	f := newTestFigures()
	f.Stopped = "2s"
	assert.Contains(t, f.verdict(), "Verdict: stopped after 2s: the bare client answered 50.0 % of its calls")
	f = newFigures(options{}, &data{}, []phase{{name: "healthy"}}, nil)
	f.Stopped = "0.1s"
	f.sumUp()
	var out bytes.Buffer
	f.print(&out)
	assert.Equal(t, "\nVerdict: stopped after 0.1s: no call was answered yet.\n", out.String())
}

func TestTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		line := newTimeline(&out, newHistory(options{duration: time.Second}))
		d := &data{askName: "b.csv", seen: 2}
		line.begin(options{duration: 45 * time.Second, seed: 7}, d, []dataset.Row{{Text: "a"}, {Text: "b"}, {Text: "a"}})
		line.phase(phase{name: "total outage"})
		for _, source := range sources {
			line.answer(0, answer{}, errors.New("down"))
			line.answer(1, answer{Answer: telemetry.Answer{Source: source}}, nil)
		}
		time.Sleep(time.Second - time.Nanosecond)
		line.answer(0, answer{}, errors.New("down"))
		time.Sleep(time.Nanosecond)
		line.answer(0, answer{}, errors.New("down")) // of the next second
		now := time.Now()
		line.transition(policy.Transition{From: policy.Closed, To: policy.Open, At: now, Until: now.Add(2 * time.Second)})
		line.transition(policy.Transition{From: policy.Open, To: policy.HalfOpen, At: now})
		for range 40 {
			line.answer(1, answer{Answer: telemetry.Answer{Source: telemetry.Live}}, nil)
		}
		line.flush()
		line.flush()
		assert.Equal(t, `now asking 2 texts the model has not seen (b.csv), 3 calls in 45s, seed 7
left out 2 texts that are in the training data, too
each mark is an answer: L live  e another endpoint  c cached  s stale  m similar  r rule  d default answer  . none

  0.0s  ── total outage ──
  1.0s     bare ........                     sparekey Lecsmrd
  1.0s     bare .                            sparekey 
  1.0s     breaker: closed → open for 2s
  1.0s     breaker: open → half_open
  1.0s     bare                              sparekey `+strings.Repeat("L", 26)+"…\n", out.String())
		assert.Equal(t, []moment{{0, "total outage"}}, line.history.phases)
		assert.Equal(t, []moment{{time.Second, "open"}, {time.Second, "half_open"}}, line.history.breaker)
	})
}

func TestShorten(t *testing.T) {
	const wide = "abcdefghijklmnopqrstuvwxyz"
	assert.Equal(t, wide, shorten(wide))
	assert.Equal(t, wide+"…", shorten(wide+"."))
	assert.Equal(t, wide+"…", shorten("aabbccddeeffgghhiijjkkllmmnnooppqqrrssttuuvvwwxxyyzz"))
}
