package nyckel

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// ErrNotVisible is matched by the error of a call that made something which the
// service did not show within the time that it usually takes, or could not be asked
// about. It was made all the same, and is returned beside the error. Making it again
// might make two.
var ErrNotVisible = errors.New("made, but not visible yet")

// ErrAmbiguous is matched by the error of a call for one sample of which there are
// several.
var ErrAmbiguous = errors.New("there are several")

// ErrNotFound is matched by the error of a call for something that is not there.
var ErrNotFound = errors.New("not found")

// A Handle is one function of the account, for the calls that manage it: its labels,
// its fields, its samples and their annotations. It is safe for concurrent use.
//
// These calls have the stack of [WithStack], without its fallback, cache and hedges,
// and breakers of its own. Their errors name what was to be done, with an [*Error]
// inside if it was tried. GET, PUT, DELETE and the creation of samples are repeated
// when they fail in a way that may pass; the creation of functions, labels and fields
// only if the request surely never arrived, since a second one could make two.
type Handle struct {
	c *Client
	f *function
}

// Function returns the handle of a configured function.
func (c *Client) Function(name string) (*Handle, error) {
	f, err := c.function(name)
	if err != nil {
		return nil, fmt.Errorf("nyckel: %w", err)
	}
	return &Handle{c, f}, nil
}

// FunctionByID returns the handle of any function of the account.
func (c *Client) FunctionByID(id string) *Handle {
	return &Handle{c, &function{name: id, Function: Function{ID: id}}}
}

// ID returns the function's id, as it was given.
func (h *Handle) ID() string { return h.f.ID }

// prepareManagement puts the stack for managing calls around the HTTP client.
func (c *Client) prepareManagement(stack policy.Stack, source TokenSource) error {
	stack.Fallback, stack.Cache, stack.Hedge, stack.Responses = nil, nil, nil, nil
	stack.Failover = untranslated(stack.Failover) // the others answer questions
	stack.Function = "management"
	layer, err := transport.Build(stack)
	if err != nil {
		return err // functions have told, if there are some without a stack of their own
	}
	c.management = transport.Wrap(c.http, layer, verify(stack.Failover), c.limiter.Wrap, authorize(c.base, source))
	return nil
}

// trimmed returns a name without the space around it, which the service would not
// find again.
func trimmed(what, name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return "", fmt.Errorf("nyckel: %s: the name is empty", what)
	}
	return name, nil
}
