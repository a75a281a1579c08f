package nyckel

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/plan"
)

// An Option configures a [Client].
type Option interface{ applyToClient(*clientOptions) }

// An InvokeOption configures one call. Given to [New] it holds for every call
// that does not say otherwise.
type InvokeOption interface {
	Option
	AllOption
	applyToCall(*callOptions)
}

type clientOptions struct {
	baseURL    string
	clientID   string
	secret     func() policy.Secret // as it is now; nil if none was given
	source     TokenSource
	httpClient *http.Client
	functions  map[string]Function
	duplicates []string // names that were given twice
	stack      policy.Stack
	limit      policy.Limit
	recorder   Recorder
	call       callOptions
	pins       Pins
	live       *plan.Live
	errs       []error // of options that could not be taken
}

type callOptions struct {
	model      string
	labelCount int
	noCapture  bool
	metadata   bool
	externalID string
	strict     bool
	without    []string

	sampleCount int
	noData      bool
	regions     bool
}

type clientOption func(*clientOptions)

func (f clientOption) applyToClient(o *clientOptions) { f(o) }

type callOption func(*callOptions)

func (f callOption) applyToClient(o *clientOptions) { f(&o.call) }
func (f callOption) applyToCall(o *callOptions)     { f(o) }

// WithCredentials sets the client id and secret of the account, which are
// exchanged for access tokens.
func WithCredentials(clientID, clientSecret string) Option {
	secret := policy.NewSecret(clientSecret)
	return clientOption(func(o *clientOptions) { o.clientID, o.secret = clientID, func() policy.Secret { return secret } })
}

// WithTokenSource takes access tokens from source instead of exchanging
// credentials.
func WithTokenSource(source TokenSource) Option {
	return clientOption(func(o *clientOptions) { o.source = source })
}

// WithBaseURL sets where the API lives, [DefaultBaseURL] if not given.
func WithBaseURL(url string) Option {
	return clientOption(func(o *clientOptions) { o.baseURL = url })
}

// WithHTTPClient sets the client that the calls are made with. It is copied, and
// stays as it is.
func WithHTTPClient(client *http.Client) Option {
	return clientOption(func(o *clientOptions) { o.httpClient = client })
}

// WithFunction makes a function callable under a name. The name is used in
// metrics, errors and cache keys.
func WithFunction(name string, f Function) Option {
	return clientOption(func(o *clientOptions) {
		if o.functions == nil {
			o.functions = map[string]Function{}
		}
		if _, ok := o.functions[name]; ok {
			o.duplicates = append(o.duplicates, name)
		}
		o.functions[name] = f
	})
}

// WithStack sets the stack of the functions that have none of their own. The
// zero Stack, the standard one, is the default. Managing calls go through it, too,
// but for its hedges and what stands for an answer: its cache, its fallback, its
// responses, and the endpoints of its failover that translate answers.
func WithStack(stack policy.Stack) Option {
	return clientOption(func(o *clientOptions) { o.stack = stack })
}

// WithRecorder has r told of every prediction. It comes after the trail is
// complete, on the caller's goroutine (of [Client.InvokeAll], on one of several of its
// own), and under a context that keeps the values of the caller's, but not its end: a
// call that was cancelled is recorded, too.
func WithRecorder(r Recorder) Option {
	return clientOption(func(o *clientOptions) { o.recorder = r })
}

// WithLimit sets how much traffic the account bears: all requests of the client
// together, of whatever function, repeated ones, too, but for those to endpoints of
// another kind, whose answers a failover translates. What exceeds it waits its turn,
// those of a higher [policy.Call.Priority] first, and is refused if that would take
// longer than MaxWait: with the error ErrLimited of package transport, which no breaker
// counts. [Client.InvokeAll] waits for as long as it takes.
//
// Zero fields mean what holds without the option: 25 per second and 25 in flight,
// which the service allows an account unless a contract says otherwise; a Burst of 1;
// a MaxWait of 5 s, or half of the least Attempt.FirstByte of the stacks if that is
// less, since an attempt's time runs while it waits. The service counts the calls of
// any one second, so that PerSecond and Burst together should not exceed its limit by
// more than 1: the rate of a client that must answer bursts quickly is better set to 15
// with a Burst of 10.
//
// A program with several clients of one account has to divide the limit up.
func WithLimit(limit policy.Limit) Option {
	return clientOption(func(o *clientOptions) { o.limit = limit })
}

// ModelID pins the model that answers. For one call it takes the place of the
// function's own pin; given to [New] it is for the functions that have none. An
// empty id changes nothing: a pin is never lifted by a setting that is missing. The
// API takes none for [Client.Search], [Client.ReadText] and [Client.Locate].
func ModelID(id string) InvokeOption {
	return callOption(func(o *callOptions) { o.model = cmp.Or(id, o.model) })
}

// LabelCount asks for the confidences of the n most likely labels. Zero, the
// default, asks for none; a negative number is an error.
func LabelCount(n int) InvokeOption {
	return callOption(func(o *callOptions) { o.labelCount = n })
}

// LabelMetadata asks for the metadata of the label.
func LabelMetadata() InvokeOption {
	return callOption(func(o *callOptions) { o.metadata = true })
}

// Capture says whether the service keeps the input as a sample, which is its
// default.
func Capture(on bool) InvokeOption {
	return callOption(func(o *callOptions) { o.noCapture = !on })
}

// ExternalID gives the sample that the call leaves behind the caller's own id,
// under which it can be found later. Such a call is never answered from a cache.
func ExternalID(id string) InvokeOption {
	return callOption(func(o *callOptions) { o.externalID = id })
}

// SampleCount asks a search for the n nearest samples. Zero leaves the number to the
// service; a negative one is an error.
func SampleCount(n int) InvokeOption {
	return callOption(func(o *callOptions) { o.sampleCount = n })
}

// IncludeData says whether a search gives the data of the samples, which is its
// default.
func IncludeData(on bool) InvokeOption {
	return callOption(func(o *callOptions) { o.noData = !on })
}

// Regions asks a reading where each text is.
func Regions() InvokeOption {
	return callOption(func(o *callOptions) { o.regions = true })
}

// Strict makes the call fail rather than be answered by something else than the
// service or a fresh answer of it: by no rung of the stack's fallback.
func Strict() InvokeOption {
	return callOption(func(o *callOptions) { o.strict = true })
}

// Without keeps some rungs of the stack's fallback from answering the call, by
// their names: [policy.RungStale], [policy.RungSimilar], [policy.RungRules],
// [policy.RungStatic]. It adds to those that [New] was given.
func Without(rungs ...string) InvokeOption {
	return callOption(func(o *callOptions) { o.without = slices.Concat(o.without, rungs) })
}

// stacks returns all that calls may go through.
func (o clientOptions) stacks() []policy.Stack {
	stacks := []policy.Stack{o.stack}
	for _, f := range o.functions {
		if f.Stack != nil {
			stacks = append(stacks, *f.Stack)
		}
	}
	return stacks
}

// validate reports everything that is wrong with the options.
func (o clientOptions) validate() error {
	errs := slices.Clone(o.errs)
	hasID, hasSecret := o.clientID != "", o.secret != nil && o.secret().Reveal() != ""
	switch {
	case len(errs) > 0: // which would have brought them, maybe
	case o.source != nil && (hasID || hasSecret):
		errs = append(errs, errors.New("nyckel: WithCredentials and WithTokenSource exclude each other"))
	case o.source == nil && !hasID && !hasSecret:
		errs = append(errs, errors.New("nyckel: no credentials, use WithCredentials or WithTokenSource"))
	case o.source == nil && (!hasID || !hasSecret):
		errs = append(errs, errors.New("nyckel: WithCredentials needs both a client id and a client secret"))
	}
	for _, name := range o.duplicates {
		errs = append(errs, fmt.Errorf("nyckel: function %q is configured twice", name))
	}
	for _, name := range slices.Sorted(maps.Keys(o.functions)) {
		if name == "" {
			errs = append(errs, errors.New("nyckel: a function has no name"))
		}
		switch id := o.functions[name].ID; id {
		case "":
			errs = append(errs, fmt.Errorf("nyckel: function %q has no ID", name))
		case ".", "..": // no escape keeps these from being a step in the path
			errs = append(errs, fmt.Errorf("nyckel: function %q has the ID %q, which cannot be one", name, id))
		}
	}
	if err := accountLimit(o.limit).Validate(); err != nil {
		errs = append(errs, fmt.Errorf("nyckel: WithLimit: %w", err))
	}
	if err := o.call.validate(); err != nil {
		errs = append(errs, fmt.Errorf("nyckel: %w", err))
	}
	return errors.Join(errs...)
}

func (o callOptions) validate() error {
	var errs []error
	if o.labelCount < 0 {
		errs = append(errs, fmt.Errorf("LabelCount is %d, want at least 0", o.labelCount))
	}
	if o.sampleCount < 0 {
		errs = append(errs, fmt.Errorf("SampleCount is %d, want at least 0", o.sampleCount))
	}
	if !utf8.ValidString(o.externalID) { // JSON would alter it
		errs = append(errs, errors.New("ExternalID is not valid UTF-8"))
	}
	for _, rung := range o.without {
		if !slices.Contains(policy.Rungs(), rung) {
			errs = append(errs, fmt.Errorf("Without has %q, want some of %s", rung, strings.Join(policy.Rungs(), ", ")))
		}
	}
	return errors.Join(errs...)
}
