package cache

import (
	"net/http"

	"github.com/sparekey/sparekey/policy"
)

// Unwrap and Part tell what the layer is: see transport.Inspect.

func (p *predictions) Unwrap() http.RoundTripper { return p.next }

func (p *predictions) Part() policy.Part {
	return policy.Part{Kind: policy.KindCache, Settings: p.cfg}
}
