package fallback_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// sends is a rung that always answers with a document.
func sends(name, document string) fallback.Rung {
	return fallback.Rung{Name: name, Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(document))}, telemetry.Answer{}, true
	}}
}

// tagged is a list of labels as the service sends it.
func tagged(labels string) string {
	if labels == "" {
		return "[]"
	}
	return `[{"labelName":"` + strings.ReplaceAll(labels, " ", `"},{"labelName":"`) + `"}]`
}

func TestFidelityOfLists(t *testing.T) {
	tests := []struct {
		name, rung, live string
		agreed           int
		overlap          float64
	}{
		{"the same", tagged("a b"), tagged("a b"), 1, 1},
		{"in another order", tagged("b a"), tagged("a b"), 1, 1},
		{"one of them twice", tagged("a b a"), tagged("a b"), 1, 1},
		{"one too few", tagged("a"), tagged("a b"), 0, 0.5},
		{"one too many", tagged("a b c"), tagged("a b"), 0, 2.0 / 3},
		{"one of each", tagged("a c"), tagged("a b"), 0, 1.0 / 3},
		{"nothing in common", tagged("c"), tagged("a b"), 0, 0},
		{"none, rightly", tagged(""), tagged(""), 1, 1},
		{"none, wrongly", tagged(""), tagged("a"), 0, 0},
		{"some, wrongly", tagged("a"), tagged(""), 0, 0},
		{"no list", "gone", tagged(""), 0, 0},
		{"a list in an object", `{"tags":[{"labelName":"a"}]}`, tagged("a"), 1, 1},
		{"a list of one for a label", tagged("a"), `{"labelName":"a"}`, 1, 1},
		{"a list of two for a label", tagged("a b"), `{"labelName":"a"}`, 0, 0.5},
		{"one label", `{"labelName":"b"}`, `{"labelName":"a"}`, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ladder := compared(sends("mine", tt.rung))
				resp, err := ladder.Wrap(answers(200, tt.live)).RoundTrip(invoke(t, `{"data":"x"}`))
				require.NoError(t, err)
				require.Equal(t, tt.live, readAll(t, resp))
				all := ladder.Fidelity()[0]
				assert.Empty(t, all.Label)
				assert.Equal(t, [4]int{1, 1, tt.agreed, tt.agreed}, [4]int{all.Asked, all.Given, all.Agreed, all.GivenAgreed})
				assert.InDelta(t, tt.overlap, all.Overlap(), 1e-9)
			})
		})
	}
}

// Of a list each label has a figure, and only rungs that others left something to
// count as given.
func TestFidelityOfEachLabelInAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ladder := compared(sends("first", tagged("a b")), sends("second", tagged("b c")))
		for _, live := range []string{"a c", "b", ""} {
			resp, err := ladder.Wrap(answers(200, tagged(live))).RoundTrip(invoke(t, `{}`))
			require.NoError(t, err)
			readAll(t, resp)
		}
		f := func(rung, label string, asked, agreed, given, givenAgreed int, partly float64) fallback.FidelityFigure {
			return fallback.FidelityFigure{
				Function: "tickets", Rung: rung, Label: label,
				Asked: asked, Answered: asked, Agreed: agreed, Given: given, GivenAgreed: givenAgreed, GivenPartly: partly,
			}
		}
		third := 1 / float64(len("abc")) // rounded as when it is counted
		assert.Equal(t, []fallback.FidelityFigure{
			f("first", "", 3, 0, 3, 0, third+0.5), f("first", "a", 1, 1, 1, 1, 0), f("first", "b", 1, 1, 1, 1, 0), f("first", "c", 1, 0, 1, 0, 0),
			f("second", "", 3, 0, 0, 0, 0), f("second", "a", 1, 0, 0, 0, 0), f("second", "b", 1, 1, 0, 0, 0), f("second", "c", 1, 1, 0, 0, 0),
		}, ladder.Fidelity())
	})
}

// nameless is a codec whose lists have a label without a name.
type nameless struct{ policy.Classification }

func (nameless) Labels([]byte) ([]string, bool) { return []string{"a", ""}, true }

// panicky is a codec that panics on lists.
type panicky struct{ policy.Classification }

func (panicky) Labels([]byte) ([]string, bool) { panic("oops") }

func TestFidelityOfListsOfBadCodecs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, codec := range []policy.Codec{nameless{}, panicky{}} {
			ladder := fallback.NewLadder(fallback.LadderConfig{
				Rungs: []fallback.Rung{sends("mine", "[]")}, Codec: codec, Fidelity: policy.Fidelity{Share: 1},
			})
			resp, err := ladder.Wrap(answers(200, "[]")).RoundTrip(invoke(t, `{}`))
			require.NoError(t, err)
			assert.Equal(t, "[]", readAll(t, resp))
			assert.Empty(t, ladder.Fidelity())
		}
	})
}

// remembers is a codec that has read all documents before.
type remembers struct {
	policy.Classification
	labels []string
}

func (r remembers) Labels([]byte) ([]string, bool) { return r.labels, true }

// What a codec returns stays as it is.
func TestFidelityLeavesTheCodecsLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		codec := remembers{labels: []string{"b", "a", "b"}}
		ladder := fallback.NewLadder(fallback.LadderConfig{
			Rungs: []fallback.Rung{sends("mine", "[]")}, Codec: codec, Fidelity: policy.Fidelity{Share: 1},
		})
		resp, err := ladder.Wrap(answers(200, "[]")).RoundTrip(invoke(t, `{}`))
		require.NoError(t, err)
		assert.Equal(t, "[]", readAll(t, resp))
		assert.Len(t, ladder.Fidelity(), 3)
		assert.Equal(t, []string{"b", "a", "b"}, codec.labels)
	})
}
