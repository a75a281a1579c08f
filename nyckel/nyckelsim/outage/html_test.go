package outage

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/dataset"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// Two seconds of answers make two bars of the right shares, below the phase's name.
func TestHTML(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options{seed: 7, rate: 2, duration: slots * time.Second} // a slot is a second
		f := newFigures(o, &data{}, []phase{{name: "60 % <503>"}}, nil)
		f.history.begin()
		f.history.phase("60 % <503>")
		live, none := answer{"a", telemetry.Answer{Source: telemetry.Live}}, answer{}
		for _, side := range []int{0, 1} {
			f.history.answer(side, live, nil)
			f.phases[0][side].add(dataset.Row{Text: "x", Label: "a"}, live, nil, time.Millisecond)
		}
		time.Sleep(1500 * time.Millisecond)
		f.history.transition(policy.Transition{To: policy.Open})
		f.history.answer(0, none, errors.New("gone"))
		f.history.answer(0, none, errors.New("gone"))
		f.history.answer(0, live, nil)
		f.history.answer(1, answer{"a", telemetry.Answer{Source: telemetry.Rule}}, nil)
		f.sumUp()

		var b bytes.Buffer
		require.NoError(t, f.html(&b))
		page := b.String()
		bare, ours, _ := strings.Cut(page, "<h2>sparekey</h2>")
		assert.Contains(t, bare, `<rect class="live" x="0.00" y="34.00" width="450.00" height="170.00"><title>0s: 1 × live</title></rect>`)
		assert.Contains(t, bare, `<rect class="failed" x="450.00" y="34.00" width="450.00" height="113.33"><title>1s: 2 × no answer</title></rect>`)
		assert.Contains(t, ours, `<rect class="rule" x="450.00" y="34.00" width="450.00" height="170.00"><title>1s: 1 × rule</title></rect>`)
		assert.Contains(t, ours, `<path class="breaker" d="M675.0 206 l-4 8 h8 z"><title>breaker: open after 1.5s</title>`)
		assert.Contains(t, bare, `<svg viewBox="0 0 900 220" role="img" aria-label="Answers of the client bare over time, by source">`)
		assert.Contains(t, bare, `<line class="phase" x1="0.0" x2="0.0" y1="0" y2="204"/><text x="3.0" y="10">60 % &lt;503&gt;</text></svg>`)
		assert.NotContains(t, bare, "breaker: ")
		assert.Contains(t, page, "60 % &lt;503&gt;")
		assert.Contains(t, page, "seed 7")
		assert.Contains(t, page, `<li><i class="failed"></i>no answer</li>`)
		assert.Contains(t, page, "<tr><td>live</td><td>1</td><td>–</td><td>–</td><td>100.0 %</td></tr>")
		assert.Contains(t, page, "Verdict: the bare client answered 100.0 %")
		assert.NotRegexp(t, `(?i)(src|href)=|@import|url\(|<script`, page, "needs nothing else")
		for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
			d := xml.NewDecoder(strings.NewReader(svg))
			for {
				_, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
			}
		}
	})
}

// The demo with its console, in real time: it is there while the demo lasts, shows the
// client's function, and is gone with it.
func TestRunWatched(t *testing.T) {
	var mu sync.Mutex
	var source func() telemetry.Snapshot
	var seen telemetry.Snapshot
	p := Program{Name: "sparekey demo", Console: func(s func() telemetry.Snapshot) http.Handler {
		mu.Lock()
		defer mu.Unlock()
		source = s
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the console") })
	}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var body, url string
	var stderr bytes.Buffer
	answered := make(chan struct{})
	go func() { // for time stands still while somebody writes
		<-answered
		mu.Lock()
		defer mu.Unlock()
		seen = source()
		resp, err := http.Get(url)
		if assert.NoError(t, err) {
			content, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			body = string(content)
		}
		http.DefaultClient.CloseIdleConnections()
		cancel()
	}()
	out := &trigger{text: "sparekey L", fire: sync.OnceFunc(func() { close(answered) })}
	stdout := writerFunc(func(b []byte) (int, error) {
		if rest, ok := strings.CutPrefix(string(b), "console: "); ok {
			url, _, _ = strings.Cut(rest, " ")
		}
		return out.Write(b)
	})
	report := filepath.Join(t.TempDir(), "report.html")
	require.Zero(t, p.Run(ctx, []string{"-duration", "30m", "-rate", "20", "-html", report}, stdout, &stderr), stderr.String())
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+/$`, url)
	assert.Equal(t, "the console", body)
	require.Len(t, seen.Functions, 1)
	assert.Equal(t, functionName, seen.Functions[0].Name)
	content, err := os.ReadFile(report)
	require.NoError(t, err)
	assert.Contains(t, string(content), "Verdict: stopped after")
	_, err = http.Get(url)
	assert.Error(t, err, "it is gone")
	assertNothingLeft(t)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestConsoleMisuse(t *testing.T) {
	p := Program{Console: func(func() telemetry.Snapshot) http.Handler { return http.NotFoundHandler() }}
	for _, address := range []string{"192.0.2.1:80", "0.0.0.0:0", ":0", "loopback"} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, exitUsage, p.Run(t.Context(), []string{"-console", address}, &stdout, &stderr))
		assert.Contains(t, stderr.String(), "want a loopback address")
	}
	var stderr bytes.Buffer
	assert.Equal(t, exitUsage, realMain(t.Context(), []string{"-console="}, io.Discard, &stderr))
	assert.Contains(t, stderr.String(), "flag provided but not defined", "there is none to leave out")
}

func TestIsLoopback(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "127.1.2.3:80", "localhost:8090", "[::1]:8090"} {
		assert.True(t, isLoopback(address), address)
	}
	for _, address := range []string{"192.0.2.1:80", "[2001:db8::1]:80", "api.test:80", "localhost", "127.0.0.1"} {
		assert.False(t, isLoopback(address), address)
	}
}

// An empty address is no console: to listen there would be to listen on every network.
func TestConsoleWithoutAddress(t *testing.T) {
	p := Program{Console: func(func() telemetry.Snapshot) http.Handler { return http.NotFoundHandler() }}
	o, err := p.parseFlags([]string{"-console", ""}, io.Discard)
	require.NoError(t, err)
	var out strings.Builder
	w, err := p.watch(o)
	require.NoError(t, err)
	defer w.close()
	w.tell(&out)
	assert.Empty(t, out.String())
}

// A console that cannot listen leaves no file of a report that there will not be.
func TestConsoleThatCannotListen(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	p := Program{Console: func(func() telemetry.Snapshot) http.Handler { return http.NotFoundHandler() }}
	report := filepath.Join(t.TempDir(), "report.html")
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitFailed, p.Run(t.Context(), []string{"-console", listener.Addr().String(), "-html", report}, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "outage: -console: listen tcp "+listener.Addr().String())
	assert.Empty(t, stdout.String())
	assert.NoFileExists(t, report)
}
