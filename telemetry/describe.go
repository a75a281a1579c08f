package telemetry

import (
	"net/http"

	"github.com/sparekey/sparekey/policy"
)

// Unwrap and Part tell what the layers are: see transport.Inspect.

func (l *callLayer) Unwrap() http.RoundTripper    { return l.next }
func (l *attemptLayer) Unwrap() http.RoundTripper { return l.next }

func (l *callLayer) Part() policy.Part {
	return policy.Part{Kind: policy.KindCall, Name: l.cfg.Function}
}

func (l *attemptLayer) Part() policy.Part {
	return policy.Part{Kind: policy.KindAttempt, Name: l.cfg.Function}
}
