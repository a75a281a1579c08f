package outage

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
)

// A slow caller answers no question before a moment.
type slow struct {
	until time.Time

	mu    sync.Mutex
	asked []string    // guarded by mu, as below
	at    []time.Time // they were asked
}

func (s *slow) ask(ctx context.Context, text string) (answer, error) {
	s.mu.Lock()
	s.asked, s.at = append(s.asked, text), append(s.at, time.Now())
	s.mu.Unlock()
	return answer{}, sleep(ctx, time.Until(s.until))
}

// playSlowly plays a phase whose callers get no answer in its first tenth of a second.
func playSlowly(t *testing.T, duration time.Duration, texts ...string) (callers [2]*slow, tallies [2]*tally) {
	t.Helper()
	until := time.Now().Add(100 * time.Millisecond)
	var contestants [2]*contestant
	for i, name := range clientNames {
		callers[i] = &slow{until: until}
		contestants[i] = &contestant{site: &site{wire: newWire(&http.Transport{}, nil)}, caller: callers[i]}
		tallies[i] = newTally("slow", name)
	}
	var questions []dataset.Row
	for _, text := range texts {
		questions = append(questions, dataset.Row{Text: text})
	}
	line := newTimeline(io.Discard, newHistory(options{}))
	line.begin(options{}, &data{}, questions)
	playPhase(t.Context(), phase{duration: duration, every: 10 * time.Millisecond}, rand.New(rand.NewPCG(1, 1)),
		questions, contestants, tallies, line)
	return callers, tallies
}

// However late it has become, no question comes at the moment of another, nor while an
// equal one is open.
func TestPlayPhaseOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		callers, tallies := playSlowly(t, 2*time.Second, "a", "a", "b", "a", "b")
		assert.Equal(t, 2*time.Second, time.Since(begin))
		for i, c := range callers {
			assert.Equal(t, 5, tallies[i].Calls)
			assert.Equal(t, []string{"a", "b"}, c.asked[:2], "what is open is passed over")
			assert.True(t, c.at[1].Before(c.until))
			assert.True(t, c.at[2].After(c.until), "equal ones wait")
			assert.Len(t, slices.CompactFunc(slices.Clone(c.at), time.Time.Equal), 5, "asked at %v", c.at)
		}
	})
}

// A phase ends when its last answers are there.
func TestPlayPhaseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		_, tallies := playSlowly(t, 10*time.Millisecond, "a")
		assert.Equal(t, 100*time.Millisecond+settled, time.Since(begin))
		assert.Equal(t, 1, tallies[0].Calls)
		assert.Equal(t, 1, tallies[1].Calls)
	})
}

// Who is interrupted on the way has sent nothing, and leaves nothing open.
func TestWireInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("Ctrl-C"))
	body := &closing{Reader: strings.NewReader("text")}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, siteURL+"/invoke", body)
	require.NoError(t, err)
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("text")), nil }
	_, err = newWire(&http.Transport{}, nil).RoundTrip(req)
	assert.EqualError(t, err, "Ctrl-C")
	assert.True(t, body.closed)
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}
