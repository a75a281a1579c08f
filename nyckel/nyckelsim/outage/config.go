package outage

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/plan"
)

// readPlan reads the stack of a configuration file, in which references such as
// ${DEMO_URL} stand for the simulator.
func readPlan(name string, s *site) (*plan.Plan, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // a pipe cannot be read twice
		return nil, fmt.Errorf("-config: %s is no regular file", name)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	ours := map[string]string{
		"DEMO_URL": s.url, "DEMO_FUNCTION": s.function, "DEMO_CLIENT_ID": clientID, "DEMO_CLIENT_SECRET": clientSecret,
	}
	others := plan.Environment(filepath.Dir(name))
	p, err := plan.Parse(name, content, func(reference string) (string, bool, error) {
		if value, ok := ours[reference]; ok {
			return value, true, nil
		}
		return others(reference)
	})
	if problems, ok := errors.AsType[*plan.Error](err); ok {
		return nil, fmt.Errorf("%s is wrong:\n%s", name, problems.Excerpts())
	}
	if err != nil {
		return nil, err
	}
	if f, _ := p.Function(functionName); f.ID != s.function {
		return nil, fmt.Errorf("%s: want a function %s with the id ${DEMO_FUNCTION}", name, functionName)
	}
	return p, nil
}

// checkConfig tells before the demo begins whether its file is right.
func checkConfig(name string) error {
	if name == "" {
		return nil
	}
	_, err := readPlan(name, &site{url: "http://127.0.0.1:1", function: "function_1"})
	return err
}

// listeningPlan returns the plan with what [listening] adds to the stack.
func listeningPlan(p *plan.Plan, chance func() float64, onTransition func(policy.Transition)) (*plan.Plan, error) {
	file := p.File()
	functions := maps.Clone(file.Functions)
	f := functions[functionName]
	f.Stack = listening(f.Stack, chance, onTransition)
	functions[functionName] = f
	file.Functions = functions
	return plan.New(file)
}
