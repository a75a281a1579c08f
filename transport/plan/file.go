package plan

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/config"
)

// A File is what a configuration file says.
type File struct {
	// Version is that of the file's form: 1.
	Version int

	// Accounts are the accounts of the service, by a name of your choice.
	Accounts map[string]Account

	// Endpoints are places that can answer, by name, for the failover of stacks. An
	// Endpoint's own Name is the one that it has here.
	Endpoints map[string]policy.Endpoint

	// Defaults is the stack of functions that say nothing else.
	Defaults policy.Stack

	// Queue is how jobs are kept and done.
	Queue Queue

	// Functions are the functions, by the name under which they are called.
	Functions map[string]Function
}

// An Account is one account of the Nyckel API.
type Account struct {
	// ClientID and ClientSecret are exchanged for access tokens.
	ClientID     string
	ClientSecret policy.Secret

	// BaseURL is where the API lives. "" means the service's own address.
	BaseURL string

	// Limit bounds the traffic of all functions of the account together. Nil means
	// the limits that the service has by default, 25 per second and 25 in flight, and
	// so does what is zero in it: no bound of it adapts.
	Limit *policy.Limit
}

// A Function is what one function has of its own.
type Function struct {
	// ID is the function's id at the service. "" means that the function is no
	// Nyckel function, but a name for the calls of any other client.
	ID string

	// Account names the account that the function belongs to. "" means the only one
	// there is.
	Account string

	// Model pins the model that answers. "" means the newest.
	Model string

	// Queue is how its jobs are done.
	Queue Work

	// Stack is the stack around its calls.
	policy.Stack
}

// A Plan is a file that was checked, so that stacks can be built by it. It is not
// changed once it is made, and safe for concurrent use.
type Plan struct {
	file   func() *File          // a func, since there is no verb of fmt that looks behind one
	source func() *config.Source // where it stands; returns nil for a plan that was written in Go
}

func newPlan(f File, source *config.Source) *Plan {
	return &Plan{file: func() *File { return &f }, source: func() *config.Source { return source }}
}

// New checks a file that was written in Go, and returns it as a plan. Its errors
// name the fields.
func New(f File) (*Plan, error) {
	f = f.complete()
	if err := joined(check(f, asInGo)); err != nil {
		return nil, err
	}
	return newPlan(f, nil), nil
}

// complete returns a copy of f in which everything knows its own name, and each
// function of Nyckel its account.
func (f File) complete() File {
	f.Endpoints = maps.Clone(f.Endpoints)
	for name, endpoint := range f.Endpoints {
		endpoint.Name = name
		f.Endpoints[name] = endpoint
	}
	only := ""
	if len(f.Accounts) == 1 {
		only = slices.Collect(maps.Keys(f.Accounts))[0]
	}
	f.Accounts = maps.Clone(f.Accounts)
	f.Functions = maps.Clone(f.Functions)
	for name, function := range f.Functions {
		function.Function = name
		if function.ID != "" {
			function.Account = cmp.Or(function.Account, only)
		}
		f.Functions[name] = function
	}
	return f
}

// File returns what the plan was made of, complete. Its maps must not be changed.
func (p *Plan) File() File { return *p.file() }

// Functions returns the names of the functions, sorted.
func (p *Plan) Functions() []string { return slices.Sorted(maps.Keys(p.file().Functions)) }

// Function returns the function of that name. It reports false if the plan has
// none, and returns one with the default stack and queue.
func (p *Plan) Function(name string) (Function, bool) {
	if f, ok := p.file().Functions[name]; ok {
		return f, true
	}
	stack := p.file().Defaults
	stack.Function = name
	return Function{Queue: p.file().Queue.Work, Stack: stack}, false
}
