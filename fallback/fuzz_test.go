package fallback_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
)

// FuzzAnswer compares answers with those of a reference that looks for each
// phrase at each word of the text, and for one condition after the other.
func FuzzAnswer(f *testing.F) {
	f.Add("I was charged twice", "?refund,charged twice")
	f.Add("card, not cardigan", "+card\n-cardigan\n\n?not")
	f.Add("a a a b a", "+a a b\n+b a\n\n?a b a\n-/^a b\n\n+/a.a")
	f.Add("I won't, can’t and didn´t: won' t don't't", "?won\n\n?won't\n\n?can't,t")
	f.Add("ΟΔΌΣ STRAẞE İPTAL \u212A", "+οδός\n+straße\n\n+iptal\n\n?k")
	f.Add("我要退款 サーバーdown ❤️card คืนเงิน\xff", "+退款\n-サーバー\n\n?card,down\n\n+คืน")
	f.Add("x\u0301y e-mail a_b 24/7", "?e mail\n\n+y\u0301\n\n+24/7,a b")
	f.Fuzz(func(t *testing.T, text, spec string) {
		if len(text) > 256 { // bounds are not the reference's concern
			t.Skip()
		}
		cfg := parseRules(spec)
		rules, err := fallback.New(cfg)
		if err != nil {
			t.Skip()
		}
		wantAnswer, wantRule, wantOK := reference{words: referenceWords([]rune(text)), text: text}.answer(cfg)
		answer, rule, ok := rules.Answer(text)
		require.Equal(t, wantRule, rule)
		require.Equal(t, wantOK, ok)
		require.Equal(t, wantAnswer, answer)
	})
}

// parseRules reads rules from lines, an empty line between two of them. A line
// is a condition of All ("+"), Any ("?") or None ("-"): words between commas, or
// a regular expression after a slash.
func parseRules(spec string) policy.Fallback {
	cfg := policy.Fallback{Static: &policy.Answer{Label: "static"}}
	for i, block := range strings.Split(spec, "\n\n") {
		rule := policy.Rule{Name: string(rune('A' + i)), Answer: policy.Answer{Label: block}}
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			if line == "" {
				continue
			}
			c := policy.Condition{Words: strings.Split(line[1:], ",")}
			if pattern, ok := strings.CutPrefix(line[1:], "/"); ok {
				c = policy.Condition{Regex: pattern}
			}
			switch line[0] {
			case '+':
				rule.All = append(rule.All, c)
			case '?':
				rule.Any = append(rule.Any, c)
			case '-':
				rule.None = append(rule.None, c)
			}
		}
		cfg.Rules = append(cfg.Rules, rule)
	}
	return cfg
}

// reference answers for one text.
type reference struct {
	words []string
	text  string
}

func (r reference) answer(cfg policy.Fallback) (policy.Answer, string, bool) {
	for _, rule := range cfg.Rules {
		if r.count(rule.All) == len(rule.All) && (len(rule.Any) == 0 || r.count(rule.Any) > 0) && r.count(rule.None) == 0 {
			return rule.Answer, rule.Name, true
		}
	}
	return *cfg.Static, "", true
}

// count returns how many of the conditions hold.
func (r reference) count(list []policy.Condition) int {
	n := 0
	for _, c := range list {
		if r.holds(c) {
			n++
		}
	}
	return n
}

func (r reference) holds(c policy.Condition) bool {
	if c.Regex != "" {
		return regexMatches(c.Regex, r.text)
	}
	for _, text := range c.Words {
		phrase := referenceWords([]rune(text))
		for i := range r.words {
			if startsWith(r.words[i:], phrase) {
				return true
			}
		}
	}
	return false
}

func startsWith(words, phrase []string) bool {
	if len(words) < len(phrase) {
		return false
	}
	for i, word := range phrase {
		if !strings.EqualFold(word, words[i]) {
			return false
		}
	}
	return true
}

// What a character is to referenceWords.
const (
	separator = iota
	inWord    // part of a run
	single    // a word, perhaps with marks
	markOfOne // a mark of a single
)

// referenceWords gives each character its kind, then cuts where the kinds say.
func referenceWords(text []rune) []string {
	kinds := make([]int, len(text)+1) // a separator at the end
	for i, r := range text {
		switch {
		case unicode.IsMark(r) && i > 0:
			kinds[i] = kinds[i-1]
			if kinds[i] == single {
				kinds[i] = markOfOne
			}
		case r == 'ʼ' || !unicode.IsLetter(r) && !unicode.IsDigit(r):
			kinds[i] = separator
		case strings.ContainsRune("ーｰ", r), unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana,
			unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar):
			kinds[i] = single
		default:
			kinds[i] = inWord
		}
	}
	for i := 1; i+1 < len(text); i++ {
		if strings.ContainsRune("'’ʼ´`", text[i]) && kinds[i-1] == inWord &&
			(text[i+1] == 't' || text[i+1] == 'T') && kinds[i+2] != inWord {
			kinds[i] = inWord
		}
	}
	var words []string
	for i, r := range text {
		if kinds[i] == inWord && unicode.In(r, unicode.Punct, unicode.Symbol) || r == 'ʼ' {
			r = '\''
		}
		switch {
		case kinds[i] == separator:
		case kinds[i] == single, kinds[i] == inWord && (i == 0 || kinds[i-1] != inWord):
			words = append(words, string(r))
		default:
			words[len(words)-1] += string(r)
		}
	}
	return words
}

func regexMatches(pattern, text string) bool {
	return regexp.MustCompile(pattern).MatchString(text)
}
