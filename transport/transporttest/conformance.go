package transporttest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A Layer wraps a transport. It is an alias, so any func of this form is one.
type Layer = func(next http.RoundTripper) http.RoundTripper

// A Rule is one thing that a layer owes to the caller above it and to the
// transport below.
type Rule struct {
	// Name is a few words, and the name of the rule's subtest. It begins with
	// "h2/" if the rule is checked over HTTP/2.
	Name string

	// Text says what is owed, and what breaks where it is not kept.
	Text string

	// Source says who asks for it.
	Source string
}

// A Failure is a rule that a layer broke.
type Failure struct {
	Rule

	// Got is what was seen, one line or more.
	Got string
}

// String returns the name of the rule and what was seen.
func (f Failure) String() string { return f.Name + ": " + f.Got }

// Check runs the conformance suite against layer: one subtest for each of
// [Rules], each in a bubble of testing/synctest. To check a RoundTripper that
// wraps another is to check the func that makes it:
//
//	transporttest.Check(t, func(next http.RoundTripper) http.RoundTripper {
//		return &mine.Transport{Base: next}
//	})
//
// The layer is called anew for each rule, within the bubble, and must make there
// whatever has a channel, a timer or a goroutine. The next that it gets is a
// script, or a real [http.Transport] whose server, of HTTP/1.1 or HTTP/2, is in
// memory; waits cost no time. Limits of its own that end an exchange should be ten
// seconds or more, and limits on what is in flight should let fifty requests pass
// within a minute. Panics are a rule's business unless the layer lets one end a
// goroutine of its own, which ends the program. A layer that keeps a mutex locked while
// it waits stops the clock of the bubble, as soon as another call wants the mutex: the
// rule ends with the -timeout of the tests, whose traces show both. So does one that looks
// again and again, with waits between, for what never comes. A goroutine that
// lasts as long as the layer, which nobody closes here, is found by "no goroutine
// outlives its call", over either protocol; see [Except].
//
// What a layer is there for can look like a fault: to send a request again, to
// answer without asking. The options say what it may do; without any it must
// hand on what it gets.
func Check(t *testing.T, layer Layer, opts ...Option) {
	t.Helper()
	s := newSuite(layer, opts)
	for _, r := range rules() {
		t.Run(r.Name, func(t *testing.T) {
			if reason, ok := s.except[r.Name]; ok {
				t.Skip(reason)
			}
			p := s.probe(r)
			defer func() {
				for _, got := range p.seen() {
					t.Errorf("%s\n%s\nSee %s.", got, r.Text, r.Source)
				}
			}()
			s.run(t, r, p)
		})
	}
}

// Run is [Check] for those who want to look at the result: it returns the rules
// that the layer broke, in the order of [Rules]. It needs no test, but must not
// be called in a bubble.
func Run(layer Layer, opts ...Option) []Failure {
	s := newSuite(layer, opts)
	var failures []Failure
	for _, r := range rules() {
		if _, ok := s.except[r.Name]; ok {
			continue
		}
		if got := s.runAlone(r); len(got) > 0 {
			failures = append(failures, Failure{Rule: r.Rule, Got: strings.Join(got, "\n")})
		}
	}
	return failures
}

// Rules returns all rules of the suite, in the order in which they are checked.
func Rules() []Rule {
	all := make([]Rule, 0, 100)
	for _, r := range rules() {
		all = append(all, r.Rule)
	}
	return all
}

// rule is a Rule with its check, which reports to a probe.
type rule struct {
	Rule
	check func(*probe)
	proto protocol
}

func rules() []rule {
	var all []rule
	for _, r := range slices.Concat(
		requestRules(),
		requestBodyRules(),
		replayRules(),
		answerRules(),
		bodyRules(),
		discardRules(),
		streamRules(),
		errorRules(),
		cancelRules(),
		panicRules(),
		connectionRules(),
		http2Rules(),
		concurrencyRules(),
		releaseRules(),
	) {
		all = append(all, r.versions()...)
	}
	return all
}

// mustBeRule panics unless a rule has that name.
func mustBeRule(name string) {
	if !slices.ContainsFunc(rules(), func(r rule) bool { return r.Name == name }) {
		panic(fmt.Sprintf("transporttest: no rule has the name %q", name))
	}
}
