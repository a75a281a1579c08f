package cache

import (
	"net/http"
	"strings"
)

// mark adds what is said of a response to its Cache-Status field, after what
// caches nearer to the origin said.
func (c *httpCache) mark(resp *http.Response, said string) {
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	own := c.cfg.Name + "; " + said
	if upstream := resp.Header["Cache-Status"]; len(upstream) > 0 {
		own = strings.Join(upstream, ", ") + ", " + own
	}
	resp.Header["Cache-Status"] = []string{own}
}

// isToken reports whether a text can be the name of a cache as it is (RFC 9651
// section 3.3.4).
func isToken(text string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return text != "" && strings.Contains(letters+"*", text[:1]) &&
		strings.Trim(text, letters+"0123456789!#$%&'*+-.^_`|~:/") == ""
}
