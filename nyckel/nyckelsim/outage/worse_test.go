package outage

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// It is worse for five seconds from the last time on; what a phase has for faults in
// the meantime holds from then on.
func TestWeather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{server: nyckelsim.New(nyckelsim.Config{}), wire: newWire(&http.Transport{}, nil)}
		w := &weather{sites: []*site{s}}
		require.NoError(t, w.begin(nyckelsim.Faults{Name: "first"}))
		name := func() string { return s.server.Faults().Name }
		assert.Equal(t, "first", name())

		w.worsen()
		assert.Equal(t, "worse", name())
		assert.True(t, s.server.Faults().Refuse)
		time.Sleep(worseFor - time.Second)
		w.worsen()
		require.NoError(t, w.begin(nyckelsim.Faults{Name: "second"}))
		time.Sleep(worseFor - time.Nanosecond)
		assert.Equal(t, "worse", name())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, "second", name())
		assert.Equal(t, 2, w.worsened())
	})
}

// A line on standard input makes it worse, and the verdict says so.
func TestRunWorse(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines, enter := io.Pipe()
	answered, worse := make(chan struct{}), make(chan struct{})
	go func() { // for time stands still while somebody writes
		<-answered
		_, _ = io.WriteString(enter, "\n")
		<-worse
		cancel()
		_ = enter.Close()
	}()
	second := &trigger{text: "bare .", fire: sync.OnceFunc(func() { close(worse) })}
	first := &trigger{text: "bare L", fire: sync.OnceFunc(func() { close(answered) })}
	var stderr bytes.Buffer
	args := []string{"-duration", "30m", "-rate", "20", "-worse"}
	require.Zero(t, Program{Stdin: lines}.Run(ctx, args, io.MultiWriter(first, second), &stderr), stderr.String())
	assert.Contains(t, first.String(), "\npress Enter to make it worse\n")
	assert.Contains(t, first.String(), "── made worse: nobody listens for 5s ──\n")
	assert.Regexp(t, `\nVerdict: stopped after .*s: made worse by hand, 1×: the bare client answered \d\d`, first.String())
	assertNothingLeft(t)
}
