package transport

import (
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// A cache that has something to give asks the layers below whether they would turn a
// request away, before it has one sent for all who ask the same: see [body.Refuse].

// Refuse implements [body.Refuse].
func (b *breaker) Refuse(req *http.Request) error {
	if _, ok := b.machine.pass(); ok {
		return nil
	}
	refusal := b.machine.refused(time.Now())
	if refusal == nil {
		return nil
	}
	b.turnAway(req, nil, refusal)
	return refusal
}

// refused returns the refusal of an open breaker, nil if there is or may be something
// else to do than to refuse.
func (m *machine) refused(now time.Time) *policy.Refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refusal == nil || isPast(m.until, now) || m.observesLocked() {
		return nil
	}
	return m.refusal
}

// Refuse implements [body.Refuse]. A key that is new refuses nobody.
func (p *perKey) Refuse(req *http.Request) error {
	done := false
	defer func() {
		if !done { // a panic in key
			body.CloseRequest(req)
		}
	}()
	k := p.find(p.key(req))
	done = true
	if k == nil {
		return nil
	}
	return body.Refuse(k.rt, req)
}

// find returns what key stands for, nil if it is new.
func (p *perKey) find(key string) *keyEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, _ := p.knownLocked(key)
	return k
}

// Refuse implements [body.Refuse]. A refusal is not repeated, unless Classify says so.
func (r *retry) Refuse(req *http.Request) error {
	if r.cfg.Classify != nil || isSDKRetry(req) {
		return nil
	}
	return body.Refuse(r.next, req)
}

// Refuse implements [body.Refuse].
func (t *timeout) Refuse(req *http.Request) error { return body.Refuse(t.next, req) }
