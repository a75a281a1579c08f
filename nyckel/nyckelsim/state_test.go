package nyckelsim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// furnished returns a client of an account that has something of everything.
func furnished(t testing.TB) *client {
	c, tickets := newTrained(t, nyckelsim.Config{Rate: -1, Seed: 7, Quota: 1000})
	c.invoke(tickets, "where is it")
	require.NoError(t, c.sim.Import(tickets, manySamples(20, 3)))
	c.invoke(tickets, "label 1, please")
	deleted := c.must("GET", "/v1/functions/tickets/labels", "").list[2]["id"].(string)
	c.must("DELETE", "/v1/functions/tickets/labels/"+deleted, "")
	c.must("POST", "/v0.9/projects", `{"name":"mail"}`)

	tags := c.create("Tabular", "Tags")
	c.must("POST", tags+"/fields", `{"name":"subject","type":"Text"}`)
	c.must("POST", tags+"/fields", `{"name":"amount","type":"Number"}`)
	photo := c.must("POST", tags+"/fields", `{"name":"photo","type":"Image"}`).body["id"].(string)
	c.label(tags, "dear")
	c.label(tags, "late")
	for i := range 4 {
		c.must("POST", tags+"/samples", fmt.Sprintf(
			`{"data":{"subject":"so late %d","amount":%d,"photo":"%s"},"annotation":[{"labelName":"late"}],"sampleSets":[{"sampleSetId":"s"}]}`, i, i, uri(canvas(red))))
		c.must("POST", tags+"/samples", fmt.Sprintf(`{"data":{"amount":%d},"annotation":[{"labelName":"dear"}],"externalId":"e%d"}`, 100+i, i))
	}
	c.must("POST", tags+"/invoke", `{"data":{"subject":"late"}}`)
	c.must("DELETE", tags+"/fields/"+photo, "")

	images := c.create("Image", "Search")
	c.must("POST", images+"/samples", `{"data":"`+uri(canvas(red))+`"}`)
	boxes := c.create("Image", "BoxDetect")
	_, err := c.sim.Train(strings.TrimPrefix(boxes, "/v1/functions/"))
	require.NoError(t, err)
	return c
}

// behaviour is what calls are answered; they change the account.
func behaviour(c *client) []string {
	var answers []string
	say := func(method, path, body string) {
		got := c.do(method, path, body)
		answers = append(answers, fmt.Sprint(method, path, got.status, got.raw))
	}
	list := c.must("GET", "/v1/functions", "").list
	for _, f := range list {
		path := "/v1/functions/" + f["id"].(string)
		say("GET", path+"/samples", "")
		say("GET", path+"/labels", "")
		say("GET", path+"/fields", "")
		say("GET", path+"/summary", "")
		models := c.must("GET", path+"/models", "").list
		for _, m := range models {
			say("POST", path+"/invoke?labelCount=5&modelId="+m["id"].(string), `{"data":"where is my parcel"}`)
			say("POST", path+"/invoke?modelId="+m["id"].(string), `{"data":{"amount":50,"subject":"late, I fear"}}`)
			say("POST", path+"/invoke?modelId="+m["id"].(string), `{"data":"`+uri(canvas(red))+`"}`)
		}
		say("POST", path+"/search", `{"data":"`+uri(canvas(blue))+`"}`)
		say("POST", path+"/samples", `{"data":"`+uri(canvas(red))+`"}`)
		say("POST", path+"/labels", `{"name":"new"}`)
	}
	say("GET", "/v0.9/projects", "")
	say("POST", "/v1/functions", `{"input":"Text","output":"Tags"}`)
	return answers
}

func TestDumpAndLoad(t *testing.T) {
	c := furnished(t)
	var document, again bytes.Buffer
	require.NoError(t, c.sim.Dump(&document))
	other := newClient(t, nyckelsim.Config{Rate: -1, Seed: 7, Quota: 1000})
	other.sim.AddFunction("in the way")
	require.NoError(t, other.sim.Load(bytes.NewReader(document.Bytes())))
	require.NoError(t, other.sim.Dump(&again))
	assert.Equal(t, document.String(), again.String())
	assert.Equal(t, behaviour(c), behaviour(other))

	var state struct{ Invokes int }
	require.NoError(t, json.Unmarshal(document.Bytes(), &state))
	assert.Equal(t, 3, state.Invokes, "what the quota has been charged")
}

// A label that went away makes the next model due however few had it, also after a
// restart.
func TestDumpKeepsOverdue(t *testing.T) {
	c := newClient(t, nyckelsim.Config{Rate: -1})
	function := c.sim.AddFunction("tickets")
	var samples []nyckelsim.Sample
	for i := range 40 {
		samples = append(samples, nyckelsim.Sample{Text: fmt.Sprintf("text %d", i), Label: []string{"even", "odd"}[i%2]})
	}
	samples = append(samples, nyckelsim.Sample{Text: "where is it", Label: "lost"})
	require.NoError(t, c.sim.Import(function, samples))
	_, err := c.sim.Train(function)
	require.NoError(t, err)
	for _, label := range c.must("GET", "/v1/functions/"+function+"/labels", "").list {
		if label["name"] == "lost" {
			c.must("DELETE", "/v1/functions/"+function+"/labels/"+label["id"].(string), "")
		}
	}
	var document bytes.Buffer
	require.NoError(t, c.sim.Dump(&document))
	loaded := nyckelsim.New(nyckelsim.Config{})
	require.NoError(t, loaded.Load(&document))
	assert.Len(t, loaded.Models(function), 2)
}

func TestLoadRefuses(t *testing.T) {
	var document bytes.Buffer
	require.NoError(t, furnished(t).sim.Dump(&document))
	whole := document.String()
	zeros := func(list string) string { // "rarity":"gIA/gA=="
		return list[:10] + regexp.MustCompile(`[^="]`).ReplaceAllString(list[10:], "A")
	}
	tests := []struct {
		name     string
		document string
		want     string // in the error
	}{
		{"nothing", "", "EOF"},
		{"no JSON", "state", "invalid"},
		{"cut off", whole[:len(whole)/2], "EOF"},
		{"more", whole + "{}", "more"},
		{"version", strings.Replace(whole, `"version":1`, `"version":2`, 1), "version 2"},
		{"seed", strings.Replace(whole, `"seed":"7"`, `"seed":"8"`, 1), "seed 8"},
		{"output", strings.Replace(whole, `"output":"Tags"`, `"output":"Search"`, 1), "function 1"},
		{"id of another kind", strings.Replace(whole, `"id":"sample_`, `"id":"label_`, 1), "sample_"},
		{"id twice", strings.Replace(whole, `"labels":[{`, `"labels":[{"id":"label_x"},{"id":"label_x"},{`, 1), "twice"},
		{"no classifier", strings.ReplaceAll(whole, `"classifier"`, `"nothing"`), "classifier"},
		{"weights shifted", strings.Replace(whole, `"weights":"`, `"weights":"AAAA`, 1), "cut off"},
		{"rarity of nothing", regexp.MustCompile(`"rarity":"[^"]+"`).ReplaceAllStringFunc(whole, zeros), "less than common"},
		{"bias missing", strings.Replace(whole, `"bias"`, `"nothing"`, 1), "sizes"},
		{"annotation", strings.Replace(whole, `"annotation":[{"labelId":"label_`, `"annotation":[{"labelId":"label_x`, 1), "annotation"},
		{"prediction", strings.Replace(whole, `"prediction":[{"labelId":"label_`, `"prediction":[{"labelId":"label_x`, 1), "prediction"},
		{"text with another key", `{"version":1,"seed":"7","functions":[{"id":"function_1","input":"Text","output":"Tags","samples":[{"id":"sample_1","data":"x","input":{"key":"y"}}]}]}`, "no text"},
		{"input", strings.Replace(whole, `"key":`, `"nothing":`, 1), "input"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.False(t, whole == tt.document, "the test changes nothing")
			sim := nyckelsim.New(nyckelsim.Config{Seed: 7})
			id := sim.AddFunction("kept")
			assert.ErrorContains(t, sim.Load(strings.NewReader(tt.document)), tt.want)
			assert.NotErrorIs(t, sim.Import(id, tickets), nyckelsim.ErrUntrainable)
			_, err := sim.Train("kept")
			assert.NoError(t, err, "nothing has changed")
		})
	}
}

// FuzzLoad loads any document and then makes use of what was taken.
func FuzzLoad(f *testing.F) {
	for _, c := range []*client{newClient(f, nyckelsim.Config{}), furnished(f)} {
		var document bytes.Buffer
		if err := c.sim.Dump(&document); err != nil {
			f.Fatal(err)
		}
		f.Add(document.Bytes())
	}
	f.Add([]byte(`{"version":1,"seed":"7","functions":[{"id":"function_x","input":"Text","output":"Classification",
		"labels":[{"id":"label_a","name":"a"}],"samples":[{"id":"sample_a","data":"x","prediction":[{"labelId":"label_a","confidence":1}]}],
		"models":[{"id":"model_a","labels":["label_a"],"classifier":{"words":"","bias":"AAAAAA=="}}]}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		c := newClient(t, nyckelsim.Config{Rate: -1, Seed: 7})
		if c.sim.Load(bytes.NewReader(document)) != nil {
			return
		}
		behaviour(c)
		var again bytes.Buffer
		if err := c.sim.Dump(&again); err != nil {
			t.Fatal(err)
		}
		if err := nyckelsim.New(nyckelsim.Config{Seed: 7}).Load(&again); err != nil {
			t.Fatal("what was dumped does not load: ", err)
		}
	})
}
