package itest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/nyckel/jobs"
)

// A ledger is what the processes said they did.
type ledger struct {
	mu    sync.Mutex
	acked []bool
	calls []int
	done  int // jobs acked plus jobs called
	up    int // processes
	ended bool
}

func newLedger(n int) *ledger { return &ledger{acked: make([]bool, n), calls: make([]int, n)} }

func (l *ledger) note(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	word, number, _ := strings.Cut(line, " ")
	var i int
	_, _ = fmt.Sscan(number, &i)
	switch word {
	case "up":
		l.up++
	case "end":
		l.ended = true
	case "ack":
		if !l.acked[i] {
			l.acked[i] = true
			l.done++
		}
	case "call":
		if l.calls[i]++; l.calls[i] == 1 {
			l.done++
		}
	}
}

func (l *ledger) progress() (done int, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done, l.ended
}

// firstUnacked returns the first job that may have been lost.
func (l *ledger) firstUnacked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.acked, false); i >= 0 {
		return i
	}
	return len(l.acked)
}

// A victim is a process at work.
type victim struct {
	cmd  *exec.Cmd
	read chan struct{} // closed when its last word was noted
}

func startVictim(t *testing.T, spec victimSpec, l *ledger) *victim {
	t.Helper()
	text, err := json.Marshal(spec)
	require.NoError(t, err)
	v := &victim{cmd: exec.Command(os.Args[0]), read: make(chan struct{})}
	v.cmd.Env = append(os.Environ(), victimEnv+"="+string(text))
	v.cmd.Stderr = t.Output()
	output, err := v.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, v.cmd.Start())
	t.Cleanup(func() { _ = v.cmd.Process.Kill() })
	go func() {
		defer close(v.read)
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			l.note(lines.Text())
		}
	}()
	return v
}

// wait waits for the end of the process, whose exit it returns.
func (v *victim) wait() error {
	<-v.read
	return v.cmd.Wait()
}

// kill ends it in the middle of whatever it does.
func (v *victim) kill() {
	_ = v.cmd.Process.Signal(syscall.SIGKILL)
	_ = v.wait()
}

// TestKill kills the process that enqueues and works 20 times at random moments:
// nothing that was accepted is lost, nothing is recorded twice, and only calls that
// were under way are repeated.
func TestKill(t *testing.T) {
	for name, b := range backends {
		n := 10_000
		switch {
		case *long:
			n = 100_000
		case b.slow:
			n = 3_000
		}
		t.Run(name, func(t *testing.T) { killOften(t, name, b, n, 20) })
	}
}

// killOften has a third of the kills hit the server, if there is one, and all
// others the process.
func killOften(t *testing.T, name string, b backend, n, kills int) {
	const workers, again = 16, 200
	random := rand.New(rand.NewPCG(*seed, 0))
	spec := victimSpec{Backend: name, Name: b.create(t), Jobs: n, Producers: 8, Workers: workers, Lease: 2 * time.Second, Budget: time.Second, Fatal: -1}
	l := newLedger(n)
	begin := time.Now()
	var v *victim
	for i := range kills {
		// The work is 2n steps; the kills are spread over all but the last of them.
		target := (2*n - n/10) * (i + 1) / kills
		target -= random.IntN(n / kills)
		if v == nil {
			spec.First = max(0, l.firstUnacked()-again)
			v = startVictim(t, spec, l)
		}
		require.Eventually(t, func() bool {
			done, _ := l.progress()
			return done >= target
		}, 2*time.Minute, time.Millisecond, "no progress after %d kills", i)
		time.Sleep(time.Duration(random.IntN(10_000)) * time.Microsecond)
		if b.killServer != nil && i%3 == 2 {
			b.killServer(t) // the process lives on
			continue
		}
		v.kill()
		v = nil
	}
	if v == nil {
		spec.First = max(0, l.firstUnacked()-again)
		v = startVictim(t, spec, l)
	}
	require.NoError(t, v.wait(), "the last process")
	took := time.Since(begin)

	assertAllRecordedOnce(t, b, spec.Name, n)
	repeated, most := 0, 0
	for i, calls := range l.calls {
		if !l.acked[i] {
			t.Fatalf("job %d was never accepted", i)
		}
		repeated += max(0, calls-1)
		most = max(most, calls)
	}
	assert.LessOrEqual(t, repeated, kills*workers, "repeated calls")
	assert.LessOrEqual(t, most, 3, "calls for one job")
	t.Logf("%d jobs, %d kills, seed %d: 0 lost, 0 recorded twice, %d calls repeated, at most %d for a job, %v",
		n, kills, *seed, repeated, most, took.Round(time.Millisecond))
}

// assertAllRecordedOnce checks that each of n jobs left its own prediction, and
// nothing else is there.
func assertAllRecordedOnce(t *testing.T, b backend, name string, n int) {
	t.Helper()
	engine, err := b.open(context.Background(), name, 0)
	require.NoError(t, err)
	db := engine.store.DB()
	labels := map[string]string{}
	rows, err := db.Query(`SELECT id, label FROM sparekey_predictions`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var id, label string
		require.NoError(t, rows.Scan(&id, &label))
		if _, twice := labels[id]; twice {
			t.Fatalf("%s is recorded twice", id)
		}
		labels[id] = label
	}
	require.NoError(t, rows.Err())
	for i := range n {
		if got := labels[jobID(i)]; got != labelOf(i) {
			t.Fatalf("job %d has the label %q, want %q", i, got, labelOf(i))
		}
	}
	assert.Len(t, labels, n)
	assert.True(t, isEmpty(context.Background(), engine), "jobs are left")
	for dead, err := range engine.DeadLetters(context.Background(), "") {
		require.NoError(t, err)
		t.Errorf("job %s is dead: %s", dead.ID, dead.LastError)
	}
	require.NoError(t, engine.close())
	if b.check != nil {
		b.check(t, name)
	}
}

// TestFatalJob has a job that kills its process each time: it ends among the dead
// letters, and everything else is done.
func TestFatalJob(t *testing.T) {
	const n, fatal = 50, 17
	for name, b := range backends {
		t.Run(name, func(t *testing.T) {
			if b.slow && !*long {
				t.Skip("takes a minute; run with -long")
			}
			spec := victimSpec{
				Backend: name, Name: b.create(t), Jobs: n, Producers: 1, Workers: 4,
				Lease: 200 * time.Millisecond, Budget: time.Second, Fatal: fatal,
			}
			engine, err := b.open(t.Context(), spec.Name, spec.Lease)
			require.NoError(t, err)
			_, err = engine.Enqueue(t.Context(), jobs.Job{ID: jobID(fatal), MaxAttempts: 2})
			require.NoError(t, err)
			require.NoError(t, engine.close())
			l := newLedger(n)
			deaths := 0
			for ; deaths < 10; deaths++ {
				if err := startVictim(t, spec, l).wait(); err == nil {
					break
				}
			}
			assert.Equal(t, 2, deaths)
			assert.Equal(t, 2, l.calls[fatal])
			engine, err = b.open(t.Context(), spec.Name, spec.Lease)
			require.NoError(t, err)
			defer engine.close()
			state, d, err := engine.Find(t.Context(), jobID(fatal))
			require.NoError(t, err)
			assert.Equal(t, jobs.Dead, state)
			assert.Contains(t, d.LastError, "vanished")
			for i := range n {
				if i != fatal {
					state, _, err := engine.Find(t.Context(), jobID(i))
					require.NoError(t, err)
					assert.Equal(t, jobs.Recorded, state, "job %d", i)
				}
			}
		})
	}
}

// TestShutdown ends a process that is asked to: it is gone when the drain is over,
// and nothing of what it did is done again.
func TestShutdown(t *testing.T) {
	const n, workers = 1000, 16
	for name, b := range backends {
		t.Run(name, func(t *testing.T) {
			spec := victimSpec{
				Backend: name, Name: b.create(t), Jobs: n, Producers: 4, Workers: workers, Fatal: -1,
				Lease: 30 * time.Second, Work: 10 * time.Millisecond, Drain: 3 * time.Second,
			}
			l := newLedger(n)
			v := startVictim(t, spec, l)
			require.Eventually(t, func() bool { done, _ := l.progress(); return done > n }, time.Minute, time.Millisecond)
			begin := time.Now()
			require.NoError(t, v.cmd.Process.Signal(syscall.SIGTERM))
			require.NoError(t, v.wait())
			assert.Less(t, time.Since(begin), spec.Drain+2*time.Second)
			spec.First = max(0, l.firstUnacked())
			require.NoError(t, startVictim(t, spec, l).wait())
			for i, calls := range l.calls {
				assert.Equal(t, 1, calls, "calls of job %d", i)
			}
			assertAllRecordedOnce(t, b, spec.Name, n)
		})
	}
}
