package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/nyckel/internal/files"
	"github.com/sparekey/sparekey/policy"
)

func (p *program) rules(_ context.Context, args []string) error {
	if len(args) > 0 && args[0] == "test" {
		args = args[1:]
	} else if !isHelp(args) {
		return misuse("want sparekey rules test; see sparekey rules test -h")
	}
	flags := p.flags("rules test [flags]", "Asks the rules of a fallback about labelled inputs, and tells for each how often it\nanswers, how often that is right, and what confidence that supports: the bound that\nthe truth is above 19 times in 20. A rule is shadowed by those before it that take\nwhat it would match. Use inputs that the rules were not written from.")
	data := flags.String("data", "", "`file` of labelled inputs: CSV with text,label, or JSON lines with data, label")
	config := flags.String("config", defaultConfig, "configuration `file` with the rules")
	function := flags.String("function", "", "`name` of the function with the rules; the only one that has some by default")
	file := flags.String("rules", "", "`file` with rules alone, in place of a configuration")
	asJSON := flags.Bool("json", false, "print JSON")
	if _, err := flags.parse(args, 0, 0); err != nil {
		return err
	}
	cfg, err := ruleSettings(*file, *config, *function)
	if err != nil {
		return err
	}
	inputs, err := readRecorded(*data)
	if err != nil {
		return err
	}
	if inputs, err = p.onlyAnswered(*data, inputs); err != nil {
		return err
	}
	tested, err := testRules(cfg, inputs)
	if err != nil {
		return misuseError{err}
	}
	if *asJSON {
		return printJSON(p.stdout, tested)
	}
	p.printRules(tested)
	return nil
}

// ruleSettings returns the fallback to test.
func ruleSettings(file, config, function string) (policy.Fallback, error) {
	if file != "" {
		content, err := files.Read(file)
		if err != nil {
			return policy.Fallback{}, misuseError{err}
		}
		cfg, err := fallback.ParseYAML(file, content)
		if err != nil {
			return policy.Fallback{}, misuse("%s is wrong:\n%w", file, err)
		}
		return withRules(cfg, file)
	}
	loaded, err := load(config)
	if err != nil {
		return policy.Fallback{}, err
	}
	if function == "" {
		var having []string
		for _, name := range loaded.Functions() {
			if f, _ := loaded.Function(name); f.Fallback != nil && len(f.Fallback.Rules) > 0 {
				having = append(having, name)
			}
		}
		if len(having) != 1 {
			return policy.Fallback{}, misuse("%d functions have rules %v; name one with -function", len(having), having)
		}
		function = having[0]
	}
	f, known := loaded.Function(function)
	switch {
	case !known:
		return policy.Fallback{}, unknownFunction(loaded, function)
	case f.Fallback == nil:
		return policy.Fallback{}, misuse("function %q has no fallback", function)
	}
	return withRules(*f.Fallback, "function "+function)
}

func withRules(cfg policy.Fallback, what string) (policy.Fallback, error) {
	if len(cfg.Rules) == 0 && cfg.Static == nil {
		return cfg, misuse("%s has neither rules nor a static answer", what)
	}
	return cfg, nil
}

// tested is what rules test prints as JSON.
type tested struct {
	Samples int          `json:"samples"`
	Rules   []testedRule `json:"rules"`
	Left    int          `json:"unanswered"`
}

// A testedRule is how one rule did, or the static answer.
type testedRule struct {
	Rule       string         `json:"rule"` // "" for the static answer
	Matched    int            `json:"matched"`
	Answered   int            `json:"answered"`
	Right      int            `json:"right"`
	Precision  float64        `json:"precision"`
	Coverage   float64        `json:"coverage"`
	Claimed    float64        `json:"claimed"`
	Supported  float64        `json:"supported"`
	ShadowedBy map[string]int `json:"shadowed_by,omitempty"` // who answered in its place, how often
}

// testRules asks the rules, all together and each alone.
func testRules(cfg policy.Fallback, inputs []recorded) (*tested, error) {
	all, err := fallback.New(cfg)
	if err != nil {
		return nil, err
	}
	samples := make([]fallback.Sample, len(inputs))
	for i, input := range inputs {
		samples[i] = fallback.Sample{Data: input.data, Labels: []string{input.rightLabel()}}
	}
	out := &tested{Samples: len(samples), Left: unanswered(all, samples)}
	for i, f := range fallback.Measure(all, samples) {
		one := testedRule{
			Rule: f.Rule, Matched: f.Answered, Answered: f.Answered, Right: f.Right,
			Precision: rounded(f.Precision()), Coverage: rounded(f.Coverage()), Supported: rounded(f.Confidence()),
		}
		switch {
		case i < len(cfg.Rules):
			one.Claimed = cfg.Rules[i].Confidence
			if err := one.matchAlone(cfg, i, all, samples); err != nil {
				return nil, err
			}
		case cfg.Static == nil:
			continue
		default:
			one.Claimed = cfg.Static.Confidence
		}
		out.Rules = append(out.Rules, one)
	}
	return out, nil
}

// matchAlone counts what the rule would match if it were the only one, and who
// answers that in its place.
func (r *testedRule) matchAlone(cfg policy.Fallback, i int, all *fallback.Fallback, samples []fallback.Sample) error {
	if cfg.Match == policy.MatchAll { // none takes anything from another
		return nil
	}
	cfg.Rules, cfg.Static, cfg.Rungs = cfg.Rules[i:i+1], nil, nil
	alone, err := fallback.New(cfg)
	if err != nil {
		return err
	}
	r.Matched = 0
	for _, s := range samples {
		if _, _, ok := alone.AnswerData(s.Data); !ok {
			continue
		}
		r.Matched++
		if _, by, _ := all.AnswerData(s.Data); by != r.Rule {
			if r.ShadowedBy == nil {
				r.ShadowedBy = map[string]int{}
			}
			r.ShadowedBy[by]++
		}
	}
	return nil
}

func unanswered(f *fallback.Fallback, samples []fallback.Sample) int {
	n := 0
	for _, s := range samples {
		if _, _, ok := f.AnswerData(s.Data); !ok {
			n++
		}
	}
	return n
}

func (p *program) printRules(t *tested) {
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RULE\tMATCHED\tANSWERED\tRIGHT\tPRECISION\tCOVERAGE\tCLAIMS\tSUPPORTED\t")
	for _, r := range t.Rules {
		name := r.Rule
		if name == "" {
			name = "(static)"
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%s\t%.2f\t%.2f\t%s\n",
			name, r.Matched, r.Answered, r.Right, percent(r.Right, r.Answered), percent(r.Answered, t.Samples), r.Claimed, r.Supported, r.remark())
	}
	_ = table.Flush()
	fmt.Fprintf(p.stdout, "\n%s, %d without an answer\n", many(t.Samples, "input"), t.Left)
}

// remark says what is wrong with a rule.
func (r testedRule) remark() string {
	var remarks []string
	switch {
	case r.Rule == "":
	case r.Matched > 0 && r.Answered == 0:
		remarks = append(remarks, "shadowed by "+r.shadows())
	case r.Matched == 0:
		remarks = append(remarks, "matches nothing")
	case len(r.ShadowedBy) > 0:
		remarks = append(remarks, "in part shadowed by "+r.shadows())
	}
	if r.Answered > 0 && r.Claimed > r.Supported {
		remarks = append(remarks, "claims too much")
	}
	return strings.Join(remarks, ", ")
}

func (r testedRule) shadows() string {
	var all []string
	for _, name := range sortedByCount(r.ShadowedBy) {
		all = append(all, fmt.Sprintf("%s (%d)", name, r.ShadowedBy[name]))
	}
	return strings.Join(all, ", ")
}
