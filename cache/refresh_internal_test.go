package cache

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/transporttest"
)

// An answer that comes at the very end of the soft timeout, and is the caller's
// alone, is not left to nobody.
func TestSoftTimeoutAndHeaderAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemo(PredictionsConfig{Cache: policy.Cache{SoftTimeout: time.Second}})
		p := &predictions{Memo: m}
		q := question{}
		require.Equal(t, admitted, m.refreshes.adopt(q.key)) // another call for the answer
		s := m.flights.board(ask(t, t.Context()), q.key, transporttest.Reply(200, "yes"), func(*http.Response) bool { return false })
		synctest.Wait()
		assert.False(t, p.goOn(s, q))
		resp, _, err := s.wait(context.Background())
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		requireEmpty(t, m.flights)
	})
}
