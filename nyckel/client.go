package nyckel

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/plan"
)

// DefaultBaseURL is where the API lives.
const DefaultBaseURL = "https://www.nyckel.com"

// A Client calls the functions of one account. It is safe for concurrent use.
// There is nothing to close but idle connections.
type Client struct {
	base       *url.URL
	functions  map[string]*function
	defaults   callOptions
	pins       Pins       // nil if nothing changes them
	live       *plan.Live // nil if the stacks follow no file
	identity   string     // stands for the account in cache keys
	http       *http.Client
	limiter    *transport.Limiter
	management *http.Client // with the stack for managing calls
	inFlight   int          // how many calls the limiter lets through at once, 0 for any number
	images     *darkroom
	recorder   Recorder // may be nil
}

// A Function says which function of the account a name stands for, and how it is
// called.
type Function struct {
	// ID is the function's id, with or without its prefix "function_", or the
	// name of a pretrained function.
	ID string

	// Model pins the model that answers. "" means the newest. The service does
	// not fall back to the newest when it does not know the model, and neither
	// does the client. [WithPins] can change the pin while the client is in use.
	Model string

	// Fields are those of a function that reads tables. Nil means that they are not
	// known, and any key of a [Tabular] is sent as it is.
	Fields []Field

	// Stack is put around the calls of this function. Nil means the client's,
	// set by [WithStack]. Its Function, if "", is the function's name. Its
	// Attempt.FirstByte bounds the whole answer, and Attempt.Idle nothing: an
	// answer is read and checked before the stack sees it.
	Stack *policy.Stack

	layer transport.Layer // in place of one built of Stack, if it is set
	model func() string   // in place of Model, if it is set
}

// function is a Function that is ready to be called.
type function struct {
	name string
	Function
	client *http.Client // with the function's stack
	fields atomic.Pointer[fieldTable]
}

// New returns a Client. It needs credentials ([WithCredentials] or
// [WithTokenSource]), and the functions that are to be called ([WithFunction]). It
// reports everything that is wrong with the options at once, and makes no call.
func New(options ...Option) (*Client, error) {
	o := clientOptions{baseURL: DefaultBaseURL}
	for _, option := range options {
		option.applyToClient(&o)
	}
	base, err := parseBase(o.baseURL)
	if err := errors.Join(err, o.validate()); err != nil {
		return nil, err
	}
	c := &Client{
		base:      base,
		functions: make(map[string]*function, len(o.functions)),
		defaults:  o.call,
		pins:      o.pins,
		live:      o.live,
		identity:  identity(base, o),
		limiter:   transport.NewLimiter(accountLimit(o.limit, o.stacks()...)),
		images:    newDarkroom(),
		recorder:  o.recorder,
	}
	if !o.limit.Off {
		c.inFlight = max(0, accountLimit(o.limit).InFlight)
	}
	c.http = httpClient(o.httpClient, c.inFlight)
	source := o.source
	if source == nil {
		source = newCredentials(base, o.clientID, o.secret, c.http.Transport)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(o.functions)) {
		f, err := c.prepare(name, o.functions[name], o.stack, source)
		errs = append(errs, err)
		c.functions[name] = f
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := c.prepareManagement(o.stack, source); err != nil {
		return nil, fmt.Errorf("nyckel: the stack of WithStack: %w", err)
	}
	return c, nil
}

// prepare puts the function's stack around the HTTP client. The token is added
// innermost, so that no layer sees it.
func (c *Client) prepare(name string, f Function, shared policy.Stack, source TokenSource) (*function, error) {
	stack := shared
	if f.Stack != nil {
		stack = *f.Stack
	}
	stack.Function = cmp.Or(stack.Function, name)
	layer := f.layer
	if layer == nil {
		var err error
		if layer, err = transport.Build(stack); err != nil {
			return nil, fmt.Errorf("nyckel: function %q: %w", name, err)
		}
	}
	// The account's limit stands below the stack, as each request on the wire counts
	// that goes to the service.
	limit := exceptTranslated(stack.Failover, c.limiter.Wrap)
	client := transport.Wrap(c.http, layer, verify(stack.Failover), limit, authorize(c.base, source), timed)
	prepared := &function{name: name, Function: f, client: client}
	if f.Fields != nil {
		prepared.fields.Store(newFieldTable(f.Fields))
	}
	return prepared, nil
}

// Functions returns the names of the functions, sorted.
func (c *Client) Functions() []string { return slices.Sorted(maps.Keys(c.functions)) }

// Fidelity returns how the answers of each function's fallback compare with the
// service's, by function, rung and label: see [fallback.Ladder.Fidelity].
func (c *Client) Fidelity() []fallback.FidelityFigure {
	var figures []fallback.FidelityFigure
	for _, name := range c.Functions() {
		figures = append(figures, transport.Fidelity(c.functions[name].client.Transport)...)
	}
	return figures
}

// SimilarStats returns what was found out about answers to similar questions, by
// function: see [cache.Memo.SimilarStats]. There are none of functions whose
// stack has no [policy.Cache.Similar].
func (c *Client) SimilarStats() []cache.SimilarStats {
	var stats []cache.SimilarStats
	for _, name := range c.Functions() {
		stats = append(stats, transport.SimilarStats(c.functions[name].client.Transport)...)
	}
	return stats
}

// CloseIdleConnections closes the connections that are not in use.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

func (c *Client) function(name string) (*function, error) {
	if f, ok := c.functions[name]; ok {
		return f, nil
	}
	if len(c.functions) == 0 {
		return nil, fmt.Errorf("no function %q is configured, nor any other; use WithFunction", name)
	}
	return nil, fmt.Errorf("no function %q is configured; there are: %s", name, strings.Join(c.Functions(), ", "))
}

// parseBase checks the base URL and drops slashes at its end. Its errors quote
// nothing of the URL, which may hold a password; those of package url do.
func parseBase(text string) (*url.URL, error) {
	base, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("nyckel: base URL cannot be parsed")
	case base.Scheme != "http" && base.Scheme != "https", base.Hostname() == "":
		return nil, errors.New("nyckel: base URL must begin with http:// or https:// and name a host")
	case base.User != nil, base.RawQuery != "", base.ForceQuery, base.Fragment != "":
		return nil, errors.New("nyckel: base URL must have no user, query or fragment")
	}
	base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), strings.TrimRight(base.RawPath, "/")
	return base, nil
}

// identity tells accounts apart without naming their credentials. A client with
// a token source of its own is an account by itself, as the source may stand for
// anybody.
func identity(base *url.URL, o clientOptions) string {
	account := o.clientID
	if o.source != nil {
		account = rand.Text()
	}
	sum := sha256.Sum256([]byte(base.String() + "\x00" + account))
	return hex.EncodeToString(sum[:8])
}

// httpClient returns a copy of the caller's client, or a new one, which follows
// no redirect: the API sends none, and the token must not travel. A transport of our
// own keeps as many connections open as calls may be in flight, at least
// accountInFlight.
func httpClient(given *http.Client, inFlight int) *http.Client {
	var client http.Client
	if given != nil {
		client = *given
	}
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
		if shared, ok := client.Transport.(*http.Transport); ok { // else the program has put its own there
			own := shared.Clone()
			own.MaxIdleConnsPerHost = max(accountInFlight, inFlight)
			if own.MaxIdleConns > 0 {
				own.MaxIdleConns = max(own.MaxIdleConns, own.MaxIdleConnsPerHost)
			}
			client.Transport = own
		}
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}
