// Package fallback answers predictions by rules while the service that makes
// them cannot: the first rule that matches the input gives label and
// confidence, else a static answer does.
//
// [New] compiles the rules. [Fallback.Wrap] is the layer, which belongs outside
// of retries and breakers, so that it speaks only when they have given up, and
// around requests for predictions only. [Fallback.Answer] is the same decision
// without HTTP.
//
//	rules, err := fallback.New(policy.Fallback{
//		Rules: []policy.Rule{{
//			Name:   "refunds",
//			Any:    []policy.Condition{{Words: []string{"refund", "charged twice"}}},
//			Answer: policy.Answer{Label: "billing", Confidence: 0.5},
//		}},
//		Static: &policy.Answer{Label: "general", Confidence: 0.2},
//	})
//	…
//	client := &http.Client{Transport: rules.Wrap(http.DefaultTransport)}
//
// # Ladders
//
// A [Ladder] asks one [Rung] after the other; the first that has an answer gives
// it. The rules and the static answer are two rungs, [Fallback.Rules] and
// [Fallback.Static]; package cache has others, and transport.Standard puts them
// in the order of [policy.Fallback]. [Layer] is for programs that bring their
// own.
//
// What an answer is stands in the trail and in one field of the response, never
// in its body, which has the form that [policy.Codec] gives it:
//
//	Sparekey-Answer: rule;accuracy=0.812;samples=431;rule="refunds";confidence=0.500;cause=overloaded
//
// While the service answers, a share of the calls is compared with what the rungs
// would have said, so that the cost of an outage is known before there is one:
// see [Ladder.Fidelity].
//
// # Words
//
// A word is a run of letters, digits and the marks that follow them. Everything
// else only separates words, in a rule as in a text: white space, punctuation,
// symbols, underscores. So
//
//   - "card" is in "card's" and in "card-holder", not in "cardigan";
//   - "e-mail" is the two words "e" and "mail" in a row: it is in "e-mail",
//     "E mail" and "e–mail", not in "email";
//   - "charged twice" is in "charged (twice)" and in "charged\n\ntwice";
//   - "24/7" is in "24/7" and in "24 7".
//
// One apostrophe is part of a word, that of an English "n't": "didn't" is one
// word, and "won't" does not have the word "won". The characters ' ’ ʼ ´ ` are
// the same apostrophe.
//
// Han, Hiragana, Katakana, Hangul, Thai, Lao, Khmer and Burmese are written
// without spaces between all words. There each letter is a word by itself, so
// that "退款" is found anywhere in a text, and "환불" in "환불을".
//
// Case is folded one character at a time, as by [strings.EqualFold]: "ß" is "ẞ"
// but not "ss", "K" is the Kelvin sign, and the Turkish "İ" and "ı" are neither
// "i" nor each other. Texts are not normalised: an "é" of one character is not
// one of two; a rule for texts of unknown origin has both. An emoji is no word.
// It takes a regular expression, such as "😡|👎".
//
// # Cost
//
// All words of all rules are found in one pass over the text, without
// allocating; how many there are hardly matters. A regular expression that
// ignores case takes several times as long as that pass, each of them, and is
// evaluated only when the answer depends on it. Both are linear in the length of
// the text, of which words see the first 64 KiB, regular expressions the first
// 4 KiB.
package fallback
