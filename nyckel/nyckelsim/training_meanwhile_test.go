package nyckelsim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// An account is what the tests below read of a dump.
type account struct {
	IDs       map[string]int
	Functions []struct {
		Models []struct{ Labels []string }
	}
}

func dumped(t *testing.T, sim *nyckelsim.Server) (got account) {
	t.Helper()
	var document bytes.Buffer
	require.NoError(t, sim.Dump(&document))
	require.NoError(t, json.Unmarshal(document.Bytes(), &got))
	return got
}

// Some labels are deleted before training begins, most while it is going on.
func TestLabelsDeletedWhileTrainingRetrain(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	function := c.sim.AddFunction("tickets")
	samples := manySamples(400, 2)
	for i := range 20 {
		samples = append(samples, nyckelsim.Sample{Text: fmt.Sprint("a rare one, number ", i), Label: fmt.Sprint("rare ", i)})
	}
	require.NoError(t, c.sim.Import(function, samples))
	path := "/v1/functions/" + function + "/labels"
	labels := pluck(c.must("GET", path, "").list, "id")

	trained := make(chan struct{})
	go func() {
		c.sim.Models(function)
		close(trained)
	}()
	for going := true; going && len(labels) > 2; labels = labels[:len(labels)-1] {
		c.must("DELETE", path+"/"+labels[len(labels)-1].(string), "")
		c.must("GET", "/v1/functions/"+function+"/samples?count=100", "") // takes a while
		select {
		case <-trained:
			going = false
		default:
		}
	}
	<-trained
	c.sim.Models(function)
	models := dumped(t, c.sim).Functions[0].Models
	newest := models[len(models)-1]
	assert.Len(t, newest.Labels, len(labels), "the newest model knows none that was deleted")
}

// An account that was replaced while it trained gets no model, and takes no id.
func TestLoadWhileTraining(t *testing.T) {
	sim := nyckelsim.New(nyckelsim.Config{})
	function := sim.AddFunction("tickets")
	require.NoError(t, sim.Import(function, manySamples(600, 10)))
	var document bytes.Buffer
	require.NoError(t, sim.Dump(&document))

	trained := make(chan error)
	go func() {
		_, err := sim.Train(function)
		trained <- err
	}()
	require.NoError(t, sim.Load(&document))
	err := <-trained
	got := dumped(t, sim)
	assert.Len(t, got.Functions[0].Models, got.IDs["model_"], "each id that was handed out is one of a model")
	assert.NotErrorIs(t, err, nyckelsim.ErrUntrainable, "it may have been too late, or have found no function")
}
