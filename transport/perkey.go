package transport

import (
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/sparekey/sparekey/policy/body"
)

const (
	// maxKeys bounds how many keys a [PerKey] layer tells apart at once.
	maxKeys = 1024

	// maxNewKeys is how many of them may have been used just once while others,
	// used again, would have to go.
	maxNewKeys = maxKeys / 4
)

// PerKey returns a layer that keeps a separate layer for each key, made by
// newLayer when a key is first seen. Each transport that PerKey wraps has layers
// of its own. A key whose layer is nil has none.
//
// It keeps 1,024 keys. When there are more, one goes that has not been used for
// long, the ones that were used just once first, so that a flood of new keys
// leaves those in steady use alone. A key with a request under way, its body
// included, never goes. One that comes back after it has gone starts afresh.
//
// key and newLayer must be safe for concurrent use; newLayer must not be slow.
func PerKey(key func(*http.Request) string, newLayer func(key string) Layer) Layer {
	return perKeyOf(key, func(key string, _ *server) (Layer, *server) { return newLayer(key), nil })
}

// perKeyOf is PerKey for layers around servers: newLayer also gets the server that an
// earlier layer kept for the key, or nil, and returns the one to keep.
func perKeyOf(key func(*http.Request) string, newLayer func(key string, known *server) (Layer, *server)) Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		p := &perKey{key: key, newLayer: newLayer, next: next, once: newKeyList(), again: newKeyList()}
		p.newest = new(atomic.Pointer[perKey])
		p.newest.Store(p)
		return p
	}
}

// newKeyList returns a list of keys in the order of their use. It has no bound of
// its own.
func newKeyList() *simplelru.LRU[string, *keyEntry] {
	lru, err := simplelru.NewLRU[string, *keyEntry](math.MaxInt, nil)
	must(err)
	return lru
}

// Authority is a key for [PerKey]: the host and port that a request goes to.
func Authority(req *http.Request) string {
	host := strings.ToLower(strings.TrimSuffix(req.URL.Host, ":"))
	switch {
	case req.URL.Port() != "":
		return host
	case req.URL.Scheme == "https":
		return host + ":443"
	}
	return host + ":80"
}

type perKey struct {
	key      func(*http.Request) string
	newLayer func(key string, known *server) (Layer, *server)
	next     http.RoundTripper

	mu    sync.Mutex
	once  *simplelru.LRU[string, *keyEntry] // keys used once; guarded by mu, as all below
	again *simplelru.LRU[string, *keyEntry] // keys used more than once

	// newest is the last of those that took over, one from the other: p itself if nobody
	// has. They share it, so that who is still in use keeps alive none of those between.
	newest *atomic.Pointer[perKey]
}

// A keyEntry is the layer of one key, and who uses it.
type keyEntry struct {
	owner *perKey
	known *server // may be nil
	rt    http.RoundTripper
	busy  *atomic.Int64 // requests under way, by these settings and by earlier ones
}

// CloseIdleConnections forwards to the transport below.
func (p *perKey) CloseIdleConnections() { body.CloseIdle(p.next) }

func (p *perKey) RoundTrip(req *http.Request) (*http.Response, error) {
	var k *keyEntry
	done := false
	defer func() {
		if !done { // a panic below, or in key or newLayer
			if k != nil {
				k.end()
			}
			body.CloseRequest(req)
		}
	}()
	k = p.begin(p.key(req))
	resp, err := body.Send(k.rt, req)
	done = true
	if err != nil {
		k.end()
		return nil, err
	}
	body.Watch(resp, k)
	return resp, nil
}

// begin returns what key stands for, with one more request under way.
func (p *perKey) begin(key string) *keyEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.findLocked(key)
	k.busy.Add(1)
	p.trimLocked()
	return k
}

// knownLocked returns what key stands for, nil if it is new, and whether it was used
// once.
func (p *perKey) knownLocked(key string) (k *keyEntry, once bool) {
	if k, ok := p.again.Get(key); ok {
		return k, false
	}
	return p.once.Peek(key)
}

// findLocked returns the entry of key, which it makes if the key is new, and counts it
// as used.
func (p *perKey) findLocked(key string) *keyEntry {
	k, once := p.knownLocked(key)
	if once {
		p.once.Remove(key)
		p.again.Add(key, k)
	}
	if k != nil {
		return k
	}
	var heir *keyEntry
	if newest := p.newest.Load(); newest != p {
		heir = newest.entry(key)
	}
	k = p.newEntry(key, heir)
	p.once.Add(key, k)
	return k
}

// newEntry makes the layer of a key, for which another perKey may have an entry.
func (p *perKey) newEntry(key string, other *keyEntry) *keyEntry {
	k := &keyEntry{owner: p, rt: p.next}
	var known *server
	if other != nil {
		known, k.busy = other.known, other.busy
	} else {
		k.busy = new(atomic.Int64)
	}
	var layer Layer
	if layer, k.known = p.newLayer(key, known); layer != nil {
		k.rt = layer(p.next)
	}
	return k
}

// entry returns what key stands for.
func (p *perKey) entry(key string) *keyEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.trimLocked()
	return p.findLocked(key)
}

// inherit takes over the keys of another layer, of which nobody else may have done so. For
// keys that requests still under way there bring up, that layer asks p from now on, or who
// takes over from p.
func (p *perKey) inherit(from *perKey) {
	from.mu.Lock()
	defer from.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, keys := range []struct {
		to, from *simplelru.LRU[string, *keyEntry]
	}{{p.once, from.once}, {p.again, from.again}} {
		for _, key := range keys.from.Keys() {
			k, _ := keys.from.Peek(key)
			taken := p.newEntry(key, k)
			taken.known.takeOver()
			keys.to.Add(key, taken)
		}
	}
	p.newest = from.newest
	p.newest.Store(p)
}

// trimLocked lets go of a key or two if there are too many.
func (p *perKey) trimLocked() {
	for range 2 { // one that has come, and one that could not go then
		if p.once.Len()+p.again.Len() <= maxKeys {
			return
		}
		from, other := p.again, p.once
		if p.once.Len() > maxNewKeys {
			from, other = p.once, p.again
		}
		if !dropIdle(from) {
			dropIdle(other)
		}
	}
}

// dropIdle removes the key that has been out of use for longest, and reports
// whether there is one. It looks at a few only: those in use that it meets count
// as just used, so the next look is at others.
func dropIdle(lru *simplelru.LRU[string, *keyEntry]) bool {
	for range 8 {
		key, k, ok := lru.GetOldest()
		if !ok {
			return false
		}
		if k.busy.Load() == 0 {
			return lru.Remove(key)
		}
		lru.Get(key)
	}
	return false
}

// BodyEnd implements [body.Watcher].
func (k *keyEntry) BodyEnd(err error) error {
	k.end()
	return err
}

// end ends a request.
func (k *keyEntry) end() {
	k.owner.mu.Lock()
	defer k.owner.mu.Unlock()
	k.busy.Add(-1)
	k.owner.trimLocked()
}
