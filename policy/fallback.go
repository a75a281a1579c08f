package policy

import (
	"cmp"
	"encoding/json"
)

// Fallback sets what is answered when the service cannot answer: a ladder of
// rungs, of which the first that has an answer gives it.
type Fallback struct {
	// Rungs are the rungs in the order in which they are asked. One that is not
	// set up is passed over: stale needs a [Cache], similar its Similar, rules
	// and static the fields below. Nil means [Rungs]: stale, similar, rules,
	// static.
	Rungs []string

	// Fidelity compares, while the service answers, its answers with those that
	// the rungs would have given.
	Fidelity Fidelity

	// Rules are tried in order. At most 64.
	Rules []Rule

	// Match is whether the first rule that matches answers, or all that match do
	// together. Empty means [MatchFirst].
	Match string

	// Labels are the labels of the function. If there are some, a rule or a static
	// answer with another one is an error, be it in a Document that Codec reads.
	Labels []string

	// Static is the answer when no other rung has one. Nil means that the call
	// fails.
	Static *Answer

	// MaxConfidence is the greatest confidence that a rule or the static answer
	// may claim, since theirs is a guess while the service's is measured; one
	// that claims more is an error, be it in a Document that Codec reads. Zero means
	// 0.55, which keeps such answers below the usual bounds for acting without a
	// person.
	MaxConfidence float64

	// Codec writes the answers and reads the labels of live ones. Nil means
	// [Classification].
	Codec Codec

	// Classify decides what an outcome means. Nil means [Classify].
	Classify Classifier
}

// Fidelity sets how often the rungs are asked beside the service.
type Fidelity struct {
	// Share is the share of the live answers that are compared, 0 to 1. Zero
	// means 0.05; negative means none.
	Share float64

	// Random returns a number in [0, 1). Nil means the one of package
	// math/rand/v2. It must be safe for concurrent use.
	Random func() float64
}

// WithDefaults returns a copy of f with its zero fields filled.
func (f Fallback) WithDefaults() Fallback {
	if f.Rungs == nil {
		f.Rungs = Rungs()
	}
	f.Match = cmp.Or(f.Match, MatchFirst)
	f.Fidelity.Share = cmp.Or(f.Fidelity.Share, 0.05)
	f.MaxConfidence = cmp.Or(f.MaxConfidence, 0.55)
	if f.Codec == nil {
		f.Codec = Classification{}
	}
	return f
}

// What Match may be.
const (
	// MatchFirst lets the first rule that matches answer.
	MatchFirst = "first"

	// MatchAll puts the labels of all rules that match into one answer, a list as
	// Nyckel's functions of the type Tags send it. The static answer is such a
	// list, too.
	MatchAll = "all"
)

// A Rule gives an answer for inputs that meet its conditions: all of All, at
// least one of Any if there are some, and none of None. One of All and Any must
// be there.
type Rule struct {
	// Name tells rules apart in trails, spans and errors. It must be unique.
	Name string

	All, Any, None []Condition

	// Summary answers with that many sentences of the text, those that stand best
	// for the whole of it, in place of a Label. At most 10. Zero means none.
	Summary int

	Answer
}

// A Condition is one of four: Words, Regex, Field or a group of others. Package
// fallback says what fields there are.
type Condition struct {
	// Words are words or phrases, of which the text must have one. Case, white
	// space and punctuation do not count, and a word is found only as a whole:
	// "card" is not in "cardigan".
	Words []string

	// Regex must match the text. It is in the syntax of package regexp, and costs
	// much more than Words.
	Regex string

	// Field names what the tests below are about; all that are set must hold. A
	// field that the input does not have, or that is of another type than a test,
	// meets no test, not even Ne.
	Field string

	// Eq and Ne are a text, a number or a boolean that the field is, or is not. In
	// are several, of which it is one.
	Eq, Ne any
	In     []any

	// Lt, Le, Gt and Ge are numbers below, at most, above or at least which the
	// field is.
	Lt, Le, Gt, Ge any

	// Exists asks that the input has the field, null or not. For one that it must
	// not have, put the condition into None.
	Exists bool

	// All, Any and None make a group, which holds as those of a [Rule] do; None may
	// be alone. Groups go four deep.
	All, Any, None []Condition
}

// An Answer is what is said in the service's place.
type Answer struct {
	// Label is the predicted label.
	Label string

	// Confidence is how sure the answer claims to be, 0 to 1.
	Confidence float64

	// Document is the whole JSON document to send, in the service's own form, in
	// place of one made of Label and Confidence. It is not changed. Label may be
	// left out then.
	Document json.RawMessage
}
