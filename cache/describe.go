package cache

import (
	"net/http"

	"github.com/sparekey/sparekey/policy"
)

// Unwrap and Part tell what the layer is: see transport.Inspect.

func (p *predictions) Unwrap() http.RoundTripper { return p.next }

func (p *predictions) Part() policy.Part {
	settings, bounds := p.cfg, p.store.config() // which a Store that was given brings along
	settings.MaxBytes, settings.MaxEntries, settings.IdentityShare = bounds.MaxBytes, bounds.MaxEntries, bounds.IdentityShare
	return policy.Part{Kind: policy.KindCache, Settings: settings}
}
