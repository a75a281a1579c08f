package nyckel_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// handle returns the function "tickets".
func handle(t *testing.T, client *nyckel.Client) *nyckel.Handle {
	t.Helper()
	h, err := client.Function("tickets")
	require.NoError(t, err)
	return h
}

// collect returns what a list yields up to its first error.
func collect[T any](list iter.Seq2[T, error]) (items []T, err error) {
	for item, err := range list {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

// modes runs a test with an account in each response mode, with and without a delay
// before what was made shows.
func modes(t *testing.T, test func(t *testing.T, a *account, client *nyckel.Client)) {
	t.Helper()
	for _, mode := range []nyckelsim.Mode{nyckelsim.Reference, nyckelsim.Guide} {
		for _, delay := range []time.Duration{0, 700 * time.Millisecond} {
			t.Run(fmt.Sprint(mode, " ", delay), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := newAccount(t, nyckelsim.Config{Mode: mode, Delay: delay, PageSize: 2})
					test(t, a, a.client(t))
				})
			})
		}
	}
}

// A function's whole life.
func TestManage(t *testing.T) {
	modes(t, func(t *testing.T, a *account, client *nyckel.Client) {
		ctx := t.Context()
		info, err := client.CreateFunction(ctx, nyckel.NewFunction{Name: " news ", Input: nyckel.InputText, Output: nyckel.OutputClassification})
		require.NoError(t, err)
		assert.Equal(t, "news", info.Name)
		functions, err := collect(client.ListFunctions(ctx))
		require.NoError(t, err)
		assert.Len(t, functions, 2)

		h := client.FunctionByID(info.ID)
		labels, err := h.EnsureLabels(ctx, "sports", " politics", "sports", "arts")
		require.NoError(t, err)
		require.Len(t, labels, 4)
		assert.Equal(t, labels[0].ID, labels[2].ID)
		again, err := h.EnsureLabels(ctx, "politics", "sports", "arts")
		require.NoError(t, err)
		assert.Equal(t, labels[1].ID, again[0].ID)
		listed, err := collect(h.Labels(ctx))
		require.NoError(t, err)
		assert.Len(t, listed, 3, "over two pages")

		require.NoError(t, h.UpdateLabel(ctx, nyckel.Label{ID: labels[3].ID, Name: "culture", Description: "books & films", Metadata: map[string]string{"desk": "3"}}))
		label, err := h.Label(ctx, labels[3].ID)
		require.NoError(t, err)
		assert.Equal(t, nyckel.Label{ID: label.ID, Name: "culture", Description: "books & films", Metadata: map[string]string{"desk": "3"}}, *label)
		require.NoError(t, h.DeleteLabel(ctx, labels[3].ID))
		_, err = h.Label(ctx, labels[3].ID)
		assert.ErrorIs(t, err, nyckel.ErrNotFound)

		sample, err := h.CreateSample(ctx, nyckel.NewSample{Input: nyckel.Text("the match was won"), ExternalID: "a 1", Annotation: nyckel.Annotation{LabelName: "sports"}})
		require.NoError(t, err)
		assert.False(t, sample.Existing)
		twin, err := h.CreateSample(ctx, nyckel.NewSample{Input: nyckel.Text("the match was won")})
		require.NoError(t, err)
		assert.True(t, twin.Existing)
		assert.True(t, nyckel.SameID(sample.ID, twin.ID))
		got, err := h.Sample(ctx, sample.ID)
		require.NoError(t, err)
		assert.Equal(t, `"the match was won"`, string(got.Data))
		require.Len(t, got.Annotations, 1)
		assert.True(t, nyckel.SameID(labels[0].ID, got.Annotations[0].LabelID))
		require.NoError(t, h.Annotate(ctx, sample.ID, nyckel.Annotation{LabelID: labels[1].ID}))
		found, err := h.SampleByExternalID(ctx, "a 1")
		require.NoError(t, err)
		assert.True(t, nyckel.SameID(labels[1].ID, found.Annotations[0].LabelID))
		require.NoError(t, h.DeleteAnnotation(ctx, sample.ID))
		got, err = h.Sample(ctx, sample.ID)
		require.NoError(t, err)
		assert.Empty(t, got.Annotations)

		for i := range 6 {
			_, err := h.CreateSample(ctx, nyckel.NewSample{Input: nyckel.Text(fmt.Sprint("number ", i)), ExternalID: "many"})
			require.NoError(t, err)
		}
		time.Sleep(time.Second) // for what takes time to show
		for _, size := range []int{0, 1, 2, 3, 7} {
			samples, err := collect(h.Samples(ctx, nyckel.SampleFilter{PageSize: size, SortBy: "creation", SortOrder: "descending"}))
			require.NoError(t, err)
			require.Len(t, samples, 7, "pages of %d", size)
			assert.Equal(t, `"number 5"`, string(samples[0].Data))
		}
		unannotated, err := collect(h.Samples(ctx, nyckel.SampleFilter{Annotated: nyckel.Yes, NoData: true}))
		require.NoError(t, err)
		assert.Empty(t, unannotated)
		_, err = h.SampleByExternalID(ctx, "many")
		assert.ErrorIs(t, err, nyckel.ErrAmbiguous)
		require.NoError(t, h.DeleteSamples(ctx, "many"))
		_, err = h.SampleByExternalID(ctx, "many")
		assert.ErrorIs(t, err, nyckel.ErrNotFound)
		require.NoError(t, h.DeleteSample(ctx, sample.ID))
		_, err = h.Sample(ctx, sample.ID)
		assert.ErrorIs(t, err, nyckel.ErrNotFound)
		assert.ErrorIs(t, h.DeleteSample(ctx, sample.ID), nyckel.ErrNotFound)

		updated, err := h.Update(ctx, "papers", "")
		require.NoError(t, err)
		assert.Equal(t, "papers", updated.Name)
		summary, err := h.Summary(ctx)
		require.NoError(t, err)
		assert.Contains(t, string(summary), "{")
		_, err = h.Metrics(ctx)
		require.NoError(t, err)
		models, err := collect(handle(t, client).Models(ctx))
		require.NoError(t, err)
		assert.Len(t, models, 1)
		project, err := client.CreateProject(ctx, "press")
		require.NoError(t, err)
		projects, err := collect(client.Projects(ctx))
		require.NoError(t, err)
		assert.Contains(t, projects, *project)
		require.NoError(t, h.Delete(ctx))
		_, err = h.Info(ctx)
		assert.ErrorIs(t, err, nyckel.ErrNotFound)
		assert.Zero(t, a.Stats().ByStatus[http.StatusTooManyRequests])
	})
}

// A table's fields are learnt, and its rows are checked and sent by their ids.
func TestManageFields(t *testing.T) {
	modes(t, func(t *testing.T, a *account, client *nyckel.Client) {
		ctx := t.Context()
		info, err := client.CreateFunction(ctx, nyckel.NewFunction{Name: "houses", Input: nyckel.InputTabular, Output: nyckel.OutputClassification})
		require.NoError(t, err)
		h := client.FunctionByID(info.ID)
		for name, kind := range map[string]nyckel.FieldType{"Street": nyckel.FieldText, " Rooms": nyckel.FieldNumber, "Photo": nyckel.FieldImage} {
			field, err := h.CreateField(ctx, name, kind)
			require.NoError(t, err)
			shown, err := h.Field(ctx, field.ID)
			require.NoError(t, err)
			assert.Equal(t, strings.TrimSpace(name), shown.Name)
			assert.Equal(t, kind, shown.Type)
		}
		_, err = h.EnsureLabels(ctx, "cheap", "dear")
		require.NoError(t, err)
		sample, err := h.CreateSample(ctx, nyckel.NewSample{
			Input:      nyckel.Tabular{"Street": "Main St", "Rooms": 3, "Photo": nyckel.ImageBytes(asPNG(t, halves(30, 30, red, blue)))},
			Annotation: nyckel.Annotation{LabelName: "cheap"},
		})
		require.NoError(t, err)
		assert.Contains(t, string(sample.Data), "field_")
		_, err = h.CreateSample(ctx, nyckel.NewSample{Input: nyckel.Tabular{"Rom": 3}})
		assert.EqualError(t, err, `nyckel: create a sample: unknown field: "Rom"; there are: Photo, Rooms, Street`)
		fields, err := collect(h.Fields(ctx))
		require.NoError(t, err)
		require.Len(t, fields, 3)
		require.NoError(t, h.DeleteField(ctx, fields[0].ID))

		house, err := nyckel.New(nyckel.WithBaseURL(a.server.URL), nyckel.WithCredentials(clientID, clientSecret),
			nyckel.WithHTTPClient(a.server.Client()), nyckel.WithFunction("houses", nyckel.Function{ID: info.ID}))
		require.NoError(t, err)
		prediction, err := house.Invoke(ctx, "houses", nyckel.Tabular{fields[1].Name: 4})
		if fields[1].Type == nyckel.FieldNumber {
			require.NoError(t, err)
			assert.NotEmpty(t, prediction.LabelName)
		}
		named, err := house.Function("houses")
		require.NoError(t, err)
		require.NoError(t, named.LearnFields(ctx))
		_, err = house.Invoke(ctx, "houses", nyckel.Tabular{fields[0].Name: "x"})
		assert.ErrorContains(t, err, "unknown field")
	})
}

// Functions of other outputs, as the simulator serves them.
func TestOutputsOfTheSimulator(t *testing.T) {
	modes(t, func(t *testing.T, a *account, _ *nyckel.Client) {
		ctx := t.Context()
		base := a.client(t)
		ids := map[nyckel.Modality]string{}
		options := []nyckel.Option{}
		for _, output := range []nyckel.Modality{nyckel.OutputTags, nyckel.OutputSearch, nyckel.OutputBoxDetect, nyckel.OutputOCR, nyckel.OutputLocalization} {
			input := nyckel.InputImage
			if output == nyckel.OutputTags || output == nyckel.OutputSearch {
				input = nyckel.InputText
			}
			info, err := base.CreateFunction(ctx, nyckel.NewFunction{Name: string(output), Input: input, Output: output})
			require.NoError(t, err, output)
			ids[output] = info.ID
			options = append(options, nyckel.WithFunction(string(output), nyckel.Function{ID: info.ID}))
		}
		client := a.client(t, options...)
		tags := client.FunctionByID(ids[nyckel.OutputTags])
		_, err := tags.EnsureLabels(ctx, "late", "angry")
		require.NoError(t, err)
		sample, err := tags.CreateSample(ctx, nyckel.NewSample{
			Input: nyckel.Text("late and angry"),
			Tags:  []nyckel.Annotation{{LabelName: "late"}, {LabelName: "angry", Absent: true}},
		})
		require.NoError(t, err)
		require.NoError(t, tags.AnnotateTags(ctx, sample.ID, nyckel.Annotation{LabelName: "late"}, nyckel.Annotation{LabelName: "angry"}))
		sample, err = tags.Sample(ctx, sample.ID)
		require.NoError(t, err)
		assert.Len(t, sample.Annotations, 2)
		_, err = client.Tag(ctx, "Tags", nyckel.Text("it is late"))
		require.NoError(t, err)

		shelf := client.FunctionByID(ids[nyckel.OutputSearch])
		first, err := shelf.CreateSample(ctx, nyckel.NewSample{Input: nyckel.Text("a red car"), ExternalID: "car"})
		require.NoError(t, err)
		_, err = shelf.CreateSample(ctx, nyckel.NewSample{Input: nyckel.Text("a green tree")})
		require.NoError(t, err)
		_, err = shelf.Sample(ctx, first.ID) // waits until it shows
		require.NoError(t, err)
		matches, err := client.Search(ctx, "Search", nyckel.Text("red car"), nyckel.SampleCount(1))
		require.NoError(t, err)
		require.Len(t, matches.Samples, 1)
		assert.Equal(t, "car", matches.Samples[0].ExternalID)
		matches, err = client.Search(ctx, "Search", nyckel.SampleID(first.ID), nyckel.IncludeData(false))
		require.NoError(t, err)
		assert.True(t, nyckel.SameID(first.ID, matches.Samples[0].SampleID))
		assert.Nil(t, matches.Samples[0].Data)

		photo := nyckel.ImageBytes(asPNG(t, halves(60, 30, red, blue)))
		_, err = client.Detect(ctx, "BoxDetect", photo)
		require.NoError(t, err)
		_, err = client.ReadText(ctx, "Ocr", photo)
		require.NoError(t, err)
		_, err = client.Locate(ctx, "Localization", photo)
		require.NoError(t, err)
	})
}

// What is told apart by how it may be repeated.
func TestManageRepeats(t *testing.T) {
	made := answer(http.StatusOK, `{"id":"label_1","name":"spam"}`)
	label := func(h *nyckel.Handle) error {
		_, err := h.CreateLabel(context.Background(), nyckel.Label{Name: "spam"})
		return err
	}
	sample := func(h *nyckel.Handle) error {
		_, err := h.CreateSample(context.Background(), nyckel.NewSample{Input: nyckel.Text("x")})
		return err
	}
	remove := func(h *nyckel.Handle) error { return h.DeleteSample(context.Background(), "sample_1") }
	annotate := func(h *nyckel.Handle) error {
		return h.Annotate(context.Background(), "sample_1", nyckel.Annotation{LabelName: "spam"})
	}
	missing := answer(http.StatusNotFound, `{"message":"no"}`)
	tests := []struct {
		name      string
		call      func(*nyckel.Handle) error
		steps     []transporttest.Step
		wantCalls int
		wantErr   string
	}{
		{"label, turned away", label, []transporttest.Step{answer(http.StatusTooManyRequests, "{}"), made}, 3, ""}, // and one to see it
		{"label, never arrived", label, []transporttest.Step{transporttest.Fail(refusedDial()), made}, 3, ""},
		{"label, may be made", label, []transporttest.Step{answer(http.StatusBadGateway, ""), made}, 1, "nyckel: create a label: sparekey: tickets: internal: status 502"},
		{"label, cut off", label, []transporttest.Step{transporttest.Fail(syscall.ECONNRESET), made}, 1, "nyckel: create a label: sparekey: tickets: interrupted: connection reset by peer"},
		{"label, answered by a page", label, []transporttest.Step{answer(http.StatusOK, "<html>"), made}, 1, "nyckel: create a label: sparekey: tickets: internal: status 200: malformed answer: not the JSON of a label: invalid character '<' looking for beginning of value"},
		{"sample", sample, []transporttest.Step{answer(http.StatusBadGateway, ""), made}, 2, ""},
		{"sample, answered by a page", sample, []transporttest.Step{answer(http.StatusOK, "<html>"), made}, 2, ""},
		{"deleted the first time", remove, []transporttest.Step{answer(http.StatusBadGateway, ""), missing}, 2, ""},
		{"was never there", remove, []transporttest.Step{missing}, 1, "nyckel: delete a sample: sparekey: tickets: not_found: status 404: no"},
		{"was never there, asked twice", remove, []transporttest.Step{answer(http.StatusTooManyRequests, "{}"), missing}, 2, "nyckel: delete a sample: sparekey: tickets: not_found: status 404: no (2 attempts)"},
		{"deleted, by a page", remove, []transporttest.Step{answer(http.StatusOK, " <html>"), answer(http.StatusOK, "")}, 2, ""},
		{"deleted, by a page with a byte order mark", remove, []transporttest.Step{answer(http.StatusOK, "\xef\xbb\xbf\n<html>"), answer(http.StatusOK, "")}, 2, ""},
		{"annotated, by a page", annotate, []transporttest.Step{answer(http.StatusOK, " <html>"), answer(http.StatusOK, "{}")}, 2, ""},
		{"annotated, by nothing but pages", annotate, []transporttest.Step{answer(http.StatusOK, "<html>")}, 3, "nyckel: annotate a sample: sparekey: tickets: internal: status 200: malformed answer: it is a page (3 attempts)"},
		{"forbidden", remove, []transporttest.Step{answer(http.StatusForbidden, `{"message":"not yours"}`)}, 1, "nyckel: delete a sample: sparekey: tickets: forbidden: status 403: not yours"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(tt.steps...)
				err := tt.call(handle(t, s.client(t, policy.Stack{
					Cache: &policy.Cache{}, Fallback: &policy.Fallback{Static: &policy.Answer{Label: "other", Confidence: 0.1}},
				})))
				if tt.wantErr == "" {
					assert.NoError(t, err)
				} else {
					assert.EqualError(t, err, tt.wantErr)
				}
				assert.Equal(t, tt.wantCalls, s.calls.Calls())
			})
		})
	}
}

func refusedDial() error { return fmt.Errorf("dial tcp: %w", syscall.ECONNREFUSED) }

// Both forms of a 409, and one that is of no use.
func TestCreateSampleExisting(t *testing.T) {
	tests := []struct{ name, body, wantID, wantErr string }{
		{"by the vendor's client", `{"message":"there","existingSampleId":"sample_1","id":"sample_2"}`, "sample_1", ""},
		{"in older samples", `{"id":"sample_2"}`, "sample_2", ""},
		{"without", `{"message":"there"}`, "", "nyckel: create a sample: sparekey: tickets: conflict: status 409: there"},
		{"page", "<html>", "", "nyckel: create a sample: sparekey: tickets: conflict: status 409: <html>"},
		{"null", `{"existingSampleId":null}`, "", "nyckel: create a sample: sparekey: tickets: conflict: status 409"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := handle(t, newService(answer(http.StatusConflict, tt.body)).client(t, once))
			sample, err := h.CreateSample(t.Context(), nyckel.NewSample{Input: nyckel.Text("x")})
			if tt.wantErr != "" {
				assert.EqualError(t, err, tt.wantErr)
				assert.Equal(t, policy.Conflict, policy.ErrorOf(err).Verdict.Class)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, &nyckel.Sample{ID: tt.wantID, Existing: true}, sample)
		})
	}
}

// A 409 of which the page takes its time, though no longer than an attempt may, tells of
// the sample all the same.
func TestCreateSampleExistingSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := transporttest.Stream(http.StatusConflict, []transporttest.Chunk{{Data: `{"message":"there",`}, {After: 9 * time.Second, Data: `"existingSampleId":"sample_1"}`}})
		sample, err := handle(t, newService(slow).client(t, policy.Stack{})).CreateSample(t.Context(), nyckel.NewSample{Input: nyckel.Text("x")})
		require.NoError(t, err)
		assert.Equal(t, &nyckel.Sample{ID: "sample_1", Existing: true}, sample)
	})
}

// Another no than a 409 is none of a sample that is there, whatever ids it has.
func TestCreateSampleRefused(t *testing.T) {
	h := handle(t, newService(answer(http.StatusBadRequest, `{"message":"no","id":"sample_2"}`)).client(t, once))
	sample, err := h.CreateSample(t.Context(), nyckel.NewSample{Input: nyckel.Text("x")})
	assert.Nil(t, sample)
	assert.EqualError(t, err, "nyckel: create a sample: sparekey: tickets: invalid: status 400: no")
}

// What was made takes its time to show.
func TestManageWaits(t *testing.T) {
	made := answer(http.StatusOK, `{"id":"x_1","name":"a","type":"Text","input":"Text","output":"Tags"}`)
	missing := answer(http.StatusNotFound, "")
	label := func(ctx context.Context, c *nyckel.Client, h *nyckel.Handle) (any, error) {
		return h.CreateLabel(ctx, nyckel.Label{Name: "a"})
	}
	field := func(ctx context.Context, c *nyckel.Client, h *nyckel.Handle) (any, error) {
		return h.CreateField(ctx, "a", nyckel.FieldText)
	}
	function := func(ctx context.Context, c *nyckel.Client, h *nyckel.Handle) (any, error) {
		return c.CreateFunction(ctx, nyckel.NewFunction{Input: nyckel.InputText, Output: nyckel.OutputTags})
	}
	tests := []struct {
		name     string
		call     func(context.Context, *nyckel.Client, *nyckel.Handle) (any, error)
		steps    []transporttest.Step
		patience time.Duration
		took     time.Duration
		wantErr  error
	}{
		{"label, at once", label, []transporttest.Step{made}, time.Hour, 0, nil},
		{"label, third look", label, []transporttest.Step{made, missing, missing, made}, time.Hour, time.Second, nil},
		{"label, never", label, []transporttest.Step{made, missing}, time.Hour, 5 * time.Second, nyckel.ErrNotVisible},
		{"label, nobody waits", label, []transporttest.Step{made, missing}, 1700 * time.Millisecond, 1700 * time.Millisecond, context.DeadlineExceeded},
		{"label, no look", label, []transporttest.Step{made, answer(http.StatusForbidden, "")}, time.Hour, 0, nyckel.ErrNotVisible},
		{"label, nobody looks", label, []transporttest.Step{made, transporttest.Hang()}, time.Second, time.Second, nyckel.ErrNotVisible},
		{"label, a look that hangs", label, []transporttest.Step{made, transporttest.Hang()}, time.Hour, 5 * time.Second, nyckel.ErrNotVisible},
		{"label, looks that hang later", label, []transporttest.Step{made, missing, missing, transporttest.Hang()}, time.Hour, 5 * time.Second, nyckel.ErrNotVisible},
		{"field, second look", field, []transporttest.Step{made, missing, made}, time.Hour, 500 * time.Millisecond, nil},
		{"field, never", field, []transporttest.Step{made, missing}, time.Hour, 5 * time.Second, nyckel.ErrNotVisible},
		{"function, second look", function, []transporttest.Step{made, missing, made}, time.Hour, 250 * time.Millisecond, nil},
		{"function, never", function, []transporttest.Step{made, missing}, time.Hour, 5 * time.Second, nyckel.ErrNotVisible},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newService(tt.steps...).client(t, policy.Stack{})
				ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
				defer cancel()
				start := time.Now()
				got, err := tt.call(ctx, client, handle(t, client))
				assert.ErrorIs(t, err, tt.wantErr)
				assert.Equal(t, tt.took, time.Since(start))
				assert.Contains(t, fmt.Sprintf("%+v", got), "x_1", "it was made")
				if ctx.Err() == nil {
					assert.NotErrorIs(t, err, context.DeadlineExceeded, "the caller's time is not up")
				}
			})
		})
	}
	t.Run("one of several labels, never", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := handle(t, newService(answer(http.StatusOK, `[{"id":"label_0","name":"there"}]`), answer(http.StatusOK, `{"id":"label_1","name":"new"}`), missing).client(t, policy.Stack{}))
			labels, err := h.EnsureLabels(t.Context(), "there", "new", "another")
			assert.ErrorIs(t, err, nyckel.ErrNotVisible)
			assert.Equal(t, []nyckel.Label{{ID: "label_0", Name: "there"}, {ID: "label_1", Name: "new"}}, labels, "a second one of it would be too many")
			labels, err = h.EnsureLabels(t.Context(), "there")
			assert.ErrorIs(t, err, nyckel.ErrNotFound, "the list")
			assert.Empty(t, labels)
		})
	})
	t.Run("sample, second look", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := handle(t, newService(missing, answer(http.StatusOK, `{"id":"sample_1"}`)).client(t, policy.Stack{}))
			start := time.Now()
			sample, err := h.Sample(t.Context(), "sample_1")
			require.NoError(t, err)
			assert.Equal(t, "sample_1", sample.ID)
			assert.Equal(t, time.Second, time.Since(start))
		})
	})
	t.Run("annotation, second try", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := handle(t, newService(missing, answer(http.StatusOK, `{}`), missing).client(t, policy.Stack{}))
			start := time.Now()
			require.NoError(t, h.Annotate(t.Context(), "sample_1", nyckel.Annotation{LabelName: "a"}))
			assert.Equal(t, time.Second, time.Since(start))
			assert.ErrorIs(t, h.Annotate(t.Context(), "sample_1", nyckel.Annotation{LabelName: "a"}), nyckel.ErrNotFound)
		})
	})
	t.Run("sample, by its external id, for as long as the caller likes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newService(answer(http.StatusOK, `[]`))
			ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
			defer cancel()
			_, err := handle(t, s.client(t, once)).SampleByExternalID(ctx, "a")
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.NotErrorIs(t, err, nyckel.ErrNotFound, "nobody knows")
		})
	})
	t.Run("sample, by its external id, on two pages", func(t *testing.T) {
		s := newService(answer(http.StatusOK, `[{"id":"sample_1"}]`, "Link", `<?startIndex=1>; rel="next"`), answer(http.StatusOK, `[{"id":"sample_1"}]`))
		sample, err := handle(t, s.client(t, once)).SampleByExternalID(t.Context(), "a")
		require.NoError(t, err)
		assert.Equal(t, "sample_1", sample.ID)
		assert.Len(t, s.calls.Requests(), 2, "it is there at the first look")
	})
	t.Run("sample, by its external id", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newService(answer(http.StatusOK, `[]`), answer(http.StatusOK, `[]`), answer(http.StatusOK, `[{"id":"sample_1"}]`))
			start := time.Now()
			sample, err := handle(t, s.client(t, policy.Stack{})).SampleByExternalID(t.Context(), "a&b=c/ä")
			require.NoError(t, err)
			assert.Equal(t, "sample_1", sample.ID)
			assert.Equal(t, time.Second, time.Since(start))
			assert.Equal(t, "https://api.test/v1/functions/function_1/samples?count=500&externalId=a%26b%3Dc%2F%C3%A4", s.calls.Requests()[0].URL)
		})
	})
}

func TestPages(t *testing.T) {
	page := func(link string, ids ...string) transporttest.Step {
		var items []string
		for _, id := range ids {
			items = append(items, `{"id":"`+id+`"}`)
		}
		header := []string{}
		if link != "" {
			header = []string{"Link", link}
		}
		return answer(http.StatusOK, "["+strings.Join(items, ",")+"]", header...)
	}
	const first = "/v1/functions/function_1/samples?count=2"
	tests := []struct {
		name    string
		steps   []transporttest.Step
		want    string
		urls    []string // after the first, without the host
		wantErr string
	}{
		{"one page", []transporttest.Step{page("", "a"), page("")}, "a", []string{first + "&startIndex=1"}, ""},
		{"none", []transporttest.Step{page("")}, "", nil, ""},
		{"path without a host", []transporttest.Step{page(`</v1/x?startIndex=2>; rel="next"`, "a", "b"), page("", "c", "d")}, "a b c d", []string{"/v1/x?startIndex=2"}, ""},
		{"absolute", []transporttest.Step{page(`<https://api.test/v1/x>; rel=next`, "a"), page("", "b")}, "a b", []string{"/v1/x"}, ""},
		{"relative", []transporttest.Step{page(`<?startIndex=1#top>; title="a, b"; REL="last next"`, "a"), page("", "b")}, "a b", []string{"/v1/functions/function_1/samples?startIndex=1"}, ""},
		{"among others", []transporttest.Step{page(`</first>; rel="first", </next>; rel="next"`, "a"), page(`</first>; rel="first"`, "b")}, "a b", []string{"/next"}, ""},
		{"quoted marks", []transporttest.Step{page(`</first>; title="a < b \" <c>; d"; rel="first", </next>; title="x > y; rel=prev"; rel="next"`, "a"), page(`</first>; title="; rel=next; "`, "b")}, "a b", []string{"/next"}, ""},
		{"mark in the title of the next", []transporttest.Step{page(`</next>; title="<"; rel="next"`, "a"), page(`</first>; rel="first"`, "b")}, "a b", []string{"/next"}, ""},
		{"empty page between", []transporttest.Step{page(`</2>; rel="next"`, "a"), page(`</3>; rel="next"`), page("", "b")}, "a b", []string{"/2", "/3"}, ""},
		{
			"full pages without links",
			[]transporttest.Step{page("", "a", "b"), page("", "c", "d"), page("", "e"), page("")},
			"a b c d e",
			[]string{first + "&startIndex=2", first + "&startIndex=4", first + "&startIndex=5"},
			"",
		},
		{"full pages, the last is empty", []transporttest.Step{page("", "a", "b"), page("")}, "a b", []string{first + "&startIndex=2"}, ""},
		{"pages shorter than was asked for", []transporttest.Step{page("", "a"), page("", "b"), page("")}, "a b", []string{first + "&startIndex=1", first + "&startIndex=2"}, ""},
		{"startIndex passed over, all on one page", []transporttest.Step{page("", "a")}, "a", []string{first + "&startIndex=1"}, ""},
		{"startIndex passed over", []transporttest.Step{page("", "a", "b")}, "a b", []string{first + "&startIndex=2"}, ""},
		{"other host", []transporttest.Step{page(`<https://elsewhere.test/v1/x>; rel="next"`, "a")}, "a", nil, "nyckel: list samples: the link to the next page leads to another host"},
		{"other host, without a scheme", []transporttest.Step{page(`<//elsewhere.test/v1/x>; rel="next"`, "a")}, "a", nil, "nyckel: list samples: the link to the next page leads to another host"},
		{"without TLS", []transporttest.Step{page(`<http://api.test/v1/x>; rel="next"`, "a")}, "a", nil, "nyckel: list samples: the link to the next page leads to another host"},
		{"with a password", []transporttest.Step{page(`<https://u:p@api.test/v1/x>; rel="next"`, "a")}, "a", nil, "nyckel: list samples: the link to the next page leads to another host"},
		{"no URL", []transporttest.Step{page("<%zz>; rel=next", "a")}, "a", nil, "nyckel: list samples: the link to the next page cannot be parsed"},
		{"itself", []transporttest.Step{page("<>; rel=next", "a")}, "a", nil, "nyckel: list samples: the link to the next page leads to a page that was there before"},
		{"broken later", []transporttest.Step{page(`</2>; rel="next"`, "a"), answer(http.StatusForbidden, "{}")}, "a", []string{"/2"}, "nyckel: list samples: sparekey: tickets: forbidden: status 403"},
		{"not a list", []transporttest.Step{answer(http.StatusOK, `{"samples":[]}`)}, "", nil, "nyckel: list samples: sparekey: tickets: unknown: status 200: malformed answer: not the JSON of a list of samples: its type is object, not array"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(tt.steps...)
			samples, err := collect(handle(t, s.client(t, once)).Samples(t.Context(), nyckel.SampleFilter{PageSize: 2}))
			if tt.wantErr == "" {
				assert.NoError(t, err)
			} else {
				assert.EqualError(t, err, tt.wantErr)
			}
			var ids, urls []string
			for _, s := range samples {
				ids = append(ids, s.ID)
			}
			for _, r := range s.calls.Requests()[1:] {
				urls = append(urls, strings.TrimPrefix(r.URL, "https://api.test"))
			}
			assert.Equal(t, tt.want, strings.Join(ids, " "))
			assert.Equal(t, tt.urls, urls)
		})
	}
}

// A service that gives fewer items at once than it is asked for, and has no links, is
// asked until it has no more.
func TestPagesCapped(t *testing.T) {
	a := newAccount(t, nyckelsim.Config{Rate: -1})
	wire, pages := a.server.Client().Transport, 0
	client := a.client(t, nyckel.WithLimit(policy.Limit{Off: true}), nyckel.WithHTTPClient(&http.Client{Transport: transport.Func(func(req *http.Request) (*http.Response, error) {
		if query := req.URL.Query(); query.Has("count") {
			pages++
			query.Set("count", "4")
			capped := *req.URL
			capped.RawQuery = query.Encode()
			req = req.Clone(req.Context())
			req.URL = &capped
		}
		resp, err := wire.RoundTrip(req)
		if err == nil {
			resp.Header.Del("Link")
		}
		return resp, err
	})}))
	samples, err := collect(handle(t, client).Samples(t.Context(), nyckel.SampleFilter{}))
	require.NoError(t, err)
	assert.Len(t, samples, 6, "as many as were imported")
	assert.Equal(t, 3, pages, "the last is empty")

	pages = 0
	_, err = handle(t, client).CreateSample(t.Context(), nyckel.NewSample{Input: nyckel.Text("one more"), ExternalID: "a"})
	require.NoError(t, err)
	_, err = handle(t, client).SampleByExternalID(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, 1, pages, "one page tells")
}

// Documents of which the form is not known are objects at least.
func TestSummaryIsAnObject(t *testing.T) {
	for _, body := range []string{`null`, `[]`, `"a"`} {
		_, err := handle(t, newService(answer(http.StatusOK, body)).client(t, once)).Summary(t.Context())
		assert.ErrorContains(t, err, "malformed answer", body)
	}
}

// A list that goes round in circles or has no end ends, and one that nobody wants any
// more is not asked for.
func TestPagesEnd(t *testing.T) {
	n := 0
	linkTo := func(page func(n int) int) transporttest.Step {
		return func(req *http.Request) (*http.Response, error) {
			n++
			return answer(http.StatusOK, fmt.Sprintf(`[{"id":"label_%d"}]`, n), "Link", fmt.Sprintf(`</v1/%d>; rel="next"`, page(n)))(req)
		}
	}
	circle := linkTo(func(n int) int { return n % 3 })
	s := newService(circle)
	labels, err := collect(handle(t, s.client(t, once)).Labels(t.Context()))
	assert.EqualError(t, err, "nyckel: list labels: the link to the next page leads to a page that was there before")
	assert.Len(t, labels, 4)

	s = newService(linkTo(func(n int) int { return n }))
	labels, err = collect(handle(t, s.client(t, once)).Labels(t.Context()))
	assert.EqualError(t, err, "nyckel: list labels: more than 10000 pages")
	assert.Len(t, labels, 10_000)

	s = newService(circle)
	for range handle(t, s.client(t, once)).Labels(t.Context()) {
		break
	}
	assert.Equal(t, 1, s.calls.Calls())

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s = newService(circle)
	var last error
	for _, err := range handle(t, s.client(t, once)).Labels(ctx) {
		cancel()
		last = err
	}
	assert.ErrorIs(t, last, context.Canceled)
	assert.Equal(t, 1, s.calls.Calls())
}

// A request without a body gets another token, too.
func TestManageRenewsToken(t *testing.T) {
	s := newService(answer(http.StatusUnauthorized, `{"message":"expired"}`), answer(http.StatusOK, `{"id":"label_1"}`))
	_, err := handle(t, s.client(t, once)).Label(t.Context(), "label_1")
	require.NoError(t, err)
	assert.Equal(t, []string{"token-1", "token-2"}, s.bearers())
}

// An id is one segment of the path, whatever is in it.
func TestManageIDs(t *testing.T) {
	s := newService(answer(http.StatusOK, `{"id":"x"}`))
	client := s.client(t, once)
	_, err := client.FunctionByID("a/b?c").Label(t.Context(), "../d#e%2f")
	require.NoError(t, err)
	assert.Equal(t, "https://api.test/v1/functions/a%2Fb%3Fc/labels/..%2Fd%23e%252f", s.calls.Requests()[0].URL)
	h := handle(t, client)
	for _, id := range []string{"", ".", ".."} {
		assert.Error(t, h.DeleteSample(t.Context(), id))
		assert.Error(t, h.DeleteLabel(t.Context(), id))
		assert.Error(t, client.FunctionByID(id).Delete(t.Context()))
	}
	assert.Error(t, h.DeleteSamples(t.Context(), ""))
	assert.Equal(t, 1, s.calls.Calls())
}

// What has a body says that it is JSON, and what has none says nothing of it.
func TestManageContentType(t *testing.T) {
	s := newService(answer(http.StatusOK, `{"id":"x"}`))
	h := handle(t, s.client(t, once))
	require.NoError(t, h.Annotate(t.Context(), "x", nyckel.Annotation{LabelID: "y"}))
	_, err := h.Label(t.Context(), "y")
	require.NoError(t, err)
	assert.Equal(t, "application/json", s.calls.Requests()[0].Header.Get("Content-Type"))
	assert.NotContains(t, s.calls.Requests()[1].Header, "Content-Type")
}

// An annotation is put to the version of the API that takes it: one label to the newer,
// tags to the older.
func TestAnnotations(t *testing.T) {
	s := newService(answer(http.StatusOK, `{}`))
	h := handle(t, s.client(t, once))
	require.NoError(t, h.Annotate(t.Context(), "sample_1", nyckel.Annotation{LabelName: "late"}))
	require.NoError(t, h.AnnotateTags(t.Context(), "sample_1", nyckel.Annotation{LabelName: "late"}, nyckel.Annotation{LabelID: "label_2", Absent: true}))
	want := []struct{ url, body string }{
		{"https://api.test/v1/functions/function_1/samples/sample_1/annotation", `{"labelName":"late"}`},
		{
			"https://api.test/v0.9/functions/function_1/samples/sample_1/annotation",
			`[{"labelName":"late","present":true},{"labelId":"label_2","present":false}]`,
		},
	}
	require.Len(t, s.calls.Requests(), len(want))
	for i, sent := range s.calls.Requests() {
		assert.Equal(t, http.MethodPut, sent.Method)
		assert.Equal(t, want[i].url, sent.URL)
		assert.JSONEq(t, want[i].body, sent.Body)
	}
}

// What was learnt of a function's fields is forgotten when one is made or deleted.
func TestFieldsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		field := answer(http.StatusOK, `{"id":"field_1","name":"a","type":"Text"}`)
		s := newService(answer(http.StatusOK, `[]`), field, field, predict("spam", 0.5), answer(http.StatusOK, `[]`), field, predict("spam", 0.5))
		client := s.client(t, once)
		h := handle(t, client)
		asked := func() error {
			_, err := client.Invoke(t.Context(), "tickets", nyckel.Tabular{"a": "x"})
			return err
		}
		require.NoError(t, h.LearnFields(t.Context()))
		require.ErrorContains(t, asked(), "the function has none")
		_, err := h.CreateField(t.Context(), "a", nyckel.FieldText)
		require.NoError(t, err)
		require.NoError(t, asked())
		require.NoError(t, h.LearnFields(t.Context()))
		require.ErrorContains(t, asked(), "the function has none")
		require.NoError(t, h.DeleteField(t.Context(), "field_2"))
		require.NoError(t, asked())
	})
}

func TestManageNonsense(t *testing.T) {
	s := newService()
	client := s.client(t, once)
	h := handle(t, client)
	ctx := t.Context()
	errOf := func(_ any, err error) error { return err }
	tests := map[string]error{
		`nyckel: no function "x" is configured; there are: tickets`:              errOf(client.Function("x")),
		"nyckel: create a label: the name is empty":                              errOf(h.CreateLabel(ctx, nyckel.Label{Name: " \t"})),
		"nyckel: update a label: the name is empty":                              h.UpdateLabel(ctx, nyckel.Label{ID: "label_1"}),
		"nyckel: create a field: the name is empty":                              errOf(h.CreateField(ctx, "", nyckel.FieldText)),
		`nyckel: create a field: its type is "Date", want Text, Number or Image`: errOf(h.CreateField(ctx, "a", "Date")),
		"nyckel: create a project: the name is empty":                            errOf(client.CreateProject(ctx, "")),
		"nyckel: create a function: it needs an Input and an Output":             errOf(client.CreateFunction(ctx, nyckel.NewFunction{Input: "Text"})),
		"nyckel: create a sample: the input is nil":                              errOf(h.CreateSample(ctx, nyckel.NewSample{})),
		"nyckel: create a sample: a SampleID is an input for Search only":        errOf(h.CreateSample(ctx, nyckel.NewSample{Input: nyckel.SampleID("x")})),
		"nyckel: create a sample: ExternalID is not valid UTF-8":                 errOf(h.CreateSample(ctx, nyckel.NewSample{Input: nyckel.Text("x"), ExternalID: "\xff"})),
		"nyckel: create a sample: only a tag can be absent":                      errOf(h.CreateSample(ctx, nyckel.NewSample{Input: nyckel.Text("x"), Annotation: nyckel.Annotation{LabelName: "a", Absent: true}})),
		"nyckel: create a sample: tag 0: it has neither labelName nor labelId":   errOf(h.CreateSample(ctx, nyckel.NewSample{Input: nyckel.Text("x"), Tags: []nyckel.Annotation{{}}})),
		"nyckel: create a sample: Annotation and Tags exclude each other":        errOf(h.CreateSample(ctx, nyckel.NewSample{Input: nyckel.Text("x"), Tags: []nyckel.Annotation{{LabelName: "a"}}, Annotation: nyckel.Annotation{LabelName: "a"}})),
		"nyckel: annotate a sample: it has neither labelName nor labelId":        h.Annotate(ctx, "sample_1", nyckel.Annotation{}),
		"nyckel: annotate a sample: LabelName is not valid UTF-8":                h.Annotate(ctx, "sample_1", nyckel.Annotation{LabelName: "\xff"}),
		"nyckel: list samples: PageSize is -1, want at least 0":                  errOf(collect(h.Samples(ctx, nyckel.SampleFilter{PageSize: -1}))),
		"nyckel: list samples: SortOrder needs SortBy":                           errOf(collect(h.Samples(ctx, nyckel.SampleFilter{SortOrder: "descending"}))),
		"nyckel: get a sample by its external id: it is empty":                   errOf(h.SampleByExternalID(ctx, "")),
		"nyckel: get a sample: the id is empty":                                  errOf(h.Sample(ctx, "")),
		"nyckel: list labels: the id is empty":                                   errOf(collect(client.FunctionByID("").Labels(ctx))),
	}
	bare, err := nyckel.New(nyckel.WithCredentials(clientID, clientSecret))
	require.NoError(t, err)
	tests[`nyckel: no function "tickets" is configured, nor any other; use WithFunction`] = errOf(bare.Invoke(ctx, "tickets", nyckel.Text("x")))
	for want, err := range tests {
		assert.EqualError(t, err, want)
	}
	assert.Zero(t, s.calls.Calls()+s.tokens.Calls())
}

// The filters, as the reference names them.
func TestSampleFilter(t *testing.T) {
	s := newService(answer(http.StatusOK, "[]"))
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.FixedZone("", 7200))
	_, err := collect(handle(t, s.client(t, once)).Samples(t.Context(), nyckel.SampleFilter{
		ExternalID: "e", Annotated: nyckel.Yes, Predicted: nyckel.No, Agree: nyckel.Yes, InTrainSet: nyckel.No, AnnotationLabelID: "a", PredictionLabelID: "p",
		CaptureReason: "c", Origin: "InvokeCapture", SearchText: "t", SampleIDs: []string{"1", "2"}, SampleSetID: "s", CreatedAfter: at, CreatedBefore: at,
		SortBy: "creation", SortOrder: "descending", NoData: true, PageSize: 10,
	}))
	require.NoError(t, err)
	_, query, _ := strings.Cut(s.calls.Requests()[0].URL, "?")
	assert.Equal(t, "annotated=true&annotationLabelId=a&captureReason=c&count=10&createdAfter=2026-07-01T10%3A00%3A00Z&createdBefore=2026-07-01T10%3A00%3A00Z"+
		"&externalId=e&inTrainSet=false&includeData=false&origin=InvokeCapture&predicted=false&predictionAndAnnotationAgree=true&predictionLabelId=p"+
		"&sampleIds=1&sampleIds=2&sampleSetId=s&searchText=t&sortBy=creation&sortOrder=descending", query)
}

// A sample in each of its forms.
func TestSampleForms(t *testing.T) {
	tests := []struct {
		name, content string
		want          nyckel.Sample
	}{
		{
			"as recorded", `{"id":"sample_1","data":"x","externalId":"e","annotation":{"labelId":"label_1"},"prediction":{"labelId":"label_1","confidence":0.63},"sampleSets":[{"sampleSetId":"set_1"}]}`,
			nyckel.Sample{
				ID: "sample_1", Data: []byte(`"x"`), ExternalID: "e", Annotations: []nyckel.Annotation{{LabelID: "label_1"}},
				Predictions: []nyckel.LabelConfidence{{LabelID: "label_1", Confidence: 0.63}}, SampleSets: []string{"set_1"},
			},
		},
		{
			"tags", `{"id":"sample_1","annotation":[{"labelId":"label_1","present":true},{"labelId":"label_2","present":false}],"prediction":[{"labelId":"label_1","confidence":1}]}`,
			nyckel.Sample{
				ID: "sample_1", Annotations: []nyckel.Annotation{{LabelID: "label_1"}, {LabelID: "label_2", Absent: true}},
				Predictions: []nyckel.LabelConfidence{{LabelID: "label_1", Confidence: 1}},
			},
		},
		{"nulls", `{"id":"sample_1","data":null,"externalId":null,"annotation":null,"prediction":null,"sampleSets":null}`, nyckel.Sample{ID: "sample_1"}},
		{"odd forms", `{"id":"sample_1","externalId":7,"annotation":"x","prediction":[1],"sampleSets":{}}`, nyckel.Sample{ID: "sample_1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := handle(t, newService(answer(http.StatusOK, tt.content)).client(t, once)).Sample(t.Context(), "sample_1")
			require.NoError(t, err)
			assert.Equal(t, tt.want, *got)
		})
	}
	for _, content := range []string{`{}`, `null`, `[]`, `{"id":7}`} {
		_, err := handle(t, newService(answer(http.StatusOK, content)).client(t, once)).Sample(t.Context(), "sample_1")
		assert.ErrorContains(t, err, "malformed answer: not the JSON of a sample", content)
	}
}

func TestSameID(t *testing.T) {
	assert.True(t, nyckel.SameID("sample_1", "1"))
	assert.True(t, nyckel.SameID("function_ab", "function_ab"))
	assert.False(t, nyckel.SameID("sample_1", "2"))
	assert.False(t, nyckel.SameID("my_1", "1"), "no known prefix")
	assert.False(t, nyckel.SameID("sample_", ""))
}

// No request leaves a body open, whatever became of it.
func TestManageClosesBodies(t *testing.T) {
	steps := map[string]transporttest.Step{
		"label":     answer(http.StatusOK, `{"id":"label_1"}`),
		"page":      answer(http.StatusOK, "<html>"),
		"conflict":  answer(http.StatusConflict, `{"existingSampleId":"1"}`),
		"not found": answer(http.StatusNotFound, "{}"),
		"cut":       transporttest.Cut(http.StatusOK, "{"),
		"too long":  answer(http.StatusOK, strings.Repeat(" ", 33<<20)),
		"redirect":  answer(http.StatusFound, "", "Location", "https://elsewhere.test/"),
		"broken":    transporttest.Fail(io.ErrUnexpectedEOF),
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bodies transporttest.Bodies
				s := newService(step)
				h := handle(t, s.client(t, policy.Stack{}, nyckel.WithHTTPClient(&http.Client{Transport: bodies.Wrap(s)})))
				_, labelErr := h.Label(t.Context(), "label_1")
				_, sampleErr := h.CreateSample(t.Context(), nyckel.NewSample{Input: nyckel.Text("x")})
				deleteErr := h.DeleteLabel(t.Context(), "label_1")
				for _, err := range []error{labelErr, sampleErr, deleteErr} {
					if err != nil {
						assert.NotNil(t, policy.ErrorOf(err), "%v", err)
						assert.NotContains(t, err.Error(), "api.test")
					}
				}
				synctest.Wait()
				bodies.Check(t)
			})
		})
	}
}
