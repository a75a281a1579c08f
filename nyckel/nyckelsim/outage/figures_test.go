package outage

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/telemetry"
)

// newTestFigures returns figures of two phases, the second of which was never
// reached.
func newTestFigures() *figures {
	d := &data{train: []dataset.Row{{Text: "a", Label: "x"}, {Text: "b", Label: "y"}, {Text: "c", Label: "x"}}}
	f := newFigures(options{seed: 7, rate: 10, duration: 4 * time.Second}, d,
		[]phase{{name: "outage"}, {name: "recovery"}},
		[]dataset.Row{{Text: "a"}, {Text: "b"}, {Text: "a"}, {Text: "a"}})
	bare, ours := f.phases[0][0], f.phases[0][1]
	bare.Upstream, ours.Upstream = 4, 3
	for i, a := range []answer{
		{"x", telemetry.Answer{Source: telemetry.Live}},
		{"y", telemetry.Answer{Source: telemetry.Rule, Accuracy: 0.75, Samples: 8}},
		{"x", telemetry.Answer{Source: telemetry.Stale}},
		{"x", telemetry.Answer{Source: telemetry.Live}},
	} {
		question := dataset.Row{Text: string(rune('a' + i)), Label: "x"}
		took := time.Duration(4-i) * 10 * time.Millisecond
		ours.add(question, a, nil, took)
		if i > 1 {
			bare.add(question, answer{}, errors.New("down"), took)
		} else {
			bare.add(question, answer{"x", telemetry.Answer{Source: telemetry.Live}}, nil, took)
		}
	}
	f.said = map[string]string{"a": "y", "b": "y"}
	f.sumUp()
	return f
}

func TestFiguresSumUp(t *testing.T) {
	f := newTestFigures()
	assert.Equal(t, 3, f.TrainTexts)
	assert.Equal(t, 2, f.Labels)
	assert.Equal(t, 0.5, f.Repeated)
	require.Len(t, f.Rows, 2, "phases without a call are left out")
	for i, want := range []struct {
		client                    string
		answered, right, upstream int
		from                      string
	}{
		{"bare", 2, 2, 4, "live 2"},
		{"sparekey", 4, 3, 3, "live 2, stale 1, rule 1"},
	} {
		for _, tally := range []*tally{f.Rows[i], f.Totals[i]} {
			assert.Equal(t, want.client, tally.Client)
			assert.Equal(t, 4, tally.Calls)
			assert.Equal(t, want.answered, tally.Answered)
			assert.Equal(t, want.right, tally.Right)
			assert.EqualValues(t, want.upstream, tally.Upstream)
			assert.Equal(t, want.from, tally.from())
			assert.Equal(t, 20.0, tally.P50)
			assert.Equal(t, 40.0, tally.P99)
		}
	}
}

// Others read it: members may be added, none may change.
func TestFiguresJSON(t *testing.T) {
	f := newTestFigures()
	f.Stopped, f.Worsened = "1.5s", 1
	content, err := json.Marshal(f)
	require.NoError(t, err)
	assert.Regexp(t, `^{"seed":7,"rate_per_second":10,"duration":"4s","stopped_after":"1.5s","made_worse":1,"train_texts":3,"labels":2,"repeated_share":0.5,`+
		`"phases":\[{"phase":"outage","client":"bare","calls":4,"answered":2,"right":2,"upstream_calls":4,"p50_ms":20,"p99_ms":40,"sources":{"live":.*`+
		`"totals":\[{"phase":"all phases","client":"bare",.*"similar":{"questions":0,"compared":0,"serving":false}}$`, string(content))
	var read figures
	require.NoError(t, json.Unmarshal(content, &read))
	again, err := json.Marshal(&read)
	require.NoError(t, err)
	assert.JSONEq(t, string(content), string(again))
	assert.Contains(t, string(content), `"sources":{"live":{"answers":2,"right":2,"stated":0,"predicted":0,"samples":0,"known":0,"agreed":0},`+
		`"rule":{"answers":1,"right":0,"stated":1,"predicted":0.75,"samples":8,"known":1,"agreed":1},`+
		`"stale":{"answers":1,"right":1,"stated":0,"predicted":0,"samples":0,"known":0,"agreed":0}}`)
}

// The prediction for several answers is the mean of what they state, however they
// are summed up.
func TestTallyPredicted(t *testing.T) {
	var phases [2]*tally
	for i, stated := range [][]telemetry.Answer{
		{{Accuracy: 0.5, Samples: 10}, {Accuracy: 0.9, Samples: 30}, {}}, // the last states nothing
		{{Accuracy: 1, Samples: 20}},
	} {
		phases[i] = newTally("outage", "sparekey")
		for _, a := range stated {
			a.Source = telemetry.Similar
			phases[i].add(dataset.Row{Text: "a", Label: "x"}, answer{"x", a}, nil, time.Second)
		}
		phases[i].check(map[string]string{"a": "z"})
	}
	sum := newTally("all", "sparekey")
	for _, phase := range phases {
		sum.merge(phase)
	}
	c := *sum.Sources[telemetry.Similar]
	assert.InDelta(t, 0.8, c.Predicted, 1e-9)
	c.Predicted = 0
	assert.Equal(t, counter{Answers: 4, Right: 4, Stated: 3, Samples: 30, Known: 4}, c)
}

func TestRatioOfNone(t *testing.T) {
	assert.Zero(t, ratio(0, 0), "which JSON can have")
}

func TestMilliseconds(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i+1) * time.Millisecond
	}
	tests := []struct {
		name   string
		sorted []time.Duration
		q      float64
		want   float64
	}{
		{"none", nil, 0.5, 0},
		{"one", hundred[:1], 0.99, 1},
		{"median of two", hundred[:2], 0.5, 1},
		{"median", hundred, 0.5, 50},
		{"99th of a hundred", hundred, 0.99, 99},
		{"greatest", hundred, 1, 100},
		{"rounded", []time.Duration{1234567}, 0.5, 1.2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, milliseconds(tt.sorted, tt.q))
		})
	}
}
