package cache

// Forget forgets what the stack of a function holds: the answers of that function, and
// those to calls that name none. A stack without a name serves any function: "" forgets
// all. See transport.Operator.Purge.
func (p *predictions) Forget(function string) {
	if function == "" {
		p.Purge()
		return
	}
	p.PurgeFunction(function)
	p.store.purge(func(_ key, of owner) bool { return of.function == 0 })
}
