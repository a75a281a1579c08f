package nyckel_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// A ledger keeps what it is told.
type ledger struct {
	mu      sync.Mutex
	records []nyckel.Record
	inputs  []string
	ended   []error // of the contexts
}

func (l *ledger) RecordPrediction(ctx context.Context, r nyckel.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records, l.inputs, l.ended = append(l.records, r), append(l.inputs, string(r.Input)), append(l.ended, ctx.Err())
}

func TestRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var book ledger
		s := newService(answer(http.StatusBadGateway, ""), predict("spam", 0.75), answer(http.StatusNotFound, `{"message":"gone"}`), transporttest.Hang())
		client := s.client(t, policy.Stack{Retry: policy.Retry{Random: func() float64 { return 0.5 }}}, nyckel.WithRecorder(&book))
		start := time.Now()
		prediction, err := client.Invoke(t.Context(), "tickets", nyckel.Text("<hello>"), nyckel.ModelID("model_1"), nyckel.ExternalID("order-1"))
		require.NoError(t, err)
		require.Len(t, book.records, 1)
		got := book.records[0]
		assert.Equal(t, `"<hello>"`, book.inputs[0])
		assert.Equal(t, "tickets function_1 model_1 order-1", strings.Join([]string{got.Function, got.FunctionID, got.Model, got.ExternalID}, " "))
		assert.Same(t, prediction, got.Prediction)
		assert.Same(t, prediction.Trail, got.Trail)
		assert.Equal(t, 2, got.Trail.AttemptCount())
		assert.Equal(t, start, got.Start)
		assert.Equal(t, time.Since(start), got.Latency)
		assert.Positive(t, got.Latency)

		_, err = client.Invoke(t.Context(), "tickets", nyckel.Text("x"))
		require.Len(t, book.records, 2)
		assert.Nil(t, book.records[1].Prediction)
		assert.Equal(t, err, book.records[1].Err)
		assert.Equal(t, policy.NotFound, policy.ErrorOf(book.records[1].Err).Verdict.Class)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = client.Invoke(ctx, "tickets", nyckel.Text("x"))
		require.Error(t, err)
		require.Len(t, book.records, 3, "a call that was cancelled is recorded, too")
		assert.NoError(t, book.ended[2])

		_, err = client.Invoke(t.Context(), "tickets", nyckel.Text(""))
		require.Error(t, err)
		_, err = client.Invoke(t.Context(), "invoices", nyckel.Text("x"))
		require.Error(t, err)
		assert.Len(t, book.records, 3, "a call that makes no sense is not")
	})
}
