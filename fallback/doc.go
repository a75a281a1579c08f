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
// # Rules
//
// A rule asks for words, for regular expressions and for fields, in lists of
// which all, any or none must hold, and in groups of such lists. [ParseYAML]
// reads the same settings from a file:
//
//	rules:
//	  - name: refunds
//	    any:
//	      - words: [refund, charged twice]
//	      - regex: '\bINV-\d{6}\b'
//	    none:
//	      - words: [newsletter]
//	    label: billing
//	    confidence: 0.5
//	  - name: small-orders
//	    all:
//	      - {field: amount, lt: 20}
//	      - {field: customer.country, in: [DE, AT]}
//	    label: automatic
//	static: {label: general, confidence: 0.2}
//
// A rule answers with a label, with a whole JSON document, or with a summary of
// the text. For a function that gives several labels, set Match to all: then all
// rules that match answer together. What a rule claims as its confidence is a
// guess; [Measure] says what labelled texts support.
//
// Everything that is wrong is reported at once, in a file with line and column.
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
// # Fields
//
// A field is a column of a row, or one of these:
//
//	text               the text
//	text.length        how many characters it has
//	text.words         how many words
//	text.sentiment     its tone, -1 to 1
//	image.format       "gif", "jpeg" or "png"
//	image.width        in pixels
//	image.height
//	image.aspect       width by height
//	image.bytes        the size of the file
//	image.source.host  where a text that is an http or https URL points to
//	image.source.path
//
// An image is one in a data URI, the first one of a row. Only its header is read,
// of the first 256 KiB. Names of columns may have dots: "a.b" is the column "a.b",
// or else b in the object in the column a. Before any name of a column "row." may stand,
// and must before the columns text and image and what is in the column row: row.text,
// row.image, row.row.x. Numbers are compared as float64, and a text with digits is no
// number. A rule on the format of an image or on the length of a text knows nothing of
// what is in it: take it for a hint.
//
// What is asked about may have no text: an image, or a row of numbers. No word is in it
// and no regular expression matches it, not even one that an empty text would.
//
// # Heuristics
//
// The tone of a text is counted from a list of some 280 English words, of which
// "not" and the like turn the next around; [SentimentRules] makes labels of it. A
// summary consists of the sentences that share most words with the others. Both
// are what there was before there were models, and no match for one.
//
// # Cost
//
// All words of all rules are found in one pass over the text, without
// allocating; how many there are hardly matters. A regular expression that
// ignores case takes several times as long as that pass, each of them, and is
// evaluated only when the answer depends on it.
//
// Bounds keep any text with any rules to some milliseconds: 64 rules, 2,048
// conditions, and 2,560 instructions of compiled regular expressions, all rules
// together. Of a text, words see the first 64 KiB and regular expressions the
// first 4 KiB, or as many bytes as make 655,360 with their instructions if that is
// less, as if the text ended there; an alternative of ten words has some 60. Groups go
// four deep, the name of a field has up to 128 bytes and 4 dots, a value to compare
// with up to 1 KiB, and a summary is of the first 16 KiB.
package fallback
