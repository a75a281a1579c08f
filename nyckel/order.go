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

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

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

// maxDeclined bounds what is kept of the body of a no.
const maxDeclined = 64 << 10

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

// attempt is carryOut, with errors that do not say yet what was to be done.
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
		content, _ := io.ReadAll(io.LimitReader(resp.Body, maxDeclined)) // what there is
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
