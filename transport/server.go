package transport

import (
	"net/http"
	"time"

	"github.com/sparekey/sparekey/policy"
)

// A server is the layers around the requests to one server, with what they know of it.
type server struct {
	throttle *Throttle // nil if the stack has none
	breaker  *Breaker
	limiter  *Limiter
}

// newServer returns the layers of s, with the state of those in known, which may be nil.
func newServer(s policy.Stack, known *server) *server {
	sv := &server{breaker: NewBreaker(s.Breaker), limiter: NewLimiter(s.Limit)}
	if s.Throttle != nil {
		sv.throttle = NewThrottle(*s.Throttle)
	}
	sv.continueFrom(known)
	return sv
}

// continueFrom makes the state of known's layers that of sv's, which nobody may use yet.
func (sv *server) continueFrom(known *server) {
	if known == nil {
		return
	}
	sv.breaker.machine, sv.limiter.gate = known.breaker.machine, known.limiter.gate
	if sv.throttle != nil && known.throttle != nil {
		sv.throttle.load = known.throttle.load
	}
}

// takeOver makes the settings of sv those by which the state changes.
func (sv *server) takeOver() {
	sv.breaker.takeOver()
	sv.limiter.takeOver()
	if sv.throttle != nil {
		sv.throttle.takeOver()
	}
}

// Wrap is a [Layer].
func (sv *server) Wrap(next http.RoundTripper) http.RoundTripper {
	var throttle Layer
	if sv.throttle != nil {
		throttle = sv.throttle.Wrap
	}
	return Chain(next, throttle, sv.breaker.Wrap, sv.limiter.Wrap)
}

// inherit makes the layers to, from the choice of a server on, go on with what
// others know of the same servers.
func inherit(to, from http.RoundTripper) {
	switch to := to.(type) {
	case *perKey:
		if from, ok := from.(*perKey); ok {
			to.inherit(from)
		}
	case *failover:
		if from, ok := from.(*failover); ok {
			to.inherit(from)
		}
	}
}

// inherit takes over the endpoints of the same names.
func (f *failover) inherit(from *failover) {
	f.rotation.inherit(from.rotation)
	f.bucket = from.bucket
	f.bucket.Change(f.cfg.Budget, time.Now())
	inherit(f.noEndpoint, from.noEndpoint)
	for i, e := range f.endpoints {
		for j, known := range from.endpoints {
			if e.Name != known.Name {
				continue
			}
			if mine, theirs := f.servers[e.Name], from.servers[e.Name]; mine != nil && theirs != nil {
				mine.continueFrom(theirs)
				mine.takeOver()
			}
			inherit(f.to[i], from.to[j])
		}
	}
}

// inherit makes the endpoints of the same names go on in r as they are.
func (r *rotation) inherit(from *rotation) {
	from.mu.Lock()
	defer from.mu.Unlock()
	r.mu = from.mu
	for i, e := range r.cfg.Endpoints {
		for j, known := range from.cfg.Endpoints {
			if e.Name == known.Name {
				from.members[j].weight, from.members[j].away = r.members[i].weight, r.members[i].away
				r.members[i] = from.members[j]
			}
		}
	}
}
