package transport

import (
	"fmt"
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
// Of layers that [PerKey] keeps, Inspect makes those for the key "", looks at
// them and forgets them.
func Inspect(rt http.RoundTripper) []policy.Part {
	if rt == nil {
		rt = http.DefaultTransport
	}
	var parts []policy.Part
	keys := []string{""} // of the PerKey layers around, the innermost last
	for range maxWalk {
		part, below, kind := look(rt)
		switch kind {
		case aLayer:
			part.Key = keys[len(keys)-1]
			parts = append(parts, part)
		case keyBegin:
			keys = append(keys, part.Key)
		case keyEnd:
			keys = keys[:len(keys)-1]
		}
		if below == nil {
			return parts
		}
		rt = below
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

// A step is what the walk meets.
type step uint8

const (
	aLayer step = iota
	nothing
	keyBegin // of the layers for one key
	keyEnd
)

// look returns what rt is and what it wraps, nil at the end.
func look(rt http.RoundTripper) (part policy.Part, below http.RoundTripper, kind step) {
	switch rt := rt.(type) {
	case *perKey:
		return policy.Part{Key: nameOf(rt.key)}, rt.sample(), keyBegin
	case *sampleEnd:
		return policy.Part{}, rt.RoundTripper, keyEnd
	case *forwarder:
		return lookBehind(rt)
	}
	part, below = describe(rt)
	return part, below, aLayer
}

// lookBehind looks at a layer that does not forward CloseIdleConnections.
func lookBehind(f *forwarder) (policy.Part, http.RoundTripper, step) {
	if same(f.RoundTripper, f.next) { // a layer that is off
		return policy.Part{}, f.next, nothing
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
	end := &sampleEnd{p.next}
	if layer := p.newLayer(""); layer != nil {
		return layer(end)
	}
	return end
}

// sampleEnd stands below layers that are only looked at.
type sampleEnd struct{ http.RoundTripper }

// CloseIdleConnections is there so that nothing is put around it.
func (e *sampleEnd) CloseIdleConnections() { body.CloseIdle(e.RoundTripper) }
