package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain is the command itself for those tests that want a process of it.
func TestMain(m *testing.M) {
	if os.Getenv("SPAREKEY_TEST_COMMAND") != "" {
		main()
	}
	os.Exit(m.Run())
}

// process returns a process of the command that is yet to be started.
func process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), "SPAREKEY_TEST_COMMAND=1")
	cmd.Dir = t.TempDir()
	cmd.WaitDelay = time.Minute
	return cmd
}

// One Ctrl-C ends each command, whatever it waits for: the service, a pipe, somebody
// who types, or time to pass. What it has by then is printed, and nothing is half
// written.
func TestInterrupt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no way to send an interrupt")
	}
	d := t.TempDir()
	asked := make(chan struct{}, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			_, _ = io.WriteString(w, `{"access_token":"t","expires_in":3600,"token_type":"Bearer"}`)
			return
		}
		body, _ := io.ReadAll(r.Body)
		if bytes.Contains(body, []byte("at once")) {
			_, _ = io.WriteString(w, `{"labelName":"a","labelId":"label_1","confidence":0.9}`)
			return
		}
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	config := filepath.Join(d, "sparekey.yaml")
	require.NoError(t, os.WriteFile(config, []byte(`version: 1
accounts: {main: {client_id: a, client_secret: b, base_url: "`+server.URL+`"}}
functions: {mail: {id: function_1}}
`), 0o600))
	data, state := filepath.Join(d, "data.csv"), filepath.Join(d, "state")
	require.NoError(t, os.WriteFile(data, []byte("text,label\nat once,a\nlater,b\nat once too,a\n"), 0o600))

	saved := filepath.Join(d, "saved")

	isAsked := func(*bufio.Reader) { <-asked }
	says := func(text string) func(*bufio.Reader) {
		return func(out *bufio.Reader) {
			for {
				line, err := out.ReadString('\n')
				if !assert.NoError(t, err) || strings.Contains(line, text) {
					return
				}
			}
		}
	}
	tests := []struct {
		name    string
		args    []string
		until   func(*bufio.Reader)
		reads   bool // standard input, in which something comes, but no end
		code    int
		out     string // what is printed afterwards holds it
		errOut  string
		nothing bool // is printed on standard output
	}{
		{name: "demo", args: []string{"demo", "-console="}, until: says("bare L"), out: "Verdict: stopped after"},
		{name: "demo with a console", args: []string{"demo"}, until: says("console: "), out: "Verdict: stopped after"},
		{name: "demo that reads", args: []string{"demo", "-train", "/dev/stdin"}, reads: true, code: exitFailed, errOut: "sparekey demo: ", nothing: true},
		{name: "demo that reads what to ask", args: []string{"demo", "-train", data, "-input", "/dev/stdin"}, reads: true, code: exitFailed, errOut: "sparekey demo: ", nothing: true},
		{name: "sim", args: []string{"sim", "-addr", "127.0.0.1:0"}, until: says("http://")},
		{name: "sim that reads", args: []string{"sim", "-train", "/dev/stdin"}, reads: true, nothing: true},
		{name: "sim that loads", args: []string{"sim", "-load", "/dev/stdin", "-save", saved}, reads: true, nothing: true},
		{name: "sim that reads a schedule", args: []string{"sim", "-schedule", "/dev/stdin"}, reads: true, nothing: true},
		{name: "sim that replays", args: []string{"sim", "-replay", "/dev/stdin"}, reads: true, nothing: true},
		{name: "invoke", args: []string{"invoke", "-config", config, "mail", "hello"}, until: isAsked, code: exitFailed, errOut: "sparekey: ", nothing: true},
		{name: "invoke that reads", args: []string{"invoke", "-config", config, "mail", "-"}, reads: true, code: exitFailed, errOut: "sparekey: ", nothing: true},
		{name: "invoke of an image that reads", args: []string{"invoke", "-config", config, "-file", "/dev/stdin", "mail"}, reads: true, code: exitFailed, errOut: "sparekey: ", nothing: true},
		{
			name: "replay", args: []string{"replay", "-config", config, "-data", data, "-state", state}, until: isAsked, code: exitFailed,
			out: "3 inputs, ", errOut: " of 3 inputs; the same command goes on from here",
		},
		{name: "replay that reads", args: []string{"replay", "-config", config, "-data", "/dev/stdin"}, reads: true, code: exitFailed, errOut: "sparekey: ", nothing: true},
		{name: "doctor", args: []string{"doctor", "-config", config}, until: isAsked, code: exitFailed, out: "invoke"},
		{name: "rules test", args: []string{"rules", "test", "-rules", "/dev/stdin", "-data", data}, reads: true, code: exitFailed, errOut: "sparekey: ", nothing: true},
		{name: "check", args: []string{"check", "-"}, reads: true, code: exitFailed, errOut: "sparekey: ", nothing: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := process(t, tt.args...)
			var errOut bytes.Buffer
			cmd.Stderr = &errOut
			in, err := cmd.StdinPipe()
			require.NoError(t, err)
			defer in.Close()
			pipe, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			out := bufio.NewReader(pipe)
			if tt.reads {
				_, err := in.Write(bytes.Repeat([]byte(" "), 1<<18)) // more than a pipe holds
				require.NoError(t, err)
			} else {
				tt.until(out)
			}
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			rest, err := io.ReadAll(out)
			require.NoError(t, err)
			_ = cmd.Wait()
			assert.Equal(t, tt.code, cmd.ProcessState.ExitCode(), "%s%s", rest, errOut.String())
			assert.Contains(t, string(rest), tt.out)
			assert.Contains(t, errOut.String(), tt.errOut)
			if tt.nothing {
				assert.Empty(t, string(rest))
			}
		})
	}
	assert.NoFileExists(t, saved, "an account that was not loaded is not saved as an empty one")
	lines := strings.SplitAfter(read(t, state), "\n")
	assert.GreaterOrEqual(t, len(lines), 2, "a head, and answers")
	assert.Empty(t, lines[len(lines)-1], "no line is cut short")
	for _, line := range lines[:len(lines)-1] {
		assert.True(t, json.Valid([]byte(line)), line)
	}
}
