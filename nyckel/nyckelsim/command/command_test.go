package command_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim/command"
)

// Exit codes.
const (
	ok      = 0
	failed  = 1
	misused = 2
)

const tickets = "text,label\nwhere is it,delivery\nstill waiting,delivery\nmoney back,refund\nrefund please,refund\n"

// write puts content into a file and returns its path.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tickets.csv")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestMisuse(t *testing.T) {
	broken := write(t, "text,label\nonly one field\n")
	other := write(t, `{"version":1,"seed":"8"}`)
	impossible := write(t, `[{"duration":"1s"},{"faults":{"internal":2}}]`)
	backwards := write(t, `[{"duration":"-1s"}]`)
	tests := []struct {
		name string
		args []string
		want string // on stderr
		code int
	}{
		{"unknown flag", []string{"-unknown"}, "-unknown", misused},
		{"bad mode", []string{"-mode", "both"}, "mode", misused},
		{"bad seed", []string{"-seed", "-1"}, "seed", misused},
		{"argument", []string{"tickets.csv"}, `unexpected argument "tickets.csv"`, misused},
		{"no such file", []string{"-train", "no-such.csv"}, "no-such.csv", misused},
		{"broken file", []string{"-train", broken}, broken + ":2: 1 fields, expected 2", misused},
		{"address of the network", []string{"-addr", "0.0.0.0:0"}, "loopback", misused},
		{"address out of range", []string{"-addr", "127.0.0.1:99999"}, "99999", failed},
		{"broken schedule", []string{"-schedule", broken}, "invalid character", misused},
		{"schedule of impossible faults", []string{"-schedule", impossible}, impossible + `: faults "": probability of internal is 2`, misused},
		{"schedule of negative time", []string{"-schedule", backwards}, backwards + ": negative Duration: -1s", misused},
		{"state of another seed", []string{"-load", other, "-seed", "7"}, "seed 8", misused},
		{"broken tape", []string{"-replay", broken}, "exchange 1", misused},
		{"no such tape", []string{"-replay", "no-such.jsonl"}, "no-such.jsonl", misused},
		{"record what", []string{"-record", broken}, "-upstream", misused},
		{"bad upstream", []string{"-record", filepath.Join(t.TempDir(), "t"), "-upstream", "nyckel.com"}, "https://", misused},
		{"upstream of no host", []string{"-record", filepath.Join(t.TempDir(), "t"), "-upstream", "http://"}, "https://", misused},
		{"upstream by ftp", []string{"-record", filepath.Join(t.TempDir(), "t"), "-upstream", "ftp://host.test"}, "https://", misused},
		{"broken upstream", []string{"-record", filepath.Join(t.TempDir(), "t"), "-upstream", "http://host.test:port"}, "https://", misused},
		{"tape that is a folder", []string{"-record", t.TempDir(), "-upstream", "http://host.test"}, "is a directory", misused},
		{"two modes", []string{"-record", "x", "-replay", "x", "-upstream", "x"}, "exclude", misused},
		{"record and steer", []string{"-record", "x", "-upstream", "http://host.test", "-admin", "127.0.0.1:0"}, "-admin", misused},
		{"replay and train", []string{"-replay", "x", "-train", "x"}, "-train", misused},
		{"replay and load", []string{"-replay", "x", "-load", "x"}, "-load", misused},
		{"replay and save", []string{"-replay", "x", "-save", "x"}, "-save", misused},
		{"replay and schedule", []string{"-replay", "x", "-schedule", "x"}, "-schedule", misused},
		{"negative quota", []string{"-quota", "-1"}, "negative", misused},
		{"negative latency", []string{"-latency", "-1s"}, "negative", misused},
		{"negative token lifetime", []string{"-token-lifetime", "-1s"}, "negative", misused},
		{"negative page size", []string{"-page-size", "-1"}, "negative", misused},
		{"negative delay", []string{"-delay", "-1s"}, "negative", misused},
		{"admin on the network", []string{"-addr", "127.0.0.1:0", "-admin", ":0"}, "loopback", misused},
		{"help", []string{"-h"}, "-train", ok},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			assert.Equal(t, tt.code, command.Run(t.Context(), "nyckelsim", tt.args, &stdout, &stderr))
			assert.Contains(t, stderr.String(), tt.want)
			assert.Empty(t, stdout.String())
		})
	}
}

func TestServes(t *testing.T) {
	tests := []struct {
		name string
		file string
		want []string // patterns of lines on stdout, in this order
	}{
		{"a trained function", tickets, []string{
			`training on 4 samples with 2 labels\.\.\. done in `,
			`function +function_[0-9a-z]{16} \(tickets\)`, `model +model_[0-9a-z]{16}`,
		}},
		{"a function to be trained", "text,label\nx,y\n", []string{
			`training on 1 samples with 1 labels\.\.\. too few`, `function +function_`, `model +none`,
		}},
		{"an empty account", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"-addr", "127.0.0.1:0", "-name", "tickets", "-mode", "guide", "-rate", "0"}
			if tt.file != "" {
				args = append(args, "-train", write(t, tt.file))
			}
			ctx, interrupt := context.WithCancel(t.Context())
			out, stdout := io.Pipe()
			code := make(chan int)
			go func() {
				code <- command.Run(ctx, "nyckelsim", args, stdout, io.Discard)
				stdout.Close()
			}()

			printed := readUntil(t, out, "Ctrl-C")
			for _, pattern := range append(tt.want, `url +http://127\.0\.0\.1:\d+`, `credentials +client_id=sim-client client_secret=sim-secret`) {
				at := regexp.MustCompile(pattern).FindStringIndex(printed)
				require.NotNil(t, at, "no %q in what is left of the output: %s", pattern, printed)
				if pattern[:3] == "url" {
					resp, err := http.Get(regexp.MustCompile(`http\S+`).FindString(printed) + "/v1/functions")
					require.NoError(t, err)
					resp.Body.Close()
					assert.Equal(t, 401, resp.StatusCode)
				}
				printed = printed[at[1]:]
			}
			interrupt()
			go io.Copy(io.Discard, out)
			assert.Equal(t, ok, <-code)
		})
	}
}

// readUntil returns what r gives up to and including the mark.
func readUntil(t *testing.T, r io.Reader, mark string) string {
	t.Helper()
	var read bytes.Buffer
	buf := make([]byte, 1024)
	for !bytes.Contains(read.Bytes(), []byte(mark)) {
		n, err := r.Read(buf)
		require.NoError(t, err, read.String())
		read.Write(buf[:n])
	}
	return read.String()
}
