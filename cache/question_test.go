package cache_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
)

// sameQuestion reports whether the answer to a is given to b.
func sameQuestion(t *testing.T, a, b *http.Request) bool {
	t.Helper()
	upstream := &service{respond: answering(answer)}
	rt := cache.Predictions(cache.PredictionsConfig{})(upstream)
	ask(t, rt, a)
	ask(t, rt, b)
	return upstream.calls.Load() == 1
}

func TestQuestionBody(t *testing.T) {
	depth := func(n int, inner string) string { return strings.Repeat("[", n) + inner + strings.Repeat("]", n) }
	tests := []struct {
		name string
		a, b string
		want bool
	}{
		{"order of names", `{"a":1,"b":[2]}`, `{"b":[2],"a":1}`, true},
		{"order of names, nested", `{"x":{"a":1,"b":{"c":1,"d":2}}}`, `{"x":{"b":{"d":2,"c":1},"a":1}}`, true},
		{"white space", `{"a":[1,{"b":""}]}`, " {\r\n\t\"a\" : [ 1 , { \"b\" : \"\" } ] } \n", true},
		{"escapes", `{"a":"é/😀\n"}`, `{"\u0061":"\u00e9\/\ud83d\uDE00\u000A"}`, true},
		{"escaped control characters", `"\u0000\u001f\u007f\b\f\t\r"`, "\"\\u0000\\u001F\x7f\\u0008\\u000C\\u0009\\u000d\"", true},
		{"names by code point, not by spelling", `{"\u0062":1,"a":2}`, `{"a":2,"b":1}`, true},
		{"depth 64", depth(64, ""), depth(64, " "), true},

		{"order in a list", `[1,2]`, `[2,1]`, false},
		{"case of names", `{"a":1}`, `{"A":1}`, false},
		{"large integers", `[9007199254740993]`, `[9007199254740992]`, false},
		{"beyond a double", `[1e400]`, `[2e400]`, false},
		{"spelling of numbers", `[1]`, `[1.0]`, false},
		{"spelling of exponents", `[1e2]`, `[1E2]`, false},
		{"minus zero", `[0]`, `[-0]`, false},
		{"a number and a string", `["1"]`, `[1]`, false},
		{"null and nothing", `{"a":null}`, `{}`, false},
		{"duplicate names, first", `{"a":1,"a":2}`, `{"a":2}`, false},
		{"duplicate names, last", `{"a":1,"a":2}`, `{"a":1}`, false},
		{"duplicate names, order", `{"a":1,"a":2}`, `{"a":2,"a":1}`, false},
		{"duplicate names, spelled apart", `{"a":1,"\u0061":2}`, `{"a":2}`, false},
		{"duplicate names, white space", `{"a":1,"a":2}`, `{"a":1, "a":2}`, false},
		{"invalid UTF-8", "[\"\xff\"]", "[\"\xfe\"]", false},
		{"invalid UTF-8 and its replacement", "[\"\xff\"]", "[\"\ufffd\"]", false},
		{"halves of surrogate pairs", `["\ud800"]`, `["\ud801"]`, false},
		{"half a pair and its replacement", `["\ud800"]`, `["\ufffd"]`, false},
		{"trailing bytes", `{"a":1}`, `{"a":1}x`, false},
		{"a second value", `{"a":1}`, `{"a":1}{"a":2}`, false},
		{"byte order mark", "{}", "\ufeff{}", false},
		{"depth 65", depth(65, ""), depth(65, " "), false},
		{"text moved between members", `{"a":"b\",\"c"}`, `{"a":"b","c":""}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := sameQuestion(t, newCall(t, tt.a, policy.Call{}), newCall(t, tt.b, policy.Call{}))
			assert.Equal(t, tt.want, got)
			assert.True(t, sameQuestion(t, newCall(t, tt.b, policy.Call{}), newCall(t, tt.b, policy.Call{})), "equal to itself")
		})
	}
}

func TestQuestionBodyThatIsNoJSON(t *testing.T) {
	text := func(body string) *http.Request {
		req := newCall(t, body, policy.Call{})
		req.Header.Set("Content-Type", "text/plain")
		return req
	}
	assert.True(t, sameQuestion(t, text(`{"a": 1}`), text(`{"a": 1}`)))
	assert.False(t, sameQuestion(t, text(`{"a": 1}`), text(`{"a":1}`)), "white space counts in text")
}

// JSON is compared by its meaning whatever else its Content-Type says, text is not.
func TestQuestionContentType(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/json": true, "Application/JSON; charset=utf-8": true, "application/vnd.api+json": true,
		"application/jsonlines": false, "text/plain": false, "": false,
	} {
		text := func(body string) *http.Request {
			req := newCall(t, body, policy.Call{})
			req.Header.Set("Content-Type", contentType)
			return req
		}
		assert.Equal(t, want, sameQuestion(t, text(`{"a": 1}`), text(`{"a":1}`)), contentType)
	}
}

func TestQuestionRequest(t *testing.T) {
	set := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	query := func(raw string) func(*http.Request) {
		return func(r *http.Request) { r.URL.RawQuery = raw }
	}
	call := func(c policy.Call) func(*http.Request) {
		return func(r *http.Request) {
			c.Replayable = true
			*r = *r.WithContext(policy.WithCall(r.Context(), c))
		}
	}
	both := func(changes ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			for _, change := range changes {
				change(r)
			}
		}
	}
	none := func(*http.Request) {}
	tests := []struct {
		name string
		a, b func(*http.Request)
		want bool
	}{
		{"order of query names", query("labelCount=3&capture=false"), query("capture=false&labelCount=3"), true},
		{"order of one query name", query("a=1&a=2"), query("a=2&a=1"), false},
		{"order of one query name, spelled apart", query("a=1&%61=2"), query("%61=2&a=1"), false},
		{"query", query("labelCount=3"), query("labelCount=4"), false},
		{"order of one query name, to servers that part at semicolons", query("a=1;b=1&b=2"), query("b=2&a=1;b=1"), false},
		{"query that does not parse", query("a;b"), query("a;c"), false},
		{"capture", query("capture=false"), none, false},
		{"fragment", func(r *http.Request) { r.URL.Fragment = "x" }, none, true},
		{"scheme", func(r *http.Request) { r.URL.Scheme = "http" }, none, false},
		{"host", func(r *http.Request) { r.URL.Host = "other.test" }, none, false},
		{"Host field", func(r *http.Request) { r.Host = "other.test" }, none, false},
		{"Host field left out", func(r *http.Request) { r.Host = "" }, none, true},
		{"path", func(r *http.Request) { r.URL.Path = "/v1/functions/mails/invoke" }, none, false},
		{"escaped path", func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a/b", "/a%2Fb" }, func(r *http.Request) { r.URL.Path = "/a/b" }, false},
		{"opaque", func(r *http.Request) { r.URL.Opaque = "//api.test/other" }, none, false},
		{"Content-Type", set("Content-Type", "application/json; charset=utf-8"), none, false},
		{"Accept", set("Accept", "application/json"), none, false},
		{"Accept-Language", set("Accept-Language", "de"), none, false},
		{"Accept-Encoding", set("Accept-Encoding", "gzip"), none, false},
		{"lines of a field", set("Accept", "a", "b"), set("Accept", "a, b"), false},
		{"a field that does not count", set("Traceparent", "00-1-2-01"), none, true},
		{"of Zipkin", both(set("b3", "0"), set("x-b3-traceid", "1")), none, true},
		{"of Datadog", both(set("x-datadog-trace-id", "1"), set("x-datadog-parent-id", "2")), none, true},
		{"of AWS and Google", both(set("X-Amzn-Trace-Id", "Root=1"), set("X-Cloud-Trace-Context", "1/2")), none, true},
		{"of Sentry, Jaeger and New Relic", both(set("sentry-trace", "1"), both(set("uber-trace-id", "1"), set("newrelic", "1"))), none, true},
		{"text moved between fields", both(set("Accept", "a"), set("Accept-Language", "b")), both(set("Accept", "ab"), set("Accept-Language", "")), false},
		{"function", call(policy.Call{Function: "f"}), none, false},
		{"model", call(policy.Call{Model: "m"}), none, false},
		{"function and model", call(policy.Call{Function: "fm"}), call(policy.Call{Function: "f", Model: "m"}), false},
		{"identity", call(policy.Call{Identity: "a"}), call(policy.Call{Identity: "b"}), false},
		{"identity and none", call(policy.Call{Identity: "a"}), none, false},
		{
			"identity and another token", both(call(policy.Call{Identity: "a"}), set("Authorization", "Bearer 1")),
			both(call(policy.Call{Identity: "a"}), set("Authorization", "Bearer 2")), true,
		},
		{"Authorization", set("Authorization", "Bearer 1"), set("Authorization", "Bearer 2"), false},
		{"Authorization and none", set("Authorization", "Bearer 1"), none, false},
		{"Authorization in another case", set("authorization", "Bearer 1"), set("authorization", "Bearer 2"), false},
		{"an empty field and none", set("Authorization", ""), none, false},
		{"Cookie", set("Cookie", "s=1"), set("Cookie", "s=2"), false},
		{"X-Api-Key", set("X-Api-Key", "1"), set("X-Api-Key", "2"), false},
		{"Api-Key", set("Api-Key", "1"), set("Api-Key", "2"), false},
		{"one value in two credentials", set("X-Api-Key", "1"), set("Api-Key", "1"), false},
		{"a credential that looks like an identity", set("Authorization", "identity"), call(policy.Call{Identity: "identity"}), false},
		{
			"user in the URL", func(r *http.Request) { r.URL.User = url.UserPassword("u", "1") },
			func(r *http.Request) { r.URL.User = url.UserPassword("u", "2") }, false,
		},
		{"user in the URL and none", func(r *http.Request) { r.URL.User = url.User("") }, none, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newCall(t, `{"data":"x"}`, policy.Call{}), newCall(t, `{"data":"x"}`, policy.Call{})
			tt.a(a)
			tt.b(b)
			assert.Equal(t, tt.want, sameQuestion(t, a.Clone(a.Context()), b.Clone(b.Context())))
			assert.Equal(t, tt.want, sameQuestion(t, b, a), "the other way round")
		})
	}
}

// TestQuestionIdentity sends random schedules of calls by eight owners, who say
// in different ways who they are. No answer may reach another one.
func TestQuestionIdentity(t *testing.T) {
	identify := []func(*http.Request, string){
		func(r *http.Request, who string) { r.Header.Set("Authorization", "Bearer "+who) },
		func(r *http.Request, who string) { r.Header.Set("Cookie", "session="+who) },
		func(r *http.Request, who string) { r.Header["x-api-key"] = []string{who} },
		func(r *http.Request, who string) { // its token is added below
			*r = *r.WithContext(policy.WithCall(r.Context(), policy.Call{Identity: who, Replayable: true}))
		},
	}
	type owner struct{ way, number int }
	type ownerKey struct{}
	upstream := &service{respond: func(r *http.Request) (*http.Response, error) {
		o := r.Context().Value(ownerKey{}).(owner)
		r.Header.Set("Authorization", fmt.Sprint("added below for ", o)) // as some transports do, in place
		return response(http.StatusOK, fmt.Sprintf(`"%d %d"`, o.way, o.number)), nil
	}}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		store := cache.NewStore(cache.StoreConfig{MaxBytes: 8 << 10}) // small, so that answers come and go
		rt := cache.Predictions(cache.PredictionsConfig{Store: store})(upstream)
		for range 50 {
			o := owner{random.IntN(len(identify)), random.IntN(8)}
			text := fmt.Sprintf(`{"data":"%d"}`, random.IntN(2))
			req := newCallContext(t, context.WithValue(t.Context(), ownerKey{}, o), text, policy.Call{})
			identify[o.way](req, fmt.Sprint("owner-", o.number))
			_, got := ask(t, rt, req)
			if want := fmt.Sprintf(`"%d %d"`, o.way, o.number); got != want {
				t.Fatalf("seed %d: owner %v got the answer %s", seed, o, got)
			}
		}
		if hits, _, _, _ := lookups(store); seed == 0 {
			assert.NotZero(t, hits, "the schedule is to have hits")
		}
	}
}

// Where GetBody gives another text than the body in memory, which is a fault of some other
// layer, what is sent counts: in the key and in what is fetched behind the caller.
func TestQuestionIsWhatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		upstream := transport.Func(func(req *http.Request) (*http.Response, error) {
			text, err := io.ReadAll(req.Body)
			require.NoError(t, err)
			sent = append(sent, string(text))
			return response(http.StatusOK, strconv.Quote(string(text))), nil
		})
		memo := swr(policy.Cache{Jitter: -1})
		rt := memo.Wrap(upstream)
		for _, text := range []string{"1", "1", "2"} {
			req := newCall(t, text, policy.Call{})
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("3")), nil }
			_, answer := ask(t, rt, req)
			assert.Equal(t, strconv.Quote(text), answer)
			time.Sleep(2 * time.Minute) // past its lifetime
			synctest.Wait()
		}
		require.NoError(t, memo.Close())
		assert.Equal(t, []string{"1", "1", "2"}, sent)
	})
}

// A request that may have been sent has a body that another goroutine may be reading, or
// none any more.
func TestQuestionOfWhatWasSent(t *testing.T) {
	memo := cache.NewMemo(cache.PredictionsConfig{})
	rt := memo.Wrap(&service{respond: answering(answer)})
	for name, change := range map[string]func(*http.Request){
		"under way": func(*http.Request) {},
		"taken out": func(r *http.Request) { r.Body = nil },
	} {
		t.Run(name, func(t *testing.T) {
			ask(t, rt, newCall(t, `{"data":"x"}`, policy.Call{}))
			req := newCall(t, `{"data":"x"}`, policy.Call{})
			change(req)
			again, copies := req.GetBody, int64(0)
			var closed atomic.Int64
			req.GetBody = func() (io.ReadCloser, error) {
				rc, err := again()
				copies++
				return &countedBody{ReadCloser: rc, closed: &closed}, err
			}
			_, _, ok := memo.Stale(req, false)
			assert.True(t, ok)
			assert.EqualValues(t, 1, copies, "by Stale")
			require.NoError(t, memo.PurgeRequest(req))
			assert.EqualValues(t, 2, copies, "by PurgeRequest")
			assert.Zero(t, memo.Stats().Entries)
			assert.Equal(t, copies, closed.Load())
		})
	}
}

// A request without a body asks nothing but what its URL does, be there a GetBody or not.
func TestQuestionWithoutBody(t *testing.T) {
	memo := cache.NewMemo(cache.PredictionsConfig{})
	req := newCall(t, `{"data":"x"}`, policy.Call{})
	req.Body, req.ContentLength = nil, 0
	ask(t, memo.Wrap(&service{respond: answering(answer)}), req)
	assert.Equal(t, 1, memo.Stats().Entries)
	req.GetBody = nil
	require.NoError(t, memo.PurgeRequest(req))
	assert.Zero(t, memo.Stats().Entries)
}
