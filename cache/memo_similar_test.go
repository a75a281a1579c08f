package cache_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/cache"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// about is a question about one of ten subjects, whose label is the subject.
func about(subject, n int) string {
	spelled := []byte(fmt.Sprint(n))
	for i := range spelled {
		spelled[i] += 'a' - '0'
	}
	return fmt.Sprintf(`{"data":"subject%c trouble, case w%s","metadata":{"lang":"en"}}`, 'a'+subject, spelled)
}

func TestMemoSimilar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		subject := 0
		upstream := &service{respond: func(*http.Request) (*http.Response, error) {
			return response(http.StatusOK, fmt.Sprintf(`{"labelName":"label %d","confidence":0.9}`, subject)), nil
		}}
		memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{}}})
		rt := memo.Wrap(upstream)
		mine := policy.Call{Function: "tickets", Identity: "me"}
		similar := func(shadow bool) (*http.Response, telemetry.Answer, bool) {
			req := newCall(t, about(3, 9999), mine)
			req.Body = nil // it was sent
			return memo.Similar(req, shadow)
		}
		_, _, ok := similar(false)
		assert.False(t, ok, "there is no evidence")
		const questions = 300
		for n := range questions {
			subject = n % 10
			ask(t, rt, newCall(t, about(subject, n), mine))
		}
		time.Sleep(time.Hour)

		before := memo.Stats()
		for _, shadow := range []bool{true, false} {
			resp, given, ok := similar(shadow)
			require.True(t, ok)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.JSONEq(t, `{"labelName":"label 3","confidence":0.55}`, string(text))
			assert.Equal(t, telemetry.Similar, given.Source)
			assert.Equal(t, time.Hour, given.Age)
			assert.InDelta(t, 0.6, given.Similarity, 1e-9, "three of five words")
			assert.Equal(t, 1.0, given.Accuracy)
			assert.Equal(t, questions-10, given.Samples)
			assert.Equal(t, 0.55, given.Confidence)
			assert.Equal(t, "3600", resp.Header.Get("Age"))
			assert.Equal(t, "sparekey; fwd=miss; detail=similar", resp.Header.Get("Cache-Status"))
			assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
			if shadow {
				assert.Equal(t, before, memo.Stats())
			}
		}
		assert.Equal(t, before.Similar+1, memo.Stats().Similar)
		stats := memo.SimilarStats()
		require.Len(t, stats, 1)
		assert.Equal(t, "tickets", stats[0].Function)
		assert.Equal(t, questions, stats[0].Questions)
		assert.True(t, stats[0].Serving)

		uncached := newCall(t, about(3, 9999), mine)
		uncached.Header.Set("Cache-Control", "no-cache")
		other := newCall(t, about(3, 9999), mine)
		other.URL.RawQuery = "modelId=m2"
		german := `{"data":"subjectd trouble, case wjjjj","metadata":{"lang":"de"}}`
		for name, req := range map[string]*http.Request{
			"excluded":         newCallContext(t, policy.Without(t.Context(), policy.RungSimilar), about(3, 9999), mine),
			"strict":           newCallContext(t, policy.Strict(t.Context()), about(3, 9999), mine),
			"another identity": newCall(t, about(3, 9999), policy.Call{Function: "tickets", Identity: "her"}),
			"another function": newCall(t, about(3, 9999), policy.Call{Function: "spam", Identity: "me"}),
			"another model":    other,
			"another rest":     newCall(t, german, mine),
			"nothing alike":    newCall(t, `{"data":"good morning everybody","metadata":{"lang":"en"}}`, mine),
			"no text":          newCall(t, `{"data":7,"metadata":{"lang":"en"}}`, mine),
			"no object":        newCall(t, `["subjectd trouble"]`, mine),
			"no cache":         uncached,
		} {
			_, _, ok := memo.Similar(req, false)
			assert.False(t, ok, name)
		}

		memo.PurgeFunction("tickets")
		_, _, ok = similar(false)
		assert.False(t, ok, "what was purged answers no more")
	})
}

func TestMemoSimilarIsOff(t *testing.T) {
	memo := cache.NewMemo(cache.PredictionsConfig{})
	_, _, ok := memo.Similar(newCall(t, `{"data":"x"}`, policy.Call{}), false)
	assert.False(t, ok)
	assert.Nil(t, memo.SimilarStats())
}

// explosive is a codec that panics.
type explosive struct{ policy.Classification }

func (explosive) Label([]byte) (string, float64, bool) { panic("boom") }

// A codec that panics does not break a live answer, nor that it is kept. It is told of,
// and of what it panicked with the type only.
func TestMemoSimilarCodecPanics(t *testing.T) {
	var log strings.Builder
	observe := telemetry.ObserveCall(telemetry.Config{Function: "tickets", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{}}, Codec: explosive{}})
	rt := observe(memo.Wrap(&service{respond: answering(answer)}))
	for _, want := range []string{"", "cache"} {
		resp, text := ask(t, rt, newCall(t, `{"data":"a text"}`, policy.Call{}))
		assert.Equal(t, answer, text)
		assert.Equal(t, want, sourceOf(resp))
	}
	assert.Equal(t, 1, strings.Count(log.String(), "rung failed"))
	assert.Contains(t, log.String(), `function=tickets rung=similar error="codec: panic with a string"`)
	assert.NotContains(t, log.String(), "boom")
}

// oneLabel is a codec that reads the same everywhere.
type oneLabel struct {
	policy.Classification
	label string
	ok    bool
}

func (o oneLabel) Label([]byte) (string, float64, bool) { return o.label, 1, o.ok }

// What the codec knows no label of is not remembered.
func TestMemoSimilarWithoutALabel(t *testing.T) {
	for codec, want := range map[oneLabel]int{{label: "billing", ok: true}: 1, {label: "billing"}: 0, {ok: true}: 0} {
		memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{}}, Codec: codec})
		ask(t, memo.Wrap(&service{respond: answering(answer)}), newCall(t, `{"data":"a whole text"}`, policy.Call{}))
		questions := 0
		for _, s := range memo.SimilarStats() {
			questions += s.Questions
		}
		assert.Equal(t, want, questions, "%+v", codec)
	}
}

// What is not used as a label is not remembered as one.
func TestMemoSimilarLongLabels(t *testing.T) {
	for length, want := range map[int]int{256: 1, 257: 0} {
		memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{}}})
		text := fmt.Sprintf(`{"labelName":%q}`, strings.Repeat("x", length))
		ask(t, memo.Wrap(&service{respond: answering(text)}), newCall(t, `{"data":"a whole text"}`, policy.Call{}))
		questions := 0
		for _, s := range memo.SimilarStats() {
			questions += s.Questions
		}
		assert.Equal(t, want, questions, "%d bytes", length)
	}
}

// evidence asks about ten subjects until their labels are shown to be right. The label
// is what the service says from then on.
func evidence(t *testing.T, cfg cache.PredictionsConfig) (memo *cache.Memo, rt http.RoundTripper, label *string) {
	t.Helper()
	label = new(string)
	upstream := &service{respond: func(*http.Request) (*http.Response, error) {
		return response(http.StatusOK, fmt.Sprintf(`{"labelName":%q}`, *label)), nil
	}}
	memo = cache.NewMemo(cfg)
	rt = memo.Wrap(upstream)
	for n := range 300 {
		*label = fmt.Sprint("label ", n%10)
		ask(t, rt, newCall(t, about(n%10, n), policy.Call{Function: "tickets"}))
	}
	require.True(t, memo.SimilarStats()[0].Serving)
	return memo, rt, label
}

// The answer of before a purge does not come to stand for similar questions when it is
// read after it, even if there is a later one by then.
func TestMemoSimilarPurgedInTheMeantime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memo, rt, label := evidence(t, cache.PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{}}})
		question := func(n int) *http.Request { return newCall(t, about(3, n), policy.Call{Function: "tickets"}) }
		*label = "old"
		late, err := rt.RoundTrip(question(777))
		require.NoError(t, err)
		memo.Purge()
		*label = "new"
		ask(t, rt, question(777))
		_, err = io.ReadAll(late.Body)
		require.NoError(t, err)
		require.NoError(t, late.Body.Close())

		resp, _, ok := memo.Similar(question(9999), false)
		require.True(t, ok)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.JSONEq(t, `{"labelName":"new","confidence":0.55}`, string(text))
	})
}

// Live answers are set against what would have been said in their place: an answer
// that was purged or is past its lifetimes would not.
func TestMemoSimilarComparesWhatIsHeld(t *testing.T) {
	tests := map[string]func(*cache.Memo){
		"purged": func(m *cache.Memo) { m.PurgeFunction("tickets") },
		"old":    func(*cache.Memo) { time.Sleep(26 * time.Hour) },
	}
	for name, leave := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memo, rt, label := evidence(t, cache.PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{}}})
				before := memo.SimilarStats()[0]
				leave(memo)
				for subject := range 10 {
					*label = fmt.Sprint("new ", subject)
					ask(t, rt, newCall(t, about(subject, 1000), policy.Call{Function: "tickets"}))
				}
				after := memo.SimilarStats()[0]
				assert.Equal(t, before.Samples, after.Samples)
				assert.Equal(t, 1.0, after.Accuracy)
			})
		})
	}
}

// An answer that another Memo has replaced in a shared store has a label that this one
// was not told.
func TestMemoSimilarReplacedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cache.NewStore(cache.StoreConfig{})
		memo, _, _ := evidence(t, cache.PredictionsConfig{Store: store, Cache: policy.Cache{Similar: &policy.Similar{}}})
		question := func(n int) *http.Request { return newCall(t, about(3, n), policy.Call{Function: "tickets"}) }
		_, _, ok := memo.Similar(question(9999), true)
		require.True(t, ok)

		time.Sleep(time.Hour)
		other := cache.Predictions(cache.PredictionsConfig{Store: store})(&service{respond: answering(`{"labelName":"new"}`)})
		for n := 3; n < 300; n += 10 {
			ask(t, other, question(n))
		}
		for range 10 { // some of them are forgotten at a time
			_, _, ok = memo.Similar(question(9999), true)
			assert.False(t, ok)
		}
	})
}

// As many questions are remembered as the bounds of now allow, whatever they were when
// the first of them was asked.
func TestMemoSimilarWithOtherBounds(t *testing.T) {
	cfg := cache.PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{}, MaxEntries: 5}}
	memo := cache.NewMemo(cfg)
	from := 0
	for _, most := range []int{10, 120, 20} {
		cfg.MaxEntries = most
		memo = memo.With(cfg)
		rt := memo.Wrap(&service{respond: answering(answer)})
		for n := range most {
			ask(t, rt, newCall(t, about(3, from+n), policy.Call{Function: "tickets"}))
		}
		from += most
		assert.Equal(t, most, memo.SimilarStats()[0].Questions)
	}
}

// A Memo that is off gives nothing of what the one before it was asked; the next one that
// is on does.
func TestMemoWithOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := cache.PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{}}}
		memo, _, _ := evidence(t, cfg)
		time.Sleep(time.Hour)
		for _, off := range []bool{false, true, false} {
			cfg.Off = off
			memo = memo.With(cfg)
			_, _, stale := memo.Stale(newCall(t, about(3, 3), policy.Call{Function: "tickets"}), false)
			assert.Equal(t, !off, stale)
			_, _, similar := memo.Similar(newCall(t, about(3, 9999), policy.Call{Function: "tickets"}), false)
			assert.Equal(t, !off, similar)
		}
	})
}

// meddlesome is a codec that does something else whenever it reads a label.
type meddlesome struct {
	policy.Classification
	also *func()
}

func (m meddlesome) Label(document []byte) (string, float64, bool) {
	(*m.also)()
	return m.Classification.Label(document)
}

// What is purged while it is learnt is not remembered as a question.
func TestMemoSimilarPurgedWhileLearnt(t *testing.T) {
	also := func() {}
	memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{}}, Codec: meddlesome{also: &also}})
	rt := memo.Wrap(&service{respond: answering(answer)})
	ask(t, rt, newCall(t, about(3, 1), policy.Call{}))
	require.Equal(t, 1, memo.SimilarStats()[0].Questions)
	also = memo.Purge
	ask(t, rt, newCall(t, about(3, 2), policy.Call{}))
	assert.Zero(t, memo.SimilarStats()[0].Questions)
}
