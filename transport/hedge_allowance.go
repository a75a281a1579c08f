package transport

import "sync"

// A hedgeAllowance keeps the number of hedges down: see [policy.Hedge]. It is an
// account, counted in hedges, that begins empty, so that never more hedges start than
// good answers have paid for. Failures and useless hedges may bring it below zero.
type hedgeAllowance struct {
	mu      sync.Mutex
	ratio   float64 // hedges that a good answer pays for; guarded by mu, as all below
	balance float64
	useless int // hedges in a row that did not win
}

const (
	maxSaved     = 10.0 // greatest balance
	maxDebt      = 10.0 // up to which failures lower the balance below zero
	freeUseless  = 10   // useless hedges in a row that cost no more than others
	maxDoublings = 6    // of the price of the useless ones after those
	hedgeEpsilon = 1e-9 // by which a sum of fractions may fall short of a whole hedge
)

// change has good answers pay another ratio.
func (a *hedgeAllowance) change(ratio float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ratio = ratio
}

// affordable reports whether a hedge could start now.
func (a *hedgeAllowance) affordable() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.balance >= 1-hedgeEpsilon
}

// take pays for a hedge, and reports whether the balance was enough for that.
func (a *hedgeAllowance) take() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.balance < 1-hedgeEpsilon {
		return false
	}
	a.balance--
	return true
}

// giveBack returns what was taken for a hedge that did not start.
func (a *hedgeAllowance) giveBack() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.balance = min(maxSaved, a.balance+1)
}

// earn adds what a good answer pays.
func (a *hedgeAllowance) earn() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.balance = min(maxSaved, a.balance+a.ratio)
}

// strain makes a failure that shows a server without room to spare cost a hedge.
func (a *hedgeAllowance) strain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.balance > -maxDebt {
		a.balance = max(-maxDebt, a.balance-1)
	}
}

// judge makes each hedge of a call that none of them won cost extra, if there were many
// such in a row.
func (a *hedgeAllowance) judge(hedges int, won bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if won {
		a.useless = 0
		return
	}
	for range hedges {
		if a.useless++; a.useless > freeUseless {
			price := 1 << min(a.useless-freeUseless, maxDoublings)
			a.balance -= float64(price - 1) // one was taken when it began
		}
	}
}
