package policy

import "cmp"

// Fallback sets what is answered when the service cannot answer: the first rule
// that matches the input, else the static answer.
type Fallback struct {
	// Rules are tried in order; the first that matches answers. At most 64.
	Rules []Rule

	// Static is the answer when no rule matches. Nil means that the call fails.
	Static *Answer

	// MaxConfidence is the greatest confidence that a rule or the static answer
	// may claim, since theirs is a guess while the service's is measured; one
	// that claims more is an error. Zero means 0.55, which keeps such answers
	// below the usual bounds for acting without a person.
	MaxConfidence float64

	// Classify decides what an outcome means. Nil means [Classify].
	Classify Classifier
}

// WithDefaults returns a copy of f with its zero fields filled.
func (f Fallback) WithDefaults() Fallback {
	f.MaxConfidence = cmp.Or(f.MaxConfidence, 0.55)
	return f
}

// A Rule gives an answer for inputs that meet its conditions: all of All, at
// least one of Any if there are some, and none of None. One of All and Any must
// be there.
type Rule struct {
	// Name tells rules apart in trails, spans and errors. It must be unique.
	Name string

	All, Any, None []Condition

	Answer
}

// A Condition holds for a text that has one of the words, or that the regular
// expression matches. Exactly one of the two must be set.
type Condition struct {
	// Words are words or phrases. Case, white space and punctuation do not count,
	// and a word is found only as a whole: "card" is not in "cardigan".
	Words []string

	// Regex is in the syntax of package regexp. It costs much more than Words.
	Regex string
}

// An Answer is what is said in the service's place.
type Answer struct {
	// Label is the predicted label.
	Label string

	// Confidence is how sure the answer claims to be, 0 to 1.
	Confidence float64
}
