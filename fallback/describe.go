package fallback

import (
	"net/http"

	"github.com/sparekey/sparekey/policy"
)

// Unwrap and Part tell what the layer is: see transport.Inspect.

func (l *layer) Unwrap() http.RoundTripper { return l.next }

// Part returns the rungs in order. Of rules it has the names and answers only:
// what they match is compiled.
func (l *layer) Part() policy.Part {
	cfg := &l.ladder.cfg
	settings := policy.Fallback{Fidelity: cfg.Fidelity, Codec: cfg.Codec, Classify: cfg.Classify}
	for _, r := range cfg.Rungs {
		settings.Rungs = append(settings.Rungs, r.Name)
		if r.describe != nil {
			r.describe(&settings)
		}
	}
	return policy.Part{Kind: policy.KindFallback, Settings: settings}
}

// Fidelity returns the ladder's figures: see transport.Fidelity.
func (l *layer) Fidelity() []FidelityFigure { return l.ladder.Fidelity() }
