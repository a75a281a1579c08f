package outage

import (
	"bufio"
	"io"
	"sync"
	"time"

	"github.com/sparekey/sparekey/nyckel/nyckelsim"
)

// worseFor is how long nobody listens when somebody makes it worse.
const worseFor = 5 * time.Second

// A weather is the faults of both simulators: those of the phase, or worse ones that
// somebody asked for. It is safe for concurrent use.
type weather struct {
	sites []*site

	mu    sync.Mutex
	phase nyckelsim.Faults // guarded by mu, as all below
	until time.Time        // it is worse
	times int              // it was made worse
}

// begin puts the faults of a phase in force, at once or when it is no longer worse.
func (w *weather) begin(phase nyckelsim.Faults) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase = phase
	if time.Now().Before(w.until) {
		return nil
	}
	return w.setLocked(phase)
}

// worsen has both services refuse connections for a while.
func (w *weather) worsen() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.times++
	w.until = time.Now().Add(worseFor)
	_ = w.setLocked(nyckelsim.Faults{Name: "worse", Refuse: true}) // which is valid
	time.AfterFunc(worseFor, w.mend)
}

func (w *weather) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !time.Now().Before(w.until) {
		_ = w.setLocked(w.phase) // which was valid
	}
}

// worsened returns how often it was made worse.
func (w *weather) worsened() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.times
}

func (w *weather) setLocked(f nyckelsim.Faults) error {
	for _, s := range w.sites {
		if err := s.setFaults(f); err != nil {
			return err
		}
	}
	return nil
}

// listen makes it worse for each line that comes in, as long as the clock goes.
func (w *weather) listen(c *clock, lines io.Reader, told func()) {
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		if !c.within(func() { w.worsen(); told() }) {
			return
		}
	}
}
