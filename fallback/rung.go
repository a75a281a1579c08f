package fallback

import (
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// A Rung is one way of answering when the service cannot. The Answer of one that a
// [Fallback] made may be called, but not replaced: make another rung that calls it.
type Rung struct {
	// Name tells the rungs of a ladder apart, in figures and for
	// [policy.Without]. It must be from a bounded set: it becomes a metric's
	// label.
	Name string

	// Answer answers req, or reports false if it has no answer. It must be quick
	// and ask nothing over the network, leave the request as it is and be safe
	// for concurrent use. The request's Body is spent; GetBody, if it is not nil,
	// has a copy. Its context may be past its deadline.
	//
	// The response, which belongs to the ladder, is one as the service would have
	// sent; where it has no header, body or request of its own, it gets one. Of
	// what is said about it, Cause is the ladder's; a Source that is "",
	// [telemetry.Live] or [telemetry.Cache] becomes the rung's name.
	//
	// In shadow, the service has just answered and only what would have been
	// answered in its place is asked for: the call counts for nothing, as if it
	// had not been made, and its context ends as soon as nobody waits for it.
	Answer func(req *http.Request, shadow bool) (*http.Response, telemetry.Answer, bool)

	// own is a rung of this package: Answer with what it needs of the request,
	// which is read once for all of them. Nil for the rungs of others.
	own func(req *http.Request, read func() input) (*http.Response, telemetry.Answer, bool)

	// describe adds what the rung is made of to settings, for transport.Inspect.
	// Nil means that its name is all there is to say.
	describe func(settings *policy.Fallback)
}

// Rules returns the rung of the rules. It has no answer to a text that no rule matches,
// nor to a request for an event stream: what it makes is a document. For a stream asks a
// body with "stream": true, a query with alt=sse, and an Accept with text/event-stream
// unless it has application/json of no lower quality, too.
func (f *Fallback) Rules() Rung {
	return ownRung(policy.RungRules, f.answerByRule, func(settings *policy.Fallback) {
		for _, r := range f.rules {
			settings.Rules = append(settings.Rules, policy.Rule{Name: r.name, Answer: r.answer})
		}
	})
}

// Static returns the rung of the static answer, which answers all requests but those
// for an event stream, as [Fallback.Rules] has it.
func (f *Fallback) Static() Rung {
	return ownRung(policy.RungStatic, f.answerStatically, func(settings *policy.Fallback) {
		if static, ok := f.staticAnswer(); ok {
			settings.Static = &static
		}
	})
}

func ownRung(name string, own func(*http.Request, func() input) (*http.Response, telemetry.Answer, bool), describe func(*policy.Fallback)) Rung {
	return Rung{
		Name: name,
		Answer: func(req *http.Request, _ bool) (*http.Response, telemetry.Answer, bool) {
			return own(req, func() input { return readInput(req) })
		},
		own:      own,
		describe: describe,
	}
}

func (f *Fallback) answerByRule(req *http.Request, read func() input) (*http.Response, telemetry.Answer, bool) {
	in := read()
	answer, rule, ok := f.byRules(&in)
	if !ok {
		return nil, telemetry.Answer{}, false
	}
	about := telemetry.Answer{Source: telemetry.Rule, Rule: rule, Confidence: answer.Confidence}
	return f.reply(req, policy.RungRules, answer, in, about)
}

func (f *Fallback) answerStatically(req *http.Request, read func() input) (*http.Response, telemetry.Answer, bool) {
	answer, ok := f.staticAnswer()
	if !ok {
		return nil, telemetry.Answer{}, false
	}
	about := telemetry.Answer{Source: telemetry.Static, Confidence: answer.Confidence}
	return f.reply(req, policy.RungStatic, answer, read(), about)
}

// reply writes an answer in the service's form. That is a document: a request for a
// stream gets none. If the codec fails there is no answer, and the failure is recorded.
func (f *Fallback) reply(req *http.Request, rung string, answer policy.Answer, in input, about telemetry.Answer) (*http.Response, telemetry.Answer, bool) {
	if in.streams {
		return nil, telemetry.Answer{}, false
	}
	document, err := f.codec.Encode(answer, in.externalID)
	if err != nil {
		// Its text may hold the input: what is only known now is a summary and an external id.
		telemetry.FromContext(req.Context()).RungFailed(req.Context(), rung, fmt.Errorf("codec: error of type %T", err))
		return nil, telemetry.Answer{}, false
	}
	return respond(req, document), about, true
}

// checkCodec reports answers that the codec cannot write, so that this is found out
// before an outage.
func checkCodec(cfg policy.Fallback) error {
	var errs []error
	try := func(where string, answer policy.Answer) {
		if cfg.Match == policy.MatchAll && answer.Document == nil {
			answer.Document = tagsOf(answer)
		}
		if _, err := cfg.Codec.Encode(answer, ""); err != nil {
			errs = append(errs, fmt.Errorf("fallback: %s: the codec cannot write the answer: %w", where, err))
		}
	}
	for i, rule := range cfg.Rules {
		if rule.Summary > 0 {
			continue // its label is not known yet
		}
		try(fmt.Sprintf("Rules[%d] %q", i, rule.Name), rule.Answer)
	}
	if cfg.Static != nil {
		try("Static", *cfg.Static)
	}
	return errors.Join(errs...)
}

// readOnce returns a func that reads the request when it is first called.
func readOnce(req *http.Request) func() input {
	return sync.OnceValue(func() input { return readInput(req) })
}

// complete makes up for what a rung left out of a response to req.
func complete(req *http.Request, resp *http.Response) {
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if resp.Request == nil {
		resp.Request = req
	}
}
