package outage

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseFlags(t *testing.T) {
	var stderr bytes.Buffer
	got, err := Program{}.parseFlags(nil, &stderr)
	require.NoError(t, err)
	assert.Equal(t, options{seed: 1, rate: 10, duration: 45 * time.Second}, got)

	got, err = Program{}.parseFlags([]string{"-train", "a.csv", "-input", "b.csv", "-json", "-", "-seed", "7", "-rate", "2.5", "-duration", "3s"}, &stderr)
	require.NoError(t, err)
	assert.Equal(t, options{train: "a.csv", input: "b.csv", json: "-", seed: 7, rate: 2.5, duration: 3 * time.Second}, got)
	assert.Empty(t, stderr.String())

	got, err = Program{Stdin: new(bytes.Buffer)}.parseFlags([]string{"-rate", "1"}, &stderr)
	require.NoError(t, err)
	assert.False(t, got.worse)
	_, err = Program{}.parseFlags([]string{"-rate", "500"}, &stderr)
	assert.NoError(t, err)
}

func TestFlagErrors(t *testing.T) {
	mine := filepath.Join(t.TempDir(), "mine.csv")
	const content = "text,label\nx,y\n"
	require.NoError(t, os.WriteFile(mine, []byte(content), 0o600))
	nowhere := filepath.Join(t.TempDir(), "no", "figures.json")
	report := filepath.Join(t.TempDir(), "report")
	folder := t.TempDir()
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"-quick"}, "outage: flag provided but not defined: -quick; -h tells the flags"},
		{"not a number", []string{"-rate", "ten"}, `outage: invalid value "ten" for flag -rate: parse error; -h tells the flags`},
		{"negative seed", []string{"-seed", "-1"}, `outage: invalid value "-1" for flag -seed: parse error; -h tells the flags`},
		{"argument", []string{"train.csv"}, `outage: unexpected argument "train.csv"; texts are given with -train and -input`},
		{"rate too low", []string{"-rate", "0.5"}, "outage: -rate is 0.5, want 1 to 500 calls per second"},
		{"rate too high", []string{"-rate", "501"}, "outage: -rate is 501, want 1 to 500 calls per second"},
		{"rate that is no number", []string{"-rate", "NaN"}, "outage: -rate is NaN, want 1 to 500 calls per second"},
		{"too short", []string{"-duration", "2s"}, "outage: -duration is 2s, want 3s to 30m0s"},
		{"too long", []string{"-duration", "1h"}, "outage: -duration is 1h0m0s, want 3s to 30m0s"},
		{"questions without training", []string{"-input", "b.csv"}, "outage: -input needs -train: the demo's own texts have other labels"},
		{"nothing to press", []string{"-worse"}, "outage: flag provided but not defined: -worse; -h tells the flags"},
		{"figures to nowhere", []string{"-json", nowhere}, "outage: -json: open " + nowhere + ": no such file or directory"},
		{"report to a folder", []string{"-html", folder}, "outage: -html: open " + folder + ": is a directory"},
		{"stack of a pipe", []string{"-config", "/dev/zero"}, "outage: -config: /dev/zero is no regular file"},
		{"figures over the texts", []string{"-train", mine, "-json", mine}, "outage: a report would replace " + mine + "; want another file"},
		{"report over the questions", []string{"-train", "a.csv", "-input", mine, "-html", filepath.Dir(mine) + "/./mine.csv"}, "outage: a report would replace " + mine + "; want another file"},
		{"report over the figures", []string{"-json", report, "-html", filepath.Dir(report) + "/./report"}, "outage: -json and -html are both " + report + "; want two files"},
		{"report to nobody", []string{"-html", "-"}, "outage: -html is -, want the name of a file"},
		{"no such file", []string{"-train", "missing.csv"}, "outage: open missing.csv: no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			assert.Equal(t, 2, realMain(t.Context(), tt.args, &stdout, &stderr))
			assert.Empty(t, stdout.String())
			assert.Equal(t, tt.want+"\n", stderr.String())
		})
	}
	kept, err := os.ReadFile(mine)
	require.NoError(t, err)
	assert.Equal(t, content, string(kept))
}

func TestFlagsExcludeEachOther(t *testing.T) {
	_, err := Program{Stdin: new(bytes.Buffer)}.parseFlags([]string{"-worse", "-fast"}, new(bytes.Buffer))
	assert.EqualError(t, err, "-worse and -fast exclude each other: nobody presses Enter that fast")
}

func TestFlagHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Zero(t, realMain(t.Context(), []string{"-h"}, &stdout, &stderr))
	for _, flag := range []string{"-train file", "-input file", "-json file", "-seed uint", "-rate float", "-duration duration"} {
		assert.Contains(t, stderr.String(), flag)
	}
}

// Figures of an earlier run are not lost to flags that make no sense.
func TestJSONFileIsKept(t *testing.T) {
	name := filepath.Join(t.TempDir(), "figures.json")
	require.NoError(t, os.WriteFile(name, []byte("earlier"), 0o600))
	for _, wrong := range [][]string{{"-train", "missing.csv"}, {"-html", t.TempDir()}, {"-html", name}} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, realMain(t.Context(), append(wrong, "-json", name), &stdout, &stderr))
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, "earlier", string(content), wrong)
	}
}

// Nor is a file made for a report that there will not be.
func TestNoReportOfWrongTexts(t *testing.T) {
	folder := t.TempDir()
	for _, flag := range []string{"-json", "-html"} {
		for _, wrong := range [][]string{{"-train", "missing.csv"}, {"-config", "missing.yaml"}, {"-rate", "0"}} {
			var stdout, stderr bytes.Buffer
			args := append([]string{flag, filepath.Join(folder, "report")}, wrong...)
			require.Equal(t, 2, realMain(t.Context(), args, &stdout, &stderr))
			assert.NoFileExists(t, args[1], wrong)
		}
	}
	t.Chdir(folder)
	require.NoError(t, options{json: "-"}.tryReports())
	assert.NoFileExists(t, "-")
}
