package cache

import (
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
)

func TestMemoJitter(t *testing.T) {
	tests := []struct {
		jitter, random float64
		pinned         bool
		want           time.Duration
	}{
		{0, 0, false, 90 * time.Second}, // 0.1 by default
		{0, 0.5, false, 100 * time.Second},
		{0, 0.75, false, 105 * time.Second},
		{0.5, 0, false, 50 * time.Second},
		{0.5, 0, true, 500 * time.Second},
		{-1, 0, false, 100 * time.Second},
		{-1, 0.999, false, 100 * time.Second},
	}
	for _, tt := range tests {
		m := NewMemo(PredictionsConfig{Cache: policy.Cache{TTL: 100 * time.Second, PinnedTTL: 1000 * time.Second, Jitter: tt.jitter}})
		m.random = func() float64 { return tt.random }
		assert.Equal(t, tt.want, m.lifetime(tt.pinned), "jitter %v at %v", tt.jitter, tt.random)
	}
}

// No lifetime is too long to be made longer.
func TestMemoJitterOfTheLongest(t *testing.T) {
	m := NewMemo(PredictionsConfig{Cache: policy.Cache{TTL: math.MaxInt64, Jitter: 0.5}})
	m.random = func() float64 { return 0.999 }
	assert.Equal(t, time.Duration(math.MaxInt64), m.lifetime(false))
}

// What a purge forbids to keep is not remembered as a question, either.
func TestMemoPurgeLeavesNoQuestion(t *testing.T) {
	m := NewMemo(PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{}}})
	rt := m.Wrap(transportFunc(billing))
	for _, purges := range []bool{false, true} {
		req := questionOfMine(t)
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		want := 1
		if purges {
			m.PurgeIdentity("me")
			want = 0
		}
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, want, m.alike.texts.Len())
		m.Purge()
	}
}

// An answer is not remembered as that to a text which only GetBody has.
func TestMemoLearnsWhatWasSent(t *testing.T) {
	m := NewMemo(PredictionsConfig{Cache: policy.Cache{Similar: &policy.Similar{}}})
	req := questionOfMine(t)
	req.GetBody = func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(`{"data":"other content words"}`)), nil
	}
	resp, err := m.Wrap(transportFunc(billing)).RoundTrip(req)
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 1, m.Stats().Entries)
	assert.Zero(t, m.alike.texts.Len())
}

// Who asks in shadow what would be given does not use it.
func TestMemoStaleInShadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemo(PredictionsConfig{Cache: policy.Cache{TTL: 1, Jitter: -1}})
		resp, err := m.Wrap(transportFunc(billing)).RoundTrip(questionOfMine(t))
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		time.Sleep(time.Nanosecond)
		for _, shadow := range []bool{true, false} {
			_, _, ok := m.Stale(questionOfMine(t), shadow)
			require.True(t, ok)
			again := 0
			for _, sh := range m.store.layout.Load().shards {
				again += sh.again.len()
			}
			assert.Equal(t, !shadow, again == 1)
		}
	})
}

func billing(*http.Request) (*http.Response, error) {
	const text = `{"labelName":"billing","confidence":0.9}`
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(text)),
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text)),
	}, nil
}

func questionOfMine(t *testing.T) *http.Request {
	t.Helper()
	ctx := policy.WithCall(t.Context(), policy.Call{Identity: "me", Replayable: true})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.test/invoke", strings.NewReader(`{"data":"three content words"}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	return req
}

// As many questions are remembered as a quarter of the store has room for, and no more
// than there are answers.
func TestTextsFor(t *testing.T) {
	assert.Equal(t, 16, textsFor(StoreConfig{MaxBytes: 64 << 10, MaxEntries: 50_000}))
	assert.Equal(t, 10, textsFor(StoreConfig{MaxBytes: 64 << 10, MaxEntries: 10}))
	assert.Equal(t, 1, textsFor(StoreConfig{MaxBytes: 1, MaxEntries: 10}))
}
