package outage

import (
	"sync"
	"time"

	"github.com/sparekey/sparekey/policy"
	"github.com/sparekey/sparekey/telemetry"
)

// slots is about how many stretches of equal length a history has.
const slots = 90

// A history is what came when: for the plots. It is safe for concurrent use.
type history struct {
	mu      sync.Mutex
	start   time.Time // guarded by mu, as all below
	width   time.Duration
	counts  [2][]map[telemetry.Source]int // by client and slot; "" counts failures
	phases  []moment
	breaker []moment
}

// A moment is when something began.
type moment struct {
	at   time.Duration
	text string
}

func newHistory(o options) *history {
	return &history{width: max(o.duration/slots, 50*time.Millisecond)}
}

func (h *history) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.start = time.Now()
}

func (h *history) phase(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phases = append(h.phases, moment{time.Since(h.start), name})
}

func (h *history) transition(t policy.Transition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.breaker = append(h.breaker, moment{time.Since(h.start), t.To.String()})
}

// answer counts an answer of either client, or that there was none.
func (h *history) answer(side int, a answer, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	slot := int(time.Since(h.start) / h.width)
	for len(h.counts[side]) <= slot {
		h.counts[side] = append(h.counts[side], map[telemetry.Source]int{})
	}
	if err != nil {
		a.Source = ""
	}
	h.counts[side][slot][a.Source]++
}
