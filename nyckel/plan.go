package nyckel

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy/config"
	"github.com/sparekey/sparekey/transport/plan"
)

// WithPlan takes what a configuration file says of one account: its credentials,
// base URL and limit, and the functions that belong to it with their models and
// stacks. "" is the only account that there is. The file's defaults are the stack of
// [WithStack]. Functions of other accounts, and those without an id, are left out.
//
// Options that stand after it go before what the file says; two functions of a name
// are an error.
func WithPlan(p *plan.Plan, account string) Option {
	return clientOption(func(o *clientOptions) {
		if err := o.takePlan(p, account); err != nil {
			o.errs = append(o.errs, fmt.Errorf("nyckel: WithPlan: %w", err))
		}
	})
}

func (o *clientOptions) takePlan(p *plan.Plan, name string) error {
	if p == nil {
		return errors.New("the plan is nil")
	}
	file := p.File()
	name, err := accountOf(file, name)
	if err != nil {
		return err
	}
	account := file.Accounts[name]
	options := []Option{WithCredentials(account.ClientID, account.ClientSecret.Reveal()), WithStack(file.Defaults)}
	if account.BaseURL != "" {
		options = append(options, WithBaseURL(account.BaseURL))
	}
	if account.Limit != nil {
		options = append(options, WithLimit(*account.Limit))
	}
	for _, called := range p.Functions() {
		f := file.Functions[called]
		if f.ID != "" && f.Account == name {
			stack := f.Stack
			options = append(options, WithFunction(called, Function{ID: f.ID, Model: f.Model, Stack: &stack}))
		}
	}
	for _, option := range options {
		option.applyToClient(o)
	}
	return nil
}

// accountOf returns the name of the account that is meant.
func accountOf(file plan.File, name string) (string, error) {
	names := slices.Sorted(maps.Keys(file.Accounts))
	switch {
	case len(names) == 0:
		return "", errors.New("the plan has no account; describe one under accounts")
	case name == "" && len(names) > 1:
		return "", fmt.Errorf("the plan has several accounts; name one of %s", strings.Join(names, ", "))
	case name == "":
		return names[0], nil
	case !slices.Contains(names, name):
		return "", fmt.Errorf("the plan has no account %q%s", name, config.Suggest(name, names))
	}
	return name, nil
}
