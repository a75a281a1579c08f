package cache_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
)

// A step is one request to the cache.
type step struct {
	after   time.Duration // time since the step before
	request string        // "GET" if empty; a method and lines of the header
	answer  string        // what the origin would say: a status and lines of the header; "" is an error
	want    string        // what Cache-Status says, or the error
	status  int           // what the caller gets, if not what the origin says
}

// origin answers as its current step has it, and a request for what it would say
// again with 304.
type origin struct {
	step  *step
	asked []http.Header
}

var nowField = regexp.MustCompile(`\{now([+-]\d+)?\}`)

// lines adds lines of a header to h. {now-60} is the date of a minute ago.
func lines(h http.Header, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		h.Add(name, nowField.ReplaceAllStringFunc(value, func(field string) string {
			seconds, _ := strconv.Atoi(nowField.FindStringSubmatch(field)[1])
			return time.Now().Add(time.Duration(seconds) * time.Second).UTC().Format(http.TimeFormat)
		}))
	}
}

func (o *origin) RoundTrip(req *http.Request) (*http.Response, error) {
	o.asked = append(o.asked, req.Header.Clone())
	if req.Body != nil {
		_ = req.Body.Close()
	}
	if o.step.answer == "" {
		return nil, errDown
	}
	first, rest, _ := strings.Cut(strings.TrimSpace(o.step.answer), "\n")
	status, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return nil, err
	}
	resp := response(status, fmt.Sprintf("answer %d", len(o.asked)))
	resp.Header = http.Header{}
	lines(resp.Header, rest)
	if resp.Header.Get("Date") == "" {
		lines(resp.Header, "Date: {now}")
	}
	if tag := resp.Header.Get("Etag"); tag != "" && req.Header.Get("If-None-Match") == tag ||
		tag == "" && resp.Header.Get("Last-Modified") != "" && req.Header.Get("If-Modified-Since") == resp.Header.Get("Last-Modified") {
		resp.StatusCode, resp.Body, resp.ContentLength = http.StatusNotModified, http.NoBody, 0
	}
	if req.Method == http.MethodHead {
		resp.Body = http.NoBody
	}
	return resp, nil
}

const thing = "https://api.test/v1/thing"

// take takes the step and returns the response's header and body.
func take(t *testing.T, rt http.RoundTripper, o *origin, s *step) (http.Header, string) {
	t.Helper()
	time.Sleep(s.after)
	o.step = s
	method, header, _ := strings.Cut(strings.TrimSpace(s.request), "\n")
	if method == "" {
		method = http.MethodGet
	}
	method, target, _ := strings.Cut(method, " ")
	if target == "" {
		target = thing
	}
	req, err := http.NewRequest(method, target, nil)
	require.NoError(t, err)
	lines(req.Header, header)
	resp, err := rt.RoundTrip(req)
	if err != nil {
		assert.Equal(t, s.want, err.Error())
		return nil, ""
	}
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, s.want, strings.TrimPrefix(resp.Header.Get("Cache-Status"), "sparekey; "))
	if want := s.status; want != 0 {
		assert.Equal(t, want, resp.StatusCode)
	}
	return resp.Header, string(text)
}

// manyFields are more than an answer that is stored may vary by.
var manyFields = func() (text string) {
	for i := range 33 {
		text += fmt.Sprint("\nVary: A", i)
	}
	return text
}()

const (
	first  = "fwd=uri-miss; fwd-status=200; stored"
	unkept = "fwd=uri-miss; fwd-status=200"
	again  = "fwd=stale; fwd-status=200; stored"
	proven = "fwd=stale; fwd-status=304; stored"
	tagged = "200\nEtag: \"a\"\nCache-Control: max-age=10"
	minute = time.Minute
)

// TestHTTPRules goes through what RFC 9111, 5861 and 9211 ask of a private cache.
func TestHTTPRules(t *testing.T) {
	hit := func(ttl int64) string { return fmt.Sprintf("hit; ttl=%d", ttl) }
	staleHit := func(ttl int, why string) string { return fmt.Sprintf("hit; ttl=%d; detail=%s", ttl, why) }
	tests := []struct {
		name  string
		steps []step
	}{
		// Freshness: RFC 9111 section 4.2.
		{"max-age", []step{
			{answer: "200\nCache-Control: max-age=60", want: first},
			{after: minute - 1, want: hit(0)},
			{after: 1, answer: "200\nCache-Control: max-age=60", want: again},
		}},
		{"max-age in any case, quoted and after an extension", []step{
			{answer: "200\nCache-Control: a=\"b, max-age=1\", MAX-AGE=\"60\"", want: first}, {after: 59 * time.Second, want: hit(1)},
		}},
		{"the least max-age counts", []step{{answer: "200\nCache-Control: max-age=60\nCache-Control: max-age=5", want: first}, {want: hit(5)}}},
		{"a max-age that cannot be read is none", []step{
			{answer: "200\nEtag: \"a\"\nCache-Control: max-age='60'", want: first},
			{answer: "200", want: again[:len(again)-len("; stored")]},
		}},
		{"more seconds than there are", []step{{answer: "200\nCache-Control: max-age=99999999999999999999", want: first}, {want: hit(1 << 31)}}},
		{"max-age before Expires", []step{{answer: "200\nCache-Control: max-age=60\nExpires: {now-60}", want: first}, {want: hit(60)}}},
		{"s-maxage is for shared caches", []step{{answer: "200\nCache-Control: s-maxage=60, max-age=5", want: first}, {want: hit(5)}}},
		{"Expires", []step{{answer: "200\nExpires: {now+60}", want: first}, {after: 59 * time.Second, want: hit(1)}}},
		{"Expires counts from Date", []step{{answer: "200\nDate: {now+100}\nExpires: {now+160}", want: first}, {want: hit(60)}}},
		{"Expires that is no date is past", []step{{answer: "200\nEtag: \"a\"\nExpires: 0", want: first}, {answer: "200\nEtag: \"a\"", want: proven}}},
		{"two Expires are none", []step{{answer: "200\nEtag: \"a\"\nExpires: {now+60}\nExpires: {now+60}", want: first}, {answer: "200\nEtag: \"a\"", want: proven}}},
		{"Expires counts from its arrival if it has no Date", []step{{answer: "200\nDate: x\nExpires: {now+60}", want: first}, {want: hit(60)}}},
		{"a tenth of its age for one without a lifetime", []step{{answer: "200\nLast-Modified: {now-600}", want: first}, {want: hit(60)}}},
		{"but not for every status", []step{
			{answer: "403\nCache-Control: private\nLast-Modified: {now-600}", want: "fwd=uri-miss; fwd-status=403; stored"},
			{answer: "200\nLast-Modified: {now-6000}", want: again},
		}},
		{"unless it is public", []step{{answer: "403\nCache-Control: public\nLast-Modified: {now-600}", want: "fwd=uri-miss; fwd-status=403; stored"}, {want: hit(60)}}},
		{"a day at most", []step{{answer: "200\nLast-Modified: {now-99999999}", want: first}, {want: hit(24 * 3600)}}},
		{"Age", []step{{answer: "200\nCache-Control: max-age=60\nAge: 50", want: first}, {want: hit(10)}}},
		{"the first Age", []step{{answer: "200\nCache-Control: max-age=60\nAge: 50, 0\nAge: 0", want: first}, {want: hit(10)}}},
		{"an Age that is none", []step{{answer: "200\nCache-Control: max-age=60\nAge: -50", want: first}, {want: hit(60)}}},
		{"an old Date", []step{{answer: "200\nCache-Control: max-age=60\nDate: {now-50}", want: first}, {want: hit(10)}}},

		{"a Date in the middle of its second", []step{{after: time.Second / 2, answer: "200\nCache-Control: max-age=60", want: first}, {want: hit(60)}}},
		{"an end that is over makes it no older", []step{{answer: "200\nEtag: \"a\"\nExpires: {now-7200}", want: first}, {want: staleHit(0, "stale-if-error")}}},
		{"nor does a change that is yet to come", []step{{answer: "200\nLast-Modified: {now+72000}", want: first}, {want: staleHit(0, "stale-if-error")}}},

		// Of what is said twice the stricter counts: section 4.2.1.
		{"max-age twice", []step{{answer: "200\nCache-Control: max-age=10, max-age=60", want: first}, {want: hit(10)}}},
		{"stale-while-revalidate twice", []step{
			{answer: tagged + ", stale-while-revalidate=5, stale-while-revalidate=60", want: first},
			{after: 15 * time.Second, answer: tagged, want: proven},
		}},
		{"stale-if-error twice", []step{
			{answer: tagged + ", stale-if-error=5, stale-if-error=60", want: first},
			{after: 15 * time.Second, want: errDown.Error()},
		}},
		{"request: min-fresh twice", []step{
			{answer: tagged, want: first},
			{request: "GET\nCache-Control: min-fresh=11, min-fresh=5", answer: tagged, want: strings.Replace(proven, "stale", "request", 1)},
		}},
		{"request: max-stale twice", []step{
			{answer: tagged, want: first},
			{after: 15 * time.Second, request: "GET\nCache-Control: max-stale=2, max-stale=60", answer: tagged, want: proven},
		}},

		// What is stored: section 3.
		{"no-store", []step{{answer: "200\nCache-Control: No-Store, max-age=60", want: unkept}, {answer: "200", want: unkept}}},
		{"no-store and must-understand", []step{{answer: "200\nCache-Control: no-store, must-understand, max-age=60", want: first}, {want: hit(60)}}},
		{"must-understand what is not understood", []step{
			{answer: "299\nCache-Control: must-understand, max-age=60", want: "fwd=uri-miss; fwd-status=299"},
		}},
		{"must-understand that comes with a 304 about what is not understood", []step{
			{answer: "299\nEtag: \"a\"\nCache-Control: max-age=9", want: "fwd=uri-miss; fwd-status=299; stored"},
			{after: 10 * time.Second, answer: "304\nEtag: \"a\"\nCache-Control: must-understand, max-age=60", want: "fwd=stale; fwd-status=304", status: 299},
			{answer: "299", want: "fwd=uri-miss; fwd-status=299"},
		}},
		{"no-store and must-understand that come with a 304", []step{
			{answer: tagged, want: first},
			{after: 10 * time.Second, answer: "304\nEtag: \"a\"\nCache-Control: no-store, must-understand, max-age=60", want: proven, status: 200},
			{want: hit(60)},
		}},
		{"errors with a lifetime", []step{{answer: "500\nCache-Control: max-age=60", want: "fwd=uri-miss; fwd-status=500; stored"}, {want: hit(60), status: 500}}},
		{"errors without", []step{{answer: "500\nEtag: \"a\"\nCache-Control: stale-if-error=60", want: "fwd=uri-miss; fwd-status=500"}, {want: errDown.Error()}}},
		{"errors without, which leave what is there", []step{
			{answer: tagged + ", stale-if-error=60", want: first},
			{after: 10 * time.Second, answer: "403\nLast-Modified: {now-60}", want: "fwd=stale; fwd-status=403"},
			{want: staleHit(0, "stale-if-error")},
		}},
		{"misses, which every cache may keep", []step{{answer: "404\nEtag: \"a\"", want: "fwd=uri-miss; fwd-status=404; stored"}, {want: staleHit(0, "stale-if-error"), status: 404}}},
		{"parts", []step{
			{request: "GET\nRange: bytes=0-1", answer: "206\nCache-Control: max-age=60\nContent-Range: bytes 0-1/9", want: "fwd=bypass"},
			{answer: "200\nCache-Control: max-age=60", want: first},
		}},
		{"event streams", []step{{answer: "200\nContent-Type: text/event-stream\nCache-Control: max-age=60", want: unkept}}},
		{"what may stand in", []step{{answer: "200\nCache-Control: max-age=0, stale-if-error=60", want: first}, {want: staleHit(0, "stale-if-error")}}},
		{"what nobody could ask about, though it must be", []step{{answer: "200\nCache-Control: max-age=60, no-cache", want: unkept}}},
		{"the later one, though it came before", []step{
			{answer: tagged, want: first},
			{request: "GET\nCache-Control: no-cache", answer: "200\nEtag: \"b\"\nAge: 5\nCache-Control: max-age=10", want: "fwd=request; fwd-status=200; stored"},
			{want: hit(10)},
		}},
		{"the later one, though it is public", []step{
			{request: "GET\nCookie: a", answer: tagged, want: first},
			{after: time.Second, request: "GET\nCookie: b", answer: "200\nCache-Control: public, max-age=60", want: first},
			{request: "GET\nCookie: a", want: hit(60)},
		}},
		{"the later one of two, though the other was stored later", []step{
			{request: "GET\nFoo: 1\nBar: 1", answer: "200\nCache-Control: max-age=60\nVary: foo", want: first},
			{request: "GET\nFoo: 2\nBar: 2", answer: "200\nAge: 30\nCache-Control: max-age=60\nVary: bar", want: "fwd=vary-miss; fwd-status=200; stored"},
			{request: "GET\nFoo: 1\nBar: 2", want: hit(60)},
		}},
		{"what has no content", []step{{answer: "204\nCache-Control: max-age=10", want: "fwd=uri-miss; fwd-status=204; stored"}, {want: hit(10), status: 204}}},
		{"errors with an end", []step{{answer: "500\nExpires: {now+60}", want: "fwd=uri-miss; fwd-status=500; stored"}, {want: hit(60), status: 500}}},
		{"the later one, though it is for one", []step{
			{answer: "200\nCache-Control: public, max-age=60", want: first},
			{after: time.Second, request: "GET\nCookie: a\nCache-Control: no-cache", answer: tagged, want: "fwd=request; fwd-status=200; stored"},
			{request: "GET\nCookie: a", want: hit(10)},
		}},
		{"what is for one outlives what is for another", []step{
			{request: "GET\nCookie: a", answer: "200\nCache-Control: max-age=7200", want: first},
			{request: "GET\nCookie: b", answer: "200\nCache-Control: max-age=1", want: first},
			{after: 2*time.Hour - time.Second, request: "GET\nCookie: a", want: hit(1)},
		}},
		{"what nobody could ask about", []step{{answer: "200", want: unkept}}},
		{"what answers to no-store", []step{{request: "GET\nCache-Control: no-store", answer: tagged, want: "fwd=bypass"}, {answer: tagged, want: first}}},
		{"what stands in for an answer", []step{{answer: "200\nCache-Control: max-age=60\nSparekey-Answer: rule", want: unkept}}},

		// Directives of the response: section 5.2.2.
		{"no-cache", []step{{answer: "200\nEtag: \"a\"\nCache-Control: max-age=60, no-cache", want: first}, {answer: tagged, want: proven}}},
		{"no-cache of fields that it does not name", []step{{answer: "200\nEtag: \"a\"\nCache-Control: max-age=60, no-cache=\" , \"", want: first}, {answer: tagged, want: proven}}},
		{"must-revalidate", []step{
			{answer: tagged + ", must-revalidate", want: first},
			{want: hit(10)},
			{after: 10 * time.Second, want: errDown.Error()},
		}},

		// Directives of the request: section 5.2.1.
		{"request: max-age", []step{
			{answer: tagged, want: first},
			{after: 5 * time.Second, request: "GET\nCache-Control: max-age=5", want: hit(5)},
			{after: 1, request: "GET\nCache-Control: max-age=5", answer: tagged, want: strings.Replace(proven, "stale", "request", 1)},
		}},
		{"request: no-cache", []step{{answer: tagged, want: first}, {request: "GET\nCache-Control: no-cache", answer: tagged, want: strings.Replace(proven, "stale", "request", 1)}}},
		{"request: Pragma", []step{
			{answer: tagged, want: first},
			{request: "GET\nPragma: no-cache", answer: tagged, want: strings.Replace(proven, "stale", "request", 1)},
			{request: "GET\nPragma: no-cache\nCache-Control: x", want: hit(10)},
		}},
		{"request: min-fresh", []step{
			{answer: tagged, want: first},
			{request: "GET\nCache-Control: min-fresh=10", want: hit(10)},
			{request: "GET\nCache-Control: min-fresh=11", answer: tagged, want: strings.Replace(proven, "stale", "request", 1)},
		}},
		{"request: max-stale", []step{
			{answer: tagged, want: first},
			{after: 15 * time.Second, request: "GET\nCache-Control: max-stale=5", want: staleHit(-5, "max-stale")},
			{request: "GET\nCache-Control: max-stale", want: staleHit(-5, "max-stale")},
			{after: 1, request: "GET\nCache-Control: max-stale=5", answer: tagged, want: proven},
		}},
		{"request: max-stale and must-revalidate", []step{
			{answer: tagged + ", must-revalidate", want: first},
			{after: 11 * time.Second, request: "GET\nCache-Control: max-stale", answer: tagged, want: proven},
		}},
		{"request: max-stale, and min-fresh", []step{
			{answer: tagged, want: first},
			{after: 15 * time.Second, request: "GET\nCache-Control: max-stale=60, min-fresh=0", answer: tagged, want: proven},
		}},
		{"request: max-stale beyond MaxStale", []step{
			{answer: tagged, want: first},
			{after: 10*time.Second + time.Hour + 1, request: "GET\nCache-Control: max-stale", answer: tagged, want: proven},
		}},
		{"request: only-if-cached", []step{
			{request: "GET\nCache-Control: only-if-cached", want: "detail=only-if-cached", status: 504},
			{answer: tagged, want: first},
			{request: "GET\nCache-Control: only-if-cached", want: hit(10)},
		}},

		{"request: only-if-cached, of what is not looked for", []step{
			{answer: tagged, want: first},
			{request: "GET\nCache-Control: only-if-cached, no-store", want: "detail=only-if-cached", status: 504},
			{request: "GET\nCache-Control: only-if-cached\nIf-Match: \"a\"", want: "detail=only-if-cached", status: 504},
		}},

		// Vary: section 4.1.
		{"Vary", []step{
			{request: "GET\nFoo: 1", answer: tagged + "\nVary: foo", want: first},
			{request: "GET\nFoo: 1\nBar: 2", want: hit(10)},
			{request: "GET\nFoo: 2", answer: tagged + "\nVary: foo", want: "fwd=vary-miss; fwd-status=200; stored"},
			{request: "GET\nFoo: 1", want: hit(10)},
			{request: "GET\nFoo: 2", want: hit(10)},
			{answer: tagged, want: "fwd=vary-miss; fwd-status=200; stored"},
		}},
		{"of what is for one", []step{
			{request: "GET\nCookie: a\nFoo: 1", answer: tagged + "\nVary: foo", want: first},
			{request: "GET\nCookie: a\nFoo: 2", answer: tagged + "\nVary: foo", want: "fwd=vary-miss; fwd-status=200; stored"},
		}},
		{"one that is older than another", []step{
			{request: "GET\nFoo: 1", answer: tagged + "\nVary: foo", want: first},
			{request: "GET\nFoo: 2", answer: tagged + "\nAge: 5\nVary: foo", want: "fwd=vary-miss; fwd-status=200; stored"},
			{request: "GET\nFoo: 2", want: hit(5)},
		}},
		{"one that lasts outlives another", []step{
			{request: "GET\nFoo: 1", answer: "200\nCache-Control: max-age=7200\nVary: foo", want: first},
			{request: "GET\nFoo: 2", answer: "200\nCache-Control: max-age=1\nVary: foo", want: "fwd=vary-miss; fwd-status=200; stored"},
			{after: 2*time.Hour - time.Second, request: "GET\nFoo: 1", want: hit(1)},
		}},
		{"an empty field is not an absent one", []step{
			{request: "GET\nFoo: ,", answer: tagged + "\nVary: foo", want: first},
			{request: "GET\nFoo: ,", want: hit(10)},
			{answer: tagged + "\nVary: foo", want: "fwd=vary-miss; fwd-status=200; stored"},
		}},
		{"more fields than anybody compares", []step{{answer: tagged + strings.Repeat("\nVary: A", 33), want: first}, {request: "GET " + thing + "?many", answer: tagged + manyFields, want: unkept}}},
		{"Vary: *", []step{{answer: tagged + "\nVary: Foo, *", want: unkept}}},
		{"spelling of fields", []step{{request: "GET\nFoo: 1, 2", answer: tagged + "\nVary: foo", want: first}, {request: "GET\nFoo: 1\nFoo:   2 ", want: hit(10)}}},
		{"quoted texts", []step{
			{request: "GET\nFoo: \"1, 2\"", answer: tagged + "\nVary: foo", want: first},
			{request: "GET\nFoo: \"1,2\"", answer: tagged + "\nVary: foo", want: "fwd=vary-miss; fwd-status=200; stored"},
		}},
		{"case and order count in all but languages", []step{
			{request: "GET\nFoo: a, b", answer: tagged + "\nVary: foo", want: first},
			{request: "GET\nFoo: A, b", answer: tagged + "\nVary: foo", want: "fwd=vary-miss; fwd-status=200; stored"},
			{request: "GET\nFoo: b, a", answer: tagged + "\nVary: foo", want: "fwd=vary-miss; fwd-status=200; stored"},
		}},
		{"languages in another order", []step{
			{request: "GET\nAccept-Language: en, de;q=0.5", answer: tagged + "\nVary: Accept-Language", want: first},
			{request: "GET\nAccept-Language: DE;q=0.5, en", want: hit(10)},
			{request: "GET\nAccept-Language: de, en;q=0.5", answer: tagged, want: "fwd=vary-miss; fwd-status=200; stored"},
		}},
		{"the language that is wanted most", []step{
			{request: "GET\nAccept-Language: en, de", answer: tagged + "\nVary: Accept-Language, Foo\nContent-Language: de", want: first},
			{request: "GET\nAccept-Language: fr;q=0.5, de", want: hit(10)},
			{request: "GET\nAccept-Language: fr;q=0.5, de\nFoo: 1", answer: tagged + "\nVary: Accept-Language, Foo", want: "fwd=vary-miss; fwd-status=200; stored"},
			{request: "GET\nAccept-Language: fr, de", answer: tagged, want: "fwd=vary-miss; fwd-status=200; stored"},
		}},
		{"codings, though it does not say so", []step{
			{request: "GET\nAccept-Encoding: br", answer: tagged + "\nContent-Encoding: br", want: first},
			{answer: tagged, want: "fwd=vary-miss; fwd-status=200; stored"},
			{request: "GET\nAccept-Encoding: br", want: hit(10)},
		}},
		{"what is not coded is for all codings", []step{{request: "GET\nAccept-Encoding: br", answer: tagged, want: first}, {want: hit(10)}}},

		// Validation: section 4.3.
		{"by entity tag", []step{{answer: tagged, want: first}, {after: 10 * time.Second, answer: tagged, want: proven}, {after: 9 * time.Second, want: hit(1)}}},
		{"confirmed a while ago", []step{{answer: tagged, want: first}, {after: 10 * time.Second, answer: tagged + "\nAge: 4", want: proven}, {want: hit(6)}}},
		{"confirmed by its date, with an entity tag that is new", []step{
			{answer: "200\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT\nCache-Control: max-age=1", want: first},
			{after: time.Second, answer: "304\nEtag: \"a\"\nCache-Control: max-age=9", want: proven},
			{want: hit(9)},
		}},
		{"of an earlier date, which is not what was asked about", []step{
			{answer: "200\nLast-Modified: {now-60}\nCache-Control: max-age=1", want: first},
			{after: time.Second, answer: "304\nLast-Modified: {now-90}\nCache-Control: max-age=9", want: "fwd=stale; fwd-status=304"},
			{request: "GET\nCache-Control: only-if-cached", want: "detail=only-if-cached", status: 504},
		}},
		{"what the caller has confirms nothing", []step{
			{answer: "200\nLast-Modified: {now-60}\nCache-Control: max-age=1", want: first},
			{after: time.Second, request: "GET\nIf-None-Match: \"b\"", answer: "200\nEtag: \"b\"", want: again, status: 200},
		}},
		{"a condition goes on if there is nothing to confirm", []step{
			{answer: "200\nCache-Control: max-age=1", want: first},
			{after: time.Second, request: "GET\nIf-None-Match: \"b\"", answer: "200\nEtag: \"b\"", want: "fwd=stale; fwd-status=304", status: 304},
		}},
		{"by date", []step{
			{answer: "200\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT\nCache-Control: max-age=1", want: first},
			{after: time.Second, answer: "200\nLast-Modified: Sat, 01 Jan 2000 00:00:00 GMT\nCache-Control: max-age=9", want: proven},
			{want: hit(9)},
		}},
		{"replaced", []step{{answer: tagged, want: first}, {after: 10 * time.Second, answer: "200\nEtag: \"b\"\nCache-Control: max-age=10", want: again}, {want: hit(10)}}},
		{"replaced by what is not to be stored", []step{
			{answer: tagged, want: first},
			{request: "GET\nCache-Control: no-cache", answer: "200\nEtag: \"b\"\nCache-Control: no-store", want: "fwd=request; fwd-status=200"},
			{answer: tagged, want: first},
		}},
		{"gone", []step{
			{answer: tagged, want: first},
			{after: 11 * time.Second, answer: "410", want: "fwd=stale; fwd-status=410"},
			{want: errDown.Error()},
		}},
		{"gone as what stands in says", []step{
			{answer: tagged, want: first},
			{after: 11 * time.Second, answer: "404\nSparekey-Answer: static", want: "fwd=stale; fwd-status=404"},
			{want: staleHit(-1, "stale-if-error")},
		}},
		{"not replaced by what stands in", []step{
			{answer: tagged, want: first},
			{request: "GET\nCache-Control: no-cache", answer: "200\nSparekey-Answer: static\nContent-Length: 99", want: "fwd=request; fwd-status=200"},
			{want: hit(10)},
		}},
		{"If-None-Match", []step{
			{answer: tagged, want: first},
			{request: "GET\nIf-None-Match: \"b,\", W/\"a\"", want: hit(10), status: 304},
			{request: "GET\nIf-None-Match: *", want: hit(10), status: 304},
			{request: "GET\nIf-None-Match: \"b\"", want: hit(10), status: 200},
			{request: "GET\nIf-None-Match: \"b\"\nIf-Modified-Since: {now}", want: hit(10), status: 200},
			{after: 11 * time.Second, request: "GET\nIf-None-Match: \"a\"", answer: tagged, want: proven, status: 304},
		}},
		{"If-Modified-Since", []step{
			{answer: "200\nLast-Modified: {now-60}\nCache-Control: max-age=9", want: first},
			{request: "GET\nIf-Modified-Since: {now-60}", want: hit(9), status: 304},
			{request: "GET\nIf-Modified-Since: {now-61}", want: hit(9), status: 200},
		}},
		{"If-Modified-Since of what says when it was made", []step{{answer: "200\nCache-Control: max-age=9", want: first}, {request: "GET\nIf-Modified-Since: {now}", want: hit(9), status: 304}}},
		{"but not of what does not say it", []step{{answer: "200\nDate: x\nCache-Control: max-age=9", want: first}, {request: "GET\nIf-Modified-Since: {now}", want: hit(9), status: 200}}},
		{"conditions are of what was found", []step{
			{answer: "404\nEtag: \"a\"\nCache-Control: max-age=9", want: "fwd=uri-miss; fwd-status=404; stored"},
			{request: "GET\nIf-None-Match: \"a\"", want: hit(9), status: 404},
		}},
		{"confirmed, and varying by something else", []step{
			{request: "GET\nFoo: 1", answer: tagged + "\nVary: foo", want: first},
			{after: 10 * time.Second, request: "GET\nFoo: 1\nBar: 1", answer: tagged + "\nVary: bar", want: proven},
			{request: "GET\nFoo: 2\nBar: 1", want: hit(10)},
			{request: "GET\nFoo: 1\nBar: 2", answer: tagged + "\nVary: bar", want: "fwd=vary-miss; fwd-status=200; stored"},
		}},
		{"of a condition that is not met nothing is known", []step{
			{request: "GET\nIf-None-Match: \"a\"", answer: tagged, want: "fwd=uri-miss; fwd-status=304", status: 304},
			{answer: tagged, want: first},
		}},
		{"If-Match is for the origin", []step{{answer: tagged, want: first}, {request: "GET\nIf-Match: \"a\"", answer: tagged, want: "fwd=bypass"}}},
		{"so is If-Unmodified-Since", []step{{answer: tagged, want: first}, {request: "GET\nIf-Unmodified-Since: {now}", answer: tagged, want: "fwd=bypass"}}},
		{"so is Upgrade", []step{{answer: tagged, want: first}, {request: "GET\nUpgrade: websocket", answer: tagged, want: "fwd=bypass"}}},
		{"so is a stream", []step{{answer: tagged, want: first}, {request: "GET\nAccept: text/event-stream", answer: tagged, want: "fwd=bypass"}}},

		{"confirmed, and not to be stored any more", []step{
			{answer: tagged, want: first},
			{after: 10 * time.Second, answer: "200\nEtag: \"a\"\nCache-Control: no-store", want: strings.TrimSuffix(proven, "; stored")},
			{answer: tagged, want: first},
		}},

		{"the same of what is for one", []step{
			{request: "GET\nCookie: a=b", answer: tagged, want: first},
			{after: 10 * time.Second, request: "GET\nCookie: a=b", answer: "200\nEtag: \"a\"\nCache-Control: no-store", want: strings.TrimSuffix(proven, "; stored")},
			{request: "GET\nCookie: a=b", answer: tagged, want: first},
		}},

		// Cookies: section 7.3.
		{"a cookie, and a lifetime", []step{{answer: "200\nCache-Control: max-age=60\nSet-Cookie: a=b", want: first}, {want: hit(60)}}},
		{"a cookie, and an end", []step{{answer: "200\nExpires: {now+60}\nSet-Cookie: a=b", want: first}, {want: hit(60)}}},
		{"a cookie, and no word", []step{{answer: "200\nLast-Modified: {now-600}\nSet-Cookie: a=b", want: unkept}, {answer: tagged, want: first}}},
		{"a cookie, and an end that is over", []step{{answer: "200\nExpires: {now-60}\nEtag: \"a\"\nSet-Cookie: a=b", want: unkept}, {answer: tagged, want: first}}},
		{"a cookie, and no lifetime at all", []step{{answer: "200\nCache-Control: max-age=0\nEtag: \"a\"\nSet-Cookie: a=b", want: unkept}, {want: errDown.Error()}}},
		{"a cookie, and a lifetime that is not to be used", []step{{answer: tagged + ", no-cache\nSet-Cookie: a=b", want: unkept}, {answer: tagged, want: first}}},
		{"a cookie for one", []step{{answer: "200\nCache-Control: max-age=60, private\nSet-Cookie: a=b", want: unkept}, {answer: tagged, want: first}}},
		{"a cookie for one who shows himself", []step{
			{request: "GET\nCookie: a=b", answer: "200\nCache-Control: max-age=60, private\nSet-Cookie: a=b", want: first},
			{request: "GET\nCookie: a=b", want: hit(60)},
		}},
		{"a cookie that is not to be given again", []step{{answer: "200\nCache-Control: max-age=60, private, no-cache=set-cookie\nSet-Cookie: a=b", want: first}, {want: hit(60)}}},
		{"a cookie with the confirmation", []step{
			{answer: tagged, want: first},
			{after: 10 * time.Second, answer: tagged + ", private\nSet-Cookie: a=b", want: strings.TrimSuffix(proven, "; stored")},
			{answer: tagged, want: first},
		}},
		{"a cookie with the confirmation, and a lifetime", []step{
			{answer: tagged, want: first},
			{after: 10 * time.Second, answer: tagged + "\nSet-Cookie: a=b", want: proven},
			{want: hit(10)},
		}},
		{"a cookie with the confirmation, for one who shows himself", []step{
			{request: "GET\nCookie: a=b", answer: tagged, want: first},
			{after: 10 * time.Second, request: "GET\nCookie: a=b", answer: tagged + ", private\nSet-Cookie: a=b", want: proven},
			{request: "GET\nCookie: a=b", want: hit(10)},
		}},

		// Parts of what is there: RFC 9110 section 14.
		{"Range", []step{
			{answer: tagged, want: first},
			{request: "GET\nRange: bytes=0-1", want: hit(10), status: 206},
			{request: "GET\nRange: bytes=0-1\nIf-Range: \"a\"", want: hit(10), status: 206},
			{request: "GET\nRange: bytes=0-1\nIf-Range: \"b\"", want: hit(10), status: 200},
			{request: "GET\nRange: bytes=0-1\nIf-Range: W/\"a\"", want: hit(10), status: 200},
			{request: "GET\nRange: bytes=0-1\nIf-None-Match: \"a\"", want: hit(10), status: 304},
			{request: "GET\nRange: bytes=0-1\nIf-None-Match: \"b\"", want: hit(10), status: 206},
			{request: "GET\nRange: bytes=0-1\nIf-Range: \"a\"\nIf-Range: \"a\"", want: hit(10), status: 200},
			{request: "GET\nRange: bytes=-99", want: hit(10), status: 206},
			{request: "GET\nRange: bytes=1-99", want: hit(10), status: 206},
			{request: "GET\nRange: bytes=5-2", answer: "200", want: "fwd=bypass"},
			{request: "GET\nRange: bytes=0-1,3-4", answer: "206", want: "fwd=bypass"},
			{request: "GET\nRange: bytes=0-1\nRange: bytes=3-4", answer: "206", want: "fwd=bypass"},
			{request: "GET\nRange: bytes=99-", answer: "416", want: "fwd=bypass"},
		}},

		{"If-Range by date", []step{
			{answer: "200\nLast-Modified: {now-60}\nCache-Control: max-age=10", want: first},
			{request: "GET\nRange: bytes=0-1\nIf-Range: {now-60}", want: hit(10), status: 206},
			{request: "GET\nRange: bytes=0-1\nIf-Range: {now-59}", want: hit(10), status: 200},
		}},
		{"If-Range by a date of the second in which the answer was made", []step{
			{answer: "200\nLast-Modified: {now}\nCache-Control: max-age=10", want: first},
			{request: "GET\nRange: bytes=0-1\nIf-Range: {now}", want: hit(10), status: 200},
		}},
		{"Range of what is no whole answer", []step{
			{answer: "404\nCache-Control: max-age=10", want: "fwd=uri-miss; fwd-status=404; stored"},
			{request: "GET\nRange: bytes=0-1", answer: "404", want: "fwd=bypass"},
			{request: "GET " + thing + "?part", answer: tagged + "\nContent-Range: bytes 0-8/9", want: first},
			{request: "GET " + thing + "?part\nRange: bytes=0-1", answer: "200", want: "fwd=bypass"},
		}},

		// HEAD: section 4.
		{"HEAD of what is there", []step{{answer: tagged, want: first}, {request: "HEAD", want: hit(10)}}},
		{"HEAD that says that what is there is out of date", []step{
			{answer: tagged, want: first},
			{request: "HEAD\nCache-Control: no-cache", answer: "200\nEtag: \"b\"\nCache-Control: max-age=10", want: "fwd=request; fwd-status=200"},
			{answer: tagged, want: first},
		}},
		{"HEAD that says so by the date", []step{
			{answer: "200\nLast-Modified: {now-60}\nCache-Control: max-age=10", want: first},
			{request: "HEAD\nCache-Control: no-cache", answer: "200\nLast-Modified: {now-30}", want: "fwd=request; fwd-status=200"},
			{answer: tagged, want: first},
		}},
		{"HEAD that says that it is the same", []step{
			{answer: "200\nEtag: \"a\"\nLast-Modified: {now-60}\nCache-Control: max-age=10", want: first},
			{request: "HEAD\nCache-Control: no-cache", answer: "200\nEtag: W/\"a\"\nLast-Modified: {now-30}", want: "fwd=request; fwd-status=200"},
			{want: hit(10)},
		}},
		{"HEAD that tells nothing", []step{
			{answer: "200\nLast-Modified: {now-60}\nCache-Control: max-age=10", want: first},
			{request: "HEAD\nCache-Control: no-cache", answer: "200", want: "fwd=request; fwd-status=200"},
			{want: hit(10)},
		}},
		{"HEAD that tells a date of what has none", []step{
			{answer: "200\nCache-Control: max-age=10", want: first},
			{request: "HEAD\nCache-Control: no-cache", answer: "200\nLast-Modified: {now-60}", want: "fwd=request; fwd-status=200"},
			{want: hit(10)},
		}},
		{"HEAD that tells another date, and an entity tag of what has none", []step{
			{answer: "200\nLast-Modified: {now-60}\nCache-Control: max-age=10", want: first},
			{request: "HEAD\nCache-Control: no-cache", answer: "200\nEtag: \"b\"\nLast-Modified: {now-30}", want: "fwd=request; fwd-status=200"},
			{answer: tagged, want: first},
		}},
		{"HEAD that tells another date, and no entity tag of what has one", []step{
			{answer: tagged + "\nLast-Modified: {now-60}", want: first},
			{request: "HEAD\nCache-Control: no-cache", answer: "200\nLast-Modified: {now-30}", want: "fwd=request; fwd-status=200"},
			{answer: tagged, want: first},
		}},
		{"HEAD that tells another length", []step{
			{answer: tagged, want: first},
			{request: "HEAD\nCache-Control: no-cache", answer: "200\nContent-Length: 99", want: "fwd=request; fwd-status=200"},
			{answer: tagged, want: first},
		}},
		{"HEAD that failed says nothing", []step{
			{answer: tagged, want: first},
			{request: "HEAD\nCache-Control: no-cache", answer: "404\nEtag: \"b\"", want: "fwd=request; fwd-status=404"},
			{want: hit(10)},
		}},
		{"GET of what HEAD saw", []step{{request: "HEAD", answer: tagged, want: "fwd=uri-miss; fwd-status=200"}, {answer: tagged, want: first}}},

		// Stale answers: section 4.2.4, RFC 5861.
		{"disconnected", []step{
			{answer: tagged, want: first},
			{after: 10*time.Second + time.Hour - 1, want: staleHit(-3600, "stale-if-error")},
			{after: 1, want: errDown.Error()},
		}},
		{"an error is an answer", []step{{answer: tagged, want: first}, {after: 11 * time.Second, answer: "503", want: "fwd=stale; fwd-status=503", status: 503}}},
		{"stale-if-error", []step{
			{answer: tagged + ", stale-if-error=5", want: first},
			{after: 15*time.Second - 1, answer: "503", want: staleHit(-5, "stale-if-error"), status: 200},
			{after: 1, answer: "503", want: "fwd=stale; fwd-status=503", status: 503},
			{want: errDown.Error()},
		}},
		{"an error for which another stands in does not take its place", []step{
			{answer: tagged + ", stale-if-error=60", want: first},
			{after: 15 * time.Second, answer: "503\nCache-Control: max-age=9", want: staleHit(-5, "stale-if-error"), status: 200},
			{answer: "503\nCache-Control: max-age=9", want: staleHit(-5, "stale-if-error"), status: 200},
			{answer: tagged, want: proven},
		}},
		{"one for which none may does", []step{
			{answer: tagged, want: first},
			{after: 15 * time.Second, answer: "503\nCache-Control: max-age=9", want: "fwd=stale; fwd-status=503; stored"},
			{want: hit(9), status: 503},
		}},
		{"an error stands in for nothing", []step{
			{answer: "500\nCache-Control: max-age=10, stale-if-error=60", want: "fwd=uri-miss; fwd-status=500; stored"},
			{after: 11 * time.Second, want: errDown.Error()},
		}},
		{"stale-while-revalidate beyond MaxStale", []step{
			{answer: tagged + ", stale-while-revalidate=99999", want: first},
			{after: 10*time.Second + time.Hour, answer: tagged, want: proven},
		}},
		{"a condition of who gets what stands in", []step{
			{answer: tagged, want: first},
			{after: 11 * time.Second, request: "GET\nIf-None-Match: \"a\"", want: staleHit(-1, "stale-if-error"), status: 304},
		}},
		{"nothing stands in that is too old for the request", []step{
			{answer: tagged, want: first},
			{after: 11 * time.Second, request: "GET\nCache-Control: max-age=5", want: errDown.Error()},
		}},
		{"but what is just not too old does", []step{
			{answer: tagged, want: first},
			{after: 11 * time.Second, request: "GET\nCache-Control: max-age=11", want: staleHit(-1, "stale-if-error")},
		}},
		{"stale-if-error of both", []step{
			{answer: tagged + ", stale-if-error=5", want: first},
			{after: 15 * time.Second, request: "GET\nCache-Control: stale-if-error=60", want: errDown.Error()},
		}},
		{"stale-if-error of the request", []step{{answer: tagged, want: first}, {after: 12 * time.Second, request: "GET\nCache-Control: stale-if-error=5", answer: "500", want: staleHit(-2, "stale-if-error")}}},
		{"no error that is the caller's", []step{{answer: tagged + ", stale-if-error", want: first}, {after: 12 * time.Second, answer: "404", want: "fwd=stale; fwd-status=404"}}},
		{"an error keeps what is stored", []step{
			{answer: tagged, want: first},
			{after: 11 * time.Second, want: staleHit(-1, "stale-if-error")},
			{want: staleHit(-1, "stale-if-error")},
			{answer: tagged, want: proven},
		}},
		{"no-cache is asked about or not given", []step{{answer: "200\nEtag: \"a\"\nCache-Control: no-cache, stale-if-error=60", want: first}, {want: errDown.Error()}}},
		{"who insists", []step{{answer: tagged, want: first}, {request: "GET\nCache-Control: no-cache", want: errDown.Error()}}},

		// Invalidation: section 4.4.
		{"POST", []step{{answer: tagged, want: first}, {request: "POST", answer: "204", want: "fwd=method"}, {answer: tagged, want: first}}},
		{"POST that failed", []step{{answer: tagged, want: first}, {request: "POST", answer: "500", want: "fwd=method"}, {want: hit(10)}}},
		{"POST that was wrong", []step{{answer: tagged, want: first}, {request: "POST", answer: "400", want: "fwd=method"}, {want: hit(10)}}},
		{"POST whose end nobody knows", []step{{answer: tagged, want: first}, {request: "POST", want: errDown.Error()}, {answer: tagged, want: first}}},
		{"a method nobody knows", []step{{answer: tagged, want: first}, {request: "FROB", answer: "200", want: "fwd=method"}, {answer: tagged, want: first}}},
		{"OPTIONS", []step{{answer: tagged, want: first}, {request: "OPTIONS", answer: "200", want: "fwd=method"}, {want: hit(10)}}},
		{"where it says that it changed something", []step{{answer: tagged, want: first}, {request: "POST https://api.test/v1/other", answer: "201\nLocation: thing", want: "fwd=method"}, {answer: tagged, want: first}}},
		{"where it says that its answer belongs", []step{{answer: tagged, want: first}, {request: "POST https://api.test/v1/other", answer: "200\nContent-Location: thing", want: "fwd=method"}, {answer: tagged, want: first}}},
		{"where it says so with the port", []step{{answer: tagged, want: first}, {request: "POST https://api.test/v1/other", answer: "201\nLocation: https://API.test:443/v1/thing", want: "fwd=method"}, {answer: tagged, want: first}}},
		{"not at another port", []step{{answer: tagged, want: first}, {request: "POST https://api.test:80/v1/other", answer: "201\nLocation: " + thing, want: "fwd=method"}, {want: hit(10)}}},
		{"not at another origin", []step{{answer: tagged, want: first}, {request: "POST https://evil.test/", answer: "201\nLocation: " + thing, want: "fwd=method"}, {want: hit(10)}}},
		{"POST that says what GET would get", []step{{request: "POST", answer: tagged + "\nContent-Location: /v1/thing", want: "fwd=method"}, {want: hit(10)}}},
		{"POST that says so with the port", []step{{request: "POST", answer: tagged + "\nContent-Location: https://API.test:443/v1/thing#part", want: "fwd=method"}, {want: hit(10)}}},
		{"POST that says so, and not for how long", []step{{request: "POST", answer: "200\nEtag: \"a\"\nContent-Location: /v1/thing", want: "fwd=method"}, {answer: tagged, want: first}}},
		{"POST that says so twice", []step{{request: "POST", answer: tagged + "\nContent-Location: /v1/thing\nContent-Location: /v1/thing", want: "fwd=method"}, {answer: tagged, want: first}}},
		{"POST that says so of what it made", []step{{request: "POST", answer: strings.Replace(tagged, "200", "201", 1) + "\nContent-Location: /v1/thing", want: "fwd=method"}, {answer: tagged, want: first}}},
		{"POST that says so to who wants nothing stored", []step{{request: "POST\nCache-Control: no-store", answer: tagged + "\nContent-Location: /v1/thing", want: "fwd=method"}, {answer: tagged, want: first}}},
		{"PUT that says so", []step{{request: "PUT", answer: tagged + "\nContent-Location: /v1/thing", want: "fwd=method"}, {answer: tagged, want: first}}},
		{"POST that says so of another", []step{{request: "POST", answer: tagged + "\nContent-Location: /v1/other", want: "fwd=method"}, {answer: tagged, want: first}}},

		// The key.
		{"a fragment", []step{{answer: tagged, want: first}, {request: "GET " + thing + "#part", want: hit(10)}}},
		{"case and port of a host", []step{{answer: tagged, want: first}, {request: "GET https://API.test:443/v1/thing", want: hit(10)}}},
		{"an empty query", []step{{answer: tagged, want: first}, {request: "GET " + thing + "?", answer: tagged, want: first}}},
		{"a query", []step{{answer: tagged, want: first}, {request: "GET " + thing + "?a", answer: tagged, want: first}}},
		{"other caches", []step{{answer: tagged + "\nCache-Status: edge; hit", want: "edge; hit, sparekey; " + first}, {want: "edge; hit, sparekey; " + hit(10)}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &origin{}
				rt := cache.HTTP(cache.HTTPConfig{})(o)
				for i, s := range tt.steps {
					asked := len(o.asked)
					h, _ := take(t, rt, o, &s)
					if strings.Contains(s.want, "hit; ttl") && s.answer == "" && !strings.Contains(s.want, "error") {
						assert.Len(t, o.asked, asked, "step %d asked the origin", i)
						assert.NotEmpty(t, h.Get("Age"), "step %d", i)
					}
				}
			})
		})
	}
}
