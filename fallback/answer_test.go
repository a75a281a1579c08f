package fallback_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
)

// mustNew compiles cfg, which is valid.
func mustNew(t testing.TB, cfg policy.Fallback) *fallback.Fallback {
	t.Helper()
	f, err := fallback.New(cfg)
	require.NoError(t, err)
	return f
}

// words is a condition on words, regex one on a regular expression.
func words(list ...string) policy.Condition         { return policy.Condition{Words: list} }
func regex(pattern string) policy.Condition         { return policy.Condition{Regex: pattern} }
func list(c ...policy.Condition) []policy.Condition { return c }

// hit is the answer of the only rule in most tests.
var hit = policy.Answer{Label: "hit", Confidence: 0.5}

func TestAnswerWords(t *testing.T) {
	tests := []struct {
		name       string
		word, text string
		want       bool
	}{
		{"the text is the word", "card", "card", true},
		{"first word", "card", "card lost", true},
		{"last word", "card", "lost card", true},
		{"not in a longer word", "card", "cardigan discard", false},
		{"found after a near miss", "card", "cardigan and card", true},
		{"not in a word with a digit", "card", "card2", false},
		{"not in an empty text", "card", "", false},
		{"not in white space", "card", " \t\n", false},
		{"digits make words", "404", "error 404!", true},
		{"underscores separate", "card", "lost_card", true},

		{"case of the text", "card", "CARD", true},
		{"case of the rule", "CaRD", "card", true},
		{"Greek, final sigma", "οδός", "ΟΔΌΣ", true},
		{"Cyrillic", "возврат", "ВОЗВРАТ денег", true},
		{"Kelvin sign", "k", "10 \u212A", true},
		{"sharp s, capital", "straße", "STRAẞE", true},
		{"sharp s is not ss", "straße", "STRASSE", false},
		{"dotted I is not i", "iptal", "İPTAL", false},
		{"dotted I is itself", "İptal", "İPTAL", true},
		{"dotless i is not i", "kartı", "KARTI karti", false},
		{"composed is not decomposed", "caf\u00e9", "cafe\u0301", false},
		{"a mark is part of the word", "cafe", "cafe\u0301", false},
		{"decomposed is itself", "cafe\u0301", "CAFE\u0301", true},
		{"a mark alone is no word", "card", "\ufe0f\u0301card", true},

		{"punctuation around", "card", "(card).", true},
		{"a possessive has the word", "card", "my card's chip", true},
		{"elision before the word", "abbonamento", "l'abbonamento", true},
		{"apostrophe in the rule", "card's", "my card’s chip", true},
		{"negation is one word", "didn't", "I didn't pay", true},
		{"negation, typographic", "didn't", "I DIDN’T pay", true},
		{"negation, other apostrophes", "didn’t", "didn´t", true},
		{"negation, modifier letter", "didn't", "didn\u02bct", true},
		{"negation is not what it negates", "won", "I won't pay", false},
		{"no negation before another word", "don", "don'tell", true},
		{"no negation before a space", "won", "won' t", true},
		{"t alone is a word", "t", "a 't b", true},
		{"hyphen in the rule", "e-mail", "my E-Mail", true},
		{"hyphen against space", "e-mail", "e mail", true},
		{"hyphen against dash", "e-mail", "e–mail", true},
		{"hyphen is not nothing", "e-mail", "email", false},
		{"hyphen in the text", "mail", "e-mail", true},

		{"phrase", "charged twice", "I was charged twice!", true},
		{"phrase over punctuation", "charged twice", "charged -- (twice)", true},
		{"phrase over lines", "charged twice", "charged\r\n\r\ntwice", true},
		{"phrase with punctuation in the rule", "charged, twice.", "charged twice", true},
		{"phrase over an emoji", "charged twice", "charged 😡 twice", true},
		{"phrase with a word between", "charged twice", "charged me twice", false},
		{"phrase in the wrong order", "charged twice", "twice charged", false},
		{"phrase begins anew", "a a b", "a a a b", true},
		{"phrase cut short", "charged twice", "charged", false},

		{"emoji beside", "card", "😡card😡", true},
		{"emoji with variation selector", "card", "❤️card", true},
		{"Chinese", "退款", "我要退款谢谢", true},
		{"Chinese, other order", "退款", "款退", false},
		{"Japanese, both kana and kanji", "キャンセルしたい", "注文をキャンセルしたいです", true},
		{"Japanese, length mark", "サーバー", "サーバーdown", true},
		{"Latin beside Chinese", "app", "我的app坏了", true},
		{"no negation after Chinese", "t", "退款't", true},
		{"Korean with a particle", "환불", "환불을 원해요", true},
		{"Thai", "คืนเงิน", "ขอคืนเงินค่ะ", true},
		{"Thai vowel is part of its letter", "ค", "คื", false},
		{"Arabic", "استرداد", "أريد استرداد المال", true},
		{"Hindi", "रिफंड", "मुझे रिफंड चाहिए", true},
		{"invalid UTF-8 separates", "card", "\xffcard\xfe", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := mustNew(t, rules(policy.Rule{Name: "r", Any: list(words(tt.word)), Answer: hit}))
			_, _, got := f.Answer(tt.text)
			assert.Equal(t, tt.want, got, "%q in %q", tt.word, tt.text)
		})
	}
}

func TestAnswerConditions(t *testing.T) {
	const text = "refund my lost card, invoice INV-123456"
	yes, no := words("refund"), words("newsletter")
	yesRegex, noRegex := regex(`INV-\d{6}`), regex(`^never$`)
	tests := []struct {
		name           string
		all, any, none []policy.Condition
		want           bool
	}{
		{"all hold", list(yes, words("lost card"), yesRegex), nil, nil, true},
		{"one of all fails", list(yes, no), nil, nil, false},
		{"a regex of all fails", list(yes, noRegex), nil, nil, false},
		{"one of any holds", nil, list(no, yes), nil, true},
		{"a regex of any holds", nil, list(no, yesRegex), nil, true},
		{"none of any holds", nil, list(no, noRegex), nil, false},
		{"no regex of any holds", nil, list(noRegex), nil, false},
		{"all hold, any does not", list(yes), list(no), nil, false},
		{"any holds, all do not", list(no), list(yes), nil, false},
		{"all and any hold", list(yes), list(yesRegex, no), nil, true},
		{"none holds", list(yes), nil, list(words("invoice")), false},
		{"a regex of none holds", list(yes), nil, list(yesRegex), false},
		{"nothing of none holds", list(yes), nil, list(no, noRegex), true},
		{"one word of many", nil, list(words("a", "b", "card")), nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := mustNew(t, rules(policy.Rule{Name: "r", All: tt.all, Any: tt.any, None: tt.none, Answer: hit}))
			_, _, got := f.Answer(text)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestAnswerOrder(t *testing.T) {
	general := policy.Answer{Label: "general", Confidence: 0.2}
	rules := []policy.Rule{
		{Name: "refunds", Any: list(words("refund")), Answer: policy.Answer{Label: "billing", Confidence: 0.5}},
		{Name: "cards", Any: list(words("card", "lost")), Answer: policy.Answer{Label: "cards", Confidence: 0.4}},
	}
	tests := []struct {
		name, text string
		static     *policy.Answer
		want       policy.Answer
		wantRule   string
		wantOK     bool
	}{
		{"the first rule that matches", "card refund", &general, rules[0].Answer, "refunds", true},
		{"a later rule", "lost card", &general, rules[1].Answer, "cards", true},
		{"no rule, a static answer", "hello", &general, general, "", true},
		{"no rule, no static answer", "hello", nil, policy.Answer{}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := mustNew(t, policy.Fallback{Rules: rules, Static: tt.static})
			got, rule, ok := f.Answer(tt.text)
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.wantRule, rule)
			assert.Equal(t, tt.wantOK, ok)
		})
	}
}

func TestAnswerBounds(t *testing.T) {
	const kib = 1 << 10
	tests := []struct {
		name      string
		condition policy.Condition
		text      string
		want      bool
	}{
		{"the last word that is looked at", words("card"), strings.Repeat(" ", 64*kib-4) + "card", true},
		{"a word beyond", words("card"), strings.Repeat(" ", 64*kib) + "card", false},
		{"a character across the bound is left out", words("é"), strings.Repeat(" ", 64*kib-1) + "é", false},
		{"no UTF-8 at the bound", words("card"), "card " + strings.Repeat("\x80", 64*kib), true},
		{"a regex at its bound", regex("card"), strings.Repeat(" ", 4*kib-4) + "card", true},
		{"a regex beyond it", regex("card"), strings.Repeat(" ", 4*kib-3) + "card", false},
		{"a word longer than the table's room", words(strings.Repeat("x", 100)), "y " + strings.Repeat("X", 100), true},
		{"a longer word of the text", words("xx"), strings.Repeat("x", 1000), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := mustNew(t, rules(policy.Rule{Name: "r", All: list(tt.condition), Answer: hit}))
			_, _, got := f.Answer(tt.text)
			assert.Equal(t, tt.want, got)
		})
	}
}

// A rule may have more word conditions than fit on the stack, which are 256.
func TestAnswerManyConditions(t *testing.T) {
	all := list(words("first last"))
	var text strings.Builder
	text.WriteString("first last")
	for i := range 255 {
		word := strings.Repeat("x", i+1)
		all = append(all, words(word))
		text.WriteString(" " + word)
	}
	all = append(all, words("last")) // found at the end of the first
	f := mustNew(t, rules(policy.Rule{Name: "r", All: all, Answer: hit}))
	_, _, ok := f.Answer(text.String())
	assert.True(t, ok)
	_, _, ok = f.Answer(strings.Replace(text.String(), " xx ", " ", 1))
	assert.False(t, ok)
}

func TestAnswerAllocates(t *testing.T) {
	f := mustNew(t, tenRules())
	allocs := testing.AllocsPerRun(100, func() { f.Answer(ticket) })
	assert.Zero(t, allocs)
}
