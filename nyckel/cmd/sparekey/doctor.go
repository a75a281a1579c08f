package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/plan"
)

// stepTime bounds each step of an examination.
const stepTime = 15 * time.Second

func (p *program) doctor(ctx context.Context, args []string) error {
	flags := p.flags("doctor [flags]", "Looks at what stands between here and the service of a configuration file, step by\nstep: names, connection, TLS, clock, token, one call, rate limits. Nothing secret is\nprinted. The exit code is 1 if a step failed.")
	config := flags.String("config", defaultConfig, "configuration `file`")
	account := flags.String("account", "", "`name` of the account; the only one by default")
	function := flags.String("function", "", "`name` of the function to call; the account's first by default")
	text := flags.String("text", "hello", "`text` to ask about")
	asJSON := flags.Bool("json", false, "print JSON")
	if _, err := flags.parse(args, 0, 0); err != nil {
		return err
	}
	e, err := p.newExamination(*config, *account, *function)
	if err != nil {
		return err
	}
	defer e.http.CloseIdleConnections()
	e.connect(ctx)
	e.token(ctx)
	e.invoke(ctx, *text)
	e.limits()
	if *asJSON {
		err = printJSON(p.stdout, e.findings)
	} else {
		p.printFindings(e.findings)
	}
	if slices.ContainsFunc(e.findings, func(f finding) bool { return f.State == stateFailed }) && err == nil {
		return codeError(exitFailed)
	}
	return err
}

// A finding is what one step came to.
type finding struct {
	Step  string `json:"step"`
	State string `json:"state"` // ok, failed or skipped
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"`
}

const (
	stateOK      = "ok"
	stateFailed  = "failed"
	stateSkipped = "skipped"
)

// An examination is one run of doctor.
type examination struct {
	plan     *plan.Plan
	name     string // of the account
	account  plan.Account
	function string // "" if there is none to call
	base     string
	http     *http.Client
	seen     *sightings
	findings []finding
}

func (p *program) newExamination(config, account, function string) (*examination, error) {
	loaded, err := load(config)
	if err != nil {
		return nil, err
	}
	if function != "" {
		of, err := accountOf(loaded, function)
		if err != nil {
			return nil, err
		}
		if account != "" && account != of {
			return nil, misuse("function %q is not of account %q, but of %q", function, account, of)
		}
		account = of
	}
	e := &examination{plan: loaded, name: account, function: function, seen: &sightings{}}
	if err := e.findAccount(); err != nil {
		return nil, err
	}
	e.base = strings.TrimRight(e.account.BaseURL, "/")
	if e.base == "" {
		e.base = nyckel.DefaultBaseURL
	}
	var wire http.RoundTripper
	if p.http != nil {
		wire = p.http.Transport
	} else if shared, ok := http.DefaultTransport.(*http.Transport); ok {
		wire = shared.Clone()
	}
	e.seen.next = wire
	e.http = &http.Client{Transport: e.seen, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return e, nil
}

// findAccount settles on an account, and on a function of it.
func (e *examination) findAccount() error {
	accounts := e.plan.File().Accounts
	if e.name == "" {
		for name := range accounts {
			e.name = name
		}
		if len(accounts) != 1 {
			return misuse("the file has %d accounts; name one with -account", len(accounts))
		}
	}
	account, ok := accounts[e.name]
	if !ok {
		return misuse("no account %q in the file", e.name)
	}
	e.account = account
	for _, name := range e.plan.Functions() {
		if f, _ := e.plan.Function(name); e.function == "" && f.Account == e.name {
			e.function = name
		}
	}
	return nil
}

func (e *examination) ok(step, format string, args ...any) {
	e.findings = append(e.findings, finding{step, stateOK, e.masked(fmt.Sprintf(format, args...)), ""})
}

func (e *examination) failed(step string, err error, hint string) {
	e.findings = append(e.findings, finding{step, stateFailed, e.masked(err.Error()), e.masked(hint)})
}

func (e *examination) skipped(step, why string) {
	e.findings = append(e.findings, finding{step, stateSkipped, why, ""})
}

// broken reports whether a step has failed without which there is no point in others.
func (e *examination) broken(steps ...string) bool {
	return slices.ContainsFunc(e.findings, func(f finding) bool { return f.State == stateFailed && slices.Contains(steps, f.Step) })
}

// masked returns text without the account's secret, which should not be there in the
// first place, neither as it is nor as the form had it.
func (e *examination) masked(text string) string {
	if secret := e.account.ClientSecret.Reveal(); secret != "" {
		text = strings.NewReplacer(secret, "********", url.QueryEscape(secret), "********").Replace(text)
	}
	return text
}

// invoke makes one call.
func (e *examination) invoke(ctx context.Context, text string) {
	const step = "invoke"
	switch {
	case e.function == "":
		e.skipped(step, "the account has no function in the file")
		return
	case e.broken(stepDNS, stepConnect, stepTLS, stepToken):
		e.skipped(step, "without a token there is no call")
		return
	}
	client, err := nyckel.New(nyckel.WithPlan(e.plan, e.name), nyckel.WithHTTPClient(e.http))
	if err != nil {
		e.failed(step, err, "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	start := time.Now()
	prediction, err := client.Invoke(ctx, e.function, nyckel.Text(text), nyckel.Capture(false), nyckel.Strict())
	if err != nil {
		e.failed(step, err, hintOfCall(err))
		return
	}
	e.ok(step, "%s answered %q with %.3f after %s", e.function, labelOf(prediction), prediction.Confidence, shortly(time.Since(start)))
}

// hintOfCall says what may be done about a call that failed.
func hintOfCall(err error) string {
	e := policy.ErrorOf(err)
	if e == nil {
		return ""
	}
	switch e.Verdict.Class {
	case policy.NotFound:
		return "the function's id is not known to this account: compare it with the function's page"
	case policy.Forbidden, policy.Unauthenticated:
		return "the token is not accepted for this function: is it of another account?"
	case policy.QuotaExceeded:
		return "the account's quota is used up: see its billing page"
	case policy.RateLimited:
		return "others use the account at the same time: lower limit.per_second of the account"
	case policy.Invalid:
		return "does the function take texts? name another with -function, and see its model"
	}
	return ""
}

// limits tells what the answers said of rate limits.
func (e *examination) limits() {
	const step = "limits"
	answers, fields := e.seen.report()
	switch {
	case answers == 0:
		e.skipped(step, "nothing answered")
	case len(fields) == 0:
		e.ok(step, "no answer of %d names a rate limit; the client keeps to %s by itself", answers, e.ownLimit())
	default:
		e.ok(step, "%s", strings.Join(fields, "; "))
	}
}

// ownLimit says what limit the client keeps to: what the service allows unless told
// otherwise, and negative is no bound.
func (e *examination) ownLimit() string {
	limit := policy.Limit{}
	if e.account.Limit != nil {
		limit = *e.account.Limit
	}
	var bounds []string
	if rate := cmp.Or(limit.PerSecond, 25); rate > 0 && !limit.Off {
		bounds = append(bounds, fmt.Sprintf("%v/s", rate))
	}
	if inFlight := cmp.Or(limit.InFlight, 25); inFlight > 0 && !limit.Off {
		bounds = append(bounds, fmt.Sprintf("%d in flight", inFlight))
	}
	return cmp.Or(strings.Join(bounds, " and "), "none")
}

// sightings is a transport that remembers what answers say of rate limits.
type sightings struct {
	next http.RoundTripper

	mu      sync.Mutex
	answers int
	fields  []string
}

// limitField finds the names of such fields.
var limitField = regexp.MustCompile(`(?i)^(?:x-)?(?:[a-z]+-)?rate-?limit|^retry-after$`)

// RoundTrip implements [http.RoundTripper].
func (s *sightings) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers++
	for name, values := range resp.Header {
		text := name + ": " + strings.Join(values, ", ")
		if limitField.MatchString(name) && !slices.Contains(s.fields, text) {
			s.fields = append(s.fields, text)
		}
	}
	return resp, nil
}

// CloseIdleConnections forwards to the transport below.
func (s *sightings) CloseIdleConnections() {
	if closer, ok := s.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

func (s *sightings) report() (answers int, fields []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers, slices.Sorted(slices.Values(s.fields))
}

func (p *program) printFindings(findings []finding) {
	paint := painter(p.stdout)
	colours := map[string]string{stateOK: green, stateFailed: red, stateSkipped: faint}
	for _, f := range findings {
		fmt.Fprintf(p.stdout, "%s  %-8s %s\n", paint(colours[f.State], fmt.Sprintf("%-7s", f.State)), f.Step, printable(f.Text))
		if f.Hint != "" {
			fmt.Fprintf(p.stdout, "                   %s\n", f.Hint)
		}
	}
}
