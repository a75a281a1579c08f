package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/transport/plan"
)

// A function's jobs have what the queue says where the function says nothing.
func TestQueue(t *testing.T) {
	p := parseWhole(t)
	assert.Equal(t, plan.Queue{
		Work: plan.Work{
			MaxAttempts: 5, Priority: -1, Budget: time.Minute,
			Backoff: plan.Pause{Base: 2 * time.Second, Max: 5 * time.Minute},
		},
		Workers: 8, Drain: 20 * time.Second, Bound: 5000, ByteBound: 50_000_000,
		Lease: 15 * time.Second, Poll: 50 * time.Millisecond,
	}, p.File().Queue)
	tickets, _ := p.Function("ticket_routing")
	assert.Equal(t, plan.Work{
		MaxAttempts: 3, Priority: 2, Budget: 20 * time.Second,
		Backoff: plan.Pause{Base: time.Second, Max: 5 * time.Minute},
	}, tickets.Queue)
	for _, name := range []string{"chat", "other"} {
		f, _ := p.Function(name)
		assert.Equal(t, p.File().Queue.Work, f.Queue, name)
	}
}

// What holds for a queue is the same in Go, and what is wrong with it.
func TestQueueInGo(t *testing.T) {
	_, err := plan.New(plan.File{Version: 1, Queue: plan.Queue{Workers: -1}, Functions: map[string]plan.Function{
		"f": {Queue: plan.Work{Priority: 3}},
	}})
	assert.EqualError(t, err, "plan: Queue.Workers is -1, want 1 to 10000\nplan: Functions[f].Queue.Priority is 3, want -1 to 2")
	assert.Equal(t, plan.Pause{Base: time.Hour, Max: time.Hour}, plan.Work{Backoff: plan.Pause{Base: time.Hour}}.WithDefaults().Backoff)
	long := plan.Function{Stack: policy.Stack{Total: time.Minute}}
	assert.Equal(t, time.Minute, long.Work().Budget)
	long.Queue.Budget = 2 * time.Minute
	assert.Equal(t, 2*time.Minute, long.Work().Budget)
	assert.Equal(t, 30*time.Second, plan.Function{Stack: policy.Stack{Total: -1}}.Work().Budget)
	assert.NoError(t, plan.Queue{}.Validate())
	assert.NoError(t, plan.Queue{Bound: -1, ByteBound: -1, Drain: -1}.Validate())
}

// Of the queue there are settings once a file says something of it.
func TestSettingsOfQueue(t *testing.T) {
	settings := func(text string) (got []string) {
		t.Helper()
		p, err := plan.Parse("f.yaml", []byte(text), nil)
		require.NoError(t, err)
		for _, s := range p.Settings() {
			if s.Owner == "queue" || strings.HasPrefix(s.Key, "queue") {
				got = append(got, s.Owner+" "+s.Key+" "+s.Value+" "+string(s.Origin))
			}
		}
		return got
	}
	assert.Empty(t, settings("version: 1\nfunctions: {f: {}}\n"))
	got := settings("version: 1\nfunctions: {f: {queue: {priority: 1}}}\n")
	assert.Len(t, got, 16)
	assert.Contains(t, got, "queue workers 16 built-in")
	assert.Contains(t, got, "queue priority 0 built-in")
	assert.Contains(t, got, "functions.f queue.priority 1 file")
	assert.Contains(t, got, "functions.f queue.backoff.max 10m0s built-in")
}
