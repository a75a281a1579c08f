package fallback_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
)

func TestSentimentRules(t *testing.T) {
	f := mustNew(t, policy.Fallback{Rules: fallback.SentimentRules("good", "so-so", "bad")})
	tests := []struct{ text, want string }{
		{"I love it, works perfectly!", "good"},
		{"Great service, thank you", "good"},
		{"GREAT", "good"},
		{"Terrible. It broke after a day and nobody helped.", "bad"},
		{"The app crashes, slow and buggy", "bad"},
		{"not good", "so-so"},
		{"This is not a very good phone, and the battery is poor", "bad"},
		{"I didn't like it, worst purchase", "bad"},
		{"I can’t recommend it, it is useless", "bad"},
		{"no problems at all, never a single issue", "good"},
		{"It is a phone", "so-so"},
		{"", "so-so"},
		{"excellent and terrible and good and bad", "so-so"},
		{"the gretest", "so-so"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			answer, _, ok := f.Answer(tt.text)
			require.True(t, ok)
			assert.Equal(t, tt.want, answer.Label)
		})
	}
	_, _, ok := f.AnswerData([]byte(`{"age": 3}`))
	assert.False(t, ok, "no text has no tone")
}

// The tone is between -1 and 1, and each word counts less than the one before.
func TestSentimentScale(t *testing.T) {
	above := func(text string, score float64) bool {
		c := field("text.sentiment", func(c *policy.Condition) { c.Gt = score })
		_, _, ok := mustNew(t, rules(policy.Rule{Name: "r", All: list(c), Answer: hit})).Answer(text)
		return ok
	}
	assert.True(t, above("good", 0.24))
	assert.False(t, above("good", 0.26))
	assert.True(t, above("excellent", 0.45))
	assert.False(t, above("excellent", 0.47))
	assert.True(t, above("not bad", 0.17), "0.7 of a good")
	assert.False(t, above("not bad", 0.18))
	assert.True(t, above("not a b bad", 0.17), "a negation reaches three words on")
	assert.False(t, above("not a b c bad", -0.25))
	assert.True(t, above(strings.Repeat("excellent ", 1000), 0.999))
	assert.False(t, above(strings.Repeat("terrible ", 1000), -0.999))
}

func TestSummary(t *testing.T) {
	const report = `Hello all. The parcel with the lamp arrived on Monday. The weather was fine!
The lamp in the parcel was broken, e.g. its switch. I paid 19.99 for the lamp. Bye.`
	tests := []struct {
		name, text string
		n          int
		want       string // "" for no answer
	}{
		{"one", report, 1, "The parcel with the lamp arrived on Monday."},
		{
			"two, in the text's order", report, 2,
			"The parcel with the lamp arrived on Monday. The lamp in the parcel was broken, e.g. its switch.",
		},
		{"a number ends nothing", "I paid 19.99 for it.", 1, "I paid 19.99 for it."},
		{"fewer than asked for", "One here. Two there.", 10, "One here. Two there."},
		{"of equal ones the first", "Aaaa. Bbbb. Cccc.", 2, "Aaaa. Bbbb."},
		{"an empty line ends one", "A heading\n\nA text\nin lines", 1, "A heading"},
		{"Chinese", "台灯坏了。天气好。我要退台灯。", 1, "台灯坏了。"},
		{"words of one letter say nothing", "I saw a cat. A dog saw a bird. The lamp broke. The lamp works.", 1, "The lamp broke."},
		{"quotes", `"Stop." He left.`, 1, `"Stop."`},
		{"quotes at the end", `He left. "Stop."`, 2, `He left. "Stop."`},
		{"brackets", "It broke (again.) Send a lamp.", 1, "It broke (again.)"},
		{"Chinese quotes", "他说：“台灯坏了。”天气好。", 1, "他说：“台灯坏了。”"},
		{"corner brackets", "「台灯坏了。」天气好。", 1, "「台灯坏了。」"},
		{"brackets of full width", "他说（『台灯坏了。』）天气好。", 1, "他说（『台灯坏了。』）"},
		{"square brackets", "It broke [again.] Send a lamp.", 1, "It broke [again.]"},
		{"Chinese, a later one", "天气好。台灯坏了。我要退台灯。", 1, "台灯坏了。"},
		{"a later one is better, in the text's order", "The red lamp. Hello all. The broken lamp. A broken lamp came.", 3, "The red lamp. The broken lamp. A broken lamp came."},
		{"no mark at the end", "the lamp broke", 1, "the lamp broke"},
		{"lines end with CR, too", "A heading\r\n\r\nA text\r\nin lines", 1, "A heading"},
		{"a line ends none", "A text\nin lines. More", 1, "A text in lines."},
		{"whole characters only", strings.Repeat("x", 16<<10-1) + "é", 1, strings.Repeat("x", 16<<10-1)},
		{"of the first 200", strings.Repeat("Ab. ", 200) + "The lamp. A lamp.", 1, "Ab."},
		{"nothing", " \n", 3, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := mustNew(t, rules(policy.Rule{
				Name: "summary", All: list(exists("text")), Summary: tt.n, Answer: policy.Answer{Confidence: 0.3},
			}))
			answer, _, ok := f.Answer(tt.text)
			assert.Equal(t, tt.want != "", ok)
			assert.Equal(t, tt.want, answer.Label)
		})
	}
}

func TestMeasure(t *testing.T) {
	cfg := rules(
		policy.Rule{Name: "refunds", Any: list(words("refund")), Answer: policy.Answer{Label: "billing"}},
		policy.Rule{Name: "cards", Any: list(words("card")), Answer: policy.Answer{Label: "cards"}},
		policy.Rule{Name: "age", Any: list(exists("age")), Answer: policy.Answer{Label: "people"}},
	)
	samples := []fallback.Sample{
		{Text: "refund please", Labels: []string{"billing"}},
		{Text: "refund the card", Labels: []string{"cards"}},
		{Data: []byte(` "card"`), Labels: []string{"cards", "billing"}},
		{Data: []byte(`{"age":3}`), Labels: []string{"people"}},
		{Text: "hello", Labels: []string{"general"}},
	}
	figures := fallback.Measure(mustNew(t, cfg), samples)
	assert.Equal(t, []fallback.Figure{
		{Rule: "refunds", Samples: 5, Answered: 2, Right: 1},
		{Rule: "cards", Samples: 5, Answered: 1, Right: 1},
		{Rule: "age", Samples: 5, Answered: 1, Right: 1},
		{Samples: 5},
	}, figures)

	cfg.Match = policy.MatchAll
	cfg.Static = &policy.Answer{Label: "general"}
	figures = fallback.Measure(mustNew(t, cfg), samples)
	assert.Equal(t, []fallback.Figure{
		{Rule: "refunds", Samples: 5, Answered: 2, Right: 1},
		{Rule: "cards", Samples: 5, Answered: 2, Right: 2},
		{Rule: "age", Samples: 5, Answered: 1, Right: 1},
		{Samples: 5, Answered: 1, Right: 1},
	}, figures)
}

// The label of an answer may stand in its document only.
func TestMeasureDocuments(t *testing.T) {
	cfg := rules(policy.Rule{Name: "refunds", Any: list(words("refund")), Answer: policy.Answer{Document: json.RawMessage(`{"labelName":"billing"}`)}})
	cfg.Static = &policy.Answer{Document: json.RawMessage(`{"labelName":"general","confidence":0.1}`)}
	figures := fallback.Measure(mustNew(t, cfg), []fallback.Sample{
		{Text: "refund please", Labels: []string{"billing"}},
		{Text: "refund", Labels: []string{"cards"}},
		{Text: "hello", Labels: []string{"general"}},
	})
	assert.Equal(t, []fallback.Figure{{Rule: "refunds", Samples: 3, Answered: 2, Right: 1}, {Samples: 3, Answered: 1, Right: 1}}, figures)
}

func TestFigure(t *testing.T) {
	f := fallback.Figure{Samples: 400, Answered: 100, Right: 80}
	assert.Equal(t, 0.8, f.Precision())
	assert.Equal(t, 0.25, f.Coverage())
	assert.InDelta(t, 0.7267, f.Confidence(), 0.0001)
	assert.Equal(t, [3]float64{}, [3]float64{fallback.Figure{}.Precision(), fallback.Figure{}.Coverage(), fallback.Figure{}.Confidence()})
	assert.Zero(t, fallback.Figure{Samples: 9, Answered: 9}.Confidence())
	assert.InDelta(t, 0.7871, fallback.Figure{Samples: 10, Answered: 10, Right: 10}.Confidence(), 0.0001)
}

// Words that rules ask for and words with a tone are found beside each other, be the one
// or the other the longer.
func TestSentimentBesideWords(t *testing.T) {
	long := strings.Repeat("x", 40)
	happy := field("text.sentiment", func(c *policy.Condition) { c.Gt = 0.4 })
	for _, word := range []string{"ox", long} {
		f := mustNew(t, rules(policy.Rule{Name: "r", All: list(words(word), happy), Answer: hit}))
		for text, want := range map[string]bool{word + " excellent": true, word: false, "excellent": false, word + "y excellent": false} {
			_, _, ok := f.Answer(text)
			assert.Equal(t, want, ok, "%s in %s", word, text)
		}
	}
}
