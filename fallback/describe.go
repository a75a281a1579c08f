package fallback

import (
	"net/http"

	"github.com/sparekey/sparekey/policy"
)

// Unwrap and Part tell what the layer is: see transport.Inspect.

func (l *layer) Unwrap() http.RoundTripper { return l.next }

// Part returns the rules with their names and answers only: what they match is
// compiled.
func (l *layer) Part() policy.Part {
	settings := policy.Fallback{Classify: l.fallback.classify}
	if static, _, ok := l.fallback.lastResort(); ok {
		settings.Static = &static
	}
	for _, r := range l.fallback.rules {
		settings.Rules = append(settings.Rules, policy.Rule{Name: r.name, Answer: r.answer})
	}
	return policy.Part{Kind: policy.KindFallback, Settings: settings}
}
