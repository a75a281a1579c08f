package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"-h"}, {"--help"}} {
		got := run(t, args...)
		assert.Equal(t, exitOK, got.code)
		assert.Contains(t, got.out, "usage: sparekey COMMAND")
		assert.Empty(t, got.errOut)
	}
	for _, c := range commands() {
		assert.Regexp(t, `\n  `+c.name+` +\S`, run(t, "help").out)
	}
	got := run(t)
	assert.Equal(t, exitMisuse, got.code)
	assert.Contains(t, got.errOut, "usage: sparekey COMMAND")
	assert.Empty(t, got.out)

	got = run(t, "chekc")
	assert.Equal(t, result{exitMisuse, "", "sparekey: no command \"chekc\"; \"sparekey help\" lists them\n"}, got)
}

// Each subcommand tells its flags on one screen, and stumbles over those it does not
// have.
func TestHelp(t *testing.T) {
	for _, c := range commands() {
		t.Run(c.name, func(t *testing.T) {
			args := strings.Fields(c.name)
			if c.name == "rules" {
				args = append(args, "test")
			}
			got := run(t, append(args, "-h")...)
			assert.Equal(t, exitOK, got.code)
			assert.Empty(t, got.errOut)
			assert.LessOrEqual(t, strings.Count(got.out, "\n"), 24)
			assert.True(t, strings.HasPrefix(got.out, "usage: sparekey "+c.name), got.out)

			assert.Equal(t, got, run(t, "help", c.name))

			got = run(t, append(args, "-no-such-flag")...)
			assert.Equal(t, exitMisuse, got.code)
			assert.Empty(t, got.out)
			assert.Contains(t, got.errOut, "flag provided but not defined: -no-such-flag")
			assert.Equal(t, 1, strings.Count(got.errOut, "\n"), got.errOut)
		})
	}
}

// Help tells of a flag what it takes, and its default unless that is nothing.
func TestHelpOfFlags(t *testing.T) {
	_, flags, _ := strings.Cut(run(t, "check", "-h").out, "\n\n  ")
	assert.Equal(t, `-function name   print those of the function of this name only
  -json            print JSON
  -print           print the settings in force, secrets masked
`, flags)
	assert.Contains(t, run(t, "doctor", "-h").out, "\n  -config file     configuration file (default sparekey.yaml)\n")
	assert.Contains(t, run(t, "invoke", "-h").out, "\n  -labels n        ask for the n likeliest labels\n")
	assert.Regexp(t, `\n  -rate float +calls per second; .*\(default 10\)\n`, run(t, "demo", "-h").out)
	assert.Regexp(t, `\n  -save file +file to write the account to at the end\n`, run(t, "sim", "-h").out)
	assert.Contains(t, run(t, "rules", "test", "-x").errOut, "; see sparekey rules test -h\n")
	assert.Contains(t, run(t, "invoke", "-x").errOut, "; see sparekey invoke -h\n")
}

// Who asks for help in the middle of a command gets it in the same form.
func TestHelpBehindFlags(t *testing.T) {
	for _, name := range []string{"demo", "sim"} {
		assert.Equal(t, run(t, name, "-h"), run(t, name, "-rate", "5", "-h"))
		assert.Equal(t, run(t, name, "-h"), run(t, name, "-rate", "x", "-h"))
		assert.NotEqual(t, run(t, name, "-h"), run(t, name, "--", "-h"), "which is no flag")
	}
	assert.Equal(t, run(t, "help"), run(t, "help", "help"))
	assert.Equal(t, run(t, "chekc"), run(t, "help", "chekc"))
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// Results that could not be written are no success, nor are those of a fallback, with
// which invoke answers here.
func TestResultsThatAreLost(t *testing.T) {
	synctest.Test(t, testResultsThatAreLost)
}

func testResultsThatAreLost(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	require.NoError(t, d.SetFaults(nyckelsim.Faults{Unavailable: 1}))
	for _, args := range [][]string{
		{"help"},
		{"check", "-h"},
		{"schema"},
		{"check", d.config()},
		{"check", "-print", d.config()},
		{"check", "-json", d.config()},
		{"invoke", "-config", d.config(), "tickets", "my refund"},
	} {
		var errOut bytes.Buffer
		p := &program{stdin: strings.NewReader(""), stdout: full{}, stderr: &errOut, http: d.wire.Client()}
		assert.Equal(t, exitFailed, p.run(t.Context(), args), args)
		assert.Equal(t, "sparekey: no space left on device\n", errOut.String(), args)
	}
}

// A device stands in for a terminal.
func TestColoursOnTerminalsOnly(t *testing.T) {
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer device.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	defer file.Close()
	for _, tt := range []struct {
		to            io.Writer
		noColor, term string
		want          string
	}{
		{device, "", "xterm", green + "fine" + plain},
		{&results{to: device}, "", "xterm", green + "fine" + plain},
		{device, "1", "xterm", "fine"},
		{device, "", "dumb", "fine"},
		{file, "", "xterm", "fine"},
		{new(bytes.Buffer), "", "xterm", "fine"},
	} {
		t.Setenv("NO_COLOR", tt.noColor)
		t.Setenv("TERM", tt.term)
		assert.Equal(t, tt.want, painter(tt.to)(green, "fine"))
	}
}

func TestJSONIsForPeople(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, printJSON(&out, []string{"<a> & b"}))
	assert.Equal(t, "[\n  \"<a> & b\"\n]\n", out.String())
}
