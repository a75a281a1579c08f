package nyckel

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/config"
	"github.com/sparekey/sparekey/transport/plan"
)

// WithPlan takes what a configuration file says of one account: its credentials,
// base URL and limit, and the functions that belong to it with their models and
// stacks. "" is the only account that there is. The file's defaults are the stack of
// [WithStack]. Functions of other accounts, and those without an id, are left out.
//
// Options that stand after it go before what the file says. Two functions of a name are
// an error, and so is [WithTokenSource]: the file has credentials.
func WithPlan(p *plan.Plan, account string) Option {
	return clientOption(func(o *clientOptions) {
		if err := o.takePlan(p, account, nil); err != nil {
			o.errs = append(o.errs, fmt.Errorf("nyckel: WithPlan: %w", err))
		}
	})
}

// WithLive is [WithPlan] for a configuration file that may change: the stacks of the
// functions and the models that they pin are always those in force, and so is the
// secret of the account, with which the next access token is asked for. The rest of
// the account and the ids of its functions stay as they are when the client is made: a
// file in which they change is refused, for it takes a restart. A function that the
// file has only later is not known to the client; a record and an event say so. Calls
// that manage the account keep the file's defaults of then.
func WithLive(live *plan.Live, account string) Option {
	return clientOption(func(o *clientOptions) {
		if live == nil {
			o.errs = append(o.errs, errors.New("nyckel: WithLive: the plan is nil"))
			return
		}
		inForce := live.Fix(func(p *plan.Plan) []string { return fixedIn(p, account) })
		if err := o.takePlan(inForce, account, live); err != nil {
			o.errs = append(o.errs, fmt.Errorf("nyckel: WithLive: %w", err))
		}
		o.live = live
	})
}

// fixedIn returns what a client takes of a plan once and for all: none if it has no
// such account.
func fixedIn(p *plan.Plan, name string) (paths []string) {
	name, err := accountOf(p.File(), name)
	if err != nil {
		return nil
	}
	for _, field := range [...]string{"ClientID", "BaseURL", "Limit"} {
		paths = append(paths, fmt.Sprintf("Accounts[%s].%s", name, field))
	}
	for called, f := range p.File().Functions {
		if f.ID != "" && f.Account == name {
			paths = append(paths, fmt.Sprintf("Functions[%s].ID", called), fmt.Sprintf("Functions[%s].Account", called))
		}
	}
	return paths
}

// takePlan takes what p says of an account. What may change is asked of live, unless
// that is nil.
func (o *clientOptions) takePlan(p *plan.Plan, name string, live *plan.Live) error {
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
			own := Function{ID: f.ID, Model: f.Model, Stack: &stack}
			if live != nil {
				own.layer = live.Layer(called)
				own.model = func() string { model, _ := live.Model(called); return model }
			}
			options = append(options, WithFunction(called, own))
		}
	}
	for _, option := range options {
		option.applyToClient(o)
	}
	if live != nil {
		o.secret = func() policy.Secret { return live.Plan().File().Accounts[name].ClientSecret }
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
