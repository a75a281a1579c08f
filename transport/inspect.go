package transport

import (
	"fmt"
	"iter"
	"net/http"
	"path"
	"reflect"
	"runtime"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/policy/body"
)

// Inspect returns the layers of rt as they stand, outermost first, and what they
// stand on last. A nil rt is [http.DefaultTransport].
//
// Layers of this module tell what they are. Others are told apart by two methods,
// of which they may have either:
//
//	Unwrap() http.RoundTripper // what the layer wraps
//	Part() policy.Part         // what the layer is; without it, a foreign one
//
// A layer that [Chain] put in place needs no Unwrap. Any other that has none is
// taken for the base, and what it wraps is not seen; nor is what a foreign layer
// sends requests through beside what it wraps.
//
// The layers of the endpoints of a [Failover] follow on it, those of one endpoint
// after those of the other, before what all stand on: see [policy.Part.Endpoint]. Of
// a Failover among them, only the first endpoint's do.
//
// Of layers that [PerKey] keeps, Inspect makes those for the key "", looks at
// them and forgets them.
func Inspect(rt http.RoundTripper) []policy.Part {
	var parts []policy.Part
	for _, part := range walk(rt) {
		parts = append(parts, part)
	}
	return parts
}

// Lint reports the orders and figures of the layers of rt that defeat each
// other: see [policy.Lint] and [Inspect].
func Lint(rt http.RoundTripper) error { return policy.Lint(Inspect(rt)) }

// Explain returns the worst case of the layers of rt: see [policy.Explain] and
// [Inspect].
func Explain(rt http.RoundTripper) policy.Explanation { return policy.Explain(Inspect(rt)) }

// maxWalk bounds the walk through layers that may wrap each other in a circle.
const maxWalk = 1000

// walk yields the layers of rt, outermost first, and what they stand on.
func walk(rt http.RoundTripper) iter.Seq2[http.RoundTripper, policy.Part] {
	if rt == nil {
		rt = http.DefaultTransport
	}
	return func(yield func(http.RoundTripper, policy.Part) bool) {
		w := walker{yield: yield, left: maxWalk}
		w.walk(rt, "", "")
	}
}

type walker struct {
	yield func(http.RoundTripper, policy.Part) bool
	left  int // steps
}

// walk goes from rt down to the base, or to the end of an endpoint's layers, and
// reports whether there is more to be seen. Key is that of the [PerKey] around.
func (w *walker) walk(rt http.RoundTripper, endpoint, key string) bool {
	keys := []string{key} // of the PerKey layers around, the innermost last
	for ; rt != nil && w.left > 0; w.left-- {
		part, below, kind := look(rt)
		switch kind {
		case aLayer:
			part.Key, part.Endpoint = keys[len(keys)-1], endpoint
			if !w.yield(rt, part) || !w.endpoints(rt, endpoint, part.Key) {
				return false
			}
		case keyBegin:
			keys = append(keys, part.Key)
		case keyEnd:
			keys = keys[:len(keys)-1]
		case endpointEnd:
			return true
		}
		rt = below
	}
	return w.left > 0
}

// endpoints goes through the layers of each endpoint, if rt is a failover.
func (w *walker) endpoints(rt http.RoundTripper, around, key string) bool {
	f, ok := rt.(*failover)
	if !ok {
		return true
	}
	if around != "" {
		return w.walk(f.sample(f.endpoints[0]), around, key)
	}
	for _, e := range f.endpoints {
		if !w.walk(f.sample(e), e.Name, key) {
			return false
		}
	}
	return true
}

// A step is what the walk has come upon.
type step uint8

const (
	aLayer      step = iota
	transparent      // something that only hands on, such as a layer that is off
	keyBegin         // here begin the layers for one key,
	keyEnd           // and here they end
	endpointEnd      // here end the layers of one endpoint
)

// look returns what rt is and what it wraps, nil at the end.
func look(rt http.RoundTripper) (part policy.Part, below http.RoundTripper, kind step) {
	switch rt := rt.(type) {
	case *live:
		return policy.Part{}, rt.chain.Load().rt, transparent
	case *perKey:
		return policy.Part{Key: nameOf(rt.key)}, rt.sample(), keyBegin
	case *sampleEnd:
		return policy.Part{}, rt.RoundTripper, rt.of
	case *forwarder:
		return lookBehind(rt)
	}
	part, below = describe(rt)
	return part, below, aLayer
}

// lookBehind looks at a layer that does not forward CloseIdleConnections.
func lookBehind(f *forwarder) (policy.Part, http.RoundTripper, step) {
	if same(f.RoundTripper, f.next) { // a layer that is off
		return policy.Part{}, f.next, transparent
	}
	part, below := describe(f.RoundTripper)
	if below == nil {
		below = f.next
	}
	if part.Kind == policy.KindBase { // it is not, after all
		part.Kind = policy.KindForeign
	}
	return part, below, aLayer
}

// describe asks a layer what it is and what it wraps.
func describe(rt http.RoundTripper) (part policy.Part, below http.RoundTripper) {
	if w, ok := rt.(interface{ Unwrap() http.RoundTripper }); ok {
		below = w.Unwrap()
	}
	if d, ok := rt.(interface{ Part() policy.Part }); ok {
		return d.Part(), below
	}
	part = policy.Part{Kind: policy.KindBase, Name: fmt.Sprintf("%T", rt)}
	if below != nil {
		part.Kind = policy.KindForeign
	}
	return part, below
}

// same reports whether a and b are the same transport. Funcs that were made at
// the same place count as such.
func same(a, b http.RoundTripper) bool {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	if va.Kind() == reflect.Func && va.Type() == vb.Type() {
		return va.Pointer() == vb.Pointer()
	}
	return va.Comparable() && vb.Comparable() && a == b
}

// nameOf returns the name of a func, with its package's.
func nameOf(f any) string {
	return path.Base(runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name())
}

// sample returns the layers for the key "", above a mark that says where they
// end.
func (p *perKey) sample() http.RoundTripper {
	end := &sampleEnd{p.next, keyEnd}
	if layer, _ := p.newLayer("", nil); layer != nil {
		return layer(end)
	}
	return end
}

// sample returns the layers of an endpoint, above a mark that says where they end.
func (f *failover) sample(e *endpoint) http.RoundTripper {
	return Chain(&sampleEnd{f.next, endpointEnd}, e.layer)
}

// sampleEnd stands below layers that are only looked at.
type sampleEnd struct {
	http.RoundTripper
	of step
}

// CloseIdleConnections is there so that nothing is put around it.
func (e *sampleEnd) CloseIdleConnections() { body.CloseIdle(e.RoundTripper) }
