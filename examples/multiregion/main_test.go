package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	phases, err := run(t.Context(), options{seed: 1, rate: 60, duration: 4500 * time.Millisecond}, &out)
	require.NoError(t, err)
	require.NoError(t, verdict(phases))
	well, hit := phases[0].figures(), phases[1].figures()
	for _, name := range names {
		assert.NotZero(t, well.byRegion[name], "%s has a share while all are well", name)
	}
	assert.Zero(t, hit.byRegion["us"], "the dead answer nobody")
	assert.Greater(t, hit.byRegion["eu"], hit.byRegion["asia"], "who is slow gets less")

	require.NoError(t, report(&out, phases))
	assert.Contains(t, out.String(), "── us is dead, asia ten times slower ──")
	assert.Regexp(t, `(?m)^us is dead.* 100\.0 % .* 0 %`, out.String())
}

func TestRegionsDiffer(t *testing.T) {
	seen := map[time.Duration]string{}
	for _, name := range names {
		r, err := startRegion(name, 1)
		require.NoError(t, err)
		defer r.close()
		_, takes := r.mood()
		assert.Empty(t, seen[takes], "%s takes as long", name)
		seen[takes] = name
	}
}

func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("Ctrl-C"))
	_, err := run(ctx, options{seed: 1, rate: 60, duration: time.Hour}, &bytes.Buffer{})
	require.EqualError(t, err, "interrupted: Ctrl-C")
}

func TestVerdict(t *testing.T) {
	fine := call{region: "eu", requests: 1}
	require.NoError(t, verdict([]*phase{{calls: []call{fine, fine}}}))
	err := verdict([]*phase{
		{name: "a", calls: []call{fine, {err: errors.New("boom"), requests: 1}}},
		{name: "b", calls: []call{fine, {region: "us", requests: 3}}},
	})
	require.EqualError(t, err, "a: 1 of 2 calls failed, the first with: boom\nb: 4 requests for 2 calls")
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-rate=0":       "-rate is 0, want 1 to 500 calls per second",
		"-rate=NaN":     "-rate is NaN, want 1 to 500 calls per second",
		"-duration=1s":  "-duration is 1s, want 3s to 30m0s",
		"us":            `unexpected argument "us"`,
		"-rate=quickly": "see the flags above",
	} {
		_, err := parseFlags([]string{args}, &bytes.Buffer{})
		assert.EqualError(t, err, want, args)
	}
	var out, errs bytes.Buffer
	assert.Equal(t, exitUsage, realMain(t.Context(), []string{"-rate=0"}, &out, &errs))
	assert.Equal(t, "multiregion: -rate is 0, want 1 to 500 calls per second\n", errs.String())
	assert.Zero(t, realMain(t.Context(), []string{"-h"}, &out, &errs))
}

// What nobody can read is no success.
func TestReportThatCannotBeWritten(t *testing.T) {
	r, w := io.Pipe()
	require.NoError(t, r.Close())
	assert.ErrorIs(t, report(w, nil), io.ErrClosedPipe)
}
