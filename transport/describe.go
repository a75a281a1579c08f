package transport

import (
	"net/http"

	"github.com/sparekey/sparekey/policy"
)

// What each layer says of itself: see [Inspect].

func (r *retry) Unwrap() http.RoundTripper     { return r.next }
func (h *hedge) Unwrap() http.RoundTripper     { return h.next }
func (t *timeout) Unwrap() http.RoundTripper   { return t.next }
func (t *throttle) Unwrap() http.RoundTripper  { return t.next }
func (b *breaker) Unwrap() http.RoundTripper   { return b.next }
func (l *limiter) Unwrap() http.RoundTripper   { return l.next }
func (s *streams) Unwrap() http.RoundTripper   { return s.next }
func (f *faults) Unwrap() http.RoundTripper    { return f.next }
func (f *failover) Unwrap() http.RoundTripper  { return f.next }
func (r *responses) Unwrap() http.RoundTripper { return r.next }

func (r *responses) Part() policy.Part {
	return policy.Part{Kind: policy.KindResponses, Settings: r.cfg}
}

func (r *retry) Part() policy.Part {
	return policy.Part{Kind: policy.KindRetry, Settings: r.cfg}
}

func (h *hedge) Part() policy.Part {
	return policy.Part{Kind: policy.KindHedge, Settings: h.cfg}
}

func (t *timeout) Part() policy.Part {
	return policy.Part{Kind: policy.KindTimeout, Name: t.cfg.Scope, Settings: t.cfg}
}

func (f *failover) Part() policy.Part {
	return policy.Part{Kind: policy.KindFailover, Settings: f.cfg}
}

func (t *throttle) Part() policy.Part {
	return policy.Part{Kind: policy.KindThrottle, Name: t.cfg.Name, Settings: t.cfg}
}

func (b *breaker) Part() policy.Part {
	return policy.Part{Kind: policy.KindBreaker, Name: b.cfg.Name, Settings: b.cfg}
}

func (l *limiter) Part() policy.Part {
	return policy.Part{Kind: policy.KindLimit, Name: l.cfg.Name, Settings: l.cfg}
}

func (s *streams) Part() policy.Part {
	return policy.Part{Kind: policy.KindStreams, Settings: s.cfg}
}

// Part returns the settings that are in force now.
func (f *faults) Part() policy.Part {
	return policy.Part{Kind: policy.KindFaults, Settings: f.current.Load().cfg}
}
