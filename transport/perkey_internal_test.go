package transport

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
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
