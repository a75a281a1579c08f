package transporttest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A suite checks one layer.
type suite struct {
	settings
	layer  Layer
	strays map[protocol][]string // goroutines that were left behind in bubbles, by rule
}

func newSuite(layer Layer, opts []Option) *suite {
	s := &suite{layer: layer, strays: make(map[protocol][]string)}
	s.prepare = func(req *http.Request) *http.Request { return req }
	s.except = make(map[string]string)
	for _, opt := range opts {
		opt(&s.settings)
	}
	return s
}

func (s *suite) probe(r rule) *probe { return &probe{suite: s, proto: r.proto} }

// run checks one rule in a bubble. What it finds is p's to tell.
//
// A bubble in which nothing can happen any more panics, and so does one that
// ends before its goroutines. The former is a failure of the rule. The latter is
// kept for the rule on goroutines, whichever rule it came up with.
func (s *suite) run(t *testing.T, r rule, p *probe) {
	bubble := ""
	defer func() {
		deadlock := recover()
		switch text := fmt.Sprint(deadlock); {
		case deadlock == nil:
		case strings.Contains(text, "main bubble goroutine has exited"):
			started, _ := goroutines(bubble)
			s.strays[r.proto] = append(s.strays[r.proto], fmt.Sprintf("left behind in %q: %s", r.Name, started))
		default:
			started, check := goroutines(bubble)
			p.Errorf("everything waits, for nothing: %s\nthe check is here:\n%s\nothers were started by: %s", text, check, started)
		}
		if strings.TrimPrefix(r.Name, overHTTP2) == goroutinesEnd {
			for _, stray := range s.strays[r.proto] {
				p.Errorf("%s", stray)
			}
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		bubble = currentBubble()
		p.TB = t
		defer time.Sleep(s.linger)
		defer p.recover()
		r.check(p)
	})
}

// runAlone checks one rule without a test. The T that the bubble asks for only
// has to be there. If the race detector fails it, it ends its goroutine.
func (s *suite) runAlone(r rule) []string {
	p := s.probe(r)
	done := make(chan struct{})
	go func() {
		defer close(done)
		finished := false
		defer func() {
			if !finished {
				p.Errorf("the race detector found a data race; its report is in the output")
			}
		}()
		s.run(new(testing.T), r, p)
		finished = true
	}()
	<-done
	return p.seen()
}

// seen returns what the probe found, without repetitions and not too much of it.
func (p *probe) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	const enough = 5
	var texts []string
	for _, text := range p.failures {
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	if more := len(texts) - enough; more > 0 {
		texts = append(texts[:enough], fmt.Sprintf("and %d more", more))
	}
	return texts
}
