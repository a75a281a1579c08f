package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"image"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel"
	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
	"github.com/sparekey/sparekey/transport"
	"github.com/sparekey/sparekey/transport/transporttest"
)

func TestInvoke(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	got := d.run("invoke", "tickets", "where is the parcel", "-config", "CONFIG")
	assert.Equal(t, exitOK, got.code)
	assert.Regexp(t, `^delivery  0\.\d{3}  live\n$`, got.out)
	assert.Empty(t, got.errOut)

	d.stdin = "please refund me\n"
	got = d.run("invoke", "-config", "CONFIG", "-labels", "2", "tickets", "-")
	assert.Regexp(t, `^refund  0\.\d{3}  live\n  refund  0\.\d{3}\n  delivery  0\.\d{3}\n$`, got.out)
}

// Labels that the service names by their ids only.
func TestInvokeLabelIDs(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	client := &http.Client{Transport: transport.Func(func(req *http.Request) (*http.Response, error) {
		if strings.HasSuffix(req.URL.Path, "/token") {
			return transporttest.Reply(http.StatusOK, `{"access_token":"t"}`)(req)
		}
		return transporttest.Reply(http.StatusOK, `{"labelId":"label_1","confidence":0.75,
			"labelConfidences":[{"labelId":"label_1","confidence":0.75},{"labelId":"label_2","confidence":0.25}]}`)(req)
	})}
	got := d.runOver(client, "invoke", "tickets", "hello", "-config", "CONFIG", "-labels", "2")
	assert.Equal(t, "label_1  0.750  live\n  label_1  0.750\n  label_2  0.250\n", got.out)
	got = d.runOver(client, "invoke", "tickets", "hello", "-config", "CONFIG", "-labels", "2", "-json")
	var out invoked
	require.NoError(t, json.Unmarshal([]byte(got.out), &out))
	assert.Equal(t, []likely{{"", "label_1", 0.75}, {"", "label_2", 0.25}}, out.Labels)
}

// A label may hold what moves a terminal's cursor, or turns the rest of a line around.
func TestLabelsOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		const label, shown = "lost\x1b[1A\n\u202Eon", "lost\uFFFD[1A\uFFFD\uFFFDon"
		d.learn("where is my parcel", label, "the parcel has not arrived", label, "my parcel is late", label)
		got := d.run("invoke", "-config", "CONFIG", "-labels", "2", "tickets", "where is my parcel")
		assert.Equal(t, 2, strings.Count(got.out, shown), got.out)
		got = d.run("replay", "-config", "CONFIG", "-data", d.file("data.jsonl", recordedFile))
		assert.Contains(t, got.out, "    3  delivery → "+shown+" (line 1)\n")
	})
}

// Two refused attempts, the waits between them, and the answer, to the millisecond.
func TestInvokeExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{Latency: 100 * time.Millisecond})
		require.NoError(t, d.SetFaults(nyckelsim.Faults{Unavailable: 1}))
		time.AfterFunc(500*time.Millisecond, func() { assert.NoError(t, d.SetFaults(nyckelsim.Faults{})) })
		got := d.run("invoke", "tickets", "where is the parcel", "-config", "CONFIG", "-explain")
		assert.Equal(t, exitOK, got.code)
		_, diagram, _ := strings.Cut(got.out, "\n")
		assert.Equal(t, `
tickets: live in 700ms
       0s  |#                               |  #1       503 overloaded after 0s
       0s  |.........                       |  wait     200ms
    200ms  |         #                      |  #2       503 overloaded after 0s
    200ms  |         ..................     |  wait     400ms
    600ms  |                           #####|  #3       200 ok after 100ms
`, diagram)
	})
}

// Only who asks for it has the service keep an input.
func TestCaptureIsAskedFor(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	var captures []string
	client := &http.Client{Transport: transport.Func(func(req *http.Request) (*http.Response, error) {
		if strings.HasSuffix(req.URL.Path, "/invoke") {
			captures = append(captures, req.URL.Query().Get("capture"))
		}
		return d.wire.Transport().RoundTrip(req)
	})}
	for _, args := range [][]string{
		{"invoke", "tickets", "hello"},
		{"doctor"},
		{"replay", "-data", d.file("data.csv", "text,label\nhello,refund\n")},
		{"invoke", "tickets", "hello", "-capture"},
	} {
		d.runOver(client, append(args, "-config", "CONFIG")...)
	}
	assert.Equal(t, []string{"false", "false", "false", ""}, captures, "the service keeps it unless told not to")
}

func TestInvokeStandardInput(t *testing.T) {
	const most = 1 << 20
	input := func(r io.Reader) (nyckel.Input, error) { return (&program{stdin: r}).input([]string{"-"}, "", "") }
	got, err := input(strings.NewReader(strings.Repeat("a", most)))
	require.NoError(t, err)
	assert.Len(t, got, most)
	_, err = input(strings.NewReader(strings.Repeat("a", most+1)))
	assert.EqualError(t, err, "standard input has more than 1048576 bytes")
	_, err = input(iotest.ErrReader(io.ErrClosedPipe))
	assert.EqualError(t, err, "standard input: io: read/write on closed pipe")
}

func TestSourceOf(t *testing.T) {
	for _, tt := range []struct {
		answer telemetry.Answer
		want   string
	}{
		{telemetry.Answer{Source: telemetry.Live}, "live"},
		{telemetry.Answer{Source: telemetry.Cache, Age: 90 * time.Second}, "cache (age 1m30s)"},
		{
			telemetry.Answer{Source: telemetry.Similar, Similarity: 0.875, Accuracy: 0.9, Samples: 1, Cause: policy.Overloaded},
			"similar (similarity 0.88, right 90 % of 1, since overloaded)",
		},
	} {
		assert.Equal(t, tt.want, sourceOf(tt.answer))
	}
}

func TestShortly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1234 * time.Nanosecond: "1µs", time.Millisecond: "1ms", 1234567 * time.Nanosecond: "1.2ms",
		time.Second: "1s", 1234 * time.Millisecond: "1.23s", 75 * time.Minute: "1h15m0s",
	} {
		assert.Equal(t, want, shortly(d))
	}
}

// Whatever the times, a bar has its place, and the colour of what came of it.
func TestStepBar(t *testing.T) {
	paint := func(colour, text string) string { return colour + text + plain }
	for _, tt := range []struct {
		step         step
		left, middle string
	}{
		{step{from: -time.Second, to: -time.Second, class: policy.OK}, "", green + "#"},
		{step{from: 2 * time.Second, to: 3 * time.Second, class: policy.Overloaded}, strings.Repeat(" ", 31), red + "#"},
		{step{from: 0, to: 3 * time.Second, wait: true}, "", faint + strings.Repeat(".", 32)},
		{step{what: "refused", from: 500 * time.Millisecond, to: 500 * time.Millisecond, class: policy.Refused}, strings.Repeat(" ", 16), red + "x"},
	} {
		bar := tt.step.bar(time.Second, paint)
		right := barWidth - len(tt.left) - strings.Count(tt.middle, tt.middle[len(tt.middle)-1:])
		assert.Equal(t, tt.left+tt.middle+plain+strings.Repeat(" ", right), bar)
	}
}

// Who was refused is told by whom, why and until when.
func TestInvokeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		d.file("sparekey.yaml", strings.Replace(read(t, d.config()), "limit: {off: true}", "limit: {per_second: 0.05, burst: 1}", 1))
		require.NoError(t, d.SetFaults(nyckelsim.Faults{Unavailable: 1}))
		got := d.run("invoke", "tickets", "hello", "-config", "CONFIG", "-explain")
		assert.Contains(t, got.out, "    200ms  |                               x|  refused  limiter: deadline, again in 19.8s\n")

		got = d.run("invoke", "tickets", "hello", "-config", "CONFIG", "-json")
		var out invoked
		require.NoError(t, json.Unmarshal([]byte(got.out), &out))
		assert.Equal(t, []refusal{{200, "limiter", "deadline"}}, out.Refusals)
	})
}

// A trail does not have more than 32 attempts; that there were others is told.
func TestInvokeExplainsManyAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		config := strings.Replace(read(t, d.config()), "attempts: 3", "attempts: 40", 1)
		d.file("sparekey.yaml", strings.Replace(config, "total: 10s", "total: 1h", 1))
		require.NoError(t, d.SetFaults(nyckelsim.Faults{Unavailable: 1}))
		got := d.run("invoke", "tickets", "hello", "-config", "CONFIG", "-explain")
		assert.True(t, strings.HasSuffix(got.out, "|  #32      503 overloaded after 0s\n            and 8 more attempts\n            retry stopped: attempts\n"), got.out)
	})
}

func TestInvokeDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		require.NoError(t, d.SetFaults(nyckelsim.Faults{Unavailable: 1}))
		got := d.run("invoke", "tickets", "my money please", "-config", "CONFIG")
		assert.Equal(t, result{exitDegraded, "refund  0.500  rule (rule refunds, since overloaded)\n", ""}, got)

		got = d.run("invoke", "tickets", "my money please", "-config", "CONFIG", "-json")
		assert.Equal(t, exitDegraded, got.code)
		var out invoked
		require.NoError(t, json.Unmarshal([]byte(got.out), &out))
		assert.Equal(t, "rule", out.Source)
		assert.True(t, out.Degraded)
		assert.Equal(t, "refunds", out.Rule)
		assert.Equal(t, "overloaded", out.Cause)
		assert.Equal(t, []attempt{
			{Number: 1, Status: 503, Class: "overloaded"},
			{Number: 2, StartMS: 200, WaitMS: 200, Status: 503, Class: "overloaded"},
			{Number: 3, StartMS: 600, WaitMS: 400, Status: 503, Class: "overloaded"},
		}, out.Attempts)
	})
}

func TestInvokeFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		require.NoError(t, d.SetFaults(nyckelsim.Faults{Unavailable: 1}))
		got := d.run("invoke", "tickets", "hello", "-config", "CONFIG", "-explain")
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.out, "tickets: no answer in 600ms\n")
		assert.Contains(t, got.errOut, "sparekey: tickets: overloaded")

		got = d.run("invoke", "tickets", "hello", "-config", "CONFIG", "-json")
		assert.Equal(t, exitFailed, got.code)
		var out invoked
		require.NoError(t, json.Unmarshal([]byte(got.out), &out))
		assert.Empty(t, out.Source)
		assert.Equal(t, "overloaded", out.Error.Class)
		assert.Len(t, out.Attempts, 3)
	})
}

// An answer in the service's place that is none has no source.
func TestInvokeMalformedFallback(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	require.NoError(t, d.SetFaults(nyckelsim.Faults{Unavailable: 1}))
	config := strings.Replace(read(t, d.config()), "      rules:\n", "      static: {document: {}, confidence: 0.1}\n      rules:\n", 1)
	config = strings.Replace(config, "attempts: 3", "attempts: 1", 1)
	got := d.run("invoke", "tickets", "hello", "-config", d.file("malformed.yaml", config), "-json")
	assert.Equal(t, exitFailed, got.code, got.errOut)
	var out invoked
	require.NoError(t, json.Unmarshal([]byte(got.out), &out))
	assert.Equal(t, &failure{"unknown", "sparekey: tickets: unknown: status 200: malformed answer: it has neither labelName nor labelId"}, out.Error)
	assert.Equal(t, []any{"", false, ""}, []any{out.Source, out.Degraded, out.Cause})
}

func TestInvokeInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{Latency: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.AfterFunc(time.Millisecond, cancel)
		start := time.Now()
		got := d.runWith(ctx, "invoke", "tickets", "refund", "-config", "CONFIG")
		assert.Equal(t, exitFailed, got.code)
		assert.Equal(t, time.Millisecond, time.Since(start))
	})
}

// Nothing is wrong with an image only because somebody interrupts while it is encoded.
func TestInvokeInterruptedWhileEncoding(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	size := func(io.Reader) (image.Config, error) { return image.Config{Width: 1, Height: 1}, nil }
	magic := rand.Text() // a format is there for good, the test may run again
	image.RegisterFormat("interrupted", magic, func(io.Reader) (image.Image, error) {
		cancel()
		return image.NewGray(image.Rect(0, 0, 1, 1)), nil
	}, size)
	got := d.runWith(ctx, "invoke", "tickets", "-file", d.file("picture", magic), "-config", "CONFIG")
	assert.Equal(t, exitFailed, got.code)
	assert.Equal(t, "sparekey: nyckel: context canceled\n", got.errOut)
}

func TestInvokeMisuse(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	d.file("no.png", "this is no image")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no function", []string{}, "an argument is missing: sparekey invoke FUNCTION"},
		{"nothing to ask", []string{"tickets"}, "want one of a text, -file and -row, got 0"},
		{"two inputs", []string{"tickets", "text", "-row", "{}"}, "want one of a text, -file and -row, got 2"},
		{"one too many", []string{"tickets", "a", "b"}, `unexpected argument "b"`},
		{"unknown function", []string{"tikets", "text"}, `no function "tikets"; there are: foreign, tickets`},
		{"of another client", []string{"foreign", "text"}, `function "foreign" has no id`},
		{"no such image", []string{"tickets", "-file", "nowhere.png"}, "-file: stat nowhere.png"},
		{"a folder", []string{"tickets", "-file", d.folder}, "-file: read " + d.folder},
		{"no image", []string{"tickets", "-file", d.folder + "/no.png"}, "no.png"},
		{"broken row", []string{"tickets", "-row", "{amount: 3}"}, "-row is no JSON object"},
		{"null", []string{"tickets", "-row", "null"}, "-row is no JSON object"},
		{"two rows", []string{"tickets", "-row", "{} {}"}, "something behind"},
		{"row in another encoding", []string{"tickets", "-row", "{\"name\": \"caf\xe9\"}"}, "-row is not valid UTF-8"},
		{"labels", []string{"tickets", "text", "-labels", "-1"}, "LabelCount is -1"},
		{"number", []string{"tickets", "text", "-labels", "few"}, "invalid value"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := d.run(append([]string{"invoke", "-config", "CONFIG"}, tt.args...)...)
			assert.Equal(t, exitMisuse, got.code)
			assert.Empty(t, got.out)
			assert.Contains(t, got.errOut, tt.want)
		})
	}
	got := d.run("invoke", "tickets", "text", "-config", "nowhere.yaml")
	assert.Equal(t, exitMisuse, got.code)
	assert.Contains(t, got.errOut, "nowhere.yaml")
}

// What follows "--" is a text, whatever it looks like.
func TestInvokeDashes(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	assert.Equal(t, exitOK, d.run("invoke", "-config", "CONFIG", "--", "tickets", "-parcel-").code)
	assert.Equal(t, exitOK, d.run("invoke", "tickets", "-config", "CONFIG", "--", "-parcel-").code)
}
