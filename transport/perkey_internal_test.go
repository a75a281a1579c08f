package transport

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"weak"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

// A key that a call meets first while it is under way by earlier settings stands for
// the same server as with those in force, whoever meets it first.
func TestPerKeyHeirKnowsNewKeys(t *testing.T) {
	var made []*server
	newPerKey := func() *perKey {
		layer := perKeyOf(Authority, func(_ string, known *server) (Layer, *server) {
			if known == nil {
				known = &server{}
				made = append(made, known)
			}
			return nil, known
		})
		return layer(http.DefaultTransport).(*perKey)
	}
	earlier, later, last := newPerKey(), newPerKey(), newPerKey()
	later.inherit(earlier)
	last.inherit(later)

	for _, key := range []string{"met by the first", "met by the last"} {
		all := []*perKey{earlier, later, last}
		if key == "met by the last" {
			all = []*perKey{last, later, earlier}
		}
		first := all[0].begin(key)
		for _, p := range all[1:] {
			k := p.begin(key)
			assert.Same(t, first.known, k.known, key)
			k.end()
		}
		first.end()
	}
	assert.Len(t, made, 2)
}

// Settings that are in use for long keep alive none of those between them and the newest.
func TestPerKeyHeirsBetweenAreForgotten(t *testing.T) {
	first, last := newServers(), newServers()
	k := first.begin("streams for days")
	between := func() weak.Pointer[perKey] {
		p := newServers()
		p.inherit(first)
		last.inherit(p)
		return weak.Make(p)
	}()
	runtime.GC()
	assert.Nil(t, between.Value())
	assert.Same(t, last, first.newest.Load())
	k.end()
	runtime.KeepAlive(first)
}

// A key with a request under way by earlier settings stays by those in force, too, and
// goes when its time has come. Keys that the request brings up count.
func TestPerKeyHeirKeepsKeysInUse(t *testing.T) {
	earlier, later := newServers(), newServers()
	inUse := map[string]*keyEntry{"met before": earlier.begin("met before")}
	later.inherit(earlier)
	inUse["met since"] = earlier.begin("met since")
	flood := func(p *perKey) {
		for i := range 2 * maxKeys {
			key := fmt.Sprint("flood ", i)
			p.begin(key).end()
			p.begin(key).end()
		}
	}
	flood(earlier)
	assert.LessOrEqual(t, later.once.Len()+later.again.Len(), maxKeys)
	flood(later)
	for key, k := range inUse {
		again := later.begin(key)
		assert.Same(t, k.known.limiter.gate, again.known.limiter.gate, "%s, in use", key)
		again.end()
		k.end()
	}
	flood(later)
	for key, k := range inUse {
		assert.NotSame(t, k.known.limiter.gate, later.begin(key).known.limiter.gate, "%s, out of use", key)
	}
}

// Whichever keys are in use, idle ones go for them; a few too many may stay for a while.
func TestPerKeyKeepsItsBound(t *testing.T) {
	const slack = maxKeys / 8
	for _, again := range []int{0, maxKeys - maxNewKeys} { // idle keys used more than once
		for _, busy := range []int{10, maxKeys} { // keys used once
			p := PerKey(Authority, func(string) Layer { return nil })(http.DefaultTransport).(*perKey)
			for i := range again {
				p.begin(fmt.Sprint("again ", i)).end()
				p.begin(fmt.Sprint("again ", i)).end()
			}
			var inUse []*keyEntry
			for i := range busy {
				inUse = append(inUse, p.begin(fmt.Sprint("busy ", i)))
			}
			assert.LessOrEqual(t, p.once.Len()+p.again.Len(), maxKeys+slack, "%d used again, %d in use", again, busy)
			for i := range 2 * maxKeys {
				p.begin(fmt.Sprint("once ", i)).end()
			}
			assert.LessOrEqual(t, p.once.Len()+p.again.Len(), maxKeys+slack, "%d used again, %d in use, others once", again, busy)
			for _, k := range inUse {
				k.end()
			}
			assert.LessOrEqual(t, p.once.Len()+p.again.Len(), maxKeys, "%d used again, none in use any more", again)
		}
	}
}

func newServers() *perKey {
	return perKeyOf(Authority, func(_ string, known *server) (Layer, *server) {
		return nil, newServer(policy.Stack{}, known)
	})(http.DefaultTransport).(*perKey)
}
