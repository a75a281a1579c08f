package nyckelsim_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func TestTrainingStart(t *testing.T) {
	tests := []struct {
		name    string
		samples []nyckelsim.Sample
		want    int // models
	}{
		{"nothing", nil, 0},
		{"one label", tickets[:3], 0},
		{"one sample of the second", tickets[:4], 0},
		{"two of each", []nyckelsim.Sample{tickets[0], tickets[1], tickets[3], tickets[4]}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim := nyckelsim.New(nyckelsim.Config{})
			function := sim.AddFunction("tickets")
			require.NoError(t, sim.Import(function, tt.samples))
			assert.Len(t, sim.Models(function), tt.want)
			_, err := sim.Train(function)
			if tt.want == 0 {
				assert.ErrorIs(t, err, nyckelsim.ErrUntrainable)
			} else {
				assert.NoError(t, err)
			}
		})
	}
}

// manySamples returns n samples, no two alike, that share the labels evenly.
func manySamples(n, labels int) []nyckelsim.Sample {
	list := make([]nyckelsim.Sample, n)
	for i := range list {
		label := fmt.Sprint("label ", i%labels)
		list[i] = nyckelsim.Sample{Text: fmt.Sprintf("a question about %s, number %d", label, i), Label: label}
	}
	return list
}

func TestRetraining(t *testing.T) {
	sim := nyckelsim.New(nyckelsim.Config{})
	function := sim.AddFunction("tickets")
	samples := manySamples(200, 2)
	require.NoError(t, sim.Import(function, samples[:100]))
	assert.Len(t, sim.Models(function), 1)
	assert.Len(t, sim.Models(function), 1, "nothing has changed")

	require.NoError(t, sim.Import(function, samples[100:109]))
	require.NoError(t, sim.Import(function, samples[:50]), "no change at all")
	assert.Len(t, sim.Models(function), 1, "less than a tenth has changed")

	require.NoError(t, sim.Import(function, samples[109:110]))
	models := sim.Models(function)
	assert.Len(t, models, 2, "a tenth has changed")

	same, err := sim.Train(function)
	require.NoError(t, err)
	assert.Equal(t, models[1], same, "nothing to learn")
	require.NoError(t, sim.Import(function, samples[110:111]))
	third, err := sim.Train(function)
	require.NoError(t, err)
	assert.NotContains(t, models, third)
	assert.Equal(t, append(models, third), sim.Models(function))
}

func TestRetrainingCost(t *testing.T) {
	sim := nyckelsim.New(nyckelsim.Config{})
	function := sim.AddFunction("tickets")
	for _, sample := range manySamples(400, 2) {
		require.NoError(t, sim.Import(function, []nyckelsim.Sample{sample}))
		sim.Models(function)
	}
	assert.Less(t, len(sim.Models(function)), 60, "models for 400 samples that came one by one")
}

func TestDeletedLabelRetrains(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1})
	require.NoError(t, c.sim.Import(function, manySamples(200, 2)))
	before := c.sim.Models(function)
	labels := c.must("GET", "/v1/functions/"+function+"/labels", "").list
	c.must("DELETE", "/v1/functions/"+function+"/labels/"+labels[0]["id"].(string), "")
	assert.Len(t, c.sim.Models(function), len(before)+1, "however few its samples were")
}

func TestModelPinning(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1})
	ask := func(query string) answer {
		return c.do("POST", invokePath(function)+query, `{"data":"where is my parcel"}`)
	}
	old := ask("")
	assert.Equal(t, "delivery", old.body["labelName"])
	var swapped []nyckelsim.Sample
	for _, s := range tickets {
		s.Label = map[string]string{"delivery": "refund", "refund": "delivery"}[s.Label]
		swapped = append(swapped, s)
	}
	require.NoError(t, c.sim.Import(function, swapped))
	assert.Equal(t, "refund", ask("").body["labelName"], "the newest model answers")

	models := c.sim.Models(function)
	require.Len(t, models, 2)
	for _, id := range []string{models[0], models[0][len("model_"):]} {
		assert.Equal(t, old.body, ask("?modelId="+id).body, "the pinned model answers as ever")
	}
	got := ask("?modelId=model_unknown")
	assert.Equal(t, 400, got.status)
	assert.NotEmpty(t, got.message())
}

func TestModelsFollowFromSamples(t *testing.T) {
	confidence := func(seed uint64, samples []nyckelsim.Sample) any {
		c := newClient(t, nyckelsim.Config{Seed: seed})
		function := c.sim.AddFunction("tickets")
		require.NoError(t, c.sim.Import(function, samples))
		return c.invoke(function, "my parcel, or money").body["confidence"]
	}
	reversed := slices.Clone(tickets)
	slices.Reverse(reversed)
	assert.Equal(t, confidence(1, tickets), confidence(1, reversed), "the order does not matter")
	assert.NotEqual(t, confidence(1, tickets), confidence(2, tickets), "the seed does")
}

func TestInvokesShareTraining(t *testing.T) {
	c, function := newTrained(t, nyckelsim.Config{Rate: -1})
	require.NoError(t, c.sim.Import(function, manySamples(300, 2)))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { assert.Equal(t, 200, c.invoke(function, "parcel").status) })
	}
	wg.Wait()
	assert.Len(t, c.sim.Models(function), 1)
}

func TestImportErrors(t *testing.T) {
	sim := nyckelsim.New(nyckelsim.Config{})
	function := sim.AddFunction("tickets")
	assert.ErrorContains(t, sim.Import("nobody", nil), "nobody")
	for _, bad := range []nyckelsim.Sample{{"", "x"}, {"x", " "}, {"\xff", "x"}} {
		assert.ErrorContains(t, sim.Import(function, append(slices.Clone(tickets), bad)), "sample 6")
	}
	_, err := sim.Train(function)
	assert.ErrorIs(t, err, nyckelsim.ErrUntrainable, "a failed import changes nothing")
	_, err = sim.Train("nobody")
	assert.ErrorContains(t, err, "nobody")
	assert.Nil(t, sim.Models("nobody"))
}
