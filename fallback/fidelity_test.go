package fallback_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// compared is a ladder that compares each live answer.
func compared(rungs ...fallback.Rung) *fallback.Ladder {
	return fallback.NewLadder(fallback.LadderConfig{Rungs: rungs, Function: "tickets", Fidelity: policy.Fidelity{Share: 1}})
}

// calls sends a request that is answered with a label, and reads the answer.
func calls(t *testing.T, ladder *fallback.Ladder, label string) {
	t.Helper()
	want := fmt.Sprintf(`{"labelName":%q}`, label)
	resp, err := ladder.Wrap(answers(200, want)).RoundTrip(invoke(t, `{"data":"x"}`))
	require.NoError(t, err)
	require.Equal(t, want, readAll(t, resp))
	require.Empty(t, resp.Header.Get(telemetry.HeaderName))
}

func TestFidelity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first atomic.Pointer[string]
		changing := fallback.Rung{Name: "rules", Answer: func(_ *http.Request, shadow bool) (*http.Response, telemetry.Answer, bool) {
			assert.True(t, shadow)
			if label := first.Load(); label != nil {
				return labelled(*label), telemetry.Answer{}, true
			}
			return nil, telemetry.Answer{}, false
		}}
		ladder := compared(changing, panics("broken", "oops"), says("static", "general"))
		assert.Empty(t, ladder.Fidelity())
		for _, c := range []struct{ rule, live string }{
			{"billing", "billing"}, {"billing", "general"}, {"", "general"}, {"", "billing"}, {"general", "general"},
		} {
			first.Store(&c.rule)
			if c.rule == "" {
				first.Store(nil)
			}
			calls(t, ladder, c.live)
		}
		f := func(rung, label string, asked, answered, agreed, given, givenAgreed int) fallback.FidelityFigure {
			return fallback.FidelityFigure{
				Function: "tickets", Rung: rung, Label: label,
				Asked: asked, Answered: answered, Agreed: agreed, Given: given, GivenAgreed: givenAgreed,
			}
		}
		assert.Equal(t, []fallback.FidelityFigure{
			f("rules", "", 5, 3, 2, 3, 2), f("rules", "billing", 2, 1, 1, 1, 1), f("rules", "general", 3, 2, 1, 2, 1),
			f("broken", "", 5, 0, 0, 0, 0), f("broken", "billing", 2, 0, 0, 0, 0), f("broken", "general", 3, 0, 0, 0, 0),
			f("static", "", 5, 5, 3, 2, 1), f("static", "billing", 2, 2, 0, 1, 0), f("static", "general", 3, 3, 3, 1, 1),
		}, ladder.Fidelity())
	})
}

// What has been measured is stated with the answers, unless the rung knows better.
func TestFidelityStated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		knows := fallback.Rung{Name: "knows", Answer: func(req *http.Request, _ bool) (*http.Response, telemetry.Answer, bool) {
			return labelled("a"), telemetry.Answer{Accuracy: 0.5, Samples: 7}, true
		}}
		for _, tt := range []struct {
			rung fallback.Rung
			want string
		}{
			{says("mine", "a"), "mine;accuracy=0.750;samples=4;cause=overloaded"},
			{knows, "knows;accuracy=0.500;samples=7;cause=overloaded"},
		} {
			ladder := compared(tt.rung)
			for _, live := range []string{"a", "b", "a", "a"} {
				calls(t, ladder, live)
			}
			resp, err := ladder.Wrap(answers(503, "")).RoundTrip(invoke(t, `{}`))
			require.NoError(t, err)
			assert.Equal(t, tt.want, resp.Header.Get(telemetry.HeaderName))

			elsewhere := policy.WithCall(t.Context(), policy.Call{Function: "other"})
			resp, err = ladder.Wrap(answers(503, "")).RoundTrip(invoke(t, `{}`).WithContext(elsewhere))
			require.NoError(t, err)
			assert.Equal(t, tt.rung.Name == "mine", resp.Header.Get(telemetry.HeaderName) == "mine;cause=overloaded", "measured for another function")
		}
	})
}

// Only answers of the service itself are compared, and only whole ones.
func TestFidelityNotCompared(t *testing.T) {
	const live = `{"labelName":"a"}`
	with := func(change func(*http.Response)) transportFunc {
		return func(req *http.Request) (*http.Response, error) {
			resp, err := answers(200, live)(req)
			change(resp)
			return resp, err
		}
	}
	header := func(name, value string) transportFunc {
		return with(func(r *http.Response) { r.Header.Set(name, value) })
	}
	tests := []struct {
		name string
		next transportFunc
		read int64 // of the body
		want bool
	}{
		{"whole", answers(200, live), 1 << 20, true},
		{"as far as its length", answers(200, live), int64(len(live)), true},
		{"closed early", answers(200, live), 3, false},
		{"cut short", with(func(r *http.Response) { r.ContentLength++ }), 1 << 20, false},
		{"broken", with(func(r *http.Response) {
			r.ContentLength = -1
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(live), iotest.ErrReader(errors.New("reset"))))
		}), 1 << 20, false},
		{"no label", answers(200, `{"answer":"a"}`), 1 << 20, false},
		{"too long", answers(200, live+strings.Repeat(" ", 64<<10)), 1 << 20, false},
		{"too long, without a length", with(func(r *http.Response) {
			r.ContentLength = -1
			r.Body = io.NopCloser(strings.NewReader(live + strings.Repeat(" ", 64<<10)))
		}), 1 << 20, false},
		{"as long as may be", answers(200, live+strings.Repeat(" ", 64<<10-len(live))), 1 << 20, true},
		{"from a cache", header(telemetry.HeaderName, "cache;age=1"), 1 << 20, false},
		{"compressed", header("Content-Encoding", "gzip"), 1 << 20, false},
		{"another status", answers(201, live), 1 << 20, false},
		{"no body", with(func(r *http.Response) { r.Body = http.NoBody }), 1 << 20, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				mine := says("mine", "a")
				says := mine.Answer
				mine.Answer = func(req *http.Request, shadow bool) (*http.Response, telemetry.Answer, bool) {
					asked++
					return says(req, shadow)
				}
				ladder := compared(mine)
				var live *http.Response
				resp, err := ladder.Wrap(transportFunc(func(req *http.Request) (*http.Response, error) {
					resp, err := tt.next(req)
					copied := *resp
					live = &copied
					return resp, err
				})).RoundTrip(invoke(t, `{}`))
				require.NoError(t, err)
				_, _ = io.CopyN(io.Discard, resp.Body, tt.read)
				require.NoError(t, resp.Body.Close())
				assert.Equal(t, tt.want, len(ladder.Fidelity()) > 0, "%+v", ladder.Fidelity())
				if live.Body == http.NoBody || live.ContentLength > 64<<10 {
					assert.Zero(t, asked, "for what is known not to be compared")
				}
			})
		})
	}
}

// An answer with the status 200 that is a failure to the classifier is not compared.
func TestFidelityOfAFailure(t *testing.T) {
	for class, want := range map[policy.Class]int{policy.OK: 1, policy.Filtered: 0} {
		synctest.Test(t, func(t *testing.T) {
			ladder := fallback.NewLadder(fallback.LadderConfig{
				Rungs: []fallback.Rung{says("mine", "a")}, Fidelity: policy.Fidelity{Share: 1},
				Classify: func(policy.Outcome) policy.Verdict { return policy.Verdict{Class: class} },
			})
			resp, err := ladder.Wrap(answers(200, `{"labelName":"a"}`)).RoundTrip(invoke(t, `{}`))
			require.NoError(t, err)
			readAll(t, resp)
			assert.Len(t, ladder.Fidelity(), 2*want)
		})
	}
}

// Excluded rungs are not compared; nor is anything for a method that no rung
// answers.
func TestFidelityExcluded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ladder := compared(says("a", "x"), says("b", "x"))
		rt := ladder.Wrap(answers(200, `{"labelName":"x"}`))
		send := func(req *http.Request) {
			resp, err := rt.RoundTrip(req)
			require.NoError(t, err)
			readAll(t, resp)
		}
		send(invoke(t, `{}`).WithContext(policy.Strict(t.Context())))
		put := invoke(t, `{}`)
		put.Method = http.MethodPut
		send(put)
		require.Empty(t, ladder.Fidelity())
		send(invoke(t, `{}`).WithContext(policy.Without(t.Context(), "a")))
		figures := ladder.Fidelity()
		require.Len(t, figures, 2)
		assert.Equal(t, "b", figures[0].Rung)
		assert.Equal(t, 1, figures[0].GivenAgreed)
	})
}

func TestFidelityShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for share, want := range map[float64]int{0: 5, 0.25: 25, 1: 100, -1: 0} { // of 100; zero is the default
			i := 0
			ladder := fallback.NewLadder(fallback.LadderConfig{
				Rungs: []fallback.Rung{says("a", "x")},
				Fidelity: policy.Fidelity{Share: share, Random: func() float64 {
					i++
					return float64(i-1) / 100
				}},
			})
			for range 100 {
				calls(t, ladder, "x")
			}
			asked := 0
			if figures := ladder.Fidelity(); len(figures) > 0 {
				asked = figures[0].Asked
			}
			assert.Equal(t, want, asked, "share %v", share)
		}
	})
}

// A live answer that is not compared is handed on untouched, at no cost.
func TestFidelityUnsampledAllocates(t *testing.T) {
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(""))}
	next := transportFunc(func(*http.Request) (*http.Response, error) { return resp, nil })
	req := invoke(t, `{}`)
	allocs := func(share float64) float64 {
		cfg := fallback.LadderConfig{Rungs: []fallback.Rung{says("a", "x")}}
		cfg.Fidelity = policy.Fidelity{Share: share, Random: func() float64 { return 0.999 }}
		rt := fallback.NewLadder(cfg).Wrap(next)
		return testing.AllocsPerRun(100, func() { _, _ = rt.RoundTrip(req) })
	}
	assert.Equal(t, allocs(-1), allocs(0.5))
}

// A slow rung holds a live answer up for a millisecond at most, and is given up
// then; those before it count, those after it are not asked.
func TestFidelitySlowRung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := fallback.Rung{Name: "slow", Answer: func(req *http.Request, _ bool) (*http.Response, telemetry.Answer, bool) {
			<-req.Context().Done()
			return labelled("x"), telemetry.Answer{}, true
		}}
		late := fallback.Rung{Name: "late", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
			t.Error("asked though nobody waits")
			return nil, telemetry.Answer{}, false
		}}
		ladder := compared(says("quick", "x"), slow, late)
		start := time.Now()
		calls(t, ladder, "x")
		assert.Equal(t, time.Millisecond, time.Since(start))
		synctest.Wait()
		figures := ladder.Fidelity()
		require.Len(t, figures, 2)
		assert.Equal(t, "quick", figures[0].Rung)
	})
}

// Rungs that never come back keep a few goroutines, and cost nothing once there
// are as many as may be.
func TestFidelityHangingRung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var hanging atomic.Int32
		ladder := compared(fallback.Rung{Name: "hangs", Answer: func(*http.Request, bool) (*http.Response, telemetry.Answer, bool) {
			hanging.Add(1)
			<-release
			return nil, telemetry.Answer{}, false
		}})
		start := time.Now()
		for range 100 {
			calls(t, ladder, "x")
		}
		assert.EqualValues(t, 16, hanging.Load())
		assert.Equal(t, 16*time.Millisecond, time.Since(start))
		close(release)
		synctest.Wait()
		require.Empty(t, ladder.Fidelity(), "nothing was compared")
		calls(t, ladder, "x")
		assert.EqualValues(t, 17, hanging.Load(), "those that came back make room")
		assert.Equal(t, 1, ladder.Fidelity()[0].Asked)
	})
}

// What a rung does in shadow reaches neither the call nor its request.
func TestFidelityLeavesTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		meddles := fallback.Rung{Name: "meddles", Answer: func(req *http.Request, _ bool) (*http.Response, telemetry.Answer, bool) {
			telemetry.FromContext(req.Context()).Answered(req.Context(), telemetry.Answer{Source: telemetry.Static})
			telemetry.FromContext(req.Context()).Stopped("meddling", time.Now())
			req.Header.Set("X-Meddled", "yes")
			assert.Nil(t, req.Body)
			rc, err := req.GetBody()
			if assert.NoError(t, err) {
				text, err := io.ReadAll(rc)
				assert.NoError(t, err)
				assert.Equal(t, `{"data":"refund"}`, string(text))
			}
			kept = req.Context()
			return labelled("x"), telemetry.Answer{}, true
		}}
		req := invoke(t, `{"data":"refund"}`)
		ctx, trail := telemetry.NewContext(req.Context())
		req = req.WithContext(ctx)
		before := req.Clone(ctx)
		resp, err := compared(meddles).Wrap(answers(200, `{"labelName":"x"}`)).RoundTrip(req)
		require.NoError(t, err)
		require.ErrorIs(t, kept.Err(), context.Canceled, "it ends with the comparison")
		readAll(t, resp)
		assert.Zero(t, trail.Answer())
		assert.Empty(t, trail.Notes())
		assert.Equal(t, before.Header, req.Header)
	})
}

// In shadow, GetBody is asked for one copy at a time: who wrote it need not expect more.
func TestFidelityReadsOneCopyAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := fallback.Rung{Name: "reads", Answer: func(req *http.Request, _ bool) (*http.Response, telemetry.Answer, bool) {
			rc, err := req.GetBody()
			assert.NoError(t, err)
			_, err = io.ReadAll(rc)
			assert.NoError(t, err)
			assert.NoError(t, rc.Close())
			return labelled("x"), telemetry.Answer{}, true
		}}
		own := mustNew(t, rules(policy.Rule{Name: "r", Any: list(words("refund")), Answer: hit})).Rules()
		ladder := compared(own, reads)
		req := invoke(t, `{"data":"refund"}`)
		lent, getBody := false, req.GetBody
		req.GetBody = func() (io.ReadCloser, error) {
			assert.False(t, lent, "another copy is being read")
			lent = true
			rc, err := getBody()
			time.Sleep(time.Microsecond)
			return closeFunc{rc, func() { lent = false }}, err
		}
		resp, err := ladder.Wrap(answers(200, `{"labelName":"x"}`)).RoundTrip(req)
		require.NoError(t, err)
		readAll(t, resp)
		require.Len(t, ladder.Fidelity(), 4, "both rungs, in all and by label")
	})
}

// closeFunc is a body that tells of its Close.
type closeFunc struct {
	io.Reader
	closed func()
}

func (b closeFunc) Close() error {
	b.closed()
	return nil
}

// A codec that panics breaks neither a live answer nor a spare one, and what one says
// beside a no does not count; nor does the answer that it is of.
func TestFidelityCodecTellsNothing(t *testing.T) {
	for name, codec := range map[string]policy.Codec{"panics": explosive{}, "says no": refusing{}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ladder := fallback.NewLadder(fallback.LadderConfig{
					Rungs: []fallback.Rung{says("a", "x")}, Codec: codec, Fidelity: policy.Fidelity{Share: 1},
				})
				calls(t, ladder, "x")
				assert.Empty(t, ladder.Fidelity())
			})
		})
	}
}

type explosive struct{ scores }

func (explosive) Label([]byte) (string, float64, bool) { panic("boom") }

// The figures are bounded, whatever the service answers and whoever asks.
func TestFidelityBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ladder := compared(says("a", "label-3"))
		for i := range 300 {
			calls(t, ladder, fmt.Sprintf("label-%d", i))
		}
		calls(t, ladder, strings.Repeat("x", 257))
		byLabel := map[string]int{}
		for _, f := range ladder.Fidelity() {
			byLabel[f.Label] = f.Asked
		}
		assert.Len(t, byLabel, 256+2)
		assert.Equal(t, 301, byLabel[""])
		assert.Equal(t, 300-256+1, byLabel["other"])
		assert.Equal(t, 1, byLabel["label-3"])

		ladder = compared(says("a", "x"))
		for i := range 301 {
			req := invoke(t, `{}`).WithContext(policy.WithCall(t.Context(), policy.Call{Function: fmt.Sprint("f", i%300)}))
			resp, err := ladder.Wrap(answers(200, `{"labelName":"x"}`)).RoundTrip(req)
			require.NoError(t, err)
			readAll(t, resp)
		}
		byFunction := map[string]int{}
		for _, f := range ladder.Fidelity() {
			if f.Label == "" {
				byFunction[f.Function] = f.Asked
			}
		}
		assert.Len(t, byFunction, 257)
		assert.Equal(t, 300-256, byFunction["other"])
		assert.Equal(t, 2, byFunction["f0"], "one that is known is counted on")
	})
}

// An answer that can write itself still can while it is compared.
func TestFidelityWriterTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const live = `{"labelName":"x"}`
		next := transportFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: 200, Header: http.Header{}, ContentLength: -1,
				Body: writerToBody{strings.NewReader(live)},
			}, nil
		})
		ladder := compared(says("a", "x"))
		resp, err := ladder.Wrap(next).RoundTrip(invoke(t, `{}`))
		require.NoError(t, err)
		var out bytes.Buffer
		_, err = resp.Body.(io.WriterTo).WriteTo(&out)
		require.NoError(t, err)
		assert.Equal(t, live, out.String())
		assert.Len(t, ladder.Fidelity(), 2)
	})
}

type writerToBody struct{ *strings.Reader }

func (writerToBody) Close() error { return nil }

func TestFidelityFigure(t *testing.T) {
	zero := fallback.FidelityFigure{}
	low, high := zero.Interval()
	assert.Zero(t, zero.Coverage())
	assert.Zero(t, zero.Accuracy())
	assert.Zero(t, zero.Overlap())
	assert.Equal(t, 0.625, fallback.FidelityFigure{Given: 4, GivenAgreed: 2, GivenPartly: 0.5}.Overlap())
	assert.Zero(t, low)
	assert.Equal(t, 1.0, high)

	// The bounds are those of other implementations of the score.
	tests := []struct {
		given, agreed         int
		wantLow, wantHigh, to float64
	}{
		{10, 9, 0.5958, 0.9821, 1e-4},
		{100, 90, 0.8256, 0.9448, 1e-4},
		{10, 10, 0.7225, 1, 1e-4},
		{10, 0, 0, 0.2775, 1e-4},
	}
	for _, tt := range tests {
		f := fallback.FidelityFigure{Asked: 2 * tt.given, Answered: tt.given, Given: tt.given, GivenAgreed: tt.agreed}
		low, high := f.Interval()
		assert.InDelta(t, tt.wantLow, low, tt.to, "%+v", f)
		assert.InDelta(t, tt.wantHigh, high, tt.to, "%+v", f)
		assert.InDelta(t, 0.5, f.Coverage(), 0)
		assert.InDelta(t, float64(tt.agreed)/float64(tt.given), f.Accuracy(), 0)
	}
}

func TestFidelityConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ladder := compared(says("a", "x"), says("b", "y"))
		live := ladder.Wrap(answers(200, `{"labelName":"x"}`))
		down := ladder.Wrap(answers(503, ""))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					for _, rt := range []http.RoundTripper{live, down} {
						resp, err := rt.RoundTrip(invoke(t, `{}`))
						if assert.NoError(t, err) {
							readAll(t, resp)
						}
					}
					ladder.Fidelity()
				}
			})
		}
		wg.Wait()
		figures := ladder.Fidelity()
		require.Len(t, figures, 4)
		assert.Equal(t, 160, figures[0].Given)
		assert.Equal(t, 160, figures[0].GivenAgreed)
		assert.Zero(t, figures[2].Given)
		assert.Equal(t, 160, figures[2].Answered)
	})
}

// A rung's body that panics, in shadow, does so where nobody could recover it.
func TestShadowBodyPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		cfg := fallback.LadderConfig{
			Rungs: []fallback.Rung{
				{Name: "broken", Answer: func(req *http.Request, _ bool) (*http.Response, telemetry.Answer, bool) {
					return &http.Response{StatusCode: 200, Body: brokenBody{}}, telemetry.Answer{}, true
				}},
				{Name: "has none", Answer: func(req *http.Request, _ bool) (*http.Response, telemetry.Answer, bool) {
					return &http.Response{StatusCode: 200, Body: brokenBody{}}, telemetry.Answer{}, false
				}},
				says("static", "general"),
			},
			Fidelity: policy.Fidelity{Share: 1},
			OnPanic:  func(rung string, _ any) { told = append(told, rung) },
		}
		ladder := fallback.NewLadder(cfg)
		rt := ladder.Wrap(transporttest.NewUpstream(transporttest.Reply(http.StatusOK, `{"labelName":"general"}`)))
		resp, err := rt.RoundTrip(invoke(t, `{"data":"x"}`))
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, []string{"broken", "has none"}, told)
		figures := ladder.Fidelity()
		assert.Equal(t, fallback.FidelityFigure{Rung: "broken", Asked: 1}, figures[0])
		assert.Equal(t, 1, figures[len(figures)-1].Agreed, "those after them are asked")

		cfg.Rungs = cfg.Rungs[1:]
		rt = fallback.NewLadder(cfg).Wrap(transporttest.NewUpstream(transporttest.Reply(http.StatusServiceUnavailable, "")))
		resp, err = rt.RoundTrip(invoke(t, `{"data":"x"}`))
		require.NoError(t, err)
		assert.Contains(t, resp.Header.Get(telemetry.HeaderName), "static")
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, "has none", told[2])
	})
}

// In shadow, a hook that panics ends no program, and takes no live answer.
func TestShadowHookPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		cfg := fallback.LadderConfig{
			Rungs:    []fallback.Rung{panics("a", "oops"), says("b", "x")},
			Fidelity: policy.Fidelity{Share: 1},
			OnPanic: func(string, any) {
				told.Add(1)
				panic("hook")
			},
		}
		ladder := fallback.NewLadder(cfg)
		calls(t, ladder, "x")
		assert.EqualValues(t, 1, told.Load())
		assert.Equal(t, fallback.FidelityFigure{Rung: "a", Asked: 1}, ladder.Fidelity()[0])
		assert.Equal(t, "b", ladder.Fidelity()[2].Rung, "those after it are asked")

		cfg.Codec = brokenCodec{}
		calls(t, fallback.NewLadder(cfg), "x")
		assert.EqualValues(t, 4, told.Load(), "the rung, what the other one says, and the live answer")
	})
}

type brokenCodec struct{ policy.Codec }

func (brokenCodec) Label([]byte) (string, float64, bool) { panic("oops") }

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { panic("oops") }
func (brokenBody) Close() error             { panic("oops") }

// A rung of this package that a call excludes is not compared, as one of others is
// not.
func TestFidelityExcludedOwnRung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // or a rung may come too late to be compared
		static, err := fallback.New(policy.Fallback{Static: &policy.Answer{Label: "a"}})
		require.NoError(t, err)
		for _, tt := range []struct {
			ctx  context.Context
			want []string
		}{
			{t.Context(), []string{"mine", "static"}},
			{policy.Without(t.Context(), policy.RungStatic), []string{"mine"}},
			{policy.Without(t.Context(), "mine"), []string{"static"}},
			{policy.Strict(t.Context()), nil},
		} {
			ladder := compared(says("mine", "a"), static.Static())
			resp, err := ladder.Wrap(answers(200, `{"labelName":"a"}`)).RoundTrip(invoke(t, `{}`).WithContext(tt.ctx))
			require.NoError(t, err)
			readAll(t, resp)
			var rungs []string
			for _, f := range ladder.Fidelity() {
				if f.Label == "" {
					rungs = append(rungs, f.Rung)
				}
			}
			assert.Equal(t, tt.want, rungs)
		}
	})
}

// refusing is a codec that names a label and says that there is none.
type refusing struct{ policy.Classification }

func (refusing) Label([]byte) (string, float64, bool) { return "x", 0, false }

// A ladder of other settings goes on with the figures, if its rungs are the same by name
// and order.
func TestLadderWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ladder := compared(says("a", "x"), says("b", "y"))
		calls(t, ladder, "x")
		for _, tt := range []struct {
			rungs []fallback.Rung
			want  int // answers compared
		}{
			{[]fallback.Rung{says("a", "z"), says("b", "z")}, 2},
			{[]fallback.Rung{says("b", "y"), says("a", "x")}, 1},
			{[]fallback.Rung{says("a", "x")}, 1},
			{[]fallback.Rung{says("a", "x"), says("c", "y")}, 1},
		} {
			other := ladder.With(fallback.LadderConfig{Rungs: tt.rungs, Function: "tickets", Fidelity: policy.Fidelity{Share: 1}})
			calls(t, other, "x")
			assert.Equal(t, tt.want, other.Fidelity()[0].Asked)
		}
		assert.Equal(t, 2, ladder.Fidelity()[0].Asked, "the figures are one ladder's as the other's")
	})
}

// anyLabel is a codec to which all of a document is its label.
type anyLabel struct{ policy.Classification }

func (anyLabel) Label(document []byte) (string, float64, bool) {
	return strings.TrimSpace(string(document)), 0, true
}

// Texts that are no labels are not counted by themselves.
func TestFidelityOfOddLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // or a rung may come too late to be compared
		for length, want := range map[int][]string{0: nil, 256: {"", strings.Repeat("x", 256)}, 257: {"", "other"}} {
			ladder := fallback.NewLadder(fallback.LadderConfig{
				Rungs: []fallback.Rung{says("mine", "a")}, Codec: anyLabel{}, Fidelity: policy.Fidelity{Share: 1},
			})
			resp, err := ladder.Wrap(answers(200, strings.Repeat("x", length)+" ")).RoundTrip(invoke(t, `{}`))
			require.NoError(t, err)
			readAll(t, resp)
			var labels []string
			for _, f := range ladder.Fidelity() {
				labels = append(labels, f.Label)
			}
			assert.Equal(t, want, labels, "%d bytes", length)
		}
	})
}
