package fallback_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// says is a rung that always answers with a label.
func says(name, label string) fallback.Rung {
	return fallback.Rung{Name: name, Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
		return labelled(label), telemetry.Answer{Source: telemetry.Source(name)}, true
	}}
}

func labelled(label string) *http.Response {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"labelName":"` + label + `"}`))}
}

// silent is a rung that never answers.
func silent(name string) fallback.Rung {
	return fallback.Rung{Name: name, Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
		return nil, telemetry.Answer{}, false
	}}
}

// panics is a rung that panics with a value.
func panics(name string, value any) fallback.Rung {
	return fallback.Rung{Name: name, Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) { panic(value) }}
}

// uncompared is a ladder without comparisons.
func uncompared(rungs ...fallback.Rung) fallback.LadderConfig {
	return fallback.LadderConfig{Rungs: rungs, Fidelity: policy.Fidelity{Share: -1}}
}

func TestLadderOrder(t *testing.T) {
	strict := policy.Strict(t.Context())
	tests := []struct {
		name  string
		rungs []fallback.Rung
		ctx   context.Context
		want  string // the source, "" if the failure is handed on
	}{
		{"the first", []fallback.Rung{says("a", "x"), says("b", "x")}, t.Context(), "a"},
		{"the next", []fallback.Rung{silent("a"), says("b", "x")}, t.Context(), "b"},
		{"none", []fallback.Rung{silent("a"), silent("b")}, t.Context(), ""},
		{"one is excluded", []fallback.Rung{says("a", "x"), says("b", "x")}, policy.Without(t.Context(), "a"), "b"},
		{"all are excluded", []fallback.Rung{says("a", "x"), says("b", "x")}, policy.Without(t.Context(), "a", "b"), ""},
		{"strict", []fallback.Rung{says("a", "x"), says("b", "x")}, strict, ""},
		{"one panics", []fallback.Rung{panics("a", "oops"), says("b", "x")}, t.Context(), "b"},
		{"all panic", []fallback.Rung{panics("a", "oops"), panics("b", errors.New("oops"))}, t.Context(), ""},
		{"one says yes and has nothing", []fallback.Rung{{Name: "a", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
			return nil, telemetry.Answer{}, true
		}}, says("b", "x")}, t.Context(), "b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rt := fallback.NewLadder(uncompared(tt.rungs...)).Wrap(answers(503, "down"))
			resp, err := rt.RoundTrip(invoke(t, `{}`).WithContext(tt.ctx))
			require.NoError(t, err)
			if tt.want == "" {
				assert.Equal(t, 503, resp.StatusCode)
				assert.Equal(t, "down", readAll(t, resp))
				assert.Empty(t, resp.Header)
				return
			}
			assert.Equal(t, `{"labelName":"x"}`, readAll(t, resp))
			assert.Equal(t, tt.want+";cause=overloaded", resp.Header.Get(telemetry.HeaderName))
		})
	}
}

// What a rung leaves out of its response, the ladder adds; what it claims to be
// and is not, the ladder puts right.
func TestLadderCompletes(t *testing.T) {
	for _, source := range []telemetry.Source{"", telemetry.Live, telemetry.Cache} {
		rung := fallback.Rung{Name: "mine", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
			return &http.Response{StatusCode: 204}, telemetry.Answer{Source: source, Cause: policy.Invalid, Rule: "r", Age: time.Minute}, true
		}}
		req := invoke(t, `{}`)
		ctx, trail := telemetry.NewContext(req.Context())
		req = req.WithContext(ctx)
		resp, err := fallback.Layer(rung)(answers(500, "down")).RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, 204, resp.StatusCode)
		assert.Equal(t, http.NoBody, resp.Body)
		assert.Same(t, req, resp.Request)
		want := telemetry.Answer{Source: "mine", Rule: "r", Age: time.Minute, Cause: policy.Internal}
		assert.Equal(t, want, trail.Answer())
		assert.Equal(t, want.Header(), resp.Header.Get(telemetry.HeaderName))
	}
}

// The body of an answer is the caller's to close.
func TestLadderLeavesAnswersOpen(t *testing.T) {
	rc := &observed{Reader: strings.NewReader("x")}
	rung := fallback.Rung{Name: "mine", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
		return &http.Response{StatusCode: 200, Body: rc}, telemetry.Answer{}, true
	}}
	resp, err := fallback.NewLadder(uncompared(rung)).Wrap(answers(503, "")).RoundTrip(invoke(t, `{}`))
	require.NoError(t, err)
	require.Zero(t, rc.closed)
	assert.Equal(t, "x", readAll(t, resp))
	assert.Equal(t, 1, rc.closed)
}

// To have no answer is no panic, be there a response beside it or not.
func TestLadderTellsOfPanicsOnly(t *testing.T) {
	bodiless := fallback.Rung{Name: "bodiless", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
		return &http.Response{StatusCode: 200}, telemetry.Answer{}, false
	}}
	cfg := uncompared(silent("silent"), bodiless)
	cfg.OnPanic = func(rung string, value any) { t.Errorf("%s: %v", rung, value) }
	resp, err := fallback.NewLadder(cfg).Wrap(answers(503, "")).RoundTrip(invoke(t, `{}`))
	require.NoError(t, err)
	assert.Equal(t, 503, resp.StatusCode)
}

// A hook that panics reaches the caller as it is, also where there is no response to close.
func TestLadderHookPanics(t *testing.T) {
	cfg := uncompared(panics("a", "oops"))
	cfg.OnPanic = func(string, any) { panic("hook") }
	ladder := fallback.NewLadder(cfg)
	for _, next := range []transportFunc{answers(503, ""), fails(errors.New("down"))} {
		assert.PanicsWithValue(t, "hook", func() { _, _ = ladder.Wrap(next).RoundTrip(invoke(t, `{}`)) })
	}
}

// An error that a classifier takes for an answer is handed on.
func TestLadderErrorJudgedGood(t *testing.T) {
	down := errors.New("down")
	ladder := fallback.NewLadder(fallback.LadderConfig{
		Rungs: []fallback.Rung{says("a", "x")}, Fidelity: policy.Fidelity{Share: 1},
		Classify: func(policy.Outcome) policy.Verdict { return policy.Verdict{Class: policy.OK} },
	})
	resp, err := ladder.Wrap(fails(down)).RoundTrip(invoke(t, `{}`))
	assert.Nil(t, resp)
	assert.Equal(t, down, err)
}

// The rungs of a Fallback can be asked by themselves.
func TestRungsAlone(t *testing.T) {
	f := mustNew(t, ticketRules())
	for _, rung := range []fallback.Rung{f.Rules(), f.Static()} {
		for data, want := range map[string]bool{`{"data":"a refund"}`: true, `{"data":"a refund","stream":true}`: false} {
			resp, about, ok := rung.Answer(invoke(t, data), false)
			assert.Equal(t, want, ok, rung.Name)
			assert.Equal(t, want, resp != nil, rung.Name)
			assert.Equal(t, want, about.Source != "", rung.Name)
		}
	}
	_, _, ok := f.Rules().Answer(invoke(t, `{"data":"hello"}`), false)
	assert.False(t, ok, "no rule matches")
	cfg := ticketRules()
	cfg.Static = nil
	_, _, ok = mustNew(t, cfg).Static().Answer(invoke(t, `{"data":"hello"}`), false)
	assert.False(t, ok, "there is no static answer")
	cfg = ticketRules()
	cfg.Codec = scores{err: errors.New("no ids")}
	_, _, ok = mustNew(t, cfg).Rules().Answer(invoke(t, `{"data":"refund","externalId":"e"}`), false)
	assert.False(t, ok, "the codec fails")
}

// A response that comes beside a no is closed.
func TestLadderClosesRefusedResponses(t *testing.T) {
	rc := &observed{Reader: strings.NewReader("x")}
	rung := fallback.Rung{Name: "mine", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
		return &http.Response{Body: rc}, telemetry.Answer{}, false
	}}
	resp, err := fallback.NewLadder(uncompared(rung)).Wrap(answers(503, "")).RoundTrip(invoke(t, `{}`))
	require.NoError(t, err)
	assert.Equal(t, 503, resp.StatusCode)
	assert.Equal(t, 1, rc.closed)
}

func TestLadderOnPanic(t *testing.T) {
	type news struct {
		rung  string
		value any
	}
	var got []news
	cfg := uncompared(panics("a", "oops"), panics("b", 7), says("c", "x"))
	cfg.OnPanic = func(rung string, value any) { got = append(got, news{rung, value}) }
	resp, err := fallback.NewLadder(cfg).Wrap(answers(503, "")).RoundTrip(invoke(t, `{}`))
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, []news{{"a", "oops"}, {"b", 7}}, got)
}

// Nobody is asked for a caller who has left, be it while the rungs are asked.
func TestLadderCallerLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	leaving := fallback.Rung{Name: "a", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
		cancel()
		return nil, telemetry.Answer{}, false
	}}
	asked := fallback.Rung{Name: "b", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
		t.Error("asked though the caller has left")
		return nil, telemetry.Answer{}, false
	}}
	rt := fallback.NewLadder(uncompared(leaving, asked)).Wrap(answers(503, "down"))
	for range 2 { // he has left before the second
		resp, err := rt.RoundTrip(invoke(t, `{}`).WithContext(ctx))
		require.NoError(t, err)
		assert.Equal(t, 503, resp.StatusCode)
	}
}

// A rung sees the request's context, which may be past its deadline.
func TestLadderContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(policy.WithCall(t.Context(), policy.Call{Function: "tickets"}), time.Second)
		defer cancel()
		rung := fallback.Rung{Name: "a", Answer: func(req *http.Request, shadow bool) (*http.Response, telemetry.Answer, bool) {
			assert.False(t, shadow)
			assert.Equal(t, "tickets", policy.CallOf(req.Context()).Function)
			assert.ErrorIs(t, req.Context().Err(), context.DeadlineExceeded)
			return labelled("x"), telemetry.Answer{}, true
		}}
		waits := transportFunc(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		resp, err := fallback.NewLadder(uncompared(rung)).Wrap(waits).RoundTrip(invoke(t, `{}`).WithContext(ctx))
		require.NoError(t, err)
		assert.Equal(t, `{"labelName":"x"}`, readAll(t, resp))
	})
}

func TestNewLadderPanics(t *testing.T) {
	one := []fallback.Rung{says("a", "x")}
	tests := map[string]struct {
		cfg  fallback.LadderConfig
		want string
	}{
		"no rung":    {fallback.LadderConfig{}, "fallback: a ladder has no rung"},
		"no name":    {uncompared(says("", "x")), `fallback: Rungs[0] has the name ""`},
		"same name":  {uncompared(says("a", "x"), says("a", "x")), `fallback: Rungs[1] has the name "a"`},
		"live":       {uncompared(says("live", "x")), `fallback: Rungs[0] has the name "live"`},
		"cached":     {uncompared(says("cache", "x")), `fallback: Rungs[0] has the name "cache"`},
		"no answer":  {uncompared(fallback.Rung{Name: "a"}), `fallback: Rungs[0] "a" has no Answer`},
		"a share":    {fallback.LadderConfig{Rungs: one, Fidelity: policy.Fidelity{Share: 1.1}}, "fallback: Fidelity.Share is 1.1"},
		"everything": {fallback.LadderConfig{Rungs: one}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				got, _ := recover().(string)
				if tt.want == "" {
					assert.Empty(t, got)
				} else {
					assert.Contains(t, got, tt.want)
				}
			}()
			fallback.NewLadder(tt.cfg)
		})
	}
}

// A ladder does not change with the slice that it was made of.
func TestNewLadderCopies(t *testing.T) {
	rungs := []fallback.Rung{says("a", "x")}
	ladder := fallback.NewLadder(uncompared(rungs...))
	rungs[0] = says("b", "y")
	resp, err := ladder.Wrap(answers(503, "")).RoundTrip(invoke(t, `{}`))
	require.NoError(t, err)
	assert.Equal(t, `{"labelName":"x"}`, readAll(t, resp))
}

// A codec gives the answers of rules and the static answer another form.
type scores struct{ err error }

func (s scores) Encode(a policy.Answer, externalID string) ([]byte, error) {
	if s.err != nil && externalID != "" {
		return nil, s.err
	}
	return []byte(`{"top":"` + a.Label + `","id":"` + externalID + `"}`), nil
}

func (scores) Label(document []byte) (string, float64, bool) {
	rest, ok := strings.CutPrefix(string(document), `{"top":"`)
	label, _, _ := strings.Cut(rest, `"`)
	return label, 0, ok
}

func TestLayerCodec(t *testing.T) {
	cfg := ticketRules()
	cfg.Codec = scores{}
	f := mustNew(t, cfg)
	for text, want := range map[string]string{"refund": "billing", "hello": "general"} {
		resp, err := f.Wrap(answers(503, "")).RoundTrip(invoke(t, `{"data":"`+text+`","externalId":"e"}`))
		require.NoError(t, err)
		assert.Equal(t, `{"top":"`+want+`","id":"e"}`, readAll(t, resp))
		assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	}
}

// A document is sent as it is, with the external id or without.
func TestLayerDocument(t *testing.T) {
	cfg := policy.Fallback{Static: &policy.Answer{Label: "none", Document: []byte(`[{"labelName":"a"}]`)}}
	resp, err := mustNew(t, cfg).Wrap(answers(503, "")).RoundTrip(invoke(t, `{"data":"x","externalId":"e"}`))
	require.NoError(t, err)
	assert.Equal(t, `[{"labelName":"a"}]`, readAll(t, resp))
}

// A rung for which nothing is set up is none, in figures as in what the layer tells of itself.
func TestLayerRungsThatAreSetUp(t *testing.T) {
	for want, cfg := range map[string]policy.Fallback{
		policy.RungStatic: {Static: &policy.Answer{Label: "general"}},
		policy.RungRules:  rules(policy.Rule{Name: "r", Any: list(words("refund")), Answer: policy.Answer{Label: "billing"}}),
	} {
		part := mustNew(t, cfg).Wrap(answers(200, "")).(interface{ Part() policy.Part }).Part()
		assert.Equal(t, []string{want}, part.Settings.(policy.Fallback).Rungs)
	}
}

// A codec that cannot write an answer leaves the failure as it is; one that can
// write none is found out at once.
func TestLayerCodecFails(t *testing.T) {
	cfg := ticketRules()
	cfg.Codec = scores{err: errors.New("no room for the id that the caller gave")}
	var log strings.Builder
	observed := telemetry.ObserveCall(telemetry.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	rt := observed(mustNew(t, cfg).Wrap(answers(503, "down")))
	resp, err := rt.RoundTrip(invoke(t, `{"data":"refund","externalId":"e"}`))
	require.NoError(t, err)
	assert.Equal(t, 503, resp.StatusCode)
	assert.Equal(t, "down", readAll(t, resp))
	assert.Contains(t, log.String(), `rung=rules error="codec: error of type *errors.errorString"`)
	assert.Contains(t, log.String(), `rung=static error="codec: error of type *errors.errorString"`)
	assert.NotContains(t, log.String(), "no room", "the text may hold what the caller asked")

	cfg.Codec = mute{}
	_, err = fallback.New(cfg)
	assert.EqualError(t, err, `fallback: Rules[0] "refunds": the codec cannot write the answer: mute`+"\n"+
		`fallback: Static: the codec cannot write the answer: mute`)
}

type mute struct{ scores }

func (mute) Encode(policy.Answer, string) ([]byte, error) { return nil, errors.New("mute") }

// The order of the rungs that a Fallback has is that of its settings.
func TestLayerOrder(t *testing.T) {
	tests := []struct {
		name  string
		rungs []string
		text  string
		want  int
	}{
		{"rules only, no match", []string{policy.RungRules}, "hello", 503},
		{"rules only", []string{policy.RungRules}, "refund", 200},
		{"static only", []string{policy.RungStatic}, "refund", 200},
		{"neither", []string{policy.RungStale}, "refund", 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := ticketRules()
			cfg.Rungs = tt.rungs
			resp, err := mustNew(t, cfg).Wrap(answers(503, "")).RoundTrip(invoke(t, `{"data":"`+tt.text+`"}`))
			require.NoError(t, err)
			assert.Equal(t, tt.want, resp.StatusCode)
		})
	}
	cfg := ticketRules()
	cfg.Rungs = []string{"rule"}
	_, err := fallback.New(cfg)
	assert.EqualError(t, err, `policy: Fallback.Rungs[0] is "rule", want one of stale, similar, rules, static`)
}

// A panic is logged, in shadow as in an outage, without what it panicked with:
// that may be the input.
func TestLadderPanicIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		observed := telemetry.ObserveCall(telemetry.Config{Function: "tickets", Logger: slog.New(slog.NewTextHandler(&log, nil))})
		var row []int
		ladder := compared(panics("a", "the input"), fallback.Rung{Name: "b", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
			return nil, telemetry.Answer{Samples: row[2]}, false
		}})
		for _, next := range []http.RoundTripper{answers(200, `{"labelName":"x"}`), answers(503, "")} {
			log.Reset()
			resp, err := observed(ladder.Wrap(next)).RoundTrip(invoke(t, `{}`))
			require.NoError(t, err)
			readAll(t, resp)
			assert.Equal(t, 2, strings.Count(log.String(), `level=ERROR msg="rung failed" event.name=sparekey.rung.failed function=tickets`))
			assert.Contains(t, log.String(), `rung=a error="panic with a string"`)
			assert.Contains(t, log.String(), `rung=b error="panic: runtime error: index out of range [2] with length 0"`)
			assert.NotContains(t, log.String(), "the input")
		}
	})
}
