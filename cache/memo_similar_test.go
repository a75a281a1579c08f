package cache_test

import (
	"fmt"
	"io"
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

// A codec that panics does not break a live answer, nor that it is kept.
func TestMemoSimilarCodecPanics(t *testing.T) {
	memo := cache.NewMemo(cache.PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{}}, Codec: explosive{}})
	rt := memo.Wrap(&service{respond: answering(answer)})
	for _, want := range []string{"", "cache"} {
		resp, text := ask(t, rt, newCall(t, `{"data":"a text"}`, policy.Call{}))
		assert.Equal(t, answer, text)
		assert.Equal(t, want, sourceOf(resp))
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
