package nyckel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

func TestInvoke(t *testing.T) {
	for _, mode := range []nyckelsim.Mode{nyckelsim.Reference, nyckelsim.Guide} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAccount(t, nyckelsim.Config{Mode: mode})
				client := a.client(t, nyckel.WithFunction("by_name", nyckel.Function{ID: "mail"}),
					nyckel.WithFunction("without_prefix", nyckel.Function{ID: strings.TrimPrefix(a.function, "function_")}))
				for _, name := range client.Functions() {
					prediction, err := client.Invoke(t.Context(), name, nyckel.Text("where is the parcel, and <b>why</b> is it \"late\" & 迟到?"))
					require.NoError(t, err)
					assert.Equal(t, "delivery", prediction.LabelName)
					assert.NotEmpty(t, prediction.LabelID)
					assert.Greater(t, prediction.Confidence, 0.5)
					assert.Empty(t, prediction.Labels)
					assert.Nil(t, prediction.LabelMetadata)
					assert.Equal(t, mode == nyckelsim.Guide, prediction.SampleID != "", "a sample id came back")
					assert.Equal(t, telemetry.Answer{Source: telemetry.Live}, prediction.Answer)
					assert.Equal(t, 1, prediction.Trail.AttemptCount())
					assert.Equal(t, name, prediction.Trail.Function())
				}
			})
		})
	}
}

func TestInvokeOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, nyckelsim.Config{Mode: nyckelsim.Guide})
		client := a.client(t)
		invoke := func(options ...nyckel.InvokeOption) *nyckel.Prediction {
			t.Helper()
			prediction, err := client.Invoke(t.Context(), "tickets", nyckel.Text("the parcel is late again"), options...)
			require.NoError(t, err)
			return prediction
		}

		assert.Empty(t, invoke(nyckel.Capture(false)).SampleID, "sample of a call that asked for none")
		assert.NotEmpty(t, invoke(nyckel.Capture(true)).SampleID)
		assert.Equal(t, "order 66/ä", invoke(nyckel.ExternalID("order 66/ä")).ExternalID)

		labels := invoke(nyckel.LabelCount(2)).Labels
		require.Len(t, labels, 2)
		assert.Equal(t, "delivery", labels[0].LabelName)
		assert.Equal(t, "refund", labels[1].LabelName)
		assert.InDelta(t, 1, labels[0].Confidence+labels[1].Confidence, 1e-6)
	})
}

// What goes out: all options in the query but for the external id, which
// servers and proxies would log there.
func TestInvokeRequest(t *testing.T) {
	const bare = `{"data":"hello"}`
	tests := []struct {
		name      string
		ofClient  []nyckel.Option
		options   []nyckel.InvokeOption
		wantQuery string
		wantBody  string
	}{
		{"no option", nil, nil, "", bare},
		{"all options", nil, []nyckel.InvokeOption{
			nyckel.ModelID("model 1/2"), nyckel.LabelCount(3), nyckel.LabelMetadata(), nyckel.Capture(false), nyckel.ExternalID("a&b<c>"),
		}, "?capture=false&includeMetadata=true&labelCount=3&modelId=model+1%2F2", `{"data":"hello","externalId":"a&b<c>"}`},
		{"options that say the default", nil, []nyckel.InvokeOption{
			nyckel.ModelID(""), nyckel.LabelCount(0), nyckel.Capture(true), nyckel.ExternalID(""),
		}, "", bare},
		{"options of the client", []nyckel.Option{nyckel.ModelID("m"), nyckel.Capture(false)}, nil, "?capture=false&modelId=m", bare},
		{
			"a call says otherwise",
			[]nyckel.Option{nyckel.ModelID("m"), nyckel.Capture(false)},
			[]nyckel.InvokeOption{nyckel.ModelID("n"), nyckel.Capture(true)},
			"?modelId=n", bare,
		},
		{"the last one counts", nil, []nyckel.InvokeOption{nyckel.LabelCount(3), nyckel.LabelCount(5)}, "?labelCount=5", bare},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService()
			_, err := s.client(t, once, tt.ofClient...).Invoke(t.Context(), "tickets", nyckel.Text("hello"), tt.options...)
			require.NoError(t, err)
			sent := s.calls.Requests()[0]
			assert.Equal(t, http.MethodPost, sent.Method)
			assert.Equal(t, "https://api.test/v1/functions/function_1/invoke"+tt.wantQuery, sent.URL)
			assert.Equal(t, tt.wantBody+"\n", sent.Body)
			assert.Equal(t, "application/json", sent.Header.Get("Content-Type"))
			assert.Equal(t, "application/json", sent.Header.Get("Accept"))
			assert.Equal(t, "sparekey", sent.Header.Get("Nyckel-Client-Name"))
			assert.NotEmpty(t, sent.Header.Get("Nyckel-Client-Version"))
		})
	}
}

func TestInvokeModelPin(t *testing.T) {
	tests := []struct {
		name                 string
		ofFunction, ofClient string
		ofCall               []nyckel.InvokeOption
		want                 string
	}{
		{"none", "", "", nil, ""},
		{"of the client", "", "client", nil, "client"},
		{"of the function, before the client's", "function", "client", nil, "function"},
		{"of the call, before the function's", "function", "client", []nyckel.InvokeOption{nyckel.ModelID("call")}, "call"},
		{"an empty one lifts no pin", "function", "client", []nyckel.InvokeOption{nyckel.ModelID("")}, "function"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService()
			client := s.client(t, once, nyckel.ModelID(tt.ofClient),
				nyckel.WithFunction("pinned", nyckel.Function{ID: "function_2", Model: tt.ofFunction}))
			_, err := client.Invoke(t.Context(), "pinned", nyckel.Text("hello"), tt.ofCall...)
			require.NoError(t, err)
			_, query, _ := strings.Cut(s.calls.Requests()[0].URL, "?")
			want := ""
			if tt.want != "" {
				want = "modelId=" + tt.want
			}
			assert.Equal(t, want, query)
		})
	}
}

// A pin that the service refuses is an error. Neither the newest model nor a
// rule answers in its place.
func TestInvokeUnknownModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(t, nyckelsim.Config{})
		client := a.client(t, nyckel.WithStack(policy.Stack{
			Cache:    &policy.Cache{},
			Fallback: &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}},
		}))
		known := a.Models(a.function)[0]
		_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("where is it"), nyckel.ModelID(known))
		require.NoError(t, err)

		_, err = client.Invoke(t.Context(), "tickets", nyckel.Text("where is it"), nyckel.ModelID("model_gone"))
		failure := policy.ErrorOf(err)
		require.NotNil(t, failure)
		assert.Equal(t, policy.Invalid, failure.Verdict.Class)
		assert.Equal(t, `sparekey: tickets: invalid: status 400: The function has no model "model_gone".`, err.Error())
		assert.Equal(t, 2, a.Stats().Invokes)
	})
}

// What stands in for the service says so, and the trail says why.
func TestInvokeDegraded(t *testing.T) {
	down := answer(http.StatusBadGateway, "<html>502 Bad Gateway</html>")
	stack := policy.Stack{
		Cache: &policy.Cache{TTL: time.Minute, StaleIfError: time.Hour},
		Fallback: &policy.Fallback{
			Rules: []policy.Rule{{
				Name: "money", Any: []policy.Condition{{Words: []string{"refund"}}},
				Answer: policy.Answer{Label: "refund", Confidence: 0.5},
			}},
			Static:   &policy.Answer{Label: "other", Confidence: 0.1},
			Fidelity: policy.Fidelity{Share: -1},
		},
	}
	synctest.Test(t, func(t *testing.T) {
		s := newService(predict("delivery", 0.75), down)
		client := s.client(t, stack)
		invoke := func(text string, options ...nyckel.InvokeOption) *nyckel.Prediction {
			t.Helper()
			prediction, err := client.Invoke(t.Context(), "tickets", nyckel.Text(text), options...)
			require.NoError(t, err)
			return prediction
		}

		live := invoke("where is it")
		assert.Equal(t, telemetry.Answer{Source: telemetry.Live}, live.Answer)

		time.Sleep(30 * time.Second)
		cached := invoke("where is it")
		assert.Equal(t, telemetry.Answer{Source: telemetry.Cache, Age: 30 * time.Second}, cached.Answer)
		assert.Equal(t, live.LabelName, cached.LabelName)
		assert.Zero(t, cached.Trail.AttemptCount())

		rule := invoke("a refund please", nyckel.ExternalID("order-1"))
		assert.Equal(t, telemetry.Answer{Source: telemetry.Rule, Rule: "money", Confidence: 0.5, Cause: policy.Internal}, rule.Answer)
		assert.Equal(t, "refund", rule.LabelName)
		assert.Equal(t, 0.5, rule.Confidence)
		assert.Equal(t, "order-1", rule.ExternalID)
		assert.Equal(t, 3, rule.Trail.AttemptCount())

		static := invoke("hello")
		assert.Equal(t, telemetry.Answer{Source: telemetry.Static, Confidence: 0.1, Cause: policy.Internal}, static.Answer)
		assert.Equal(t, "other", static.LabelName)

		time.Sleep(time.Minute)
		stale := invoke("where is it")
		assert.Equal(t, telemetry.Stale, stale.Answer.Source)
		assert.Equal(t, policy.Internal, stale.Answer.Cause)
		assert.GreaterOrEqual(t, stale.Answer.Age, 90*time.Second)
		assert.Equal(t, "delivery", stale.LabelName)
		for _, p := range []*nyckel.Prediction{rule, static, stale} {
			assert.True(t, p.Answer.Degraded())
			assert.Contains(t, p.Trail.String(), "cause=internal")
		}
	})
}

// An answer that is none is a failure like any other, though its status is 200:
// it is asked for again, and no cache keeps it.
func TestInvokeMalformed(t *testing.T) {
	const page = "<html>Sign in to the wireless network</html>"
	const malformed = "sparekey: tickets: %s: status 200: malformed answer: %s"
	tests := []struct {
		name      string
		body      string
		wantClass policy.Class
		wantText  string
		wantCalls int // of three that the stack may make
	}{
		{"page of a proxy", page, policy.Internal, "not the JSON of a prediction: invalid character '<' looking for beginning of value (3 attempts)", 3},
		{"nothing", "", policy.Internal, "not the JSON of a prediction: unexpected end of JSON input (3 attempts)", 3},
		{"half", `{"labelName":"sp`, policy.Internal, "not the JSON of a prediction: unexpected end of JSON input (3 attempts)", 3},
		{"other form", `[{"sampleId":"sample_1"}]`, policy.Unknown, "not the JSON of a prediction: its type is array, not object", 1},
		{"no label", `{"confidence":0.5}`, policy.Unknown, "it has neither labelName nor labelId", 1},
		{"confidence in percent", `{"labelName":"spam","confidence":75}`, policy.Unknown, "confidence 75 is not between 0 and 1", 1},
		{"over the bound", `{"labelName":"spam","x":"` + strings.Repeat("x", 1<<20) + `"}`, policy.Unknown, "longer than 1048576 bytes", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(answer(http.StatusOK, tt.body))
				client := s.client(t, policy.Stack{})
				_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
				failure := policy.ErrorOf(err)
				require.NotNil(t, failure)
				assert.Equal(t, tt.wantClass, failure.Verdict.Class)
				assert.Equal(t, policy.Executed, failure.Verdict.Executed)
				assert.Contains(t, err.Error(), fmt.Sprintf(malformed, tt.wantClass, tt.wantText))
				assert.Equal(t, tt.wantCalls, s.calls.Calls())
			})
		})
		t.Run(tt.name+", then well", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(answer(http.StatusOK, tt.body), predict("spam", 0.75))
				client := s.client(t, policy.Stack{Retry: policy.Retry{Off: true}, Cache: &policy.Cache{}})
				_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
				require.Error(t, err)
				prediction, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
				require.NoError(t, err)
				assert.Equal(t, telemetry.Live, prediction.Answer.Source)
			})
		})
	}
}

func TestInvokeBodyBreaks(t *testing.T) {
	const begun = `{"labelName":"spam",`
	tests := []struct {
		name string
		step transporttest.Step
		want policy.Class
		took time.Duration
	}{
		{"cut short", transporttest.Cut(http.StatusOK, begun), policy.Truncated, 0},
		{"stalls", transporttest.Stall(http.StatusOK, begun), policy.TimedOut, 10 * time.Second},
		{"drips", transporttest.Drip(http.StatusOK, " ", time.Second), policy.TimedOut, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, err := newService(tt.step).client(t, once).Invoke(t.Context(), "tickets", nyckel.Text("hello"))
				assert.Equal(t, tt.took, time.Since(start))
				failure := policy.ErrorOf(err)
				require.NotNil(t, failure)
				assert.Equal(t, tt.want, failure.Verdict.Class)

				start = time.Now()
				prediction, err := newService(tt.step, predict("spam", 0.75)).
					client(t, policy.Stack{Retry: policy.Retry{Random: func() float64 { return 0 }}}).
					Invoke(t.Context(), "tickets", nyckel.Text("hello"))
				require.NoError(t, err)
				assert.Equal(t, tt.took, time.Since(start))
				assert.Equal(t, 2, prediction.Trail.AttemptCount())
			})
		})
	}
}

func TestInvokeClosesBodies(t *testing.T) {
	expired := answer(http.StatusUnauthorized, `{"message":"expired"}`)
	tests := map[string]struct {
		call        transporttest.Step
		laterTokens transporttest.Step // nil gives another token
	}{
		"prediction":            {call: predict("spam", 0.75)},
		"page":                  {call: answer(http.StatusOK, "<html>")},
		"too long":              {call: answer(http.StatusOK, strings.Repeat(" ", 2<<20))},
		"cut short":             {call: transporttest.Cut(http.StatusOK, "{")},
		"error":                 {call: answer(http.StatusNotFound, `{"message":"no"}`)},
		"drips":                 {call: transporttest.Drip(http.StatusServiceUnavailable, "x", time.Millisecond)},
		"token ended":           {call: expired},
		"token ended, no other": {call: expired, laterTokens: answer(http.StatusBadRequest, `{"error":"invalid_client"}`)},
		"redirect":              {call: answer(http.StatusFound, "elsewhere", "Location", "https://elsewhere.test/")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies transporttest.Bodies
				s := newService(tt.call)
				if tt.laterTokens != nil {
					s.tokens = transporttest.NewUpstream(grant(3600), tt.laterTokens)
				}
				client := s.client(t, policy.Stack{}, nyckel.WithHTTPClient(&http.Client{Transport: bodies.Wrap(s)}))
				_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("hello"))
				assert.Equal(t, name == "prediction", err == nil, "error: %v", err)
				synctest.Wait()
				bodies.Check(t)
			})
		})
	}
}

// Whoever makes a trail beforehand finds in it what happened to a call that
// failed. It is one call's only.
func TestInvokeTrailOfTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down, missing := answer(http.StatusBadGateway, ""), answer(http.StatusNotFound, "")
		s := newService(down, down, down, missing, predict("spam", 0.75))
		client := s.client(t, policy.Stack{})
		ctx, trail := telemetry.NewContext(t.Context())
		_, err := client.Invoke(ctx, "tickets", nyckel.Text("hello"))
		require.Error(t, err)
		require.Equal(t, 3, trail.AttemptCount())
		assert.Equal(t, policy.Internal, trail.Attempts()[2].Verdict.Class)

		_, err = client.Invoke(ctx, "tickets", nyckel.Text("hello"))
		assert.Equal(t, 1, policy.ErrorOf(err).Attempts)
		prediction, err := client.Invoke(ctx, "tickets", nyckel.Text("hello"))
		require.NoError(t, err)
		assert.Equal(t, 1, prediction.Trail.AttemptCount())
		assert.Equal(t, 3, trail.AttemptCount())
	})
}

// Calls that begin at once on one context have a trail each, though all have seen that
// nobody used it before, whether of one client or of several.
func TestInvokeTrailIsOfOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var book ledger
		s := newService(answer(http.StatusNotFound, ""))
		wire := transport.Func(func(req *http.Request) (*http.Response, error) {
			if req.ContentLength == int64(len(`{"data":"down"}`+"\n")) {
				_ = req.Body.Close()
				return answer(http.StatusBadGateway, "")(req)
			}
			return s.RoundTrip(req)
		})
		newClient := func() *nyckel.Client {
			return s.client(t, policy.Stack{}, nyckel.WithRecorder(&book),
				nyckel.WithHTTPClient(&http.Client{Transport: wire, Jar: slowJar{}}))
		}
		client, other := newClient(), newClient()
		ctx, _ := telemetry.NewContext(t.Context())
		var wg sync.WaitGroup
		for input, attempts := range map[nyckel.Text]int{"down": 3, "missing": 1} {
			for _, c := range []*nyckel.Client{client, other} {
				wg.Go(func() {
					_, err := c.Invoke(ctx, "tickets", input)
					assert.Equal(t, attempts, policy.ErrorOf(err).Attempts, input)
				})
			}
		}
		wg.Wait()
		require.Len(t, book.records, 4)
		for _, r := range book.records {
			assert.Equal(t, policy.ErrorOf(r.Err).Attempts, r.Trail.AttemptCount())
		}
	})
}

// A slowJar takes its time between the beginning of a call and its first layer.
type slowJar struct{}

func (slowJar) Cookies(*url.URL) []*http.Cookie {
	time.Sleep(time.Second)
	return nil
}

func (slowJar) SetCookies(*url.URL, []*http.Cookie) {}

// The very same request body goes out each time.
func TestInvokeRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(answer(http.StatusServiceUnavailable, `{"message":"busy"}`),
			transporttest.Fail(io.ErrUnexpectedEOF), predict("spam", 0.75))
		prediction, err := s.client(t, policy.Stack{}).Invoke(t.Context(), "tickets", nyckel.Text("hello"), nyckel.ExternalID("order-1"))
		require.NoError(t, err)
		assert.Equal(t, 3, prediction.Trail.AttemptCount())
		for _, r := range s.calls.Requests() {
			assert.Equal(t, "{\"data\":\"hello\",\"externalId\":\"order-1\"}\n", r.Body)
		}
		assert.Equal(t, 1, s.tokens.Calls())
	})
}

// Many calls at once get each its own answer.
func TestInvokeConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(func(req *http.Request) (*http.Response, error) {
			return predict(req.Header.Get("Test-Text"), 0.75)(req)
		})
		label := transport.Func(func(req *http.Request) (*http.Response, error) { // of which the upstream sees the header
			if strings.HasSuffix(req.URL.Path, "/invoke") {
				var body struct{ Data string }
				if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
					return nil, err
				}
				req = req.Clone(req.Context())
				req.Header.Set("Test-Text", body.Data)
			}
			return s.RoundTrip(req)
		})
		client := s.client(t, policy.Stack{Cache: &policy.Cache{}}, nyckel.WithHTTPClient(&http.Client{Transport: label}))
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				text := fmt.Sprint("text ", i%50)
				prediction, err := client.Invoke(t.Context(), "tickets", nyckel.Text(text))
				if assert.NoError(t, err) {
					assert.Equal(t, text, prediction.LabelName)
				}
			})
		}
		wg.Wait()
		assert.Equal(t, 1, s.tokens.Calls())
	})
}

func TestInvokeCancelled(t *testing.T) {
	cause := fmt.Errorf("the user has left")
	tests := []struct {
		name  string
		steps []transporttest.Step
	}{
		{"while the service thinks", []transporttest.Step{transporttest.Hang()}},
		{"while the answer comes", []transporttest.Step{transporttest.Stall(http.StatusOK, "{")}},
		{"while the stack waits", []transporttest.Step{answer(http.StatusTooManyRequests, "{}", "Retry-After", "20")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newService(tt.steps...).client(t, policy.Stack{
					Fallback: &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}},
				})
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(cause) })
				start := time.Now()
				_, err := client.Invoke(ctx, "tickets", nyckel.Text("hello"))
				assert.Equal(t, time.Second, time.Since(start))
				failure := policy.ErrorOf(err)
				require.NotNil(t, failure)
				assert.Equal(t, policy.Canceled, failure.Verdict.Class)
				assert.ErrorIs(t, err, cause)
				assert.False(t, failure.Timeout())
			})
		})
	}
}

// A call can have no rung of the fallback answer it, or not some of them.
func TestInvokeWithout(t *testing.T) {
	stack := policy.Stack{Fallback: &policy.Fallback{
		Rules: []policy.Rule{{
			Name: "money", Any: []policy.Condition{{Words: []string{"refund"}}},
			Answer: policy.Answer{Label: "refund", Confidence: 0.5},
		}},
		Static: &policy.Answer{Label: "other", Confidence: 0.1},
	}}
	rules, static := nyckel.Without(policy.RungRules), nyckel.Without(policy.RungStatic)
	tests := []struct {
		name      string
		client    []nyckel.Option
		call      []nyckel.InvokeOption
		want      telemetry.Source // "" for an error
		wantAfter telemetry.Source // of a call without options
	}{
		{"nothing", nil, nil, telemetry.Rule, telemetry.Rule},
		{"rules", nil, []nyckel.InvokeOption{rules}, telemetry.Static, telemetry.Rule},
		{"both", nil, []nyckel.InvokeOption{rules, static}, "", telemetry.Rule},
		{"strict", nil, []nyckel.InvokeOption{nyckel.Strict()}, "", telemetry.Rule},
		{"rules, by the client", []nyckel.Option{rules}, nil, telemetry.Static, telemetry.Static},
		{"rules, by the client, and static", []nyckel.Option{rules}, []nyckel.InvokeOption{static}, "", telemetry.Static},
		{"strict, by the client", []nyckel.Option{nyckel.Strict()}, nil, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newService(answer(http.StatusBadGateway, "")).client(t, stack, tt.client...)
				for _, c := range []struct {
					options []nyckel.InvokeOption
					want    telemetry.Source
				}{{tt.call, tt.want}, {nil, tt.wantAfter}} {
					prediction, err := client.Invoke(t.Context(), "tickets", nyckel.Text("my refund"), c.options...)
					if c.want == "" {
						require.NotNil(t, policy.ErrorOf(err), "error: %v", err)
						continue
					}
					require.NoError(t, err)
					assert.Equal(t, c.want, prediction.Answer.Source)
				}
			})
		})
	}
}

func TestInvokeWithoutUnknownRung(t *testing.T) {
	client := newService().client(t, policy.Stack{})
	_, err := client.Invoke(t.Context(), "tickets", nyckel.Text("x"), nyckel.Without("rule"))
	assert.EqualError(t, err, `nyckel: Without has "rule", want some of stale, similar, rules, static`)
}

// Whether answers to similar questions are given is told by function.
func TestClientSimilarStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stack := policy.Stack{Cache: &policy.Cache{Similar: &policy.Similar{}}}
		client := newService(predict("spam", 0.75)).client(t, stack,
			nyckel.WithFunction("mails", nyckel.Function{ID: "function_2"}),
			nyckel.WithFunction("plain", nyckel.Function{ID: "function_3", Stack: &policy.Stack{}}))
		assert.Empty(t, client.SimilarStats())
		for _, text := range []string{"card lost", "card stolen"} {
			for _, name := range []string{"tickets", "mails", "plain"} {
				_, err := client.Invoke(t.Context(), name, nyckel.Text(text))
				require.NoError(t, err)
			}
		}
		assert.Equal(t, []cache.SimilarStats{
			{Function: "mails", Questions: 2, Compared: 1}, {Function: "tickets", Questions: 2, Compared: 1},
		}, client.SimilarStats())
	})
}

// What a function's fallback is worth is measured while the service answers.
func TestClientFidelity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stack := policy.Stack{Fallback: &policy.Fallback{
			Static: &policy.Answer{Label: "spam", Confidence: 0.1}, Fidelity: policy.Fidelity{Share: 1},
		}}
		client := newService(predict("spam", 0.75)).client(t, stack, nyckel.WithFunction("mails", nyckel.Function{ID: "function_2"}))
		assert.Empty(t, client.Fidelity())
		for _, name := range []string{"tickets", "mails", "tickets"} {
			_, err := client.Invoke(t.Context(), name, nyckel.Text("x"))
			require.NoError(t, err)
		}
		figure := fallback.FidelityFigure{Function: "mails", Rung: "static", Asked: 1, Answered: 1, Agreed: 1, Given: 1, GivenAgreed: 1}
		spam := figure
		spam.Label = "spam"
		got := client.Fidelity()
		require.Len(t, got, 4)
		assert.Equal(t, []fallback.FidelityFigure{figure, spam}, got[:2])
		assert.Equal(t, "tickets", got[2].Function)
		assert.Equal(t, 2, got[2].GivenAgreed)
	})
}
