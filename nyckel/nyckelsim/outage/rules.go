package outage

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/policy"
)

// rulesFor returns the fallback rules: those that a support lead would write for
// the demo's own texts, or ones that are mined from the training texts.
func rulesFor(d *data) []policy.Rule {
	if d.own {
		return ownRules()
	}
	return mine(d.train)
}

// ownRules go from the most telling words to the least.
func ownRules() []policy.Rule {
	rule := func(label string, confidence float64, words ...string) policy.Rule {
		return policy.Rule{
			Name:   label,
			Any:    []policy.Condition{{Words: words}},
			Answer: policy.Answer{Label: label, Confidence: confidence},
		}
	}
	return []policy.Rule{
		rule("billing_duplicate_charge", 0.55, "charged twice", "billed twice", "paid twice", "double charge", "double charged",
			"duplicate charge", "two charges", "second charge", "charged two times", "two payments", "duplicate payment", "twice"),
		rule("password_reset", 0.55, "password", "reset link", "passcode", "reset my"),
		rule("account_deletion", 0.55, "delete my account", "close my account", "gdpr", "erase", "delete my data",
			"remove my data", "deletion", "delete account", "personal data", "deactivate"),
		rule("invoice_copy", 0.5, "invoice", "receipt", "vat", "proof of purchase", "copy of the bill", "pdf", "bookkeeping"),
		rule("refund_request", 0.5, "refund", "refunded", "money back", "reimburse", "get my money", "send it back", "sent it back"),
		rule("cancel_subscription", 0.5, "cancel", "unsubscribe", "auto-renew", "renewal", "terminate", "don't renew",
			"stop my subscription", "end my subscription"),
		rule("payment_failed", 0.5, "declined", "payment failed", "failed payment", "card was rejected", "can't pay", "cannot pay",
			"payment error", "expired card", "3d secure", "payment method"),
		rule("plan_upgrade", 0.5, "upgrade", "more seats", "add users", "pro plan", "premium", "enterprise", "yearly plan", "bigger plan"),
		rule("login_problem", 0.5, "log in", "login", "sign in", "locked out", "2fa", "two-factor", "verification code", "sso", "logged out"),
		rule("wrong_item", 0.5, "wrong item", "wrong size", "wrong colour", "wrong color", "not what i ordered", "instead of",
			"mixed up", "different product"),
		rule("damaged_item", 0.5, "broken", "damaged", "cracked", "defective", "crushed", "scratch", "dent", "torn", "faulty", "smashed"),
		rule("shipping_delay", 0.45, "where is my order", "tracking", "delivery", "not arrived", "delayed", "shipped", "shipping",
			"in transit", "courier", "parcel", "package"),
		rule("feature_request", 0.45, "feature", "would be great", "would be nice", "please add", "suggestion", "integration",
			"roadmap", "wish", "dark mode"),
		rule("bug_report", 0.45, "bug", "crash", "crashes", "error", "doesn't work", "not working", "freezes", "glitch", "since the update", "blank"),
	}
}

const (
	maxRules   = 64  // as many as a function may have
	ruleWords  = 6   // per rule
	minSupport = 3   // training texts of its label that a word must be in
	minPurity  = 0.6 // share of its texts that must have the label
)

// mine makes a rule for each label from the words that are most telling for it
// in the training texts. Where there are more labels than rules, the purest
// rules stay.
func mine(rows []dataset.Row) []policy.Rule {
	total := map[string]int{}
	counts := map[string]map[string]int{} // by label and word
	for _, row := range rows {
		if counts[row.Label] == nil {
			counts[row.Label] = map[string]int{}
		}
		for _, word := range distinctWords(row.Text) {
			total[word]++
			counts[row.Label][word]++
		}
	}
	type mined struct {
		policy.Rule
		purity float64
	}
	var rules []mined
	for _, label := range slices.Sorted(maps.Keys(counts)) {
		purity := func(word string) float64 { return float64(counts[label][word]) / float64(total[word]) }
		var words []string
		for _, word := range slices.Sorted(maps.Keys(counts[label])) {
			if counts[label][word] >= minSupport && purity(word) >= minPurity {
				words = append(words, word)
			}
		}
		if len(words) == 0 {
			continue
		}
		slices.SortStableFunc(words, func(a, b string) int { return cmp.Compare(counts[label][b], counts[label][a]) })
		words = words[:min(len(words), ruleWords)]
		rules = append(rules, mined{
			Rule: policy.Rule{
				Name:   label,
				Any:    []policy.Condition{{Words: words}},
				Answer: policy.Answer{Label: label, Confidence: 0.5},
			},
			purity: purity(words[0]),
		})
	}
	slices.SortStableFunc(rules, func(a, b mined) int { return cmp.Compare(b.purity, a.purity) })
	var best []policy.Rule
	for _, rule := range rules[:min(len(rules), maxRules)] {
		best = append(best, rule.Rule)
	}
	return best
}

// distinctWords returns the words of a text and its pairs of neighbours, each
// once.
func distinctWords(text string) []string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return r == 'ʼ' || !unicode.IsLetter(r) && !unicode.IsDigit(r) // that apostrophe is a letter to Unicode
	})
	for i := range len(words) - 1 {
		words = append(words, words[i]+" "+words[i+1])
	}
	slices.Sort(words)
	return slices.Compact(words)
}
