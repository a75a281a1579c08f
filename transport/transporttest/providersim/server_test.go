package providersim_test

import (
	"context"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
	"github.com/sparekey/sparekey/transport/transporttest/providersim"
)

type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

func post(t *testing.T, server *transporttest.Server, body string) (a answer) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer key")
	resp, err := server.Client().Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text), err}
}

func TestServerRefusals(t *testing.T) {
	limit := providersim.Config{Limit: providersim.Limit{PerSecond: 0.4}}
	quota := providersim.Config{Quota: 1}
	tests := []struct {
		dialect providersim.Dialect
		cfg     providersim.Config
		status  int
		class   policy.Class
		body    string
		header  map[string]string
	}{
		{providersim.OpenAI, limit, 429, policy.RateLimited, `"code":"rate_limit_exceeded"`, map[string]string{
			"X-Request-Id": "req_2",
			"Retry-After":  "3", "Retry-After-Ms": "2500", "X-Ratelimit-Limit-Requests": "1",
			"X-Ratelimit-Remaining-Requests": "0", "X-Ratelimit-Reset-Requests": "2.5s",
		}},
		{providersim.Azure, limit, 429, policy.RateLimited, `"code":"429"`, map[string]string{
			"Retry-After-Ms": "2500", "X-Ratelimit-Reset-Requests": "3", "X-Request-Id": "req_2",
		}},
		{providersim.Anthropic, limit, 429, policy.RateLimited, `"type":"rate_limit_error"`, map[string]string{
			"Retry-After": "3", "Retry-After-Ms": "", "Anthropic-Ratelimit-Requests-Reset": "2000-01-01T00:00:02.5Z", "Request-Id": "req_2",
		}},
		{providersim.Nyckel, limit, 429, policy.RateLimited, `{"message":`, map[string]string{"Retry-After": "", "X-Ratelimit-Limit-Requests": "", "X-Request-Id": ""}},
		{providersim.OpenAI, quota, 429, policy.QuotaExceeded, `"type":"insufficient_quota"`, map[string]string{"Retry-After": ""}},
		{providersim.Anthropic, quota, 429, policy.RateLimited, `"error_code":"enforced_spend_limit_reached"`, map[string]string{"Retry-After": ""}},
		{providersim.Nyckel, quota, 402, policy.QuotaExceeded, `quota`, nil},
		{providersim.OpenAI, providersim.Config{Key: "other"}, 401, policy.Unauthenticated, `"code":"invalid_api_key"`, nil},
		{providersim.Azure, providersim.Config{Key: "key"}, 401, policy.Unauthenticated, `"code":"401"`, nil},
		{providersim.Anthropic, providersim.Config{Key: "key"}, 401, policy.Unauthenticated, `"type":"authentication_error"`, nil},
	}
	for _, tt := range tests {
		t.Run(string(tt.dialect)+" "+tt.body, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.cfg.Dialect = tt.dialect
				sim := providersim.New(tt.cfg)
				server := transporttest.NewServer(t, sim)
				if tt.cfg.Key == "" {
					require.Equal(t, 200, post(t, server, `{}`).status)
				}
				got := post(t, server, `{}`)
				assert.Equal(t, tt.status, got.status)
				assert.Contains(t, got.body, tt.body)
				for name, value := range tt.header {
					assert.Equal(t, value, got.header.Get(name), name)
				}
				if tt.dialect != providersim.Anthropic || tt.cfg.Quota == 0 { // which needs a classifier of its own
					v := policy.Classify(policy.Outcome{Status: got.status, Header: got.header, Body: []byte(got.body), Now: time.Now()})
					assert.Equal(t, tt.class, v.Class)
				}
			})
		})
	}
}

// An overload says when to come back, which from Anthropic it does not, and so does a 429
// in spite of the limit.
func TestServerFaultsSayWhen(t *testing.T) {
	tests := []struct {
		dialect      providersim.Dialect
		fault        providersim.Fault
		status       int
		after, milli string
	}{
		{"", providersim.RateLimited, 429, "1", "1000"},
		{providersim.OpenAI, providersim.Overloaded, 503, "1", "1000"},
		{providersim.Azure, providersim.Overloaded, 503, "1", "1000"},
		{providersim.Nyckel, providersim.Overloaded, 503, "1", ""},
		{providersim.Anthropic, providersim.Overloaded, 529, "", ""},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			sim := providersim.New(providersim.Config{Dialect: tt.dialect, Faults: providersim.Faults{tt.fault: 1}})
			got := post(t, transporttest.NewServer(t, sim), `{}`)
			assert.Equal(t, tt.status, got.status, tt)
			assert.Equal(t, tt.after, got.header.Get("Retry-After"), tt)
			assert.Equal(t, tt.milli, got.header.Get("Retry-After-Ms"), tt)
			assert.Zero(t, sim.Stats().Billed, tt)
		})
	}
}

func TestServerLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := providersim.New(providersim.Config{Limit: providersim.Limit{PerSecond: 2, Burst: 3}})
		server := transporttest.NewServer(t, sim)
		statuses := func(n int) (all []int) {
			for range n {
				all = append(all, post(t, server, `{}`).status)
			}
			return all
		}
		assert.Equal(t, []int{200, 200, 200, 429}, statuses(4))
		time.Sleep(500*time.Millisecond - 1)
		assert.Equal(t, []int{429}, statuses(1))
		time.Sleep(2 * time.Nanosecond)
		assert.Equal(t, []int{200, 429}, statuses(2))
		sim.SetLimit(providersim.Limit{PerSecond: 1})
		time.Sleep(10 * time.Second)
		assert.Equal(t, []int{200, 429}, statuses(2))
		sim.SetLimit(providersim.Limit{})
		assert.Equal(t, []int{200, 200}, statuses(2))
		sim.SetLimit(providersim.Limit{PerSecond: 1, Burst: 2})
		assert.Equal(t, []int{200, 200, 429}, statuses(3), "a new one is full")
		sim.SetLimit(providersim.Limit{PerSecond: 1, Burst: 4})
		assert.Equal(t, []int{429}, statuses(1), "one that grows is not")
		time.Sleep(10 * time.Second)
		sim.SetLimit(providersim.Limit{PerSecond: 1, Burst: 2})
		assert.Equal(t, []int{200, 200, 429}, statuses(3), "one that shrinks holds less")
	})
}

// A bucket that hardly fills at all makes one wait, and not for less than nothing.
func TestServerLimitWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := transporttest.NewServer(t, providersim.New(providersim.Config{Limit: providersim.Limit{PerSecond: 1e-300}}))
		assert.Equal(t, 200, post(t, server, `{}`).status)
		refused := post(t, server, `{}`)
		assert.Equal(t, 429, refused.status)
		assert.Equal(t, "3153600000", refused.header.Get("Retry-After"))
	})
}

// The answer in one piece is worded as the dialect has it.
func TestServerCompletions(t *testing.T) {
	const tools = `{"tools":[{"name":"answer"}]}`
	tests := []struct {
		dialect providersim.Dialect
		asked   string
		says    providersim.Completion
		want    string
	}{
		{providersim.Nyckel, `{"stream":true}`, providersim.Completion{Text: "spam"}, `{"confidence":0.9,"labelId":"label_spam","labelName":"spam"}`},
		{providersim.OpenAI, `{}`, providersim.Completion{Text: "fine"}, `"finish_reason":"stop","index":0,"message":{"content":"fine","refusal":null,`},
		{providersim.Azure, `{}`, providersim.Completion{Stop: providersim.StopLength}, `"finish_reason":"length"`},
		{providersim.OpenAI, `{}`, providersim.Completion{Stop: providersim.StopFilter}, `"finish_reason":"content_filter"`},
		{providersim.OpenAI, `{}`, providersim.Completion{Text: "no", Stop: providersim.StopRefusal}, `"finish_reason":"stop","index":0,"message":{"content":null,"refusal":"no",`},
		{providersim.Anthropic, tools, providersim.Completion{Text: "fine"}, `"content":[{"text":"fine","type":"text"}],"id":"msg_1","role":"assistant","stop_reason":"end_turn"`},
		{providersim.Anthropic, `{}`, providersim.Completion{Text: `{"a":1}`, Stop: providersim.StopLength}, `"content":[{"text":"{\"a\":1}","type":"text"}],"id":"msg_1","role":"assistant","stop_reason":"max_tokens"`},
		{providersim.Anthropic, tools, providersim.Completion{Text: `{"a":1}`}, `"content":[{"id":"toolu_1","input":{"a":1},"name":"answer","type":"tool_use"}],"id":"msg_1","role":"assistant","stop_reason":"tool_use"`},
		{providersim.Anthropic, tools, providersim.Completion{Text: `{"a":1}`, Stop: providersim.StopLength}, `"type":"tool_use"}],"id":"msg_1","role":"assistant","stop_reason":"max_tokens"`},
		{providersim.Anthropic, tools, providersim.Completion{Text: `{"a":`}, `"content":[{"text":"{\"a\":","type":"text"}]`},
		{providersim.Anthropic, `{}`, providersim.Completion{Stop: providersim.StopFilter}, `"stop_reason":"refusal"`},
		{providersim.Anthropic, `{}`, providersim.Completion{Stop: providersim.StopRefusal}, `"stop_reason":"refusal"`},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			sim := providersim.New(providersim.Config{Dialect: tt.dialect, Complete: func(body []byte) providersim.Completion {
				assert.Equal(t, tt.asked, string(body))
				return tt.says
			}})
			got := post(t, transporttest.NewServer(t, sim), tt.asked)
			assert.Equal(t, 200, got.status)
			assert.Equal(t, "application/json", got.header.Get("Content-Type"))
			assert.Contains(t, got.body, tt.want)
		})
	}
}

// A call is worked on for the latency, and is billed if its caller leaves meanwhile.
func TestServerLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := providersim.New(providersim.Config{Latency: time.Second})
		server := transporttest.NewServer(t, sim)
		start := time.Now()
		assert.Equal(t, 200, post(t, server, `{}`).status)
		assert.Equal(t, time.Second, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, strings.NewReader(`{}`))
		require.NoError(t, err)
		_, err = server.Client().Do(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		assert.Equal(t, 2, sim.Stats().Billed)
		assert.Equal(t, map[int]int{200: 1}, sim.Stats().ByStatus)
	})
}

// What is no call is refused: no POST, no JSON.
func TestServerRefusesWhatIsNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := providersim.New(providersim.Config{})
		server := transporttest.NewServer(t, sim)
		assert.Equal(t, 400, post(t, server, `{`).status)
		resp, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, 400, resp.StatusCode)
		assert.Equal(t, 2, sim.Stats().Calls)
		assert.Zero(t, sim.Stats().Billed)
	})
}

func TestServerStreams(t *testing.T) {
	tests := []struct {
		dialect providersim.Dialect
		last    string
		failed  string
	}{
		{providersim.OpenAI, "data: [DONE]\n\n", `data: {"error":`},
		{providersim.Azure, "data: [DONE]\n\n", `data: {"error":`},
		{providersim.Anthropic, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", "event: error\ndata: {\"error\":"},
	}
	for _, tt := range tests {
		t.Run(string(tt.dialect), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := providersim.New(providersim.Config{Dialect: tt.dialect, Complete: func([]byte) providersim.Completion {
					return providersim.Completion{Text: "é"}
				}})
				server := transporttest.NewServer(t, sim)
				whole := post(t, server, `{"stream":true}`)
				assert.Equal(t, "text/event-stream", whole.header.Get("Content-Type"))
				assert.True(t, strings.HasSuffix(whole.body, tt.last), whole.body)
				assert.Contains(t, whole.body, `"é"`)

				sim.SetFaults(providersim.Faults{providersim.Unfinished: 1})
				cut := post(t, server, `{"stream":true}`)
				require.NoError(t, cut.err)
				assert.Len(t, strings.Split(cut.body, "\n\n"), len(strings.Split(whole.body, "\n\n"))-1)
				assert.NotContains(t, cut.body, tt.last)

				sim.SetFaults(providersim.Faults{providersim.StreamError: 1})
				failed := post(t, server, `{"stream":true}`)
				require.NoError(t, failed.err)
				assert.Contains(t, failed.body, tt.failed)
				assert.Contains(t, failed.body, `_error"`, "of the kind that the dialect has for it")
				assert.NotContains(t, failed.body, tt.last)

				sim.SetFaults(providersim.Faults{providersim.Truncated: 1})
				assert.ErrorIs(t, post(t, server, `{"stream":true}`).err, io.ErrUnexpectedEOF)
				assert.Equal(t, 4, sim.Stats().Billed)
			})
		})
	}
}

// A fault that a call does not come to has not struck it.
func TestServerCountsFaultsThatStruck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := providersim.New(providersim.Config{
			Limit:  providersim.Limit{PerSecond: 1},
			Faults: providersim.Faults{providersim.Truncated: 1},
		})
		server := transporttest.NewServer(t, sim)
		assert.Error(t, post(t, server, `{}`).err)
		refused := post(t, server, `{}`)
		assert.NoError(t, refused.err, "the answer of the limit is whole")
		assert.Equal(t, http.StatusTooManyRequests, refused.status)
		sim.SetFaults(providersim.Faults{providersim.Unfinished: 1})
		time.Sleep(2 * time.Second)
		assert.Equal(t, http.StatusOK, post(t, server, `{}`).status, "no stream was asked for")
		assert.Equal(t, map[providersim.Fault]int{providersim.Truncated: 1}, sim.Stats().ByFault)
		assert.Equal(t, 2, sim.Stats().Billed)
	})
}

func TestServerFaultsFollowTheSeed(t *testing.T) {
	run := func(seed uint64) (all []int) {
		synctest.Test(t, func(t *testing.T) {
			sim := providersim.New(providersim.Config{Seed: seed, Faults: providersim.Faults{
				providersim.Internal: 0.3, providersim.Overloaded: 0.3, providersim.Dropped: 0.1,
			}})
			server := transporttest.NewServer(t, sim)
			for range 50 {
				all = append(all, post(t, server, `{}`).status)
			}
		})
		return all
	}
	first := run(1)
	assert.Equal(t, first, run(1))
	assert.NotEqual(t, first, run(2))
	assert.Subset(t, first, []int{0, 200, 500, 503})
}

func TestNewPanics(t *testing.T) {
	for _, cfg := range []providersim.Config{
		{Dialect: "cohort"},
		{Quota: -1},
		{Latency: -1},
		{Faults: providersim.Faults{"gremlin": 0.1}},
		{Faults: providersim.Faults{providersim.Reset: 0.6, providersim.Internal: 0.6}},
	} {
		assert.Panics(t, func() { providersim.New(cfg) }, "%+v", cfg)
	}
	sim := providersim.New(providersim.Config{Limit: providersim.Limit{PerSecond: 1e9}, Faults: providersim.Faults{providersim.Reset: 1}})
	for _, l := range []providersim.Limit{{PerSecond: -1}, {PerSecond: math.NaN()}, {PerSecond: 1e9 + 1}, {Burst: -1}} {
		assert.Panics(t, func() { providersim.New(providersim.Config{Limit: l}) }, "%+v", l)
		assert.Panics(t, func() { sim.SetLimit(l) }, "%+v", l)
	}
	for _, p := range []float64{-0.1, 1.1, math.NaN()} {
		assert.Panics(t, func() { sim.SetFaults(providersim.Faults{providersim.Reset: p}) }, "%v", p)
	}
}
