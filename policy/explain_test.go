package policy_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sparekey/sparekey/policy"
)

func TestExplainString(t *testing.T) {
	full := policy.Stack{
		Function: "tickets",
		Fallback: &policy.Fallback{Rules: make([]policy.Rule, 2), Static: &policy.Answer{Label: "other"}},
		Cache:    &policy.Cache{TTL: 90 * sec},
		Total:    -1,
		Retry:    policy.Retry{Attempts: 2, MaxWait: 2 * sec, SpillBytes: 8 << 20, BufferBytes: -1},
		Breaker:  policy.Breaker{LastCalls: 50},
		Limit:    policy.Limit{PerSecond: 25, InFlight: 10},
		Streams:  &policy.Streams{HoldBytes: 16 << 10, HoldTime: sec},
		Attempt:  policy.Timeout{Total: 4 * sec, FirstByte: 2 * sec, Idle: sec},
	}.Parts()
	full = append(full, chain(policy.Part{Kind: policy.KindForeign, Name: "main.failover"}, faults)...)
	full = append(full, policy.Part{Kind: policy.KindBase, Name: "main.wire"})
	tests := []struct {
		name  string
		parts []policy.Part
		want  string
	}{
		{"default", policy.Default().Parts(), `
layer            settings                                             calls  header     end        waiting  buffered
call                                                                  3      30s        30s        30s      1.3 MiB
total timeout    30s                                                  3      30s        30s        30s      1.3 MiB
retry            3 attempts, from 100ms, throttled 1s, server's ≤ 1m  3      unbounded  unbounded  2m18s    1.3 MiB
breaker          50 % of ≥ 10 in 30s, open 5s to 1m, per Authority    1      16.1s      unbounded  6s       4 KiB
limit            adapts from 200, queue 6s, per Authority             1      16.1s      unbounded  6s       4 KiB
attempt                                                               1      10.1s      unbounded  0s       4 KiB
streams          not held                                             1      10s        unbounded  0s       0 B
attempt timeout  first byte 10s, idle 30s                             1      10s        unbounded  0s       0 B

At worst 3 requests; header or error: 30s; end of the body: 30s; waiting: 30s; buffered: 1.3 MiB.
`},
		{"full", full, `
layer            settings                                                   calls  header     end        waiting  buffered
call             tickets                                                    2      18.4s      19.1s      12s      2.5 MiB
fallback         stale, 2 rules, static                                     2      18.4s      19.1s      12s      2.5 MiB
cache            fresh 1m30s, pinned 24h, stale 24h                         2      18.35s     19.1s      12s      1.5 MiB
retry            2 attempts, from 100ms, throttled 1s, server's ≤ 2s        2      18.2s      19.1s      12s      1.2 MiB
breaker          50 % of ≥ 10 in the last 50, open 5s to 1m, per Authority  1      8.1s       9s         5s       20 KiB
limit            25/s, 10 in flight, queue 5s, per Authority                1      8.1s       9s         5s       20 KiB
attempt          tickets                                                    1      3.1s       4s         0s       20 KiB
streams          held for ≤ 16 KiB, 1s                                      1      3s         4s         0s       16 KiB
attempt timeout  4s, first byte 2s, idle 1s                                 1      2s         4s         0s       0 B
main.failover    foreign                                                    1      unbounded  unbounded  0s       0 B
faults           0 faults in the mix                                        1      unbounded  unbounded  0s       0 B
main.wire                                                                   1      unbounded  unbounded  0s       0 B

At worst 2 requests; header or error: 18.4s; end of the body: 19.1s; waiting: 12s; buffered: 2.5 MiB; in a temporary file: 8.1 MiB.
What main.wire does is not known, nor what it may stand on.
`},
		{"nothing", nil, `
layer  settings  calls  header  end  waiting  buffered

At worst 1 request; header or error: unbounded; end of the body: unbounded; waiting: 0s; buffered: 0 B.
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, strings.TrimPrefix(tt.want, "\n"), policy.Explain(tt.parts).String())
		})
	}
}

func TestExplainWorst(t *testing.T) {
	const kept = 2*64<<10 + 1                              // answers that are thrown away
	const base = 4<<10 + 1<<20 + 32<<10                    // peeked and recorded
	noBuffer := policy.Retry{BufferBytes: -1, Attempts: 2} // waits 60 s
	brief := policy.Retry{BufferBytes: -1, MaxWait: ms}    // its own waits are longer
	decorrelated := policy.Backoff{Base: sec, Max: mins, Jitter: policy.DecorrelatedJitter}
	tests := []struct {
		name  string
		parts []policy.Part
		want  policy.Worst
	}{
		{"nothing", nil, policy.Worst{Calls: 1, Header: policy.Unbounded, End: policy.Unbounded}},
		{"total", chain(total(5 * sec)), policy.Worst{Calls: 1, Header: 5 * sec, End: 5 * sec}},
		{"first byte", chain(timeout), policy.Worst{Calls: 1, Header: 10 * sec, End: policy.Unbounded}},
		{"the tighter one", chain(total(5*sec), policy.Timeout{Total: 9 * sec, FirstByte: 2 * sec}), policy.Worst{Calls: 1, Header: 2 * sec, End: 5 * sec}},
		{
			"a peek, once with a record", chain(call, breaker, fixed, timeout),
			policy.Worst{Calls: 1, Header: 15100 * ms, End: policy.Unbounded, Waiting: 5 * sec, BufferedBytes: 4 << 10},
		},
		{
			"a peek for each without", chain(breaker, policy.Limit{MaxWait: 5 * sec}, timeout),
			policy.Worst{Calls: 1, Header: 15200 * ms, End: policy.Unbounded, Waiting: 5 * sec, BufferedBytes: 4 << 10},
		},
		{
			"none for a limit that learns nothing", chain(fixed, timeout),
			policy.Worst{Calls: 1, Header: 15 * sec, End: policy.Unbounded, Waiting: 5 * sec},
		},
		{"no longer than the body", chain(breaker, total(sec)), policy.Worst{Calls: 1, Header: sec, End: sec, BufferedBytes: 4 << 10}},
		{
			"retry", chain(noBuffer, policy.Timeout{Total: 4 * sec, FirstByte: 2 * sec}),
			policy.Worst{Calls: 2, Header: 2*2100*ms + mins, End: 2100*ms + mins + 4*sec, Waiting: mins, BufferedBytes: base + kept},
		},
		{"hedge", chain(hedge, total(sec)), policy.Worst{Calls: 2, Header: 2*sec + 100*ms, End: 2*sec + 100*ms, BufferedBytes: 2*(4<<10) + 2*(64<<10+1)}},
		{
			"hedges around retry count with it", chain(policy.Hedge{Max: 2}, policy.Retry{BufferBytes: -1, MaxWait: ms, ReplayBytes: -1, Backoff: policy.Backoff{Base: -1}, Throttled: policy.Backoff{Base: -1}}, total(sec)),
			policy.Worst{Calls: 5, Header: 3*(3*sec+100*ms) + 150*ms, End: 3*(3*sec+100*ms) + 150*ms, Waiting: 3 * 2 * ms, BufferedBytes: 3 * (4<<10 + kept + 64<<10 + 1)},
		},
		{
			"retry that reads ahead", chain(policy.Retry{Attempts: 2}, policy.Timeout{Total: 4 * sec, FirstByte: 2 * sec}),
			policy.Worst{Calls: 2, Header: 8*sec + mins, End: 8*sec + mins, Waiting: mins, BufferedBytes: base + kept + 64<<10 + 1},
		},
		{
			"waits of its own", chain(brief, total(sec)),
			policy.Worst{Calls: 3, Header: 3*sec + 3*sec, End: 6 * sec, Waiting: 3 * sec, BufferedBytes: base + kept},
		},
		{
			"the server's, and jitter", chain(policy.Retry{BufferBytes: -1, Attempts: 2, WaitJitter: 0.5, ReplayBytes: -1}, total(sec)),
			policy.Worst{Calls: 2, Header: 92 * sec, End: 92 * sec, Waiting: 90 * sec, BufferedBytes: 4<<10 + kept},
		},
		{
			"no bound to the server's", chain(policy.Retry{BufferBytes: -1, MaxWait: -1, ReplayBytes: -1}, total(sec)),
			policy.Worst{Calls: 3, Header: policy.Unbounded, End: policy.Unbounded, Waiting: policy.Unbounded, BufferedBytes: 4<<10 + kept},
		},
		{
			"throwing away takes longer than the wait", chain(policy.Retry{
				Attempts: 2, BufferBytes: -1, MaxWait: ms, ReplayBytes: -1,
				Backoff: policy.Backoff{Base: -1}, Throttled: policy.Backoff{Base: -1},
			}, total(sec)),
			policy.Worst{Calls: 2, Header: 2050 * ms, End: 2050 * ms, Waiting: ms, BufferedBytes: 4<<10 + kept},
		},
		{
			"decorrelated", chain(policy.Retry{BufferBytes: -1, MaxWait: ms, ReplayBytes: -1, Backoff: decorrelated}, total(sec)),
			policy.Worst{Calls: 3, Header: 3*sec + 63*sec, End: 66 * sec, Waiting: 63 * sec, BufferedBytes: 4<<10 + kept},
		},
		{
			"a class that is repeated more often", chain(policy.Retry{
				Attempts: 2, BufferBytes: -1, MaxWait: ms, ReplayBytes: -1, Throttled: policy.Backoff{Base: ms},
				Classes: map[policy.Class]policy.ClassRetry{policy.Overloaded: {Attempts: 4, Backoff: policy.Backoff{Base: 10 * ms}}},
			}, total(sec)),
			policy.Worst{Calls: 4, Header: 4*sec + 200*ms, End: 4*sec + 200*ms, Waiting: 160 * ms, BufferedBytes: 4<<10 + kept},
		},
		{
			"a budget of nothing", chain(policy.Retry{Budget: policy.Budget{Burst: 0.5}, ReplayBytes: -1, BufferBytes: -1}, total(sec)),
			policy.Worst{Calls: 1, Header: sec, End: sec, BufferedBytes: 4 << 10},
		},
		{"retries below each other count together", chain(call, noBuffer, retry), policy.Worst{
			Calls:  3,
			Header: policy.Unbounded, End: policy.Unbounded, Waiting: 5 * mins, BufferedBytes: base + kept + 64<<10 + 1 + base - 4<<10 + kept,
		}},
		{"unless a foreign layer is between", chain(total(sec), noBuffer, foreign, retry), policy.Worst{
			Calls:  6,
			Header: sec, End: sec, Waiting: sec, BufferedBytes: base + kept + 64<<10 + 1 + base - 4<<10 + kept,
		}},
		{
			"spilled", chain(policy.Retry{Attempts: 1, SpillBytes: 2 << 20, BufferBytes: -1}, total(sec)),
			policy.Worst{Calls: 1, Header: sec, End: sec, BufferedBytes: base, SpilledBytes: 2<<20 + 32<<10},
		},
		{"no queue", chain(policy.Limit{MaxQueue: -1}, total(sec)), policy.Worst{Calls: 1, Header: sec, End: sec, BufferedBytes: 4 << 10}},
		{"cache", chain(cached, total(sec)), policy.Worst{Calls: 1, Header: sec, End: sec, BufferedBytes: 2*(4<<10) + 256<<10}},
		{"cache that throws away", chain(cached, timeout), policy.Worst{Calls: 1, Header: 10250 * ms, End: policy.Unbounded, BufferedBytes: 2*(4<<10) + 256<<10}},
		{"what is off", chain(policy.Retry{Off: true}, policy.Limit{Off: true}, policy.Timeout{Off: true}, total(sec)), policy.Worst{Calls: 1, Header: sec, End: sec}},
	}
	at := func(endpoint string, p policy.Part) policy.Part { p.Endpoint = endpoint; return p }
	three := policy.Failover{Endpoints: []policy.Endpoint{{Name: "eu"}, {Name: "us"}, {Name: "asia"}}}
	whole := func(data []byte) ([]byte, error) { return data, nil }
	translated := policy.Failover{Endpoints: []policy.Endpoint{{Name: "eu", RequestBody: whole, ResponseBody: whole}}}
	const replays = 1<<20 + 32<<10 + 2*(64<<10) + 1
	tests = append(tests, []struct {
		name  string
		parts []policy.Part
		want  policy.Worst
	}{
		{
			"endpoints one after the other", chain(three, total(sec)),
			policy.Worst{Calls: 3, Header: 3*sec + 150*ms, End: 3*sec + 150*ms, BufferedBytes: 4<<10 + replays},
		},
		{
			"endpoints of their own", append(append(chain(three), at("eu", chain(total(sec))[0]), at("us", chain(total(2 * sec))[0])), chain(total(4*sec))...),
			policy.Worst{Calls: 3, Header: 7*sec + 150*ms, End: 7*sec + 150*ms, BufferedBytes: 4<<10 + replays},
		},
		{
			"endpoints below a retry", chain(policy.Retry{Attempts: 5, BufferBytes: -1, MaxWait: ms, ReplayBytes: -1, Backoff: policy.Backoff{Base: -1}, Throttled: policy.Backoff{Base: -1}}, three, total(sec)),
			policy.Worst{Calls: 5, Header: 5*(3*sec+150*ms) + 4*50*ms, End: 5*(3*sec+150*ms) + 4*50*ms, Waiting: 4 * ms, BufferedBytes: 4<<10 + replays + kept},
		},
		{
			"a retry for each endpoint", chain(three, policy.Retry{Attempts: 2, BufferBytes: -1, MaxWait: ms, ReplayBytes: -1, Backoff: policy.Backoff{Base: -1}, Throttled: policy.Backoff{Base: -1}}, total(sec)),
			policy.Worst{Calls: 6, Header: 3*(2*sec+50*ms) + 150*ms, End: 3*(2*sec+50*ms) + 150*ms, Waiting: 3 * ms, BufferedBytes: 4<<10 + kept + replays},
		},
		{
			"bodies that are translated", chain(translated, policy.Timeout{Total: 4 * sec, FirstByte: 2 * sec}),
			policy.Worst{Calls: 1, Header: 4 * sec, End: 4 * sec, BufferedBytes: 4<<10 + 2*(policy.MapBytes+1)},
		},
		{
			"the body of one after the headers of the others", chain(three, policy.Timeout{Total: 4 * sec, FirstByte: sec}),
			policy.Worst{Calls: 3, Header: 3*(sec+100*ms) + 150*ms, End: 2*(sec+100*ms) + 100*ms + 4*sec, BufferedBytes: 4<<10 + replays},
		},
		{"no endpoint", chain(policy.Failover{}, total(sec)), policy.Worst{Calls: 1, Header: sec, End: sec}},
	}...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, policy.Explain(tt.parts).Worst)
		})
	}
}

// TestExplainCalls: attempts at one request count together, those at what others make
// of it do not.
func TestExplainCalls(t *testing.T) {
	again := func(attempts int) policy.Retry { return policy.Retry{Attempts: attempts} }
	aside := func(beside int) policy.Hedge { return policy.Hedge{Max: beside} }
	to := func(urls ...string) policy.Failover {
		var f policy.Failover
		for i, u := range urls {
			f.Endpoints = append(f.Endpoints, policy.Endpoint{Name: string(rune('a' + i)), URL: u})
		}
		return f
	}
	one, two, three := to("https://a.test"), to("https://a.test", "https://b.test"), to("", "https://b.test", "https://c.test")
	moved := policy.Failover{Endpoints: []policy.Endpoint{{Name: "a", Path: strings.ToUpper}}}
	tests := []struct {
		name  string
		parts []policy.Part
		want  int
	}{
		{"hedge above retries", chain(aside(1), again(3), again(2)), 4},
		{"hedge between retries", chain(again(5), aside(1), again(2)), 6},
		{"hedge below a retry", chain(again(3), aside(2)), 5},
		{"one of two hedges", chain(aside(1), again(3), aside(2)), 5},
		{"foreign layer around all", chain(foreign, again(3), again(2)), 3},
		{"foreign layer around two", chain(again(2), foreign, again(3), again(2)), 2 * 3 * 2},
		{"foreign layer around a hedge and a retry", chain(again(2), foreign, aside(1), again(2)), 2 * 2 * 2},
		{"foreign layer around endpoints", chain(again(2), foreign, three), 2 * 3},
		{"one attempt begins a count, too", chain(again(1), foreign, again(3), again(2)), 3 * 2},
		{"one endpoint", chain(again(2), one, again(3)), 2 * 3},
		{"one endpoint with another path", chain(again(2), moved, again(3)), 2 * 3},
		{"one endpoint that changes nothing", chain(again(2), to(""), again(3)), 3},
		{"one endpoint alone", chain(one, again(3), again(2)), 3},
		{"two endpoints", chain(two, again(3), again(2)), 2 * 3 * 2},
		{"two endpoints and a foreign layer", chain(two, again(2), foreign, again(2), again(5)), 2 * 2 * 2 * 5},
		{"retry around", chain(again(3), two, again(2), again(2)), 3 * 2 * 2},
		{"retry and hedge around", chain(again(3), aside(1), two, again(2), again(2)), (3 + 1) * 2 * 2},
		{"refusals around the retry", chain(again(3), three, breaker, again(2)), 3 * 2},
		{"refusals after some attempts", chain(again(3), three, again(2), breaker), 3*2 + 2*(2-1)},
		{"of a limit", chain(again(3), three, again(2), fixed), 3*2 + 2*(2-1)},
		{"of one attempt each", chain(again(3), three, again(1), breaker), 3},
		{"of requests that go side by side", chain(again(3), aside(1), three, again(2), breaker), (3+1)*2 + 2*2*(2-1)},
		{"more endpoints than attempts around", chain(three, again(3), breaker), 3 * 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, policy.Explain(tt.parts).Calls)
		})
	}
}

// TestExplainGoesAsFarAsItCan: figures without end add up to no less.
func TestExplainGoesAsFarAsItCan(t *testing.T) {
	const most = 1<<63 - 1
	worst := policy.Explain(chain(
		policy.Retry{Attempts: 100, ReplayBytes: most, BufferBytes: most, DrainBytes: most, SpillBytes: most, DrainTime: most, MaxWait: most, WaitJitter: 1},
		policy.Limit{MaxWait: most}, policy.Limit{MaxWait: most}, policy.Timeout{Total: most},
	)).Worst
	assert.Equal(t, policy.Worst{Calls: 100, Header: most, End: most, Waiting: most, BufferedBytes: most, SpilledBytes: 0}, worst)
	assert.Equal(t, policy.Unbounded, time.Duration(most))

	var retries []policy.Part // each with a count of its own
	for range 10 {
		retries = append(retries, policy.Part{Kind: policy.KindRetry, Settings: policy.Retry{Attempts: 100}}, policy.Part{Kind: policy.KindForeign})
	}
	assert.Equal(t, math.MaxInt, policy.Explain(retries).Calls)
}

// Each endpoint's layers are in the table under its name.
func TestExplainNamesEndpoints(t *testing.T) {
	stack := policy.Stack{Failover: &policy.Failover{Endpoints: []policy.Endpoint{{Name: "eu", URL: "https://eu.test"}, {Name: "mine"}}}}
	text := policy.Explain(stack.Parts()).String()
	for _, want := range []string{"2 endpoints, ordered", "\neu: breaker ", "\neu: streams ", "\nmine: breaker ", "\nattempt timeout "} {
		assert.Contains(t, text, want)
	}
	assert.Equal(t, 1, strings.Count(text, "queue 6s, per Authority"), "%s", text)
}
