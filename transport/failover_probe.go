package transport

import (
	"context"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// Probe asks each endpoint that is ejected for its faults, and whose turn it is by
// [policy.Probe], whether it is back, one after the other, through next, which is
// the transport below the failover. Those that are come back at once, with a slow
// start. It returns when all have answered, or ctx ends.
//
// It goes by the settings that f was made with: after a [Live.Apply], [Failovers]
// finds the one that has the others.
func (f *Failover) Probe(ctx context.Context, next http.RoundTripper) {
	if f.cfg.Probe.Path == "" {
		return
	}
	for _, e := range f.endpoints {
		if ctx.Err() != nil {
			return
		}
		if e.base != nil && f.rotation.probeDue(e.index, time.Now()) && f.isBack(ctx, next, e) {
			f.rotation.rejoin(e.index, time.Now())
		}
	}
}

// KeepProbing calls [Failover.Probe] as often as [policy.Probe] says, until ctx
// ends. It starts no goroutine.
func (f *Failover) KeepProbing(ctx context.Context, next http.RoundTripper) {
	for sleep(ctx, f.cfg.Probe.Every) == nil {
		f.Probe(ctx, next)
	}
}

// isBack probes an endpoint.
func (f *Failover) isBack(ctx context.Context, next http.RoundTripper, e *endpoint) bool {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Probe.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base.JoinPath(f.cfg.Probe.Path).String(), nil)
	if err != nil || e.prepare(req) != nil {
		return false
	}
	resp, err := body.Send(e.observeProbe(next), req) //nolint:bodyclose // Discard closes it
	if err != nil {
		return false
	}
	body.Discard(ctx, resp, body.DrainBytes, body.DrainTime)
	return resp.StatusCode < http.StatusBadRequest
}

// probeCount counts the probes of one endpoint.
type probeCount struct {
	last  time.Time
	first time.Time // of the day
	made  int       // since then
}

// probeDue reports whether an endpoint is to be probed now, and takes it for done.
func (r *rotation) probeDue(index int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[index]
	m.returnLocked(now, r.cfg.Ejection)
	return m.failsLocked() && m.probes.take(now, r.cfg.Probe)
}

func (p *probeCount) take(now time.Time, cfg policy.Probe) bool {
	if !p.last.IsZero() && now.Sub(p.last) < cfg.Every {
		return false
	}
	if p.first.IsZero() || now.Sub(p.first) >= 24*time.Hour {
		p.first, p.made = now, 0
	}
	if cfg.PerDay > 0 && p.made >= cfg.PerDay {
		return false
	}
	p.last = now
	p.made++
	return true
}

// rejoin takes an endpoint back into the rotation.
func (r *rotation) rejoin(index int, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[index]; m.failsLocked() {
		m.rejoinLocked(now, r.cfg.Ejection)
	}
}
