package sqlite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/predictions"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// An account is the part of the service that a submitter talks to.
type account struct {
	mu      sync.Mutex
	samples map[string][]string // by external id
	hidden  bool                // it does not list samples
	labels  map[string]string   // what was annotated, by sample
	puts    int
	fail    func(put int) int // the status of a PUT, 0 for success
	told    func(sample, label string)
}

func (a *account) RoundTrip(req *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if req.Body != nil {
		defer req.Body.Close()
	}
	status, body := http.StatusOK, ""
	switch path := strings.Split(req.URL.Path, "/"); req.Method {
	case http.MethodGet:
		if a.hidden {
			status, body = http.StatusServiceUnavailable, `{"message": "no"}`
			break
		}
		var list []string
		for _, id := range a.samples[req.URL.Query().Get("externalId")] {
			list = append(list, fmt.Sprintf(`{"id": %q}`, id))
		}
		body = "[" + strings.Join(list, ",") + "]"
	case http.MethodPut:
		a.puts++
		if a.fail != nil {
			if s := a.fail(a.puts); s != 0 {
				status, body = s, `{"message": "no"}`
				break
			}
		}
		var annotation struct{ LabelName string }
		if err := json.NewDecoder(req.Body).Decode(&annotation); err != nil {
			return nil, err
		}
		a.labels[path[len(path)-2]], body = annotation.LabelName, "{}"
		if a.told != nil {
			a.told(path[len(path)-2], annotation.LabelName)
		}
	}
	header := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

type fixedToken struct{}

func (fixedToken) Token(context.Context, string) (string, error) { return "t", nil }

// submitting returns a store, an account and a submitter between them.
func submitting(t *testing.T, options predictions.SubmitOptions) (*predictions.Store, *account, *predictions.Submitter) {
	t.Helper()
	a := &account{samples: map[string][]string{}, labels: map[string]string{}}
	client, err := nyckel.New(nyckel.WithTokenSource(fixedToken{}), nyckel.WithLimit(policy.Limit{Off: true}), nyckel.WithHTTPClient(&http.Client{Transport: a}),
		nyckel.WithStack(policy.Stack{Retry: policy.Retry{Off: true}}), nyckel.WithFunction("f", nyckel.Function{ID: "function_1"}))
	require.NoError(t, err)
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{})
	return store, a, predictions.NewSubmitter(store, client, options)
}

func predict(t *testing.T, store *predictions.Store, id, external, sample, label, truth string) {
	t.Helper()
	require.NoError(t, store.Record(t.Context(), predictions.Prediction{
		ID: id, Function: "f", ExternalID: external, SampleID: sample, Label: label, At: start,
	}))
	if truth != "" {
		require.NoError(t, store.SetTruth(t.Context(), predictions.Truth{PredictionID: id, Label: truth}))
	}
}

func stateOf(t *testing.T, store *predictions.Store, sample string) predictions.SubmitState {
	t.Helper()
	truths, err := store.Truths(t.Context(), "f", sample)
	require.NoError(t, err)
	require.NotEmpty(t, truths)
	return truths[len(truths)-1].Submit
}

func TestSubmit(t *testing.T) {
	store, a, submitter := submitting(t, predictions.SubmitOptions{})
	predict(t, store, "known", "e1", "sample_1", "x", "y")
	predict(t, store, "found", "e2", "", "x", "y")
	predict(t, store, "hidden", "e3", "", "x", "y")
	predict(t, store, "ambiguous", "e4", "", "x", "y")
	predict(t, store, "two samples", "e5", "sample_5", "x", "y")
	predict(t, store, "two samples again", "e5", "sample_55", "x", "")
	predict(t, store, "nameless", "", "", "x", "y")
	predict(t, store, "nameless, but known", "", "sample_7", "x", "y")
	predict(t, store, "right", "e8", "sample_8", "x", "x")
	require.NoError(t, store.Record(t.Context(), predictions.Prediction{Function: "f", ExternalID: "e8", Label: "z", Source: telemetry.Rule})) // the model's no fault
	predict(t, store, "e2", "e9", "sample_9", "x", "")                                                                                         // of another sample, although its id is the name of one
	a.samples["e2"], a.samples["e4"] = []string{"sample_2", "sample_2"}, []string{"sample_4", "sample_44"}

	// Pages may overlap, so that one sample is told twice.
	done, err := submitter.Submit(t.Context(), "f")
	require.NoError(t, err)
	assert.Equal(t, predictions.Submitted{Done: 3, Later: 1, Ambiguous: 2, Refused: 1, Skipped: 1}, done)
	assert.Equal(t, map[string]string{"sample_1": "y", "sample_2": "y", "sample_7": "y"}, a.labels)
	for sample, want := range map[string]predictions.SubmitState{
		"e1": predictions.SubmitDone, "e2": predictions.SubmitDone, "e3": predictions.SubmitLater, "e4": predictions.SubmitAmbiguous,
		"e5": predictions.SubmitAmbiguous, "nameless": predictions.SubmitRefused, "nameless, but known": predictions.SubmitDone, "e8": predictions.SubmitSkipped,
	} {
		assert.Equal(t, want, stateOf(t, store, sample), sample)
	}
	truths, err := store.Truths(t.Context(), "f", "e3")
	require.NoError(t, err)
	assert.Equal(t, "no sample has the external id yet", truths[0].SubmitError)
	assert.WithinDuration(t, time.Now(), truths[0].SubmittedAt, time.Minute)
	for e, err := range store.Audit(t.Context(), predictions.Query{ID: "found"}) {
		require.NoError(t, err)
		assert.Equal(t, "sample_2", e.SampleID, "the sample is remembered")
	}

	a.samples["e3"] = []string{"sample_3"}
	done, err = submitter.Submit(t.Context(), "f")
	require.NoError(t, err)
	assert.Equal(t, predictions.Submitted{Done: 1}, done, "what shows at last, and nothing twice")

	require.NoError(t, store.SetTruth(t.Context(), predictions.Truth{PredictionID: "known", Label: "z"}))
	done, err = submitter.Submit(t.Context(), "f")
	require.NoError(t, err)
	assert.Equal(t, predictions.Submitted{Done: 1}, done)
	assert.Equal(t, "z", a.labels["sample_1"], "a correction takes the place")
}

// A correction takes the place of what was sent before, also if the prediction had
// been right after all: no confirmation that could be left out.
func TestSubmitTakesBack(t *testing.T) {
	store, a, submitter := submitting(t, predictions.SubmitOptions{})
	predict(t, store, "id", "e", "sample_1", "x", "y")
	_, err := submitter.Submit(t.Context(), "f")
	require.NoError(t, err)
	require.Equal(t, "y", a.labels["sample_1"])

	require.NoError(t, store.SetTruth(t.Context(), predictions.Truth{PredictionID: "id", Label: "x"}))
	done, err := submitter.Submit(t.Context(), "f")
	require.NoError(t, err)
	assert.Equal(t, predictions.Submitted{Done: 1}, done)
	assert.Equal(t, "x", a.labels["sample_1"])
}

// Only the current truth of a sample is sent, also if it was corrected, or erased, while
// those before it were on their way.
func TestSubmitCorrectedMeanwhile(t *testing.T) {
	store, a, submitter := submitting(t, predictions.SubmitOptions{})
	for _, id := range []string{"first", "corrected", "erased"} {
		predict(t, store, id, id, "sample_"+id, "x", "y")
	}
	var sent []string
	a.fail = func(put int) int {
		if put == 1 {
			assert.NoError(t, store.SetTruth(t.Context(), predictions.Truth{Function: "f", ExternalID: "corrected", Label: "z"}))
			_, err := store.Erase(t.Context(), "f", "erased")
			assert.NoError(t, err)
		}
		return 0
	}
	a.told = func(sample, label string) { sent = append(sent, sample+" "+label) }
	done, err := submitter.Submit(t.Context(), "f")
	require.NoError(t, err)
	assert.Equal(t, predictions.Submitted{Done: 2}, done)
	assert.Equal(t, []string{"sample_first y", "sample_corrected z"}, sent)
}

// An answer to a question much like this one holds the id of that one's sample, which
// is none of ours: no truth of this one goes there.
func TestSubmitAfterASimilarAnswer(t *testing.T) {
	store, a, submitter := submitting(t, predictions.SubmitOptions{})
	p := predictions.FromRecord(t.Context(), nyckel.Record{Function: "f", Prediction: &nyckel.Prediction{
		LabelName: "x", SampleID: "sample_of_another", ExternalID: "name_of_another", Answer: telemetry.Answer{Source: telemetry.Similar, Similarity: 0.9},
	}})
	p.ID = "id"
	require.NoError(t, store.Record(t.Context(), p))
	require.NoError(t, store.SetTruth(t.Context(), predictions.Truth{PredictionID: "id", Label: "y"}))
	done, err := submitter.Submit(t.Context(), "f")
	require.NoError(t, err)
	assert.Equal(t, predictions.Submitted{Refused: 1}, done)
	assert.Empty(t, a.labels)
}

// A sample that an endpoint of a failover names may be another account's: the truth
// goes to the account's own, if there is one.
func TestSubmitAfterAnAnswerOfAnotherEndpoint(t *testing.T) {
	store, a, submitter := submitting(t, predictions.SubmitOptions{})
	for _, p := range []predictions.Prediction{
		{ID: "1", ExternalID: "found", SampleID: "sample_of_others", Source: "eu"},
		{ID: "2", ExternalID: "known", SampleID: "sample_of_others", Source: "eu"},
		{ID: "3", ExternalID: "known", SampleID: "sample_known"},
		{ID: "4", SampleID: "sample_of_others", Source: "eu"},
	} {
		p.Function, p.Label = "f", "x"
		require.NoError(t, store.Record(t.Context(), p))
		require.NoError(t, store.SetTruth(t.Context(), predictions.Truth{PredictionID: p.ID, Label: "y"}))
	}
	a.samples["found"] = []string{"sample_found"}
	done, err := submitter.Submit(t.Context(), "f")
	require.NoError(t, err)
	assert.Equal(t, predictions.Submitted{Done: 2, Refused: 1}, done)
	assert.Equal(t, map[string]string{"sample_found": "y", "sample_known": "y"}, a.labels)
}

func TestSubmitStopsAndGoesOn(t *testing.T) {
	store, a, submitter := submitting(t, predictions.SubmitOptions{})
	for i := range 10 {
		predict(t, store, fmt.Sprint(i), fmt.Sprint("e", i), fmt.Sprint("sample_", i), "x", "y")
	}
	a.fail = func(put int) int {
		return map[int]int{2: http.StatusBadRequest, 3: http.StatusInternalServerError, 5: http.StatusTooManyRequests}[put]
	}
	done, err := submitter.Submit(t.Context(), "f")
	require.ErrorAs(t, err, new(*policy.Error))
	assert.Equal(t, predictions.Submitted{Done: 2, Later: 2, Refused: 1}, done)
	assert.Equal(t, 5, a.puts, "none after the limit")

	done, err = submitter.Submit(t.Context(), "f")
	require.NoError(t, err)
	assert.Equal(t, predictions.Submitted{Done: 7}, done)
	assert.Len(t, a.labels, 9)
}

// What is wrong with the account is so for the next truth too; what is wrong with one
// truth is not.
func TestSubmitStopsForTheAccount(t *testing.T) {
	for status, want := range map[int]predictions.Submitted{
		http.StatusUnauthorized:    {Later: 1},
		http.StatusPaymentRequired: {Later: 1},
		http.StatusForbidden:       {Later: 1},
		http.StatusConflict:        {Refused: 2},
		http.StatusNotFound:        {Later: 2},
	} {
		store, a, submitter := submitting(t, predictions.SubmitOptions{})
		predict(t, store, "1", "e1", "sample_1", "x", "y")
		predict(t, store, "2", "e2", "sample_2", "x", "y")
		a.fail = func(int) int { return status }
		done, err := submitter.Submit(t.Context(), "f")
		assert.Equal(t, want, done, status)
		assert.Equal(t, want == predictions.Submitted{Later: 1}, err != nil, status)
	}
}

func TestSubmitStopsWhereItCannotLook(t *testing.T) {
	store, a, submitter := submitting(t, predictions.SubmitOptions{})
	predict(t, store, "1", "e1", "", "x", "y")
	predict(t, store, "2", "e2", "", "x", "y")
	a.hidden = true
	done, err := submitter.Submit(t.Context(), "f")
	require.ErrorAs(t, err, new(*policy.Error))
	assert.Equal(t, predictions.Submitted{Later: 1}, done)
	assert.Zero(t, a.puts)
}

func TestSubmitOfNoSuchFunction(t *testing.T) {
	_, _, submitter := submitting(t, predictions.SubmitOptions{})
	_, err := submitter.Submit(t.Context(), "g")
	require.ErrorContains(t, err, `no function "g"`)
}

func TestNewSubmitterRefuses(t *testing.T) {
	for _, share := range []float64{-0.1, 1.1, math.NaN()} {
		assert.Panics(t, func() { predictions.NewSubmitter(nil, nil, predictions.SubmitOptions{Confirmations: share}) }, share)
	}
}

// Each current truth is put at least once, and the last one put is the last truth,
// also if the program dies between the call and the note of it.
func TestSubmitSurvivesItsEnd(t *testing.T) {
	store, a, submitter := submitting(t, predictions.SubmitOptions{})
	for i := range 20 {
		predict(t, store, fmt.Sprint(i), fmt.Sprint("e", i), fmt.Sprint("sample_", i), "x", "y")
	}
	for run := range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		a.fail = func(put int) int {
			if put%(3+run) == 0 {
				cancel()
			}
			return 0
		}
		_, _ = submitter.Submit(ctx, "f")
		cancel()
		require.NoError(t, store.SetTruth(t.Context(), predictions.Truth{PredictionID: fmt.Sprint(run), Label: "z"}))
	}
	a.fail = nil
	_, err := submitter.Submit(t.Context(), "f")
	require.NoError(t, err)
	for i := range 20 {
		want := "y"
		if i < 5 {
			want = "z"
		}
		assert.Equal(t, want, a.labels[fmt.Sprint("sample_", i)])
	}
}

// What became of a truth is written down though the caller has gone meanwhile.
func TestSubmitNotesItsLast(t *testing.T) {
	store, a, submitter := submitting(t, predictions.SubmitOptions{})
	predict(t, store, "0", "e0", "sample_0", "x", "y")
	predict(t, store, "1", "e1", "sample_1", "x", "y")
	ctx, cancel := context.WithCancel(t.Context())
	a.fail = func(int) int {
		cancel()
		return http.StatusBadRequest
	}
	_, err := submitter.Submit(ctx, "f")
	require.ErrorIs(t, err, context.Canceled, "what stopped it is not what became of that truth")
	assert.Equal(t, 1, a.puts)
	assert.NotEqual(t, predictions.SubmitOpen, stateOf(t, store, "e0"))
	assert.Equal(t, predictions.SubmitOpen, stateOf(t, store, "e1"))
}

func TestSubmitConfirmations(t *testing.T) {
	for share, want := range map[float64][2]int{0: {0, 0}, 0.3: {40, 80}, 1: {200, 200}} {
		store, a, submitter := submitting(t, predictions.SubmitOptions{
			Confirmations: share,
			Skip:          func(truth predictions.Truth) bool { return truth.ExternalID == "doubtful" },
		})
		for i := range 200 {
			predict(t, store, fmt.Sprint(i), fmt.Sprint("e", i), fmt.Sprint("sample_", i), "x", "x")
		}
		predict(t, store, "doubtful", "doubtful", "sample_d", "x", "y")
		done, err := submitter.Submit(t.Context(), "f")
		require.NoError(t, err)
		assert.GreaterOrEqual(t, done.Done, want[0])
		assert.LessOrEqual(t, done.Done, want[1])
		assert.Equal(t, 200, done.Done+done.Skipped)
		assert.NotContains(t, a.labels, "sample_d")
		assert.Equal(t, predictions.SubmitOpen, stateOf(t, store, "doubtful"))
	}
}

// What a cache gave was the service's answer, and a truth like it a confirmation; what
// a stand-in got right is news to the service.
func TestSubmitConfirmsCachedAnswers(t *testing.T) {
	store, a, submitter := submitting(t, predictions.SubmitOptions{})
	for external, answers := range map[string][]predictions.Prediction{
		"cached":          {{Label: "x", Source: telemetry.Cache}},
		"stale":           {{Label: "x", Source: telemetry.Stale}},
		"wrong in caches": {{Label: "z", Source: telemetry.Cache}},
		"live since":      {{Label: "z", Source: telemetry.Stale}, {Label: "x"}, {Label: "z", Source: telemetry.Stale}},
		"wrong since":     {{Label: "x", Source: telemetry.Cache}, {Label: "z"}, {Label: "x", Source: telemetry.Cache}},
		"rule":            {{Label: "x", Source: telemetry.Rule}},
		"static":          {{Label: "x", Source: telemetry.Static}},
	} {
		for _, p := range answers {
			p.Function, p.ExternalID, p.SampleID = "f", external, external
			require.NoError(t, store.Record(t.Context(), p))
		}
		require.NoError(t, store.SetTruth(t.Context(), predictions.Truth{Function: "f", ExternalID: external, Label: "x"}))
	}
	done, err := submitter.Submit(t.Context(), "f")
	require.NoError(t, err)
	assert.Equal(t, predictions.Submitted{Done: 4, Skipped: 3}, done)
	assert.Equal(t, map[string]string{"wrong in caches": "x", "wrong since": "x", "rule": "x", "static": "x"}, a.labels)
}

// A writer is told of what the client was answered.
func TestRecordOfACall(t *testing.T) {
	store := openStore(t, openDB(t, filepath.Join(t.TempDir(), "store.db")), predictions.Options{KeepInputs: true, KeepLabels: true})
	w := predictions.NewWriter(store, predictions.WriterOptions{})
	w.RecordPrediction(t.Context(), nyckel.Record{Function: "f", Err: io.EOF})
	w.RecordPrediction(t.Context(), nyckel.Record{
		Function: "f", Model: "m", ExternalID: "e", Input: []byte(`"hello"`), Start: start, Latency: time.Second,
		Prediction: &nyckel.Prediction{
			LabelName: "greet\x00ing", LabelID: "label_1", Confidence: 0.75, SampleID: "sample_1",
			Labels: []nyckel.LabelConfidence{{LabelName: "a", Confidence: 0.75}},
			Answer: telemetry.Answer{Source: telemetry.Rule, Rule: "r", Cause: policy.Overloaded},
		},
	})
	require.NoError(t, w.Close(t.Context()))
	n := 0
	for e, err := range store.Audit(t.Context(), predictions.Query{}) {
		require.NoError(t, err)
		n++
		assert.Equal(t, "f m e sample_1 greet\uFFFDing label_1 rule r overloaded", strings.Join([]string{
			e.Function, e.Model, e.ExternalID, e.SampleID, e.Label, e.LabelID, string(e.Source), e.Rule, e.Verdict.String(),
		}, " "))
		assert.Equal(t, `"hello"`, string(e.Input))
		assert.True(t, e.At.Equal(start.Add(time.Second)))
		assert.Equal(t, []predictions.LabelConfidence{{Label: "a", Confidence: 0.75}}, e.Labels)
	}
	assert.Equal(t, 1, n, "a call that failed predicted nothing")
}
