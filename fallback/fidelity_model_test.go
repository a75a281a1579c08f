package fallback_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// A said is what the service or a rung says: a document, and the labels in it, sorted.
type said struct {
	document string
	labels   []string
	labelled bool
}

// anything returns a label, a list of labels, or something without any.
func anything(r *rand.Rand) said {
	labels := []string{"a", "b", "c"}
	r.Shuffle(len(labels), func(i, j int) { labels[i], labels[j] = labels[j], labels[i] })
	switch r.IntN(5) {
	case 0, 1:
		return said{fmt.Sprintf(`{"labelName":%q}`, labels[0]), labels[:1], true}
	case 2, 3:
		labels = labels[:r.IntN(4)]
		items := make([]map[string]string, 0)
		for _, label := range slices.Concat(labels, labels) { // a label may be there twice
			items = append(items, map[string]string{"labelName": label})
		}
		document, _ := json.Marshal(map[string]any{"tags": items})
		return said{string(document), slices.Sorted(slices.Values(labels)), true}
	}
	return said{document: []string{`{"error":1}`, "no JSON", `{"labelName":""}`}[r.IntN(3)]}
}

// figures are the model: they count a comparison in the plainest way.
type figures map[[2]string]*fallback.FidelityFigure

func (f figures) count(live said, names []string, given []*said) {
	for _, label := range append([]string{""}, live.labels...) {
		taken := false
		for i, rung := range given {
			key := [2]string{names[i], label}
			if f[key] == nil {
				f[key] = &fallback.FidelityFigure{Function: "tickets", Rung: names[i], Label: label}
			}
			f[key].Asked++
			if rung == nil {
				continue
			}
			both := 0
			for _, other := range live.labels {
				if slices.Contains(rung.labels, other) {
					both++
				}
			}
			either := len(rung.labels) + len(live.labels) - both
			agrees := rung.labelled && slices.Equal(rung.labels, live.labels)
			partly := float64(both) / float64(max(either, 1))
			if label != "" {
				agrees, partly = slices.Contains(rung.labels, label), 0
			}
			f[key].Answered++
			f[key].Agreed += toInt(agrees)
			if !taken {
				f[key].Given++
				f[key].GivenAgreed += toInt(agrees)
				if !agrees {
					f[key].GivenPartly += partly
				}
			}
			taken = true
		}
	}
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestFidelityModel: whatever is said, left out or not read to its end, the figures are
// those of the model, and nothing of what the rungs do reaches the call.
func TestFidelityModel(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { compareAtRandom(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func compareAtRandom(t *testing.T, r *rand.Rand) {
	names := []string{"first", "rules", "second", "static"}
	var now [4]*said // what the rungs say, nil for nothing
	foreign := func(i int) fallback.Rung {
		return fallback.Rung{Name: names[i], Answer: func(req *http.Request, shadow bool) (*http.Response, telemetry.Answer, bool) {
			req.Header.Set("X-Changed", "1")
			req.URL.Path = "/changed"
			if now[i] == nil || !shadow {
				return nil, telemetry.Answer{}, false
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(now[i].document))}, telemetry.Answer{}, true
		}}
	}
	f := mustNew(t, ticketRules())
	ladder := compared(foreign(0), f.Rules(), foreign(2), f.Static())
	want := figures{}
	for range 200 {
		text := []string{"a refund", "hello"}[r.IntN(2)]
		now[1], now[3] = nil, &said{labels: []string{"general"}, labelled: true}
		if text == "a refund" {
			now[1] = &said{labels: []string{"billing"}, labelled: true}
		}
		for _, i := range []int{0, 2} {
			if now[i] = nil; r.IntN(2) == 0 {
				say := anything(r)
				now[i] = &say
			}
		}
		var without, asked []string
		var given []*said
		for i, name := range names {
			if r.IntN(5) == 0 {
				without = append(without, name)
				continue
			}
			asked, given = append(asked, name), append(given, now[i])
		}
		live := anything(r)
		if r.IntN(5) == 0 {
			live = said{`{"labelName":"general"}`, []string{"general"}, true}
		}
		req := invoke(t, fmt.Sprintf(`{"data":%q}`, text))
		resp, err := ladder.Wrap(answers(200, live.document)).RoundTrip(req.WithContext(policy.Without(t.Context(), without...)))
		require.NoError(t, err)
		require.Empty(t, req.Header.Get("X-Changed"))
		require.Equal(t, invokeURL, req.URL.String())
		if r.IntN(8) == 0 {
			require.NoError(t, resp.Body.Close())
			continue
		}
		require.Equal(t, live.document, readAll(t, resp))
		if live.labelled {
			want.count(live, asked, given)
		}
	}
	got := figures{}
	for _, figure := range ladder.Fidelity() {
		got[[2]string{figure.Rung, figure.Label}] = &figure
	}
	require.Len(t, got, len(want))
	for key, figure := range want {
		require.InDelta(t, figure.GivenPartly, got[key].GivenPartly, 1e-9)
		figure.GivenPartly = got[key].GivenPartly
		assert.Equal(t, figure, got[key])
	}
}
