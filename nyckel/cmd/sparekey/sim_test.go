package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSim(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errOut bytes.Buffer
	p := &program{stdout: writerFunc(func(b []byte) (int, error) {
		cancel() // it says where it listens
		return out.Write(b)
	}), stderr: &errOut}
	assert.Equal(t, exitOK, p.run(ctx, []string{"sim", "-addr", "127.0.0.1:0"}))
	assert.Contains(t, out.String(), "http://127.0.0.1:")
	assert.Empty(t, errOut.String())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestSimMisuse(t *testing.T) {
	got := run(t, "sim", "-train", "nowhere.csv")
	assert.Equal(t, exitMisuse, got.code)
	assert.Contains(t, got.errOut, "sparekey sim: ")
	assert.Contains(t, got.errOut, "nowhere.csv")
	assert.Equal(t, exitMisuse, run(t, "sim", "-addr", "192.0.2.1:80").code, "not loopback")
}
