package transport

import "sync"

// A leash is what keeps the number of hedges down: see [policy.Hedge]. It is an
// account in hedges that begins empty, so that what was spent is never more than
// what was paid in, and may be in debt.
type leash struct {
	mu      sync.Mutex
	ratio   float64 // of a hedge, that a good answer pays; guarded by mu, as all below
	balance float64
	useless int // hedges in a row
}

const (
	mostSaved = 10.0 // hedges
	worstDebt = 10.0 // for what shows that the server has no room to spare
	patience  = 10   // useless hedges in a row that cost no more than others
	dearest   = 6    // times that the price is doubled
	leashDust = 1e-9 // what a sum of fractions may fall short of the whole
)

// change has good answers pay another ratio.
func (l *leash) change(ratio float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ratio = ratio
}

// slack reports whether a hedge could start now.
func (l *leash) slack() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.balance >= 1-leashDust
}

// take takes what a hedge costs, and reports whether it was there.
func (l *leash) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.balance < 1-leashDust {
		return false
	}
	l.balance--
	return true
}

// giveBack returns what was taken for a hedge that did not start.
func (l *leash) giveBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.balance = min(mostSaved, l.balance+1)
}

// paid takes what a good answer pays.
func (l *leash) paid() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.balance = min(mostSaved, l.balance+l.ratio)
}

// strained takes note of a failure.
func (l *leash) strained() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.balance > -worstDebt {
		l.balance = max(-worstDebt, l.balance-1)
	}
}

// judge takes note of what the hedges of a call were good for.
func (l *leash) judge(hedges int, won bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if won {
		l.useless = 0
		return
	}
	for range hedges {
		if l.useless++; l.useless > patience {
			price := 1 << min(l.useless-patience, dearest)
			l.balance -= float64(price - 1) // one was taken when it began
		}
	}
}
