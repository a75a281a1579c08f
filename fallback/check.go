package fallback

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/config"
)

// Bounds of what is compiled.
const (
	maxRules      = 64
	maxConditions = 2048 // of all rules together, counting the values of In
	maxDepth      = 4    // groups within groups
	maxValue      = 1 << 10
)

// check returns everything that is wrong with cfg, whose defaults are filled,
// with names spelled as spell does.
func check(cfg policy.Fallback, spell func(string) string) []problem {
	c := checker{spell: spell, max: cfg.MaxConfidence, labels: cfg.Labels, codec: cfg.Codec, index: make(map[string]int)}
	c.all = cfg.Match == policy.MatchAll
	c.reach.all = cfg.Match != policy.MatchFirst // of one that is not known, nothing more is said
	if len(cfg.Rules) == 0 && cfg.Static == nil {
		c.report("", "neither %s nor %s is set; set one of them, or leave the fallback out", name("Rules"), name("Static"))
	}
	if !inUnit(cfg.MaxConfidence) {
		c.head = "MaxConfidence"
		c.report("", "is %v, want 0 to 1", cfg.MaxConfidence)
		c.max = 1 // one report is enough
	}
	if known := []string{policy.MatchFirst, policy.MatchAll}; !slices.Contains(known, cfg.Match) {
		c.head = "Match"
		c.report("", "is %q, which is not known%s", cfg.Match, config.Suggest(cfg.Match, known))
	}
	c.rules(cfg.Rules)
	if cfg.Static != nil {
		c.head, c.rule = "Static", ""
		c.answer(*cfg.Static)
	}
	return c.problems
}

// A checker collects what is wrong.
type checker struct {
	spell  func(string) string
	max    float64 // confidence
	labels []string
	codec  policy.Codec
	all    bool           // all rules that match answer
	index  map[string]int // of rules, by name
	reach  reach

	conditions   int // so far
	instructions int // of regular expressions, so far

	head, rule string // what is looked at
	problems   []problem
}

// report adds what is wrong at a path below head.
func (c *checker) report(path, format string, args ...any) *problem {
	for i, arg := range args {
		switch arg := arg.(type) {
		case name:
			args[i] = c.spell(string(arg))
		case string:
			args[i] = shortened(arg)
		}
	}
	c.problems = append(c.problems, problem{head: c.head, rule: shortened(c.rule), path: path, err: fmt.Errorf(format, args...)})
	return &c.problems[len(c.problems)-1]
}

// shortened returns the beginning of a text that nobody would read to its end.
func shortened(text string) string {
	const most = 200 // bytes
	if len(text) <= most {
		return text
	}
	return cut(text, most) + "…"
}

func (c *checker) rules(rules []policy.Rule) {
	c.head = "Rules"
	if n := len(rules); n > maxRules {
		c.report("", "has %d rules, want at most %d; join those that have the same answer", n, maxRules)
	}
	for i, rule := range rules[:min(len(rules), maxRules)] {
		c.oneRule(i, rule)
	}
	c.head, c.rule = "Rules", ""
	if c.conditions > maxConditions {
		c.report("", "have %d conditions, counting the values of %s, want at most %d", c.conditions, name("In"), maxConditions)
	}
	if c.instructions > maxInstructions {
		c.report("", "have regular expressions that compile to %d instructions, want at most %d in all; use %s, or lower repetition counts",
			c.instructions, maxInstructions, name("Words"))
	}
}

func (c *checker) oneRule(i int, rule policy.Rule) {
	c.head, c.rule = fmt.Sprintf("Rules[%d]", i), rule.Name
	if rule.Name == "" {
		c.report("Name", "is empty; traces and errors need it")
	} else if first, taken := c.index[rule.Name]; taken {
		c.report("Name", "is also that of %s; choose another", name(fmt.Sprintf("Rules[%d]", first)))
	} else {
		c.index[rule.Name] = i
	}
	before := len(c.problems)
	if len(rule.All) == 0 && len(rule.Any) == 0 {
		c.report("", "%s and %s are empty; set one of them, or make this the %s answer", name("All"), name("Any"), name("Static"))
	}
	c.group("", policy.Condition{All: rule.All, Any: rule.Any, None: rule.None}, 0)
	if len(c.problems) == before { // its conditions can be compared with others
		c.reachable(i, rule)
	}
	switch {
	case rule.Summary < 0 || rule.Summary > maxSummary:
		c.report("Summary", "is %d, want 0 to %d sentences", rule.Summary, maxSummary)
	case rule.Summary > 0 && (rule.Label != "" || rule.Document != nil):
		c.report("Summary", "is set beside a %s or a %s; keep one of them", name("Label"), name("Document"))
	case rule.Summary > 0:
		c.confidence(rule.Answer)
	case c.all && rule.Document != nil:
		c.report("Document", "is set, which cannot be one of several answers; set a %s", name("Label"))
	default:
		c.answer(rule.Answer)
	}
}

// reachable reports a rule that can never answer.
func (c *checker) reachable(i int, rule policy.Rule) {
	switch earlier, verdict := c.reach.add(i, rule); verdict {
	case ruledOut:
		c.report("", "never answers, since %s rules out all that it asks for; remove what both have", name("None"))
	case shadowed:
		other := fmt.Sprintf("Rules[%d]", earlier.index)
		c.report("", "never answers, since %s %q matches whenever it would; remove it, or move it before that one",
			name(other), earlier.name).from = []string{other, "Match"}
	}
}

// group checks the lists of a rule or of a condition.
func (c *checker) group(path string, group policy.Condition, depth int) {
	for _, list := range []struct {
		name  string
		items []policy.Condition
	}{{"All", group.All}, {"Any", group.Any}, {"None", group.None}} {
		for i, condition := range list.items {
			c.condition(strings.TrimPrefix(fmt.Sprintf("%s.%s[%d]", path, list.name, i), "."), condition, depth)
		}
	}
}

func (c *checker) condition(path string, condition policy.Condition, depth int) {
	c.conditions += 1 + len(condition.In)
	var kinds []any
	for _, kind := range []struct {
		name string
		set  bool
	}{
		{"Words", len(condition.Words) > 0},
		{"Regex", condition.Regex != ""},
		{"Field", condition.Field != ""},
	} {
		if kind.set {
			kinds = append(kinds, name(kind.name))
		}
	}
	if isGroup(condition) {
		kinds = append(kinds, "a group")
	}
	switch {
	case len(kinds) == 2:
		c.report(path, "has both %s and %s; make it two conditions", kinds...)
	case len(kinds) > 2:
		c.report(path, "has"+strings.Repeat(" %s,", len(kinds)-1)+" %s; make it several conditions", kinds...)
	case len(kinds) == 0 && !hasTest(condition):
		c.report(path, "has no %s, %s, %s or group; set one of them", names("Words", "Regex", "Field")...)
	}
	c.words(path, condition.Words)
	if condition.Regex != "" {
		c.regex(path+".Regex", condition.Regex)
	}
	switch {
	case condition.Field != "":
		c.field(path, condition)
	case hasTest(condition):
		c.report(path, "has tests of a field but no %s; name it, or remove them", name("Field"))
	}
	if !isGroup(condition) {
		return
	}
	if depth == maxDepth {
		c.report(path, "is a group in %d others, want at most %d deep; split the rule", depth, maxDepth)
		return
	}
	c.group(path, condition, depth+1)
}

func isGroup(c policy.Condition) bool { return len(c.All)+len(c.Any)+len(c.None) > 0 }

func (c *checker) words(path string, words []string) {
	for i, word := range words {
		if phrase(word) == "" {
			c.report(fmt.Sprintf("%s.Words[%d]", path, i), "is %q, which has no letter and no digit; remove it, or use a %s", word, name("Regex"))
		}
	}
}

func (c *checker) answer(answer policy.Answer) {
	switch {
	case answer.Document != nil:
		c.document(answer.Document)
	case answer.Label == "":
		c.report("Label", "is empty; name the label to answer with")
	}
	if answer.Label != "" && len(c.labels) > 0 && !slices.Contains(c.labels, answer.Label) {
		c.report("Label", "is %q, which %s does not have%s", answer.Label, name("Labels"), config.Suggest(answer.Label, c.labels)).from = []string{"Labels"}
	}
	c.confidence(answer)
}

// document checks one that is sent as it is, and so says itself what it claims.
func (c *checker) document(document json.RawMessage) {
	var value any
	if err := json.Unmarshal(document, &value); err != nil {
		c.report("Document", "is no JSON: %w", err)
		return
	}
	labels, ok := labelsOf(c.codec, document)
	for _, label := range labels {
		if ok && len(c.labels) > 0 && !slices.Contains(c.labels, label) {
			c.report("Document", "has the label %q, which %s does not have%s", label, name("Labels"), config.Suggest(label, c.labels)).from = []string{"Labels"}
		}
	}
	if _, confidence, _ := c.codec.Label(document); confidence > c.max {
		c.report("Document", "claims a confidence of %v, above %s %v; lower it, or raise that", confidence, name("MaxConfidence"), c.max).from = []string{"MaxConfidence"}
	}
}

func (c *checker) confidence(answer policy.Answer) {
	switch {
	case !inUnit(answer.Confidence):
		c.report("Confidence", "is %v, want 0 to 1", answer.Confidence)
	case answer.Confidence > c.max:
		c.report("Confidence", "%v is above %s %v; lower it, or raise that", answer.Confidence, name("MaxConfidence"), c.max).from = []string{"MaxConfidence"}
	}
}

// inUnit is false for a NaN, too.
func inUnit(x float64) bool { return x >= 0 && x <= 1 }
