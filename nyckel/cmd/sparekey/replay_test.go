package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
	"github.com/sparekey/sparekey/transport"
)

// Six inputs, of which the fourth was answered otherwise.
const recordedFile = `{"data":"where is my parcel","label":"delivery","truth":"delivery","latencyMs":50}
{"data":"the parcel has not arrived","label":"delivery","latencyMs":60}
{"data":"my parcel is late","label":"delivery","latencyMs":70}
{"data":"I want my money back","label":"delivery","truth":"refund","latencyMs":80}
{"data":"please refund my money","label":"refund","latencyMs":90}
{"data":"the refund did not come","label":"refund","latencyMs":100}
`

func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{Latency: 30 * time.Millisecond})
		data := d.file("data.jsonl", recordedFile)
		got := d.run("replay", "-config", "CONFIG", "-data", data)
		assert.Equal(t, result{exitOK, `6 inputs, 6 answered, 0 failed
labels as recorded: 5 of 6, 83.3 % (43.6–97.0 %)
right: 100.0 % of 2 whose truth is known; of the recorded labels 50.0 % of 2
service time: half within 30.0 ms, 95 % within 30.0 ms
recorded, waits included: half within 70.0 ms, 95 % within 100.0 ms; half -40.0 ms, 95 % -70.0 ms
    1  delivery → refund (line 4)
`, "6 of 6, 0 failed\n"}, got)

		got = d.run("replay", "-config", "CONFIG", "-data", data, "-json")
		var out replayReport
		require.NoError(t, json.Unmarshal([]byte(got.out), &out))
		assert.Equal(t, []change{{"delivery", "refund", 1, 4}}, out.Changes)
		assert.Equal(t, []int{6, 6, 0, 5, 2, 2, 1}, []int{out.Inputs, out.Answered, out.Failed, out.Agreed, out.Truths, out.Right, out.WasRight})

		data = d.file("part.jsonl", `{"text":"my money","label":"refund"}`+"\n"+recordedFile)
		got = d.run("replay", "-config", "CONFIG", "-data", data)
		assert.Equal(t, data+": 1 of 7 passed over, without an input or a label; the first is on line 1\n6 of 6, 0 failed\n", got.errOut)
	})
}

// What was not answered before was not wrong.
func TestReplayTruthWithoutLabel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		data := d.file("data.jsonl", `{"data":"where is my parcel","label":"delivery","truth":"delivery","latencyMs":50}
{"data":"my parcel is late","label":"delivery","truth":"delivery"}
{"data":"I want my money back","truth":"refund"}
`)
		got := d.run("replay", "-config", "CONFIG", "-data", data)
		assert.Contains(t, got.out, "right: 100.0 % of 3 whose truth is known; of the recorded labels 100.0 % of 2\n")
		assert.Contains(t, got.out, "\nrecorded, waits included: half within 50.0 ms, 95 % within 50.0 ms;", "of those that have a time")

		data = d.file("truths.jsonl", `{"data":"I want my money back","truth":"refund"}`)
		got = d.run("replay", "-config", "CONFIG", "-data", data)
		assert.Contains(t, got.out, "right: 100.0 % of 1 whose truth is known\n")
	})
}

// Of many changes the first are shown, and how many others there are.
func TestReplayManyChanges(t *testing.T) {
	for n, want := range map[int]string{
		20: "    1  a → b (line 20)\n",
		21: "    1  a → b (line 20)\nand 1 other change\n",
		22: "    1  a → b (line 20)\nand 2 other changes\n",
	} {
		r := replayReport{Answered: n}
		for line := range n {
			r.Changes = append(r.Changes, change{"a", "b", 1, line + 1})
		}
		var out strings.Builder
		(&program{stdout: &out}).printReplay(r)
		assert.True(t, strings.HasSuffix(out.String(), want), out.String())
	}
}

// Another model says something else.
func TestReplayModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		first := d.Models(d.function)[0]
		d.learn("where is my parcel", "lost", "the parcel has not arrived", "lost", "my parcel is late", "lost")
		data := d.file("data.jsonl", recordedFile)
		got := d.run("replay", "-config", "CONFIG", "-data", data)
		assert.Contains(t, got.out, "    3  delivery → lost (line 1)\n")
		got = d.run("replay", "-config", "CONFIG", "-data", data, "-model", first)
		assert.NotContains(t, got.out, "lost")
	})
}

// What the cache answers says nothing about how long the service takes.
func TestReplayTimesTheServiceAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{Latency: 100 * time.Millisecond})
		d.file("sparekey.yaml", strings.Replace(read(t, d.config()), "total: 10s", "total: 10s\n    cache: {ttl: 1h}", 1))
		data := d.file("data.csv", "text,label\n"+strings.Repeat("where is my parcel,delivery\n", 5)+"my money,refund\n")
		got := d.run("replay", "-config", "CONFIG", "-data", data)
		assert.Contains(t, got.out, "6 inputs, 6 answered, 0 failed\n")
		assert.Contains(t, got.out, "service time: half within 100.0 ms, 95 % within 100.0 ms\n")
		assert.Equal(t, 2, d.Stats().Invokes)
		assert.NotContains(t, got.out, "truth")
		assert.NotContains(t, got.out, "recorded, waits")
	})
}

// One that was not answered is a failure, and no change of its label.
func TestReplayFailsInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		data := d.file("data.jsonl", `{"data":"","label":"delivery"}`+"\n"+recordedFile)
		got := d.run("replay", "-config", "CONFIG", "-data", data)
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.out, "7 inputs, 6 answered, 1 failed\nlabels as recorded: 5 of 6, ")
		assert.True(t, strings.HasSuffix(got.out, " ms\n    1  delivery → refund (line 5)\n"), got.out)
		assert.Equal(t, "7 of 7, 1 failed\nsparekey: 1 of 7 inputs were not answered: line 1: nyckel: input 0: the text is empty\n", got.errOut)
	})
}

// What is told on the way counts the batches before, and what failed in them.
func TestReplayTellsOfAllBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		d.file("sparekey.yaml", strings.Replace(read(t, d.config()), "limit: {off: true}", "limit: {per_second: 0.24, burst: 1}", 1))
		const wrong, fine = `{"data":"","label":"delivery"}` + "\n", `{"data":"my parcel","label":"delivery"}` + "\n"
		data := d.file("data.jsonl", wrong+strings.Repeat(fine, batch-1)+wrong+strings.Repeat(fine, 3))
		got := d.run("replay", "-config", "CONFIG", "-data", data)
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.errOut, "\n102 of 104, 2 failed\n103 of 104, 2 failed\n104 of 104, 2 failed\n")
		assert.NotContains(t, got.errOut, ", 0 failed")

		ctx, cancel := context.WithTimeout(t.Context(), 415*time.Second) // a call each 4.17 s: the hundredth has its answer
		defer cancel()
		got = d.runWith(ctx, "replay", "-config", "CONFIG", "-data", data)
		assert.Contains(t, got.errOut, "stopped after 101 of 104 inputs\n")
	})
}

// What a crash costs is a batch: the answers to those before it are in the state.
func TestReplayKeepsBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{Rate: -1, Concurrency: -1})
		var lines strings.Builder
		for i := range batch + 1 {
			fmt.Fprintf(&lines, `{"data":"parcel %d","label":"delivery"}`+"\n", i)
		}
		data, state := d.file("data.jsonl", lines.String()), filepath.Join(d.folder, "state")
		var asked atomic.Int64
		client := &http.Client{Transport: transport.Func(func(req *http.Request) (*http.Response, error) {
			if strings.HasSuffix(req.URL.Path, "/invoke") && asked.Add(1) > batch {
				assert.Equal(t, 1+batch, strings.Count(read(t, state), "\n"), "a head and the first answers")
			}
			return d.wire.Transport().RoundTrip(req)
		})}
		got := d.runOver(client, "replay", "-config", "CONFIG", "-data", data, "-state", state)
		assert.Equal(t, exitOK, got.code, got.errOut)
		assert.EqualValues(t, batch+1, asked.Load())
	})
}

// An interrupt that comes as the last answer does takes nothing away.
func TestReplayInterruptedAtTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	r := &replaying{p: &program{stdout: &out, stderr: io.Discard}, inputs: make([]recorded, 1), answers: map[int]replayed{0: {}}}
	require.NoError(t, r.run(ctx, false))
	assert.Contains(t, out.String(), "1 input, 1 answered, 0 failed\n")
}

// A replay keeps to the account's limit, and goes on where it was stopped.
func TestReplayResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		d.file("sparekey.yaml", strings.Replace(read(t, d.config()), "limit: {off: true}", "limit: {per_second: 1, burst: 1}", 1))
		data, state := d.file("data.jsonl", recordedFile), filepath.Join(d.folder, "state")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2500*time.Millisecond, cancel)
		start := time.Now()
		got := d.runWith(ctx, "replay", "-config", "CONFIG", "-data", data, "-state", state)
		assert.Equal(t, 2500*time.Millisecond, time.Since(start), "ends at once")
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.errOut, "stopped after 3 of 6 inputs; the same command goes on from here")
		assert.Equal(t, 3, d.Stats().Invokes)
		assert.Equal(t, 4, strings.Count(read(t, state), "\n"), "a head and three answers")

		// The process was killed while it wrote.
		d.file("state", read(t, state)+`{"index":5,"lab`)
		got = d.run("replay", "-config", "CONFIG", "-data", data, "-state", state)
		assert.Equal(t, exitOK, got.code)
		assert.Contains(t, got.out, "6 inputs, 6 answered, 0 failed\n")
		assert.Equal(t, 6, d.Stats().Invokes, "none was asked again")

		got = d.run("replay", "-config", "CONFIG", "-data", data, "-state", state)
		assert.Contains(t, got.out, "6 answered")
		assert.Equal(t, 6, d.Stats().Invokes, "all are known")
	})
}

// Who is stopped does not hear that the state is there to go on from when it is not.
func TestReplayTellsOfAnAnswerThatIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		d.file("sparekey.yaml", strings.Replace(read(t, d.config()), "limit: {off: true}", "limit: {per_second: 1, burst: 1}", 1))
		inputs, err := readRecorded(d.file("data.jsonl", recordedFile))
		require.NoError(t, err)
		loaded, err := load(d.config())
		require.NoError(t, err)
		p := &program{stdout: io.Discard, stderr: io.Discard, http: d.wire.Client()}
		client, err := p.client(loaded, "tickets")
		require.NoError(t, err)
		state, err := os.Open(d.config())
		require.NoError(t, err)
		require.NoError(t, state.Close()) // as if the disk were full
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		r := &replaying{p: p, client: client, function: "tickets", inputs: inputs, answers: map[int]replayed{}, state: state}
		require.ErrorIs(t, r.run(ctx, false), os.ErrClosed)
		require.Error(t, ctx.Err())
	})
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(content)
}

// Whoever watches a slow replay hears how far it is, also while nothing is answered.
func TestReplayTellsHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		d.file("sparekey.yaml", strings.Replace(read(t, d.config()), "limit: {off: true}", "limit: {per_second: 0.24, burst: 1}", 1))
		got := d.run("replay", "-config", "CONFIG", "-data", d.file("data.jsonl", recordedFile))
		assert.Equal(t, exitOK, got.code)
		assert.Equal(t, "2 of 6, 0 failed\n3 of 6, 0 failed\n4 of 6, 0 failed\n5 of 6, 0 failed\n6 of 6, 0 failed\n", got.errOut)

		require.NoError(t, d.SetFaults(nyckelsim.Faults{RateLimited: 1}))
		ctx, cancel := context.WithTimeout(t.Context(), 11*time.Second)
		defer cancel()
		got = d.runWith(ctx, "replay", "-config", "CONFIG", "-data", d.file("data.jsonl", recordedFile))
		assert.True(t, strings.HasPrefix(got.errOut, "0 of 6, 0 failed\n0 of 6, 0 failed\n0 of 6, 0 failed\nsparekey: stopped after 0 of 6 inputs"), got.errOut)
	})
}

// An answer of a rule is none here.
func TestReplayFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		require.NoError(t, d.SetFaults(nyckelsim.Faults{Unavailable: 1}))
		data := d.file("data.csv", "text,category\nmy money,refund\nmy refund,refund\n")
		got := d.run("replay", "-config", "CONFIG", "-data", data)
		assert.Equal(t, exitFailed, got.code)
		assert.Equal(t, "2 inputs, 0 answered, 2 failed\n", got.out)
		assert.Contains(t, got.errOut, "sparekey: 2 of 2 inputs were not answered: line 2: tickets: overloaded: ")
	})
}

func TestReplayMisuse(t *testing.T) {
	d := newDesk(t, nyckelsim.Config{})
	data := d.file("data.jsonl", recordedFile)
	noState := d.file("nostate", "hello\n")
	other := d.file("other", `{"function":"tickets","model":"model_9","service":"here","inputs":6,"data":"0"}`+"\n")
	const mine = "a line that somebody needs, without a line break"
	foreign := d.file("foreign", mine)
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no data", nil, "-data is missing"},
		{"no such data", []string{"-data", "nowhere"}, "open nowhere"},
		{"broken row", []string{"-data", d.file("b.csv", "text,label\na,b\nc\n")}, "b.csv:3: 1 fields, expected 2"},
		{"unknown function", []string{"-data", data, "-function", "x"}, `no function "x"`},
		{"no file", []string{"-data", data, "-config", "nowhere"}, "open nowhere"},
		{"no state", []string{"-data", data, "-state", noState}, "nostate:1: is no state of a replay"},
		{"other lines", []string{"-data", data, "-state", d.file("lines", recordedFile)}, "lines:1: is no state of a replay"},
		{"nothing answered", []string{"-data", d.file("none.jsonl", `{"data":"hello"}`)}, "none.jsonl: no input with a label"},
		{"no only function", []string{"-data", data, "-config", d.file("two.yaml", read(t, d.config())+"  more: {id: function_2}\n")}, "2 functions can be called [more tickets]; name one with -function"},
		{"of something else", []string{"-data", data, "-state", other}, `is the state of another replay: of 6 inputs, function "tickets" (here), model "model_9"`},
		{"a file of yours", []string{"-data", data, "-state", foreign}, "foreign:1: is no state of a replay"},
		{"a folder for a state", []string{"-data", data, "-state", d.folder}, "-state: " + d.folder + " is no regular file"},
		{"a device for a state", []string{"-data", data, "-state", os.DevNull}, "-state: " + os.DevNull + " is no regular file"},
		{"argument", []string{"-data", data, "more"}, `unexpected argument "more"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := d.run(append([]string{"replay", "-config", "CONFIG"}, tt.args...)...)
			assert.Equal(t, exitMisuse, got.code)
			assert.Empty(t, got.out)
			assert.Contains(t, got.errOut, tt.want)
		})
	}
	assert.Zero(t, d.Stats().Requests)
	assert.Equal(t, mine, read(t, foreign))
}

// Answers of one model or function are not taken for those of another that a file has
// under the same name.
func TestReplayStateIsOfOneTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nyckelsim.Config{})
		data, state := d.file("data.jsonl", recordedFile), filepath.Join(d.folder, "state")
		require.Equal(t, exitOK, d.run("replay", "-config", "CONFIG", "-data", data, "-state", state).code)
		for _, change := range []string{"id: function_other", "id: " + d.function + "\n    model: model_9"} {
			other := d.file("other.yaml", strings.Replace(read(t, d.config()), "id: "+d.function, change, 1))
			got := d.run("replay", "-config", other, "-data", data, "-state", state)
			assert.Equal(t, exitMisuse, got.code)
			assert.Contains(t, got.errOut, "is the state of another replay")
		}
		others := d.file("others.jsonl", strings.Replace(recordedFile, "is late", "is lost", 1))
		got := d.run("replay", "-config", "CONFIG", "-data", others, "-state", state)
		assert.Equal(t, exitMisuse, got.code)
		assert.Contains(t, got.errOut, "is the state of another replay")
	})
}

// A state may have answers to its own inputs only.
func TestReplayStateOfOtherInputs(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	for _, wrong := range []string{`{"index":-1}`, `{"index":2}`, `{"index":0,"lab`} {
		head := replayHead{Function: "tickets", Service: "here", Inputs: 2, Data: "sum"}
		first, err := json.Marshal(head)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(state, fmt.Appendf(first, "\n{\"index\":1}\n%s\n", wrong), 0o600))
		r := &replaying{inputs: make([]recorded, 2), answers: map[int]replayed{}}
		assert.EqualError(t, r.open(state, head), state+":3: is no answer to one of the inputs")
	}
}

// Who starts the same replay twice at the same time finds the answers of both.
func TestReplayStateOfTwo(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	head := replayHead{Function: "tickets", Service: "here", Inputs: 4, Data: "sum"}
	open := func() *replaying {
		r := &replaying{inputs: make([]recorded, 4), answers: map[int]replayed{}}
		require.NoError(t, r.open(state, head))
		t.Cleanup(func() { _ = r.state.Close() })
		return r
	}
	one, two := open(), open()
	require.NoError(t, one.keep(replayed{Index: 0, Label: "delivery"}))
	require.NoError(t, two.keep(replayed{Index: 1, Label: "a longer label"}))
	require.NoError(t, one.keep(replayed{Index: 2, Label: "refund"}))
	assert.Len(t, open().answers, 3)
}
