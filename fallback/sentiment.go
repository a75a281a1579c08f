package fallback

import (
	"math"
	"strings"

	"github.com/sparekey/sparekey/policy"
)

// SentimentRules returns rules that label a text by its tone, from the field
// text.sentiment: positive from 0.2, negative to -0.2, neutral between. They
// claim little, since a list of words knows neither irony nor what "small" means
// for a phone and for a hotel room.
func SentimentRules(positive, neutral, negative string) []policy.Rule {
	const bound = 0.2
	rule := func(name, label string, confidence float64, c policy.Condition) policy.Rule {
		c.Field = fieldSentiment
		return policy.Rule{
			Name:   name,
			All:    []policy.Condition{c},
			Answer: policy.Answer{Label: label, Confidence: confidence},
		}
	}
	return []policy.Rule{
		rule("sentiment-positive", positive, 0.5, policy.Condition{Ge: bound}),
		rule("sentiment-negative", negative, 0.5, policy.Condition{Le: -bound}),
		rule("sentiment-neutral", neutral, 0.3, policy.Condition{Gt: -bound, Lt: bound}),
	}
}

// A sentiment adds up the tone of a text, word by word.
type sentiment struct {
	sum     float64
	negated int // how many more words the last negation reaches, unless one of them has a tone
}

// negationReach is how far a negation reaches, itself included. It turns around
// the first word that has a tone: "not a very good".
const negationReach = 4

func (s *sentiment) add(word []byte) {
	weight, known := lexicon[string(word)]
	switch {
	case known && weight == 0 || isContraction(word):
		s.negated = negationReach
	case known && s.negated > 0: // "not bad" is less good than "good"
		s.sum -= 0.7 * weight
		s.negated = 0
	case known:
		s.sum += weight
	}
	s.negated = max(s.negated-1, 0)
}

// isContraction reports whether word, folded, is a "didn't".
func isContraction(word []byte) bool { return len(word) > 3 && string(word[len(word)-3:]) == "n't" }

// score maps the sum into -1 to 1, so that one word makes 0.25 to 0.45 and ten do
// not make ten times that.
func (s *sentiment) score() float64 { return s.sum / math.Sqrt(s.sum*s.sum+15) }

// lexicon has the tone of words, folded: 1 or 2 for good ones, -1 or -2 for bad
// ones, 0 for those that turn the next ones around.
var lexicon, longestOfLexicon = func() (map[string]float64, int) {
	words, longest := make(map[string]float64), 0
	for weight, list := range map[float64]string{2: veryGood, 1: good, 0: negations, -1: bad, -2: veryBad} {
		for _, word := range strings.Fields(list) {
			folded := phrase(word)
			words[folded] = weight
			longest = max(longest, len(folded))
		}
	}
	return words, longest
}()

const (
	negations = `no not never neither nor without hardly barely cannot lacks lacking nothing nobody`

	veryGood = `amazing awesome beautiful brilliant delighted excellent exceptional fabulous fantastic flawless
		incredible love loved loves lovely marvellous marvelous outstanding perfect perfectly phenomenal
		spectacular splendid superb terrific thrilled wonderful`

	good = `accurate affordable appreciate appreciated best better charming clean clear clever comfortable
		convenient correct cool courteous delicious easily easy effective efficient effortless elegant
		enjoy enjoyable enjoyed enjoying fast favorite favourite fine flexible fresh friendly fun generous glad
		good gorgeous grateful great handy happy helped helpful helps impressed impressive improved
		intuitive kind like liked likes lucky neat nice pleasant pleased polite powerful pretty prompt
		promptly quick quickly recommend recommended reliable resolved responsive robust safe satisfied
		satisfying simple smooth smoothly solid solved stable stylish success successful super sweet thank thanks
		thankful tidy top trustworthy useful valuable warm welcome well win works worth yummy`

	bad = `angry annoyed annoying avoid bad bland boring bother broke broken bug buggy bugs cancel cheated
		clumsy cold complain complained complaint confused confusing cracked crash crashed crashes crashing
		cumbersome damaged dead defective delay delayed delays difficult dirty disappoint disappointed
		disappointing disappointment dislike disliked dull error errors expensive fail failed failing fails failure
		fake fault faulty fees flaw flawed freezes frustrated frustrating frustration glitch glitchy hard hate
		hated ignored inaccurate incorrect issue issues lag late leak leaking lost mediocre mess messy
		misleading missing mistake mistakes noisy outdated overpriced pain painful poor poorly problem
		problems regret rejected rude ruined sad scratched slow slowly sluggish sorry stolen stuck struggle
		tasteless ugly unable unclear uncomfortable unfortunately unhappy unhelpful unreliable unresponsive
		unsafe unusable upset useless waste wasted weak weird worried wrong`

	veryBad = `abysmal appalling atrocious awful disaster disastrous disgusting dreadful furious garbage horrendous
		horrible horribly horrific nightmare outrageous outraged pathetic ridiculous scam scammed shameful
		terrible terribly trash unacceptable worst worthless`
)
