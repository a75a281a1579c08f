package command_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/command"
)

// start runs the program on a free port. It returns the URL that follows each
// mark in what is printed, and stop, which interrupts the program.
func start(t *testing.T, args []string, marks ...string) (urls []string, stop func()) {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	code := make(chan int)
	go func() {
		code <- command.Run(ctx, "nyckelsim", append([]string{"-addr", "127.0.0.1:0"}, args...), stdout, t.Output())
		stdout.Close()
	}()
	printed := readUntil(t, out, "Ctrl-C")
	for _, mark := range marks {
		found := regexp.MustCompile(mark + ` +(http\S+)`).FindStringSubmatch(printed)
		require.NotNil(t, found, printed)
		urls = append(urls, found[1])
	}
	return urls, func() {
		t.Helper()
		interrupt()
		go io.Copy(io.Discard, out)
		assert.Equal(t, ok, <-code)
		http.DefaultClient.CloseIdleConnections()
	}
}

// send makes a call and returns the body of its answer.
func send(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(answer)
}

func TestSaveLoadAndAdmin(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.json")
	args := []string{"-admin", "127.0.0.1:0", "-load", state, "-save", state}
	_, stop := start(t, append(args, "-train", write(t, tickets), "-name", "kept"), "url", "admin")
	stop()
	urls, stop := start(t, args, "url", "admin")
	defer stop()
	_, dumped := send(t, "GET", urls[1]+"/state", "")
	assert.Contains(t, dumped, `"name":"kept"`)
	saved, err := os.ReadFile(state)
	require.NoError(t, err)
	assert.JSONEq(t, string(saved), dumped)

	status, _ := send(t, "PUT", urls[1]+"/faults", `{"name":"x","internal":1}`)
	assert.Equal(t, 200, status)
	status, _ = send(t, "GET", urls[0]+"/faults", "")
	assert.Equal(t, 404, status, "the account itself cannot be steered")
}

// A link to the account still leads there when the account is saved.
func TestSaveByALink(t *testing.T) {
	dir := t.TempDir()
	state, link := filepath.Join(dir, "state.json"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(state, nil, 0o600))
	require.NoError(t, os.Symlink(state, link))
	_, stop := start(t, []string{"-addr", "127.0.0.1:0", "-save", link}, "url")
	stop()
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink)
	saved, err := os.ReadFile(state)
	require.NoError(t, err)
	assert.NotEmpty(t, saved)
}

// Who steers does not have to wait until everything is printed.
func TestFaultsPutAtOnceStay(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	code := make(chan int)
	go func() {
		code <- command.Run(ctx, "nyckelsim", []string{"-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0"}, stdout, t.Output())
	}()
	admin := regexp.MustCompile(`http\S+`).FindString(readUntil(t, out, "\n"))
	status, _ := send(t, "PUT", admin+"/faults", `{"name":"x","internal":1}`)
	require.Equal(t, 200, status)
	readUntil(t, out, "Ctrl-C")
	for range 100 {
		_, faults := send(t, "GET", admin+"/faults", "")
		require.JSONEq(t, `{"name":"x","internal":1}`, faults)
	}
	interrupt()
	assert.Equal(t, ok, <-code)
	http.DefaultClient.CloseIdleConnections()
}

// That an account cannot be saved is told before there is anything to save.
func TestSaveToNowhere(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink("missing", link))
	for _, nowhere := range []string{filepath.Join(t.TempDir(), "no", "state.json"), t.TempDir(), os.DevNull, link} {
		ctx, interrupt := context.WithCancel(t.Context())
		stdout := &atText{text: "Ctrl-C", do: interrupt}
		var stderr bytes.Buffer
		assert.Equal(t, misused, command.Run(ctx, "nyckelsim", []string{"-addr", "127.0.0.1:0", "-save", nowhere}, stdout, &stderr))
		assert.Contains(t, stderr.String(), "-save: ")
		assert.Empty(t, stdout.String())
		interrupt()
	}
}

// A file that is read is not replaced, unless it is an account itself.
func TestSaveOverTexts(t *testing.T) {
	texts := write(t, tickets)
	var stdout, stderr bytes.Buffer
	args := []string{"-addr", "127.0.0.1:0", "-train", texts, "-save", texts}
	assert.Equal(t, misused, command.Run(t.Context(), "nyckelsim", args, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "-save: would replace "+texts)
	kept, err := os.ReadFile(texts)
	require.NoError(t, err)
	assert.Equal(t, tickets, string(kept))
}

// An account that cannot be saved at the end is told of, though Ctrl-C was the end, and
// leaves nothing half written.
func TestSaveFailsAtTheEnd(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.json")
	phases := write(t, `[{"duration":"1h"}]`)
	ctx, interrupt := context.WithCancel(t.Context())
	stdout := &atText{text: "Ctrl-C", do: func() {
		assert.NoError(t, os.Mkdir(state, 0o700))
		interrupt()
	}}
	var stderr bytes.Buffer
	args := []string{"-addr", "127.0.0.1:0", "-schedule", phases, "-save", state}
	assert.Equal(t, failed, command.Run(ctx, "nyckelsim", args, stdout, &stderr))
	assert.Contains(t, stderr.String(), "state.json")
	left, err := os.ReadDir(filepath.Dir(state))
	require.NoError(t, err)
	require.Len(t, left, 1)
	assert.Equal(t, "state.json", left[0].Name())
}

func TestRecordAndReplay(t *testing.T) {
	real, stop := start(t, nil, "url")
	file := filepath.Join(t.TempDir(), "tape.jsonl")
	proxy, stopProxy := start(t, []string{"-record", file, "-upstream", real[0]}, "url")
	status, recorded := send(t, "GET", proxy[0]+"/v1/functions", "")
	assert.Equal(t, 401, status)
	stopProxy()
	stop()

	player, stop := start(t, []string{"-replay", file}, "url")
	defer stop()
	status, replayed := send(t, "GET", player[0]+"/v1/functions", "")
	assert.Equal(t, 401, status)
	assert.JSONEq(t, recorded, replayed)
	status, missed := send(t, "GET", player[0]+"/v1/other", "")
	assert.Equal(t, 501, status)
	assert.Contains(t, missed, "Not recorded")
}

// A tape holds what clients ask for, wherever the service was.
func TestRecordBelowAPath(t *testing.T) {
	gateway := httptest.NewServer(http.StripPrefix("/gateway/nyckel", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"asked":"`+r.URL.RequestURI()+`"}`)
	})))
	defer gateway.Close()
	file := filepath.Join(t.TempDir(), "tape.jsonl")
	proxy, stopProxy := start(t, []string{"-record", file, "-upstream", gateway.URL + "/gateway/nyckel"}, "url")
	_, recorded := send(t, "GET", proxy[0]+"/v1/functions?count=1", "")
	assert.JSONEq(t, `{"asked":"/v1/functions?count=1"}`, recorded)
	stopProxy()

	player, stop := start(t, []string{"-replay", file}, "url")
	defer stop()
	status, replayed := send(t, "GET", player[0]+"/v1/functions?count=1", "")
	assert.Equal(t, 200, status, replayed)
	assert.JSONEq(t, recorded, replayed)
}

// A tape can be read, however the service was asked to pack what it sends.
func TestRecordUnpacked(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		packed := gzip.NewWriter(w)
		_, _ = io.WriteString(packed, `{"name":"tickets"}`)
		_ = packed.Close()
	}))
	defer service.Close()
	file := filepath.Join(t.TempDir(), "tape.jsonl")
	proxy, stop := start(t, []string{"-record", file, "-upstream", service.URL}, "url")
	_, answer := send(t, "GET", proxy[0]+"/v1/functions", "")
	assert.JSONEq(t, `{"name":"tickets"}`, answer)
	stop()
	tape, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(tape), "tickets")
}

// That a tape lacks something is told at the end.
func TestRecordToFullDisk(t *testing.T) {
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip(err)
	}
	service := httptest.NewServer(http.NotFoundHandler())
	defer service.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int)
	go func() {
		code <- command.Run(ctx, "nyckelsim", []string{"-addr", "127.0.0.1:0", "-record", full, "-upstream", service.URL}, stdout, &stderr)
	}()
	url := regexp.MustCompile(`http\S+`).FindString(readUntil(t, out, "Ctrl-C"))
	status, _ := send(t, "GET", url+"/v1/functions", "")
	assert.Equal(t, 404, status)
	interrupt()
	assert.Equal(t, failed, <-code)
	assert.Contains(t, stderr.String(), "no space left on device")
	http.DefaultClient.CloseIdleConnections()
}

// Ctrl-C ends the program also while it opens the tape: a pipe waits for its reader.
func TestRecordIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file := filepath.Join(t.TempDir(), "tape.jsonl")
	assert.Zero(t, command.Run(ctx, "nyckelsim", []string{"-addr", "127.0.0.1:0", "-record", file, "-upstream", "http://host.test"}, io.Discard, io.Discard))
	assert.NoFileExists(t, file, "it was not waited for")
}

func TestSchedule(t *testing.T) {
	phases := write(t, `[{"duration":"1h","faults":{"name":"down","refuse":true}}]`)
	urls, stop := start(t, []string{"-admin", "127.0.0.1:0", "-schedule", phases}, "url", "admin")
	defer stop()
	for {
		if _, faults := send(t, "GET", urls[1]+"/faults", ""); strings.Contains(faults, "down") {
			break // the schedule begins once the address is printed
		}
	}
}

// Who listens on the port while the schedule refuses keeps it. The account is saved all
// the same.
func TestScheduleLosesPort(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.json")
	phase := `{"duration":"50ms","faults":{"refuse":true}},{"duration":"1ms"},`
	phases := write(t, "["+strings.Repeat(phase, 100)+`{"duration":"1h"}]`)
	out, stdout := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int)
	go func() {
		args := []string{"-addr", "127.0.0.1:0", "-train", write(t, tickets), "-schedule", phases, "-save", state}
		code <- command.Run(t.Context(), "nyckelsim", args, stdout, &stderr)
	}()
	addr := regexp.MustCompile(`http://(\S+)`).FindStringSubmatch(readUntil(t, out, "Ctrl-C"))[1]
	go io.Copy(io.Discard, out)
	for {
		if squatter, err := net.Listen("tcp", addr); err == nil {
			defer squatter.Close()
			break
		}
	}
	assert.Equal(t, failed, <-code)
	assert.Contains(t, stderr.String(), "address already in use")
	saved, err := os.ReadFile(state)
	require.NoError(t, err)
	assert.Contains(t, string(saved), "money back")
}

// Training takes long, and Ctrl-C does not wait for it; what was to be learned is kept.
func TestInterruptedTraining(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.json")
	ctx, interrupt := context.WithCancel(t.Context())
	stdout := &atText{text: "training on 4 samples", do: interrupt}
	args := []string{"-addr", "127.0.0.1:0", "-train", write(t, tickets), "-save", state}
	assert.Equal(t, ok, command.Run(ctx, "nyckelsim", args, stdout, t.Output()))
	assert.Equal(t, "training on 4 samples with 2 labels... stopped\n", stdout.String())
	saved, err := os.ReadFile(state)
	require.NoError(t, err)
	assert.Contains(t, string(saved), "money back")
}

// atText keeps what is written, and does something at a text.
type atText struct {
	bytes.Buffer
	text string
	do   func()
}

func (w *atText) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.text)) {
		w.do()
	}
	return w.Buffer.Write(p)
}
