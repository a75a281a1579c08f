package pin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/pin"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
)

type token struct{}

func (token) Token(context.Context, string) (string, error) { return "token", nil }

// A world is a service with two models: live calls are answered "old" after 10 ms;
// what the candidate does is the test's.
type world struct {
	candidate transporttest.Step
	upstream  *transporttest.Upstream

	mu      sync.Mutex
	now     int         // guarded by mu: calls of the candidate under way
	most    int         // guarded by mu
	shadows []time.Time // guarded by mu: when those calls came
}

// answering answers with a label after a time.
func answering(label string, after time.Duration) transporttest.Step {
	return func(req *http.Request) (*http.Response, error) {
		select {
		case <-time.After(after):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
		return transporttest.Reply(http.StatusOK, fmt.Sprintf(`{"labelName":%q,"confidence":0.9}`, label))(req)
	}
}

func newWorld(candidate transporttest.Step) *world {
	w := &world{candidate: candidate}
	w.upstream = transporttest.NewUpstream(func(req *http.Request) (*http.Response, error) {
		if req.URL.Query().Get("modelId") == "old" {
			return answering("old", 10*time.Millisecond)(req)
		}
		w.mu.Lock()
		w.shadows = append(w.shadows, time.Now())
		w.now++
		w.most = max(w.most, w.now)
		w.mu.Unlock()
		defer func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.now--
		}()
		return w.candidate(req)
	})
	return w
}

func (w *world) client(t *testing.T, options ...nyckel.Option) *nyckel.Client {
	t.Helper()
	client, err := nyckel.New(append([]nyckel.Option{
		nyckel.WithBaseURL("https://api.test"),
		nyckel.WithTokenSource(token{}),
		nyckel.WithLimit(policy.Limit{Off: true}),
		nyckel.WithHTTPClient(&http.Client{Transport: w.upstream}),
		nyckel.WithFunction("tickets", nyckel.Function{ID: "function_1", Model: "old"}),
		nyckel.WithFunction("tickets_shadow", nyckel.Function{ID: "function_1", Stack: pin.ShadowStack()}),
		nyckel.WithFunction("tickets_cached", nyckel.Function{ID: "function_1", Stack: &policy.Stack{Cache: &policy.Cache{}}}),
	}, options...)...)
	require.NoError(t, err)
	return client
}

func (w *world) shadow(t *testing.T, cfg pin.ShadowConfig) *pin.Shadow {
	t.Helper()
	if cfg.Client == nil {
		cfg.Client = w.client(t)
	}
	if cfg.Via == "" {
		cfg.Via = "tickets_shadow"
	}
	if cfg.Share == 0 {
		cfg.Share = 1
	}
	cfg.Function = "tickets"
	s, err := pin.NewShadow(cfg)
	require.NoError(t, err)
	return s
}

// invoke makes a live call and checks that it is answered as ever, and as quickly.
func invoke(t *testing.T, s *pin.Shadow, id string) {
	t.Helper()
	begin := time.Now()
	p, err := s.Invoke(t.Context(), id, nyckel.Text("hello "+id))
	require.NoError(t, err)
	require.Equal(t, "old", p.LabelName)
	require.Equal(t, 10*time.Millisecond, time.Since(begin))
}

func TestShadowAsksTheCandidateApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(answering("new", time.Minute/4))
		records := pin.NewMemory(0)
		s := w.shadow(t, pin.ShadowConfig{Candidate: "new", Records: records, Timeout: time.Minute})
		invoke(t, s, "a")
		at := time.Now()
		require.NoError(t, s.Close(t.Context()))
		requests := w.upstream.Requests()
		require.Len(t, requests, 2)
		require.Equal(t, "https://api.test/v1/functions/function_1/invoke?capture=false&modelId=new", requests[1].URL)
		require.Equal(t, requests[0].Body, requests[1].Body)
		for c := range records.Of(t.Context(), pin.Pair{Function: "tickets", Incumbent: "old", Candidate: "new"}) {
			require.Equal(t, pin.Comparison{
				Pair: pin.Pair{Function: "tickets", Incumbent: "old", Candidate: "new"}, ID: "a", At: at,
				Label: "old", Confidence: 0.9, Latency: 10 * time.Millisecond,
				CandidateLabel: "", CandidateConfidence: 0, CandidateLatency: 0, Failure: "timed_out",
			}, c, "a quarter of a minute is more than an attempt may take")
		}
		require.Equal(t, pin.ShadowStats{Observed: 1, Compared: 1}, s.Stats())
	})
}

func TestShadowComparesWithTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(answering("new", 20*time.Millisecond))
		records := pin.NewMemory(0)
		s := w.shadow(t, pin.ShadowConfig{Records: records})
		for _, id := range []string{"a", "b", "c", ""} {
			invoke(t, s, id)
		}
		require.NoError(t, s.Close(t.Context()))
		for _, request := range w.upstream.Requests() {
			if !strings.Contains(request.URL, "modelId=old") {
				require.True(t, strings.HasSuffix(request.URL, "/invoke?capture=false"), request.URL)
			}
		}
		for id, want := range map[string]int{"a": 1, "b": 1, "c": 1, "unknown": 0, "": 0} {
			n, err := records.SetTruth(t.Context(), "tickets", id, "new")
			require.NoError(t, err)
			require.Equal(t, want, n, id)
		}
		_, err := records.SetTruth(t.Context(), "tickets", "c", "old") // corrected
		require.NoError(t, err)
		r, err := s.Report(t.Context(), "old")
		require.NoError(t, err)
		require.Equal(t, pin.Proportion{Hits: 0, Of: 4}, r.Agreement)
		require.Equal(t, []pin.Cell{{Label: "old", CandidateLabel: "new", Count: 4}}, r.Confusion)
		require.Equal(t, pin.Proportion{Hits: 1, Of: 3}, r.IncumbentAccuracy)
		require.Equal(t, pin.Proportion{Hits: 2, Of: 3}, r.CandidateAccuracy)
		require.Equal(t, []time.Duration{10 * time.Millisecond, 20 * time.Millisecond}, []time.Duration{r.IncumbentLatency, r.CandidateLatency})
	})
}

func TestShadowSamplesItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(answering("new", time.Millisecond))
		draw := 0.0
		s := w.shadow(t, pin.ShadowConfig{Share: 0.25, Random: func() float64 { draw += 0.1; return draw - 0.1 }})
		for range 10 {
			invoke(t, s, "")
		}
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, pin.ShadowStats{Observed: 10, Unsampled: 7, Compared: 3}, s.Stats())
	})
}

func TestShadowKeepsToItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(answering("new", time.Millisecond))
		s := w.shadow(t, pin.ShadowConfig{Budget: 2, Period: time.Second})
		const each = 10 * time.Millisecond
		first := time.Now().Add(each) // when the first live call is answered
		for range 102 {
			invoke(t, s, "")
		}
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, pin.ShadowStats{Observed: 102, OverBudget: 98, Compared: 4}, s.Stats())
		require.Equal(t, []time.Time{first, first.Add(each), first.Add(time.Second), first.Add(time.Second + each)}, w.shadows)
	})
}

func TestShadowNeverHoldsUpItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(answering("new", time.Second))
		s := w.shadow(t, pin.ShadowConfig{Queue: 3, Concurrency: 2})
		for range 10 {
			invoke(t, s, "") // 10 ms each
		}
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, pin.ShadowStats{Observed: 10, QueueFull: 5, Compared: 5}, s.Stats())
		require.Equal(t, 2, w.most)
		invoke(t, s, "")
		require.Equal(t, 6, s.Stats().QueueFull, "closed: live calls go on")
	})
}

func TestShadowTellsFailuresOfTheCandidateFromOthers(t *testing.T) {
	tests := []struct {
		name string
		step transporttest.Step
		want pin.ShadowStats
	}{
		{"an unknown model", transporttest.Reply(400, `{"message":"no such model"}`), pin.ShadowStats{Observed: 1, Compared: 1}},
		{"a model that is gone", transporttest.Reply(404, ""), pin.ShadowStats{Observed: 1, Compared: 1}},
		{"a model that is not trained yet", transporttest.Reply(409, ""), pin.ShadowStats{Observed: 1, Compared: 1}},
		{"it breaks down", transporttest.Reply(500, ""), pin.ShadowStats{Observed: 1, Compared: 1}},
		{"it has no label", transporttest.Reply(200, `{"labelName":null,"confidence":0.9}`), pin.ShadowStats{Observed: 1, Compared: 1}},
		{"an odd success", transporttest.Reply(204, ""), pin.ShadowStats{Observed: 1, Lost: 1}},
		{"the limit of the account", transporttest.Reply(429, ""), pin.ShadowStats{Observed: 1, Lost: 1}},
		{"the quota", transporttest.Reply(402, ""), pin.ShadowStats{Observed: 1, Lost: 1}},
		{"no way there", func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") }, pin.ShadowStats{Observed: 1, Lost: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(tt.step)
				s := w.shadow(t, pin.ShadowConfig{Candidate: "new"})
				invoke(t, s, "")
				require.NoError(t, s.Close(t.Context()))
				require.Equal(t, tt.want, s.Stats())
				r, err := s.Report(t.Context(), "old")
				require.NoError(t, err)
				require.Equal(t, pin.Proportion{Hits: tt.want.Compared, Of: tt.want.Compared}, r.Failures)
				require.Len(t, w.shadows, 1, "no retry")
			})
		})
	}
}

// A candidate that always fails must not open the breaker of the live calls.
func TestShadowThatFailsLeavesLiveCallsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(transporttest.Reply(500, ""))
		s := w.shadow(t, pin.ShadowConfig{Candidate: "new"})
		for range 200 {
			invoke(t, s, "")
		}
		require.NoError(t, s.Close(t.Context()))
		require.Greater(t, s.Stats().Lost, 100, "its own breaker opens")
		require.Less(t, len(w.shadows), 100)
	})
}

func TestShadowSkipsWhatTheModelDidNotSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(answering("new", time.Millisecond))
		s := w.shadow(t, pin.ShadowConfig{Candidate: "new", Via: "tickets_cached"})
		p, err := s.Invoke(t.Context(), "", nyckel.Text("hello"), nyckel.ModelID("new"))
		require.NoError(t, err)
		require.Equal(t, "new", p.LabelName)
		degraded := *p
		degraded.Model, degraded.Answer.Source = "old", "rule"
		s.Observe("", nyckel.Text("hello"), &degraded)
		require.Equal(t, pin.ShadowStats{Observed: 2, Unusable: 2}, s.Stats())

		invoke(t, s, "same")
		synctest.Wait()
		time.Sleep(time.Second)
		invoke(t, s, "same")
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, pin.ShadowStats{Observed: 4, Unusable: 2, Compared: 1, Lost: 1}, s.Stats(), "the candidate's came from a cache")
	})
}

// Where both wait for the account's limit, the live call goes first, though it came
// later.
func TestShadowWaitsBehindLiveCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(answering("new", time.Millisecond))
		s := w.shadow(t, pin.ShadowConfig{Client: w.client(t, nyckel.WithLimit(policy.Limit{PerSecond: 1, MaxWait: time.Hour}))})
		start := time.Now()
		invoke(t, s, "a") // its shadow waits for the place at 1 s
		time.Sleep(490 * time.Millisecond)
		p, err := s.Invoke(t.Context(), "b", nyckel.Text("hello"))
		require.NoError(t, err)
		require.Equal(t, "old", p.LabelName)
		require.Equal(t, 1010*time.Millisecond, time.Since(start))
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, pin.ShadowStats{Observed: 2, Compared: 2}, s.Stats())
	})
}

// A rung of the stack's fallback does not hide a failure of the candidate.
func TestShadowHasNoFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(transporttest.Reply(500, ""))
		ladder := &policy.Stack{Fallback: &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}}, Retry: policy.Retry{Off: true}}
		client := w.client(t, nyckel.WithFunction("tickets_ladder", nyckel.Function{ID: "function_1", Stack: ladder}))
		s := w.shadow(t, pin.ShadowConfig{Client: client, Via: "tickets_ladder", Candidate: "new"})
		invoke(t, s, "")
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, pin.ShadowStats{Observed: 1, Compared: 1}, s.Stats())
	})
}

// What goes wrong before a call reaches the service says nothing about the candidate.
func TestShadowThatDoesNotReachTheCandidate(t *testing.T) {
	outage := &policy.Error{Verdict: policy.Verdict{Class: policy.Internal, Again: policy.Anywhere, Executed: policy.NotExecuted}}
	tests := map[string]nyckel.Option{
		"no token":         nyckel.WithTokenSource(&failingToken{err: outage}),
		"no place in time": nyckel.WithLimit(policy.Limit{PerSecond: 0.01, MaxWait: time.Hour}),
	}
	for name, option := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(answering("new", time.Millisecond))
				s := w.shadow(t, pin.ShadowConfig{Candidate: "new", Client: w.client(t, option)})
				invoke(t, s, "")
				require.NoError(t, s.Close(t.Context()))
				require.Equal(t, pin.ShadowStats{Observed: 1, Lost: 1}, s.Stats())
				require.Empty(t, w.shadows)
			})
		})
	}
}

// failingToken gives one token, and then none.
type failingToken struct {
	err   error
	given atomic.Bool
}

func (f *failingToken) Token(context.Context, string) (string, error) {
	if f.given.Swap(true) {
		return "", f.err
	}
	return "token", nil
}

// Whatever goes wrong in the shadow, the program lives, and so does the shadow.
func TestShadowSurvives(t *testing.T) {
	for name, accident := range map[string]func(){"panic": func() { panic("oh no") }, "end of the goroutine": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(answering("new", time.Millisecond))
				s := w.shadow(t, pin.ShadowConfig{Candidate: "new", Concurrency: 1, Records: fragile{pin.NewMemory(0), accident}})
				for _, id := range []string{"bad", "good", "bad", "good"} {
					invoke(t, s, id)
				}
				require.NoError(t, s.Close(t.Context()))
				require.Equal(t, pin.ShadowStats{Observed: 4, Compared: 2, Lost: 2}, s.Stats())
			})
		})
	}
}

type fragile struct {
	pin.Records
	accident func()
}

func (f fragile) Add(ctx context.Context, c pin.Comparison) error {
	if c.ID == "bad" {
		f.accident()
	}
	return f.Records.Add(ctx, c)
}

type broken struct{ pin.Records }

func (broken) Add(context.Context, pin.Comparison) error { return errors.New("disk full") }

func TestShadowCountsWhatIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWorld(answering("new", time.Millisecond)).shadow(t, pin.ShadowConfig{Records: broken{}})
		invoke(t, s, "")
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, pin.ShadowStats{Observed: 1, Unrecorded: 1}, s.Stats())
	})
}

func TestShadowCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWorld(answering("new", time.Hour)).shadow(t, pin.ShadowConfig{Timeout: 2 * time.Hour, Concurrency: 1})
		for range 3 {
			invoke(t, s, "")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, s.Close(ctx), context.DeadlineExceeded)
		require.NoError(t, s.Close(t.Context()), "they are broken off")
		require.Equal(t, pin.ShadowStats{Observed: 3, Lost: 3}, s.Stats())
	})
}

// Nothing is broken off where nothing is under way.
func TestShadowClosesIdle(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		require.NoError(t, newWorld(answering("x", 0)).shadow(t, pin.ShadowConfig{}).Close(ctx))
	}
}

func TestNewShadowRefuses(t *testing.T) {
	client := newWorld(nil).client(t)
	tests := []struct {
		cfg  pin.ShadowConfig
		want string
	}{
		{pin.ShadowConfig{}, "pin: ShadowConfig has no Client"},
		{pin.ShadowConfig{Client: client, Function: "tickets", Via: "other"}, `pin: ShadowConfig.Via is "other", which the client does not have`},
		{pin.ShadowConfig{Client: client, Function: "tickets", Via: "tickets"}, "pin: ShadowConfig.Via is the Function itself, want a name with a stack of its own"},
		{pin.ShadowConfig{Client: client, Function: "tickets", Via: "tickets_shadow", Share: 1.5}, "pin: ShadowConfig.Share is 1.5, want above 0 to 1"},
		{pin.ShadowConfig{Client: client, Function: "tickets", Via: "tickets_shadow", Queue: -1}, "pin: ShadowConfig has a negative number"},
	}
	for _, tt := range tests {
		_, err := pin.NewShadow(tt.cfg)
		require.EqualError(t, err, tt.want)
	}
}

func TestMemoryKeepsTheLatest(t *testing.T) {
	m := pin.NewMemory(3)
	pair := pin.Pair{Function: "tickets"}
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		require.NoError(t, m.Add(t.Context(), pin.Comparison{Pair: pair, ID: id}))
	}
	var ids []string
	for c, err := range m.Of(t.Context(), pair) {
		require.NoError(t, err)
		ids = append(ids, c.ID)
	}
	require.Equal(t, []string{"c", "d", "e"}, ids)
	require.Equal(t, 2, m.Dropped())
	require.Panics(t, func() { pin.NewMemory(-1) })
}
