package nyckel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
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

// An order is a managing call.
type order struct {
	what     string // is to be done, for errors
	function string // its name, "" for the account
	method   string
	url      string
	body     any // nil for none

	// replayable says that a POST may be repeated.
	replayable bool
}

// An obtained is the answer to an order.
type obtained[T any] struct {
	value    T
	header   http.Header
	attempts []telemetry.Attempt
}

// A declined is the service's no to an order.
type declined struct {
	err      *policy.Error
	body     []byte
	attempts []telemetry.Attempt
}

func (d *declined) Error() string { return d.err.Error() }
func (d *declined) Unwrap() error { return d.err }

// Is matches [ErrNotFound].
func (d *declined) Is(target error) bool {
	return target == ErrNotFound && d.err.Status == http.StatusNotFound
}

// A reading is how an answer to an order is read.
type reading[T any] func(content []byte) (T, error)

// maxManaged bounds an answer to an order, which may be a page with data.
const maxManaged = 32 << 20

func (r reading[T]) limit() int64 { return maxManaged }

func (r reading[T]) check(content []byte) error {
	_, err := r(content)
	return judge(content, maxManaged, err)
}

// asJSON reads what is a JSON object or array, whichever is wanted.
func asJSON[T any](what, want string) reading[T] {
	return func(content []byte) (value T, err error) {
		if err := json.Unmarshal(content, &value); err != nil {
			return value, misread(err, what, want)
		}
		return value, nil
	}
}

// unread takes whatever the service says of what it did, nothing included, but no page:
// that is of somebody else, and nothing was done.
func unread(content []byte) (none struct{}, err error) {
	const mark = "\xef\xbb\xbf" // of the order of bytes, which some servers put before a page
	if bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(content, []byte(mark))), []byte("<")) {
		return none, errors.New("it is a page")
	}
	return none, nil
}

// carryOut makes a managing call.
func carryOut[T any](ctx context.Context, c *Client, o order, read reading[T]) (obtained[T], error) {
	got, err := attempt(ctx, c, o, read)
	if err != nil {
		return got, fmt.Errorf("nyckel: %s: %w", o.what, err)
	}
	return got, nil
}

func attempt[T any](ctx context.Context, c *Client, o order, read reading[T]) (got obtained[T], err error) {
	ctx, trail := telemetry.NewContext(ctx)
	ctx = policy.WithCall(ctx, policy.Call{Identity: c.identity, Priority: policy.CallOf(ctx).Priority, Replayable: o.replayable})
	req, err := o.request(expect(ctx, read))
	if err != nil {
		return got, err
	}
	resp, err := c.management.Do(req)
	if err != nil {
		return got, describe(err, o.function, trail)
	}
	if resp.StatusCode != http.StatusOK {
		defer discard(req, resp)
		e := policy.ErrorOf(describe(refusedBy(resp), o.function, trail))
		content, _ := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer)) // what there is
		return got, &declined{err: e, body: content, attempts: trail.Attempts()}
	}
	got.header, got.attempts = resp.Header, trail.Attempts()
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxManaged+1))
	if err != nil {
		return got, describe(&policy.Error{Verdict: policy.ClassifyBody(err), Status: resp.StatusCode, Err: err}, o.function, trail)
	}
	got.value, err = read(content)
	return got, err
}

func (o order) request(ctx context.Context) (*http.Request, error) {
	var body io.Reader
	if o.body != nil {
		content, err := toJSON(o.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(content)
	}
	req, err := http.NewRequestWithContext(ctx, o.method, o.url, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// remove carries out an order to delete something. That it is gone after a first
// request may have deleted it is what was wanted.
func remove(ctx context.Context, c *Client, o order) error {
	_, err := carryOut(ctx, c, o, unread)
	d, ok := errors.AsType[*declined](err)
	if !ok || d.err.Status != http.StatusNotFound {
		return err
	}
	for _, a := range d.attempts[:max(0, len(d.attempts)-1)] {
		if a.Verdict.Executed != policy.NotExecuted {
			return nil
		}
	}
	return err
}

// order returns an order of the function.
func (h *Handle) order(what, method string, query url.Values, path ...string) (order, error) {
	return h.orderOf(apiV1, what, method, query, path...)
}

func (h *Handle) orderOf(root, what, method string, query url.Values, path ...string) (order, error) {
	for _, id := range append([]string{h.f.ID}, path...) {
		if err := checkID(id); err != nil {
			return order{}, fmt.Errorf("nyckel: %s: %w", what, err)
		}
	}
	url := h.c.address(append([]string{root, h.f.ID}, path...), query)
	return order{what: what, function: h.f.name, method: method, url: url}, nil
}

// checkID refuses what would not name a thing but the list it is in, or one above.
func checkID(id string) error {
	switch id {
	case "":
		return errors.New("the id is empty")
	case ".", "..":
		return fmt.Errorf("the id %q cannot be one", id)
	}
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

// How often and for how long the service is asked whether it shows what was made: as
// the vendor's own client does.
const (
	visibleWithin = 5 * time.Second
	pollFunction  = 250 * time.Millisecond
	pollPart      = 500 * time.Millisecond
	againSample   = time.Second
)

// onceMore makes a call about a sample that may just have been made, and makes it
// again after a second if there is none.
func onceMore[T any](ctx context.Context, call func() (obtained[T], error)) (obtained[T], error) {
	got, err := call()
	if errors.Is(err, ErrNotFound) && pause(ctx, againSample) == nil {
		return call()
	}
	return got, err
}

// untilVisible asks look again and again until what it looks for is there. The time that
// there is bounds a look that hangs, too.
func untilVisible(ctx context.Context, what string, every time.Duration, look func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, visibleWithin)
	defer cancel()
	for start := time.Now(); ; {
		err := look(within)
		switch over := within.Err() != nil && ctx.Err() == nil; {
		case err == nil:
			return nil
		case !over && !errors.Is(err, ErrNotFound): // nobody knows
			return fmt.Errorf("nyckel: %s: %w: %w", what, ErrNotVisible, err)
		case over || time.Since(start)+every > visibleWithin:
			return fmt.Errorf("nyckel: %s: %w (after %v)", what, ErrNotVisible, visibleWithin)
		}
		if err := pause(ctx, every); err != nil {
			return fmt.Errorf("nyckel: %s: %w: %w", what, ErrNotVisible, err)
		}
	}
}
