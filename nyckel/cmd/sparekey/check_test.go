package main

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/transport/plan"
)

func TestCheck(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	got := d.run("check", "CONFIG")
	assert.Equal(t, result{exitOK, d.config() + " is right: 2 functions, 1 account, 0 endpoints\n", ""}, got)
}

func TestCheckStandardInput(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	d.stdin = "version: 1\nfunctions: {a: {total: 5s}}\n"
	assert.Equal(t, result{exitOK, "<stdin> is right: 1 function, 0 accounts, 0 endpoints\n", ""}, d.run("check", "-"))
	d.stdin = "version: 1\ntotal: 5s\n"
	got := d.run("check", "-")
	assert.Equal(t, exitMisuse, got.code)
	assert.Contains(t, got.errOut, "<stdin>:2:1: has the unknown key \"total\"")
}

// Half a file is not taken for one.
func TestCheckBrokenInput(t *testing.T) {
	var out, errOut strings.Builder
	p := &program{stdin: io.MultiReader(strings.NewReader("version: 1\n"), iotest.ErrReader(errors.New("broken"))), stdout: &out, stderr: &errOut}
	assert.Equal(t, exitMisuse, p.run(t.Context(), []string{"check", "-"}))
	assert.Equal(t, "sparekey: broken\n", errOut.String())
	assert.Empty(t, out.String())
}

func TestCheckDefaultFile(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	t.Chdir(d.folder)
	assert.Equal(t, "sparekey.yaml is right: 2 functions, 1 account, 0 endpoints\n", d.run("check").out)
}

func TestCheckProblems(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	name := d.file("broken.yaml", "version: 1\ndefaults:\n  retry: {atempts: 3}\n  total: soon\n")
	got := d.run("check", name)
	assert.Equal(t, exitMisuse, got.code)
	assert.Empty(t, got.out)
	assert.Contains(t, got.errOut, name+":3:11: defaults.retry: has the unknown key \"atempts\"; did you mean attempts?\n    3 |   retry: {atempts: 3}\n      |           ^\n")
	assert.Contains(t, got.errOut, name+":4:10: defaults.total: ")

	got = d.run("check", "-json", name)
	assert.Equal(t, exitMisuse, got.code)
	var out checked
	require.NoError(t, json.Unmarshal([]byte(got.out), &out))
	assert.False(t, out.OK)
	require.Len(t, out.Problems, 2)
	assert.Equal(t, problem{3, 11, "defaults.retry: has the unknown key \"atempts\"; did you mean attempts?"}, out.Problems[0])
}

// As JSON, problems are all there, however many, and whatever they are about.
func TestCheckAllProblemsJSON(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	text := "version: 1\naccounts: {a: {client_id: \"\", client_secret: " + clientSecret + "}}\ndefaults:\n"
	for range 30 {
		text += "  " + clientSecret + ": 1\n"
	}
	got := d.run("check", "-json", d.file("broken.yaml", text))
	var out checked
	require.NoError(t, json.Unmarshal([]byte(got.out), &out))
	require.Len(t, out.Problems, 31)
	assert.Equal(t, problem{33, 3, "defaults: has the key ****************** twice, first in line 4"}, out.Problems[30])

	got = d.run("check", "-json", d.file("large.yaml", strings.Repeat(" ", 1<<20+1)))
	require.NoError(t, json.Unmarshal([]byte(got.out), &out))
	assert.Equal(t, []problem{{0, 0, "has more than 1048576 bytes"}}, out.Problems)
}

func TestCheckMissing(t *testing.T) {
	got := run(t, "check", "no such file")
	assert.Equal(t, exitMisuse, got.code)
	assert.Contains(t, got.errOut, "sparekey: plan: open no such file")
	assert.Equal(t, exitMisuse, run(t, "check", "one", "two").code)
}

func TestCheckPrint(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	got := d.run("check", "CONFIG", "-print")
	assert.Equal(t, exitOK, got.code)
	assert.Contains(t, got.out, "accounts.main\n  client_id      client-5f1c")
	assert.Regexp(t, `client_secret  \*{8} +`+d.config()+":3\n", got.out)
	assert.Regexp(t, `\n  total +10s +`+d.config()+":9\n", got.out)
	assert.Regexp(t, `\n  retry.attempts +3 +defaults, `+d.config()+":5\n", got.out)
	assert.Regexp(t, `\n  retry.backoff.max +20s +built-in\n`, got.out)
	assert.Equal(t, 2, strings.Count(got.out, "At worst 3 requests;"), got.out)

	got = d.run("check", "CONFIG", "-print", "-function", "tickets")
	assert.NotContains(t, got.out, "foreign")
	assert.NotContains(t, got.out, "accounts")
	assert.Equal(t, 1, strings.Count(got.out, "At worst"))

	assert.Regexp(t, `^functions.tickets\n  (?s:.*)\n\n  at worst, one call:\n  (?s:.*)\n\n  At worst 3 requests;.*\n\n$`, got.out)
	assert.Equal(t, exitOK, d.run("check", "CONFIG", "-function", "tickets").code)

	got = d.run("check", "CONFIG", "-print", "-function", "tikets")
	assert.Equal(t, result{exitMisuse, "", "sparekey: no function \"tikets\"; there are: foreign, tickets\n"}, got)
	d.stdin = "version: 1\n"
	assert.Equal(t, result{exitMisuse, "", "sparekey: no function \"tickets\": the file has none\n"}, d.run("check", "-", "-function", "tickets"))
}

func TestCheckPrintJSON(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	got := d.run("check", "CONFIG", "-print", "-json", "-function", "tickets")
	var out checked
	require.NoError(t, json.Unmarshal([]byte(got.out), &out))
	assert.True(t, out.OK)
	assert.Contains(t, out.Settings, setting{"functions.tickets", "total", "10s", "file", 9})
	assert.Contains(t, out.Settings, setting{"functions.tickets", "retry.attempts", "3", "defaults", 5})
	assert.Len(t, out.Worst, 1)
	assert.Equal(t, 3, out.Worst["tickets"].Calls)
	assert.EqualValues(t, 10_000, out.Worst["tickets"].EndMS)
}

func TestSchema(t *testing.T) {
	assert.Equal(t, result{exitOK, string(plan.Schema()), ""}, run(t, "schema"))
	assert.Equal(t, exitMisuse, run(t, "schema", "file").code)
}
