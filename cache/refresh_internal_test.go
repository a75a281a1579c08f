package cache

import (
	"context"
	"io"
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
		s := m.flights.board(&seat{req: ask(t, t.Context()), send: transporttest.Reply(200, "yes")}, q.key, func(*http.Response) bool { return false })
		synctest.Wait()
		assert.False(t, p.goOnBehind(s, q))
		resp, _, err := s.wait(context.Background())
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		requireEmpty(t, m.flights)
	})
}

// Who looks again, since there is an answer by now, still has his request whole: the
// answer may be purged by then.
func TestSettledLeavesTheRequestWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemo(PredictionsConfig{Cache: policy.Cache{SoftTimeout: time.Second}})
		p := &predictions{Memo: m}
		now := time.Now()
		req := ask(t, policy.WithCall(t.Context(), policy.Call{Replayable: true}))
		closed := false
		req.Body = &toldOfClose{req.Body, &closed}
		q, ok := m.question(req, false)
		require.True(t, ok)
		stale := &entry{message: message{freshUntil: now.Add(-time.Second), dropAt: now.Add(time.Hour)}}
		fresh := &entry{message: message{freshUntil: now.Add(time.Minute), dropAt: now.Add(time.Hour)}}
		fresh.put(m.store, q.key, m.store.epoch())
		_, err := p.ask(req, q, stale, 0, now)
		require.Equal(t, errSettled, err)
		assert.False(t, closed)
		requireEmpty(t, m.flights)

		m.Purge()
		stale.of, stale.freshUntil = owner{}, now.Add(-time.Second)
		stale.put(m.store, q.key, m.store.epoch())
		resp, err := m.Wrap(transporttest.NewUpstream(transporttest.Reply(200, "new"))).RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.True(t, closed, "once it is sent")
		requireEmpty(t, m.flights)
	})
}

// An answer that came is fetched again when it is time, whatever failed before it, and
// no more failures are remembered than maxFailed.
func TestRefreshesForgetFailures(t *testing.T) {
	r := newRefreshes(policy.Cache{MaxRefreshes: 1, RefreshBackoff: time.Minute})
	now := time.Now()
	require.True(t, r.begin(key{}, now))
	r.end(key{}, false, now)
	require.False(t, r.begin(key{}, now.Add(time.Second)))
	require.Equal(t, admitted, r.adopt(key{}))
	r.end(key{}, true, now.Add(time.Second))
	assert.Empty(t, r.failed)
	require.True(t, r.begin(key{}, now.Add(2*time.Second)))
	r.end(key{}, true, now)

	for n := range maxFailed + 1 {
		assert.Len(t, r.failed, n)
		require.True(t, r.begin(keyAt(n), now))
		r.end(keyAt(n), false, now)
	}
	assert.Len(t, r.failed, 1)
}

type toldOfClose struct {
	io.ReadCloser
	closed *bool
}

func (b *toldOfClose) Close() error {
	*b.closed = true
	return b.ReadCloser.Close()
}
