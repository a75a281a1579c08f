package transport

import (
	"net/http"
	"strings"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxKeys bounds how many keys a [PerKey] layer tells apart at once.
const maxKeys = 1024

// PerKey returns a layer that keeps a separate layer for each key, made by
// newLayer when a key is first seen. It keeps the 1,024 keys that were used
// last: one that comes back after it was dropped starts afresh. Each transport
// that PerKey wraps has layers of its own. A key whose layer is nil has none.
//
// key and newLayer must be safe for concurrent use; newLayer must not be slow.
func PerKey(key func(*http.Request) string, newLayer func(key string) Layer) Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		lru, err := simplelru.NewLRU[string, http.RoundTripper](maxKeys, nil)
		must(err)
		return &perKey{key: key, newLayer: newLayer, next: next, lru: lru}
	}
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
	newLayer func(key string) Layer
	next     http.RoundTripper

	mu  sync.Mutex
	lru *simplelru.LRU[string, http.RoundTripper] // guarded by mu
}

// CloseIdleConnections forwards to the transport below.
func (p *perKey) CloseIdleConnections() { closeIdle(p.next) }

func (p *perKey) RoundTrip(req *http.Request) (*http.Response, error) {
	return p.layerFor(p.key(req)).RoundTrip(req)
}

func (p *perKey) layerFor(key string) http.RoundTripper {
	p.mu.Lock()
	defer p.mu.Unlock()
	if rt, ok := p.lru.Get(key); ok {
		return rt
	}
	rt := p.next
	if layer := p.newLayer(key); layer != nil {
		rt = layer(rt)
	}
	p.lru.Add(key, rt)
	return rt
}
